//! Databases of instances.

use jiff::Timestamp;
use openpeta_types::{ChargeType, DbName, InstanceId, NodeSettings, NodeSpec, ObjectStatus};
use rusqlite::params;

use crate::column::{Columns, P};
use crate::nodes::{settings, settings_text};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "databases";

/// A database of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Its instance.
    pub instance_id: InstanceId,
    /// Its name, unique within the instance.
    pub db_name: DbName,
    /// The node spec that it was ordered with.
    pub node_spec: NodeSpec,
    /// What each of its nodes got for that spec when it was ordered. The configuration may
    /// mean something else by the spec since, or no longer know it.
    pub settings: NodeSettings,
    /// Nodes that it is spread over.
    pub node_number: u32,
    /// Billing mode.
    pub charge_type: ChargeType,
    /// Its status.
    pub status: ObjectStatus,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The instance that it was restored from.
    pub source_instance_id: Option<InstanceId>,
}

fn read(columns: &mut Columns<'_, '_>) -> Result<Database, StoreError> {
    Ok(Database {
        instance_id: columns.get()?,
        db_name: columns.get()?,
        node_spec: columns.get()?,
        settings: settings(&columns.get::<String>()?)
            .ok_or_else(|| StoreError::bad_row(TABLE, 3))?,
        node_number: columns.get()?,
        charge_type: columns.get()?,
        status: columns.get()?,
        created_at: columns.get()?,
        expires_at: columns.get()?,
        source_instance_id: columns.get()?,
    })
}

impl Reader<'_> {
    /// The database of that name.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn database(
        &self,
        instance_id: &InstanceId,
        db_name: &DbName,
    ) -> Result<Option<Database>, StoreError> {
        self.one(
            TABLE,
            "SELECT instance_id, db_name, node_spec, settings, node_number, charge_type, status,
                    created_at, expires_at, source_instance_id
             FROM databases WHERE instance_id = ? AND db_name = ?",
            params![P(instance_id), P(db_name)],
            read,
        )
    }

    /// All databases of an instance, by name.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn databases(&self, instance_id: &InstanceId) -> Result<Vec<Database>, StoreError> {
        self.all(
            TABLE,
            "SELECT instance_id, db_name, node_spec, settings, node_number, charge_type, status,
                    created_at, expires_at, source_instance_id
             FROM databases WHERE instance_id = ? ORDER BY db_name",
            [P(instance_id)],
            read,
        )
    }
}

impl Writer<'_> {
    /// Adds a database.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the name is taken or there is no such instance.
    pub fn insert_database(&self, database: &Database) -> Result<(), StoreError> {
        self.touch_instance(&database.instance_id);
        self.execute(
            "INSERT INTO databases (instance_id, db_name, node_spec, settings, node_number,
                                    charge_type, status, created_at, expires_at,
                                    source_instance_id)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                P(&database.instance_id),
                P(&database.db_name),
                P(&database.node_spec),
                settings_text(&database.settings),
                P(&database.node_number),
                P(&database.charge_type),
                P(&database.status),
                P(&database.created_at),
                P(&database.expires_at),
                P(&database.source_instance_id),
            ],
        )?;
        Ok(())
    }

    /// Replaces everything of a database but its name and creation time.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn update_database(&self, database: &Database) -> Result<(), StoreError> {
        self.touch_instance(&database.instance_id);
        self.change(
            TABLE,
            "UPDATE databases SET node_spec = ?3, settings = ?4, node_number = ?5, charge_type = ?6,
                                  status = ?7, expires_at = ?8, source_instance_id = ?9
             WHERE instance_id = ?1 AND db_name = ?2",
            params![
                P(&database.instance_id),
                P(&database.db_name),
                P(&database.node_spec),
                settings_text(&database.settings),
                P(&database.node_number),
                P(&database.charge_type),
                P(&database.status),
                P(&database.expires_at),
                P(&database.source_instance_id),
            ],
        )
    }

    /// Sets the status of a database.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_database_status(
        &self,
        instance_id: &InstanceId,
        db_name: &DbName,
        status: ObjectStatus,
    ) -> Result<(), StoreError> {
        self.touch_instance(instance_id);
        self.change(
            TABLE,
            "UPDATE databases SET status = ?3 WHERE instance_id = ?1 AND db_name = ?2",
            params![P(instance_id), P(db_name), P(&status)],
        )
    }

    /// Removes a database and the grants on it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn delete_database(
        &self,
        instance_id: &InstanceId,
        db_name: &DbName,
    ) -> Result<(), StoreError> {
        self.touch_instance(instance_id);
        self.touch(crate::Topic::Accounts);
        self.change(
            TABLE,
            "DELETE FROM databases WHERE instance_id = ? AND db_name = ?",
            params![P(instance_id), P(db_name)],
        )
    }
}
