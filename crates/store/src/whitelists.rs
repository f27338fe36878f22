//! Whitelist groups of instances.

use openpeta_types::{InstanceId, WhitelistGroup, parse_entries};
use rusqlite::params;

use crate::changes::Topic;
use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "whitelist_groups";

fn read(columns: &mut Columns<'_, '_>) -> Result<WhitelistGroup, StoreError> {
    let name = columns.get()?;
    let attribute = columns.get()?;
    let text: String = columns.get()?;
    let entries = match text.as_str() {
        "" => Vec::new(),
        text => parse_entries(text).map_err(|_| StoreError::bad_row(TABLE, 2))?,
    };
    Ok(WhitelistGroup {
        name,
        attribute,
        entries,
    })
}

impl Reader<'_> {
    /// All groups of an instance, in the order in which they were made.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn whitelist_groups(
        &self,
        instance_id: &InstanceId,
    ) -> Result<Vec<WhitelistGroup>, StoreError> {
        self.all(
            TABLE,
            "SELECT name, attribute, entries FROM whitelist_groups
             WHERE instance_id = ? ORDER BY position",
            [P(instance_id)],
            read,
        )
    }

    /// The group of that name.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn whitelist_group(
        &self,
        instance_id: &InstanceId,
        name: &str,
    ) -> Result<Option<WhitelistGroup>, StoreError> {
        self.one(
            TABLE,
            "SELECT name, attribute, entries FROM whitelist_groups
             WHERE instance_id = ? AND name = ?",
            params![P(instance_id), name],
            read,
        )
    }
}

impl Writer<'_> {
    /// Adds a group, behind the others, or replaces the one of that name.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is no such instance.
    pub fn put_whitelist_group(
        &self,
        instance_id: &InstanceId,
        group: &WhitelistGroup,
    ) -> Result<(), StoreError> {
        self.touch(Topic::Whitelists);
        self.execute(
            "INSERT INTO whitelist_groups (instance_id, name, position, attribute, entries)
             VALUES (?1, ?2,
                     (SELECT coalesce(max(position), 0) + 1 FROM whitelist_groups
                      WHERE instance_id = ?1),
                     ?3, ?4)
             ON CONFLICT DO UPDATE SET attribute = excluded.attribute, entries = excluded.entries",
            params![
                P(instance_id),
                P(&group.name),
                P(&group.attribute),
                group.entries_text(),
            ],
        )?;
        Ok(())
    }

    /// Removes a group.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn delete_whitelist_group(
        &self,
        instance_id: &InstanceId,
        name: &str,
    ) -> Result<(), StoreError> {
        self.touch(Topic::Whitelists);
        self.change(
            TABLE,
            "DELETE FROM whitelist_groups WHERE instance_id = ? AND name = ?",
            params![P(instance_id), name],
        )
    }
}
