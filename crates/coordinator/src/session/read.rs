//! Statements that read rows of several nodes.

use openpeta_mysql_wire::{Capabilities, put_lenenc_int};

use super::copy::Copied;
use super::show::Diagnostic;
use super::{Failure, Session};
use crate::Refusal;
use crate::gather::{self, Gathered, Manner};
use crate::node::{Reply, Started, execute_payload};
use crate::plan::read::ReadPlan;
use crate::topology::Topology;

/// How many bytes of rows a statement may gather at home.
const GATHER_LIMIT: u64 = 16 << 30;

impl Session {
    /// Answers a statement over rows that are gathered at home.
    pub(super) async fn read(
        &mut self,
        plan: &ReadPlan,
        text: &[u8],
        more: bool,
    ) -> Result<Copied, Failure> {
        if plan.writes {
            self.refuse_locked()?;
            self.restore_last_insert_id(text).await?;
            self.nodes.wrote(Topology::HOME);
        }
        let manner = self.manner();
        let mut from = 0;
        loop {
            let work = gather::run(&mut self.nodes, plan, text, from, manner);
            let gathered = self.client.attend(work).await?;
            let answered = match &gathered.definitions {
                None => {
                    let sent = self.nodes.home().send_query(&gathered.statement).await;
                    sent.map_err(Failure::Home)?;
                    self.copy_reply(Topology::HOME, more).await.map(Some)
                }
                Some(definitions) => {
                    let is_last = gathered.recipe + 1 == plan.recipes.len();
                    self.copy_as(&gathered, definitions, is_last, more).await
                }
            };
            if let Ok(Some(copied)) = &answered
                && copied.warnings > 0
            {
                self.keep_warnings().await?;
            }
            gather::clean_up(&mut self.nodes, &gathered).await?;
            if let Some(copied) = answered? {
                return Ok(copied);
            }
            from = gathered.recipe + 1;
        }
    }

    /// Answers a prepared statement that reads views: it runs with the queries of these in their places, which
    /// is another statement than home has prepared.
    pub(super) async fn read_prepared_views(
        &mut self,
        plan: &ReadPlan,
        text: &[u8],
    ) -> Result<Copied, Failure> {
        let manner = self.manner();
        let last = plan.recipes.len() - 1;
        let work = gather::run(&mut self.nodes, plan, text, last, manner);
        let gathered = self.client.attend(work).await?;
        let answered = self.copy_executed(&gathered).await;
        if let Err(Failure::Home(_) | Failure::Client) = &answered {
            return answered;
        }
        gather::clean_up(&mut self.nodes, &gathered).await?;
        answered
    }

    pub(super) async fn copy_executed(&mut self, gathered: &Gathered) -> Result<Copied, Failure> {
        let home = self.nodes.home();
        let prepared = home.prepare(&gathered.statement).await;
        let prepared = prepared.map_err(Failure::Home)??;
        let sent = home.send(&execute_payload(prepared.id, &[])).await;
        sent.map_err(Failure::Home)?;
        let columns = match home.start().await.map_err(Failure::Home)? {
            // They are not told again where they have not changed.
            Started::Rows(columns) if columns.is_empty() => prepared.columns,
            Started::Rows(columns) => columns,
            Started::Done(Reply::Err(error)) => return Err(error.into()),
            _ => return Err(Refusal::new("statement", "this statement gives no rows").into()),
        };
        let own = gathered.definitions.as_deref().unwrap_or(&columns);
        let definitions = gather::named_as(&columns, own);
        let mut copied = self.copy_under(&definitions, false).await?;
        let closed = self.nodes.home().close_statement(prepared.id).await;
        closed.map_err(Failure::Home)?;
        if copied.warnings > 0 {
            self.keep_warnings().await?;
        }
        copied.warnings = 0;
        Ok(copied)
    }

    /// Notes what home warned of, before it forgets.
    pub(super) async fn keep_warnings(&mut self) -> Result<(), Failure> {
        let reply = self.nodes.home().query("SHOW WARNINGS").await;
        if let Reply::Rows(rows) = reply.map_err(Failure::Home)? {
            let rows = rows.texts().map_err(|error| Failure::Home(error.into()))?;
            self.diagnostics = Some(rows.into_iter().filter_map(Diagnostic::of_row).collect());
        }
        Ok(())
    }

    /// How rows are gathered now.
    pub(super) fn manner(&self) -> Manner {
        Manner {
            in_transaction: self.nodes.transaction().is_some(),
            limit: GATHER_LIMIT,
        }
    }

    /// Passes on the rows of a statement as those of another one; `None` if they are not of its types,
    /// or it fails.
    pub(super) async fn copy_as(
        &mut self,
        gathered: &Gathered,
        definitions: &[Vec<u8>],
        is_last: bool,
        more: bool,
    ) -> Result<Option<Copied>, Failure> {
        let home = self.nodes.home();
        let sent = home.send_query(&gathered.statement).await;
        sent.map_err(Failure::Home)?;
        let capabilities = home.capabilities();
        let columns = match home.start().await.map_err(Failure::Home)? {
            Started::Rows(columns) => columns,
            Started::Done(Reply::Err(error)) if is_last => return Err(error.into()),
            Started::Done(Reply::Err(error)) => {
                tracing::debug!(
                    error = %String::from_utf8_lossy(&error.message),
                    statement = %String::from_utf8_lossy(&gathered.statement),
                    "a rewritten statement failed"
                );
                return Ok(None);
            }
            _ => return Ok(None),
        };
        let told = gather::told_as(&columns, definitions, capabilities);
        let Some(definitions) = told.map_err(Failure::Home)? else {
            while let crate::node::Row::Row(_) = home.next_row().await.map_err(Failure::Home)? {}
            if is_last {
                let what = "columns of a view are of other types than those of its query";
                return Err(Refusal::new("types", what).into());
            }
            return Ok(None);
        };
        self.copy_under(&definitions, more).await.map(Some)
    }

    /// Passes on rows whose columns home has described, under other definitions.
    async fn copy_under(&mut self, definitions: &[Vec<u8>], more: bool) -> Result<Copied, Failure> {
        let capabilities = self.nodes.home().capabilities();
        let mut count = Vec::new();
        put_lenenc_int(&mut count, definitions.len() as u64);
        if capabilities.contains(Capabilities::MARIADB_CACHE_METADATA) {
            count.push(1);
        }
        let mut payloads: Vec<&[u8]> = vec![&count];
        payloads.extend(definitions.iter().map(Vec::as_slice));
        let [low, high] = self.status(more).0.to_le_bytes();
        let end = [0xFE, 0, 0, low, high];
        if !capabilities.contains(Capabilities::DEPRECATE_EOF) {
            payloads.push(&end);
        }
        self.client.send(payloads).await?;
        let mut copied = Copied::default();
        self.copy_rest(Topology::HOME, more, &mut copied).await?;
        self.nodes.home().replied();
        Ok(copied)
    }
}
