//! What was, and how old of it goes: audit rows, tasks that have ended, usage records.
//!
//! Rows lie in the order in which they came. So only the oldest are looked at, a few at a time,
//! and a look that finds nothing costs nothing, however many there are.

use jiff::Timestamp;
use rusqlite::params;

use crate::column::P;
use crate::{StoreError, Writer};

impl Writer<'_> {
    /// Removes audit rows from before that time, out of the `among` oldest; how many.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn prune_audit(&self, before: Timestamp, among: u32) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM audit WHERE id IN
                 (SELECT id FROM (SELECT id, at FROM audit ORDER BY id LIMIT ?2) WHERE at < ?1)",
            params![P(&before), P(&among)],
        )
    }

    /// Removes tasks with their steps that ended before that time, out of the `among` oldest; how
    /// many. What has not ended, or waits for the operator, stays.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn prune_tasks(&self, before: Timestamp, among: u32) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM tasks WHERE task_id IN
                 (SELECT task_id FROM
                      (SELECT task_id, phase, finish_at FROM tasks ORDER BY task_id LIMIT ?2)
                  WHERE phase = 'done' AND finish_at < ?1)",
            params![P(&before), P(&among)],
        )
    }

    /// Removes usage records of what ended before that time, out of the `among` oldest; how many.
    /// The last one of a database that is there stays: it says up to when usage is on record.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn prune_usage(&self, before: Timestamp, among: u32) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM usage_records WHERE id IN
                 (SELECT id FROM (SELECT * FROM usage_records ORDER BY id LIMIT ?2) u
                  WHERE u.ended_at < ?1
                    AND (EXISTS (SELECT 1 FROM usage_records later
                                 WHERE later.instance_id = u.instance_id
                                   AND later.db_name = u.db_name
                                   AND later.created_at = u.created_at
                                   AND later.started_at > u.started_at)
                         OR NOT EXISTS (SELECT 1 FROM databases d
                                        WHERE d.instance_id = u.instance_id
                                          AND d.db_name = u.db_name)))",
            params![P(&before), P(&among)],
        )
    }
}
