//! Where the partitions of databases are that are spread over several nodes.

use std::collections::BTreeMap;

use openpeta_types::{DbName, InstanceId};
use rusqlite::params;

use crate::column::P;
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "partitions";

impl Reader<'_> {
    /// The databases of an instance that are spread over nodes, with the number of the node that
    /// each of their partitions is on.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn partitions(
        &self,
        instance_id: &InstanceId,
    ) -> Result<BTreeMap<DbName, Vec<u16>>, StoreError> {
        let rows = self.all(
            TABLE,
            "SELECT db_name, nodes FROM partitions WHERE instance_id = ? ORDER BY db_name",
            [P(instance_id)],
            |columns| {
                let db_name = columns.get()?;
                let nodes = serde_json::from_str(&columns.get::<String>()?);
                let nodes = nodes.map_err(|_| StoreError::bad_row(TABLE, 1))?;
                Ok((db_name, nodes))
            },
        )?;
        Ok(rows.into_iter().collect())
    }
}

/// What is under way with the partitions of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MovingPartitions {
    /// Nodes that may have rows of partitions which are another node's.
    pub foreign: Vec<u16>,
    /// Whether partitions are being moved.
    pub is_moving: bool,
}

impl Reader<'_> {
    /// What is under way with the partitions of an instance's databases, of those that are spread over
    /// nodes.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn moving_partitions(
        &self,
        instance_id: &InstanceId,
    ) -> Result<BTreeMap<DbName, MovingPartitions>, StoreError> {
        let rows = self.all(
            TABLE,
            "SELECT db_name, foreign_nodes, moving FROM partitions WHERE instance_id = ?
             ORDER BY db_name",
            [P(instance_id)],
            |columns| {
                let db_name = columns.get()?;
                let foreign = serde_json::from_str(&columns.get::<String>()?);
                let foreign = foreign.map_err(|_| StoreError::bad_row(TABLE, 1))?;
                let is_moving = columns.get()?;
                Ok((db_name, MovingPartitions { foreign, is_moving }))
            },
        )?;
        Ok(rows.into_iter().collect())
    }
}

impl Writer<'_> {
    /// Writes what is under way with the partitions of a database; does nothing if it is not spread.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn set_moving_partitions(
        &self,
        instance_id: &InstanceId,
        db_name: &DbName,
        moving: &MovingPartitions,
    ) -> Result<(), StoreError> {
        let foreign = serde_json::to_string(&moving.foreign).expect("numbers are JSON");
        self.execute(
            "UPDATE partitions SET foreign_nodes = ?, moving = ?
             WHERE instance_id = ? AND db_name = ?",
            params![foreign, moving.is_moving, P(instance_id), P(db_name)],
        )?;
        Ok(())
    }

    /// Writes where the partitions of a database are, in the place of what was written before.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is no such database.
    pub fn put_partitions(
        &self,
        instance_id: &InstanceId,
        db_name: &DbName,
        nodes: &[u16],
    ) -> Result<(), StoreError> {
        let nodes = serde_json::to_string(nodes).expect("numbers are JSON");
        self.execute(
            "INSERT INTO partitions (instance_id, db_name, nodes) VALUES (?, ?, ?)
             ON CONFLICT (instance_id, db_name) DO UPDATE SET nodes = excluded.nodes",
            params![P(instance_id), P(db_name), nodes],
        )?;
        Ok(())
    }

    /// Forgets where the partitions of a database are, if that was known.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn delete_partitions(
        &self,
        instance_id: &InstanceId,
        db_name: &DbName,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM partitions WHERE instance_id = ? AND db_name = ?",
            params![P(instance_id), P(db_name)],
        )?;
        Ok(())
    }
}
