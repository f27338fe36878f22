//! Imports into databases over several nodes: what was loaded and compared on the first one is
//! distributed, compared over all of them, and put in its place on each.

use openpeta_types::{DbName, NodeId};

use super::{ImportPlace, Imported, base_tables};
use crate::backup::Progress;
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::moving::Places;
use crate::quote;

/// MariaDB's "table exists".
const EXISTS: u16 = 1050;

/// The nodes of a database.
#[derive(Clone, Copy, Debug)]
pub struct ImportNodes<'a> {
    /// All of them, the one on which the import is prepared first.
    pub nodes: &'a [NodeId],
    /// The number of the node of each partition.
    pub partitions: &'a [u16],
}

impl ImportNodes<'_> {
    fn places<'a>(&'a self, database: &'a DbName) -> Places<'a> {
        Places {
            database,
            nodes: self.nodes,
            partitions: self.partitions,
        }
    }
}

impl Engine {
    /// Has the other nodes have what they shall have of what was imported. The first one still has all.
    ///
    /// # Errors
    /// [`EngineError::NotImported`] when a table cannot be distributed; those of connections.
    pub async fn distribute_import(
        &self,
        place: ImportPlace<'_>,
        nodes: ImportNodes<'_>,
        imported: &Imported,
        progress: Progress<'_>,
    ) -> Result<()> {
        let places = nodes.places(place.staging);
        let (distributions, triggered) = (&imported.distributions, &imported.triggered);
        self.declare_distributions(places, distributions, triggered)
            .await?;
        self.copy_to_nodes(places, progress).await
    }

    /// Removes from the first node what others have of it, and compares all tables over all nodes with
    /// what was imported.
    ///
    /// # Errors
    /// [`EngineError::NotImported`], telling what differs; those of connections.
    pub async fn settle_import(
        &self,
        place: ImportPlace<'_>,
        nodes: ImportNodes<'_>,
        imported: &Imported,
    ) -> Result<()> {
        let places = nodes.places(place.staging);
        self.keep_own_rows(places).await?;
        let sums = self.sums_over_nodes(places).await?;
        for (name, table) in &imported.tables {
            let expected = (table.rows, table.checksum.clone());
            if sums.get(name) != Some(&expected) {
                return Err(EngineError::NotImported {
                    what: format!("the content of table {name} is another one over all nodes"),
                });
            }
        }
        Ok(())
    }

    /// As [`publish_import`](Self::publish_import), on all nodes. Nobody may tell by what the first node
    /// has where rows are until this is done.
    ///
    /// # Errors
    /// As there.
    pub async fn publish_import_over_nodes(
        &self,
        place: ImportPlace<'_>,
        nodes: &[NodeId],
        imported: &Imported,
    ) -> Result<()> {
        let (home, others) = (place.node, nodes.get(1..).unwrap_or_default());
        let (staging, target) = (place.staging, place.target);
        let mut sql = self.sql(home).await?;
        let is_waiting = match sql.has_database(staging).await? {
            true => !self.tables_of(home, staging).await?.is_empty(),
            false => false,
        };
        let found = sql.something_in(target).await?;
        sql.close().await;
        if is_waiting {
            if let Some(object) = found {
                return Err(EngineError::NotEmpty { object });
            }
            for node in others {
                self.move_tables(node, staging, target).await?;
            }
        }
        let published = self.publish_import(place, imported).await;
        if let Err(EngineError::NotEmpty { .. }) = published {
            // It is not there on the first node, and so nowhere.
            for node in others {
                let names: Vec<_> = imported.tables.keys().cloned().collect();
                self.move_back(node, target, staging, &names).await?;
            }
        }
        published?;
        self.discard_import_on(others, staging).await
    }

    /// Removes what other nodes have of an import.
    ///
    /// # Errors
    /// Those of administration connections.
    pub async fn discard_import_on(&self, nodes: &[NodeId], staging: &DbName) -> Result<()> {
        for node in nodes {
            self.drop_database(node, staging).await?;
        }
        Ok(())
    }

    async fn tables_of(&self, node: &NodeId, database: &DbName) -> Result<Vec<String>> {
        let mut session = self.session(node, database).await?;
        let tables = base_tables(&mut session, database).await;
        session.close().await;
        tables
    }

    /// Moves all tables of a database of a node into another one; none is left to move by a run before.
    async fn move_tables(&self, node: &NodeId, from: &DbName, to: &DbName) -> Result<()> {
        let mut sql = self.sql(node).await?;
        let has_both = sql.has_database(from).await? && sql.has_database(to).await?;
        sql.close().await;
        if !has_both {
            return Ok(());
        }
        let tables = self.tables_of(node, from).await?;
        self.rename(node, from, to, &tables).await
    }

    /// Moves those of some tables that are there.
    async fn move_back(
        &self,
        node: &NodeId,
        from: &DbName,
        to: &DbName,
        names: &[String],
    ) -> Result<()> {
        let mut tables = self.tables_of(node, from).await?;
        let already = self.tables_of(node, to).await?;
        tables.retain(|table| names.contains(table) && !already.contains(table));
        self.rename(node, from, to, &tables).await
    }

    async fn rename(
        &self,
        node: &NodeId,
        from: &DbName,
        to: &DbName,
        tables: &[String],
    ) -> Result<()> {
        if tables.is_empty() {
            return Ok(());
        }
        let target = quote::identifier(to.as_str());
        let pairs = tables.iter().map(|table| {
            let table = quote::identifier(table);
            format!("{table} TO {target}.{table}")
        });
        let statement = format!("RENAME TABLE {}", pairs.collect::<Vec<_>>().join(", "));
        let mut session = self.session(node, from).await?;
        let renamed = session.run("move tables", statement.as_bytes()).await;
        session.close().await;
        match renamed {
            Err(error) if error.server_code() == Some(EXISTS) => Err(EngineError::NotEmpty {
                object: error.server_message().unwrap_or_default().to_owned(),
            }),
            renamed => renamed,
        }
    }
}
