//! Statements that read rows of several nodes.

use openpeta_mysql_wire::command::COM_QUERY;
use openpeta_mysql_wire::{Capabilities, put_lenenc_int, put_packet};

use super::{Failure, Session};
use crate::gather::{self, Gathered, Manner};
use crate::node::{Reply, Started};
use crate::plan::read::ReadPlan;

/// How many bytes of rows a statement may gather at home.
const GATHER_LIMIT: u64 = 16 << 30;

impl Session {
    /// Answers a statement over rows that are gathered at home.
    pub(super) async fn read(&mut self, plan: &ReadPlan, text: &[u8]) -> Result<(), Failure> {
        let manner = Manner {
            in_transaction: self.facts.in_transaction || !self.facts.autocommit,
            limit: GATHER_LIMIT,
        };
        let mut from = 0;
        loop {
            let work = gather::run(&mut self.nodes, plan, text, from, manner);
            let gathered = self.client.attend(work).await?;
            let answered = match &gathered.definitions {
                None => {
                    let command = [&[COM_QUERY][..], &gathered.statement].concat();
                    self.relay(&command).await.map(|()| true)
                }
                Some(definitions) => self.relay_as(&gathered, definitions).await,
            };
            gather::clean_up(&mut self.nodes, &gathered).await?;
            if answered? {
                return Ok(());
            }
            from = gathered.recipe + 1;
        }
    }

    /// Relays the rows of a statement as those of another one; `false` if they are not of its types, or
    /// it fails.
    async fn relay_as(
        &mut self,
        gathered: &Gathered,
        definitions: &[Vec<u8>],
    ) -> Result<bool, Failure> {
        let home = self.nodes.home();
        let command = [&[COM_QUERY][..], &gathered.statement].concat();
        home.send(&command).await.map_err(Failure::Home)?;
        let capabilities = home.capabilities();
        let columns = match home.start().await.map_err(Failure::Home)? {
            Started::Rows(columns) => columns,
            Started::Done(Reply::Err(error)) => {
                tracing::debug!(
                    error = %String::from_utf8_lossy(&error.message),
                    statement = %String::from_utf8_lossy(&gathered.statement),
                    "a rewritten statement failed"
                );
                return Ok(false);
            }
            _ => return Ok(false),
        };
        let told = gather::told_as(&columns, definitions, capabilities);
        let Some(definitions) = told.map_err(Failure::Home)? else {
            while let crate::node::Row::Row(_) = home.next_row().await.map_err(Failure::Home)? {}
            return Ok(false);
        };
        let mut count = Vec::new();
        put_lenenc_int(&mut count, columns.len() as u64);
        if capabilities.contains(Capabilities::MARIADB_CACHE_METADATA) {
            count.push(1);
        }
        let mut payloads: Vec<&[u8]> = vec![&count];
        payloads.extend(definitions.iter().map(Vec::as_slice));
        let [low, high] = home.status().0.to_le_bytes();
        let end = [0xFE, 0, 0, low, high];
        if !capabilities.contains(Capabilities::DEPRECATE_EOF) {
            payloads.push(&end);
        }
        let mut head = Vec::new();
        let mut sequence = 1;
        for payload in payloads {
            sequence = put_packet(&mut head, sequence, payload);
        }
        self.tracker.begin(COM_QUERY);
        self.tracker.feed(&head);
        let sent = self.client.stream().write(&head).await;
        sent.map_err(|_| Failure::Client)?;
        self.relay_rest().await?;
        Ok(true)
    }
}
