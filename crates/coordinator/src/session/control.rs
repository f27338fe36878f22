//! Statements about transactions.

use openpeta_mysql_wire::Status;
use openpeta_sql_route::Dialect;

use super::copy::Copied;
use super::{Failure, Session};
use crate::Refusal;
use crate::plan::control::{self, Control};
use crate::plan::text::Tokens;

impl Session {
    /// With `autocommit` off, whatever uses tables begins a transaction.
    pub(super) async fn begin_if_wanted(&mut self) -> Result<(), Failure> {
        let status = self.nodes.home().status();
        let off = !status.contains(Status::AUTOCOMMIT);
        let is_none = self.nodes.transaction().is_none() && !status.contains(Status::IN_TRANS);
        if off && is_none && !self.is_locked_at_home() {
            self.learn_if_stale().await?;
            self.begin(None).await?;
        }
        Ok(())
    }

    /// Begins a transaction, of the manner that `SET TRANSACTION` has told if nothing else is said.
    pub(super) async fn begin(&mut self, read_only: Option<bool>) -> Result<(), Failure> {
        let next = self.next_read_only.take();
        let before = self.next_transaction.take();
        // Home was told that of the next transaction there, so it must be this one.
        let home_was_told = next.is_some() || before.is_some();
        let read_only = read_only
            .or(next)
            .unwrap_or(self.nodes.variables().read_only);
        let only_reads = next == Some(true) || self.nodes.variables().read_only;
        self.nodes
            .begin(as_home(before, only_reads), read_only, false);
        match home_was_told {
            true => self.nodes.begin_at_home().await,
            false => Ok(()),
        }
    }

    /// A statement about transactions.
    pub(super) async fn control(
        &mut self,
        control: Control,
        text: &[u8],
        more: bool,
    ) -> Result<Copied, Failure> {
        match control {
            Control::Begin {
                read_only,
                snapshot,
            } => {
                self.nodes.commit().await?;
                self.used.clear();
                self.end_plain().await?;
                self.unlock().await?;
                self.learn_if_stale().await?;
                let table = match snapshot {
                    true => self.table_to_look_at().await?,
                    false => None,
                };
                if snapshot && table.is_none() {
                    // Nothing of other nodes can be read, so home's moment is all there is.
                    return self.pass(text, more).await;
                }
                let repeats = self.repeats_reads(self.next_transaction.as_deref());
                self.begin(read_only).await?;
                if let Some(table) = table.filter(|_| repeats) {
                    self.see_one_moment(&table).await?;
                }
                self.done(0, 0, 0, String::new(), more).await
            }
            Control::Commit(after) | Control::Rollback(after) => {
                let had = self.nodes.transaction().map(|it| it.read_only);
                if had.is_none() && !after.chain {
                    return self.pass(text, more).await;
                }
                if had.is_none() {
                    self.end_plain().await?;
                }
                let ended = match control {
                    Control::Commit(_) => self.nodes.commit().await,
                    _ => self.nodes.roll_back().await,
                };
                self.used.clear();
                ended?;
                if after.chain {
                    let only_reads = self.nodes.variables().read_only;
                    self.nodes
                        .begin(as_home(None, only_reads), had.unwrap_or(false), false);
                }
                let copied = self.done(0, 0, 0, String::new(), more).await?;
                if after.release {
                    return Err(Failure::Client);
                }
                Ok(copied)
            }
            Control::Savepoint(name) => {
                // It may be the first of a transaction that nobody has begun in so many words.
                self.begin_if_wanted().await?;
                if self.nodes.transaction().is_none() {
                    return self.pass(text, more).await;
                }
                self.nodes.savepoint(&name).await?;
                self.done(0, 0, 0, String::new(), more).await
            }
            Control::RollbackTo(name) if self.nodes.transaction().is_some() => {
                self.nodes.back_to_savepoint(&name, false).await?;
                self.done(0, 0, 0, String::new(), more).await
            }
            Control::Release(name) if self.nodes.transaction().is_some() => {
                self.nodes.back_to_savepoint(&name, true).await?;
                self.done(0, 0, 0, String::new(), more).await
            }
            Control::RollbackTo(_) | Control::Release(_) => self.pass(text, more).await,
            Control::SetNext {
                read_only,
                isolation,
            } => {
                let copied = self.pass(text, more).await?;
                if copied.error.is_none() {
                    self.next_read_only = read_only.or(self.next_read_only);
                    if let Some(isolation) = isolation {
                        let set = format!("SET TRANSACTION ISOLATION LEVEL {isolation}");
                        self.next_transaction = Some(set);
                    }
                }
                Ok(copied)
            }
            Control::Autocommit(to) => {
                let is_on = self.nodes.home().status().contains(Status::AUTOCOMMIT);
                if !is_on && to != Some(false) {
                    self.nodes.commit().await?;
                    self.used.clear();
                }
                self.stale = true;
                self.pass(text, more).await
            }
            Control::Xa => Err(Refusal::new(
                "xa",
                "XA statements are the service's own where tables are distributed",
            )
            .into()),
        }
    }

    /// A transaction that home began when no table was distributed yet.
    pub(super) async fn end_plain(&mut self) -> Result<(), Failure> {
        if self.nodes.home().status().contains(Status::IN_TRANS) {
            let reply = self.nodes.home().query("COMMIT").await;
            reply.map_err(Failure::Home)?.ok()?;
        }
        Ok(())
    }
}

/// What is run on each node before a transaction begins there. Where home would take it for one that
/// `only_reads`, home is told otherwise: it has to make temporary tables in it, and that nothing is written is
/// our business.
fn as_home(before: Option<String>, only_reads: bool) -> Option<String> {
    match (before, only_reads) {
        (before, false) => before,
        (Some(before), true) => Some(format!("{before}, READ WRITE")),
        (None, true) => Some("SET TRANSACTION READ WRITE".to_owned()),
    }
}

/// Whether a text is a statement about transactions, or ends one.
pub(super) fn is_about_transactions(text: &[u8]) -> bool {
    let dialect = Dialect::new(101_100);
    let tokens = Tokens::of(text, dialect);
    control::control(&tokens, dialect).is_some() || control::commits_before(&tokens)
}
