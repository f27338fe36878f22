//! The recycle bin: backup sets of databases that are gone, with what a restore needs besides.

use jiff::Timestamp;
use openpeta_types::{AccountId, BackupId, DbName, InstanceId, Secret};
use rusqlite::params;

use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "recycle_bin";

/// The columns that [`read`] reads, in its order.
macro_rules! columns {
    () => {
        "backup_id, account_id, instance_id, db_name, is_final, started_at, size_bytes, \
         manifest_sha256, key_id, deleted_at, purge_at"
    };
}

/// A deleted database in the bin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecycledSet {
    /// The set.
    pub backup_id: BackupId,
    /// Whose database it was.
    pub account_id: AccountId,
    /// Of which instance, which may be gone.
    pub instance_id: InstanceId,
    /// Its name.
    pub db_name: DbName,
    /// Whether the set was taken when the database was deleted; an earlier one if not.
    pub is_final: bool,
    /// When the set was begun.
    pub started_at: Timestamp,
    /// Bytes that it takes.
    pub size_bytes: i64,
    /// SHA-256 of its manifest, in hexadecimal.
    pub manifest_sha256: String,
    /// Which of the operator's keys it is encrypted with, if it is.
    pub key_id: Option<String>,
    /// When the database was gone.
    pub deleted_at: Timestamp,
    /// When it leaves the bin.
    pub purge_at: Timestamp,
}

/// What is put into the bin with a set.
#[derive(Clone, Debug)]
pub struct Recycling {
    /// Whether the set was taken when the database was deleted.
    pub is_final: bool,
    /// When the database was gone.
    pub deleted_at: Timestamp,
    /// When it leaves the bin.
    pub purge_at: Timestamp,
    /// What a restore needs besides, a JSON text; encrypted in the store.
    pub content: Secret,
}

fn read(columns: &mut Columns<'_, '_>) -> Result<RecycledSet, StoreError> {
    Ok(RecycledSet {
        backup_id: columns.get()?,
        account_id: columns.get()?,
        instance_id: columns.get()?,
        db_name: columns.get()?,
        is_final: columns.get()?,
        started_at: columns.get()?,
        size_bytes: columns.get()?,
        manifest_sha256: columns.get()?,
        key_id: columns.get()?,
        deleted_at: columns.get()?,
        purge_at: columns.get()?,
    })
}

impl Reader<'_> {
    /// All that is in the bin, or what is of a tenant, latest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn recycled_sets(
        &self,
        account_id: Option<AccountId>,
    ) -> Result<Vec<RecycledSet>, StoreError> {
        self.all(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM recycle_bin WHERE ?1 IS NULL OR account_id = ?1
                  ORDER BY deleted_at DESC, backup_id DESC"
            ),
            [P(&account_id)],
            read,
        )
    }

    /// The set of that number, if it is in the bin.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn recycled_set(&self, backup_id: BackupId) -> Result<Option<RecycledSet>, StoreError> {
        self.one(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM recycle_bin WHERE backup_id = ?"
            ),
            [P(&backup_id)],
            read,
        )
    }

    /// What was put into the bin with a set, a JSON text.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn recycled_content(&self, backup_id: BackupId) -> Result<Secret, StoreError> {
        let sealed: Vec<u8> = self
            .one(
                TABLE,
                "SELECT content_sealed FROM recycle_bin WHERE backup_id = ?",
                [P(&backup_id)],
                |columns| columns.get(),
            )?
            .ok_or(StoreError::NotFound { table: TABLE })?;
        let place = backup_id.to_string();
        let plain = self.shared.sealer.open(TABLE, &[&place], &sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| StoreError::bad_row(TABLE, 0))?;
        Ok(Secret::new(text))
    }

    /// What leaves the bin by that time, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn purgeable_sets(&self, now: Timestamp) -> Result<Vec<RecycledSet>, StoreError> {
        self.all(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM recycle_bin WHERE purge_at <= ? ORDER BY purge_at, backup_id"
            ),
            [P(&now)],
            read,
        )
    }
}

impl Writer<'_> {
    /// Puts a whole set into the bin, where it outlives its database; whether there is such a set.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is there already.
    pub fn recycle_set(
        &self,
        backup_id: BackupId,
        recycling: &Recycling,
    ) -> Result<bool, StoreError> {
        let place = backup_id.to_string();
        let content = recycling.content.expose().as_bytes();
        let sealed = self.shared.sealer.seal(TABLE, &[&place], content);
        let added = self.execute(
            "INSERT INTO recycle_bin (backup_id, account_id, instance_id, db_name, is_final,
                                      started_at, size_bytes, manifest_sha256, key_id,
                                      deleted_at, purge_at, content_sealed)
             SELECT backup_id, account_id, instance_id, db_name, ?2, started_at, size_bytes,
                    manifest_sha256, key_id, ?3, ?4, ?5
             FROM backup_sets
             WHERE backup_id = ?1 AND status = 'Success' AND manifest_sha256 IS NOT NULL",
            params![
                P(&backup_id),
                P(&recycling.is_final),
                P(&recycling.deleted_at),
                P(&recycling.purge_at),
                sealed,
            ],
        )?;
        Ok(added > 0)
    }

    /// Takes a set out of the bin; its files are leftovers from then on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn delete_recycled_set(&self, backup_id: BackupId) -> Result<(), StoreError> {
        self.change(
            TABLE,
            "DELETE FROM recycle_bin WHERE backup_id = ?",
            [P(&backup_id)],
        )
    }
}
