//! Imports that follow a live server until they are told to take its place.

use jiff::Timestamp;
use openpeta_types::TaskId;
use rusqlite::params;

use crate::column::P;
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "cut_overs";

/// That an import was told to take the place of the server that it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutOver {
    /// When.
    pub asked_at: Timestamp,
    /// Why it could not; nothing while it is to be tried.
    pub refused: Option<String>,
}

impl Reader<'_> {
    /// What a task was told, if it was.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn cut_over(&self, task_id: TaskId) -> Result<Option<CutOver>, StoreError> {
        self.one(
            TABLE,
            "SELECT asked_at, refused FROM cut_overs WHERE task_id = ?",
            [P(&task_id)],
            |columns| {
                Ok(CutOver {
                    asked_at: columns.get()?,
                    refused: columns.get()?,
                })
            },
        )
    }
}

impl Writer<'_> {
    /// Tells a task to cut over, once more if it could not before.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is no such task.
    pub fn ask_cut_over(&self, task_id: TaskId, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "INSERT OR REPLACE INTO cut_overs (task_id, asked_at, refused) VALUES (?, ?, NULL)",
            params![P(&task_id), P(&now)],
        )?;
        Ok(())
    }

    /// Notes why a task could not.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it was not told to.
    pub fn refuse_cut_over(&self, task_id: TaskId, why: &str) -> Result<(), StoreError> {
        self.change(
            TABLE,
            "UPDATE cut_overs SET refused = ?2 WHERE task_id = ?1",
            params![P(&task_id), why],
        )
    }
}
