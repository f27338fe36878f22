//! `START TRANSACTION WITH CONSISTENT SNAPSHOT`: all nodes show the session one moment.
//!
//! A transaction of `XA` opens its view with its first read. So each node is read from while no transaction
//! over nodes is carried out: a row of a table that the account may read.

use std::sync::Arc;

use super::{Failure, Session};
use crate::node::Reply;
use crate::plan::define::{Name, quoted};
use crate::plan::facts::isolation_in;
use crate::service::Mode;
use crate::topology::Topology;

impl Session {
    /// Whether the transaction that begins is of the one isolation that has such a view.
    pub(super) fn repeats_reads(&self, before: Option<&str>) -> bool {
        let isolation = before.and_then(isolation_in);
        isolation.unwrap_or(&self.facts.isolation) == "REPEATABLE-READ"
    }

    /// A distributed table that the account may read, if there is one.
    pub(super) async fn table_to_look_at(&mut self) -> Result<Option<Name>, Failure> {
        let catalogue = self.instance.catalogue().await?;
        for table in catalogue.tables() {
            let name = (table.schema.clone(), table.name.clone());
            let home = self.nodes.home();
            let prepared = home.prepare(look_at(&name).as_bytes()).await;
            if let Ok(prepared) = prepared.map_err(Failure::Home)? {
                let closed = home.close_statement(prepared.id).await;
                closed.map_err(Failure::Home)?;
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Opens the views of all nodes in the transaction that was begun; ends it if that fails.
    pub(super) async fn see_one_moment(&mut self, table: &Name) -> Result<(), Failure> {
        let opened = self.open_views(table).await;
        if opened.is_err() {
            self.nodes.drain().await?;
            self.nodes.roll_back().await?;
            self.used.clear();
        }
        opened
    }

    async fn open_views(&mut self, table: &Name) -> Result<(), Failure> {
        let instance = Arc::clone(&self.instance);
        // It is looked at until the transaction ends, so it is not redefined.
        let wanted = vec![(table.clone(), Mode::Read)];
        let held = self.hold(wanted).await?;
        self.used.push(held);
        let topology = loop {
            let topology = instance.topology();
            if self.enter(&topology).await? {
                break topology;
            }
        };
        let nodes: Vec<u16> = (Topology::HOME..topology.len()).collect();
        for node in &nodes {
            self.nodes.node(*node).await?;
        }
        let _alone = instance.alone(&nodes).await?;
        // Others must not wait for long because of a table that somebody has locked past us.
        let question = format!("SET STATEMENT lock_wait_timeout=5 FOR {}", look_at(table));
        for node in &nodes {
            let sent = self.nodes.joined(*node).send_query(&question).await;
            sent.map_err(|source| Failure::of_node(*node, source))?;
        }
        let mut failed = None;
        for node in &nodes {
            let reply = self.nodes.joined(*node).read_reply().await;
            if let Reply::Err(error) = reply.map_err(|source| Failure::of_node(*node, source))? {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

fn look_at(name: &Name) -> String {
    format!("SELECT 1 FROM {} LIMIT 1", quoted(name))
}
