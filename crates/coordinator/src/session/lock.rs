//! `LOCK TABLES`, and which tables statements use.
//!
//! Tables that are locked for READ are locked at home too, which then minds what the session may do.
//! Those that are to be written are not: a transaction over nodes cannot begin there meanwhile. Others are
//! kept away from both by the instance's own locks, for nobody gets to a node but through them.

use std::collections::BTreeMap;
use std::sync::Arc;

use openpeta_mysql_wire::ErrPacket;

use super::copy::Copied;
use super::{Failure, Session};
use crate::catalogue::Table;
use crate::plan::Plan;
use crate::plan::define::{Define, Name};
use crate::plan::lock::LockPlan;
use crate::service::{Held, Mode};

/// What a session has locked.
#[derive(Debug)]
pub(super) struct Locked {
    tables: BTreeMap<Name, Mode>,
    /// Home has locked the tables as well, single ones among them.
    at_home: bool,
    _held: Held,
}

impl Locked {
    /// Whether a table may be used so.
    fn check(&self, name: &Name, mode: Mode) -> Result<(), ErrPacket> {
        match (self.tables.get(name), mode) {
            (None, _) => Err(ErrPacket::new(
                1100,
                b"HY000",
                format!("Table '{}' was not locked with LOCK TABLES", name.1),
            )),
            (Some(Mode::Share), Mode::Write | Mode::Alone) => Err(ErrPacket::new(
                1099,
                b"HY000",
                format!(
                    "Table '{}' was locked with a READ lock and can't be updated",
                    name.1
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// The distributed tables that a plan uses, and how.
fn uses(plan: &Plan) -> Vec<(Name, Mode)> {
    let name = |table: &Table| (table.schema.clone(), table.name.clone());
    let with = |writes| if writes { Mode::Write } else { Mode::Read };
    match plan {
        Plan::Node { table, writes, .. } => vec![(name(table), with(*writes))],
        Plan::Modify { table, others, .. } => {
            // Rows of joined broadcast tables may all be deleted.
            let mode = with(table.key().is_none());
            let others = others.iter().map(|name| (name.clone(), mode));
            others.chain([(name(table), Mode::Write)]).collect()
        }
        Plan::Insert(insert) => vec![(name(&insert.table), Mode::Write)],
        Plan::Collect(collect) => {
            let read = collect.reads.iter().flat_map(|reads| &reads.tables);
            let read = read.map(|name| (name.clone(), Mode::Read));
            read.chain([(name(&collect.table), Mode::Write)]).collect()
        }
        Plan::Checksum(checksum) => {
            let tables = checksum.tables.iter().filter_map(|it| it.hashed.as_ref());
            tables.map(|table| (name(table), Mode::Read)).collect()
        }
        Plan::Read(read) => {
            let mode = with(read.locks);
            let tables = read.tables.iter();
            tables.map(|name| (name.clone(), mode)).collect()
        }
        _ => Vec::new(),
    }
}

impl Session {
    /// Uses the tables of a plan until the end of the transaction, or of the statement. Tells whether there
    /// are any that were not in use before.
    pub(super) async fn use_tables(&mut self, plan: &Plan) -> Result<bool, Failure> {
        let mut wanted = uses(plan);
        if let Some(locked) = &self.locked {
            for (name, mode) in &wanted {
                locked.check(name, *mode)?;
            }
            if let Plan::Define(define) = plan
                && let Define::Create(create) = &**define
            {
                locked.check(&create.name, Mode::Alone)?;
            }
            return Ok(false);
        }
        wanted.retain(|(name, mode)| {
            let mut held = self.used.iter().filter_map(|held| held.mode(name));
            !held.any(|held| held == *mode || held == Mode::Write)
        });
        if wanted.is_empty() {
            return Ok(false);
        }
        let held = self.hold(wanted).await?;
        self.used.push(held);
        Ok(true)
    }

    /// Lets go of the tables of a statement that is done, unless a transaction uses them.
    pub(super) fn stop_using(&mut self) {
        if self.nodes.transaction().is_none() {
            self.used.clear();
        }
    }

    /// Has tables alone, for a definition.
    pub(super) async fn redefine(&mut self, names: &[Name]) -> Result<Held, Failure> {
        if let Some(locked) = &self.locked {
            for name in names {
                locked.check(name, Mode::Alone)?;
            }
        }
        let wanted = names.iter().map(|name| (name.clone(), Mode::Alone));
        self.hold(wanted.collect()).await
    }

    /// Holds tables, unless the client goes away or the statement is killed in the meantime.
    pub(super) async fn hold(&mut self, mut wanted: Vec<(Name, Mode)>) -> Result<Held, Failure> {
        if let Some(held) = self.instance.locks().try_hold(self.owner, &mut wanted) {
            return Ok(held);
        }
        let instance = Arc::clone(&self.instance);
        let running = Arc::clone(self.nodes.running());
        let wait = async {
            let held = instance.locks().hold(self.owner, wanted);
            Ok(running.unless_interrupted(held).await?)
        };
        self.client.attend(wait).await
    }

    /// Whether home itself keeps the session to tables that it has locked.
    pub(super) fn is_locked_at_home(&self) -> bool {
        self.locked.as_ref().is_some_and(|locked| locked.at_home)
    }

    /// `LOCK TABLES`.
    pub(super) async fn lock_tables(
        &mut self,
        plan: LockPlan,
        text: &[u8],
        more: bool,
    ) -> Result<Copied, Failure> {
        // It lets go of those before, also when it fails.
        self.unlock().await?;
        let tables: BTreeMap<_, _> = plan.tables.iter().cloned().collect();
        let held = self.hold(plan.tables).await?;
        let locked = Locked {
            tables,
            at_home: plan.at_home,
            _held: held,
        };
        if plan.at_home {
            let copied = self.pass(text, more).await?;
            if copied.error.is_none() {
                self.locked = Some(locked);
            }
            return Ok(copied);
        }
        // Home says whether the account may, and whether all of them are there.
        let replies = self.nodes.home().query_all(&[text, b"UNLOCK TABLES"]).await;
        for reply in replies.map_err(Failure::Home)? {
            reply.ok()?;
        }
        self.locked = Some(locked);
        self.done(0, 0, 0, String::new(), more).await
    }

    /// `UNLOCK TABLES`.
    pub(super) async fn unlock_tables(
        &mut self,
        text: &[u8],
        more: bool,
    ) -> Result<Copied, Failure> {
        let Some(locked) = &self.locked else {
            return self.pass(text, more).await;
        };
        if locked.at_home {
            let copied = self.pass(text, more).await?;
            self.locked = None;
            return Ok(copied);
        }
        let committed = self.nodes.commit().await;
        self.used.clear();
        self.locked = None;
        committed?;
        self.done(0, 0, 0, String::new(), more).await
    }

    /// Lets go of what is locked, as the begin of a transaction does.
    pub(super) async fn unlock(&mut self) -> Result<(), Failure> {
        if self.locked.take().is_some_and(|locked| locked.at_home) {
            let reply = self.nodes.home().query("UNLOCK TABLES").await;
            reply.map_err(Failure::Home)?.ok()?;
        }
        Ok(())
    }
}
