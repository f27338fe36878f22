//! Instances that hold what another one served until it was restored in place.

use jiff::Timestamp;
use openpeta_types::InstanceId;
use rusqlite::params;

use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "replaced_content";

/// That an instance holds content which was replaced, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacedContent {
    /// The instance that holds it now.
    pub instance_id: InstanceId,
    /// The instance that served it, which may be gone.
    pub served_by: InstanceId,
    /// Since when it holds it.
    pub replaced_at: Timestamp,
    /// When it is released.
    pub release_at: Timestamp,
}

fn read(columns: &mut Columns<'_, '_>) -> Result<ReplacedContent, StoreError> {
    Ok(ReplacedContent {
        instance_id: columns.get()?,
        served_by: columns.get()?,
        replaced_at: columns.get()?,
        release_at: columns.get()?,
    })
}

impl Reader<'_> {
    /// What an instance holds of another one, if it does.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn replaced_content(
        &self,
        instance_id: &InstanceId,
    ) -> Result<Option<ReplacedContent>, StoreError> {
        self.one(
            TABLE,
            "SELECT instance_id, served_by, replaced_at, release_at
             FROM replaced_content WHERE instance_id = ?",
            [P(instance_id)],
            read,
        )
    }

    /// What is to be released by that time, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn releasable_content(&self, now: Timestamp) -> Result<Vec<ReplacedContent>, StoreError> {
        self.all(
            TABLE,
            "SELECT instance_id, served_by, replaced_at, release_at
             FROM replaced_content WHERE release_at <= ? ORDER BY release_at, instance_id",
            [P(&now)],
            read,
        )
    }
}

impl Writer<'_> {
    /// Notes that an instance holds content that was replaced; what was noted before goes.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is no such instance.
    pub fn put_replaced_content(&self, content: &ReplacedContent) -> Result<(), StoreError> {
        self.touch_instance(&content.instance_id);
        self.execute(
            "INSERT OR REPLACE INTO replaced_content (instance_id, served_by, replaced_at, release_at)
             VALUES (?, ?, ?, ?)",
            params![
                P(&content.instance_id),
                P(&content.served_by),
                P(&content.replaced_at),
                P(&content.release_at),
            ],
        )?;
        Ok(())
    }

    /// Forgets that an instance is to be released since its content was replaced. That it is not
    /// is no error.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn keep_replaced_content(&self, instance_id: &InstanceId) -> Result<(), StoreError> {
        self.touch_instance(instance_id);
        self.execute(
            "DELETE FROM replaced_content WHERE instance_id = ?",
            [P(instance_id)],
        )?;
        Ok(())
    }
}
