//! Tags of instances. Listings take them from memory, see [`crate::InstanceDetail`].

use openpeta_types::{InstanceId, Tag, TagKey};
use rusqlite::params;

use crate::column::P;
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "tags";

impl Reader<'_> {
    /// The tags of an instance, by key.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn tags(&self, instance_id: &InstanceId) -> Result<Vec<Tag>, StoreError> {
        self.all(
            TABLE,
            "SELECT tag_key, tag_value FROM tags WHERE instance_id = ? ORDER BY tag_key",
            [P(instance_id)],
            |columns| {
                Ok(Tag {
                    key: columns.get()?,
                    value: columns.get()?,
                })
            },
        )
    }
}

impl Writer<'_> {
    /// Puts a tag on an instance, in the place of the one with the same key.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is no such instance.
    pub fn put_tag(&self, instance_id: &InstanceId, tag: &Tag) -> Result<(), StoreError> {
        self.touch_instance(instance_id);
        self.execute(
            "INSERT INTO tags (instance_id, tag_key, tag_value) VALUES (?1, ?2, ?3)
             ON CONFLICT (instance_id, tag_key) DO UPDATE SET tag_value = ?3",
            params![P(instance_id), P(&tag.key), P(&tag.value)],
        )?;
        Ok(())
    }

    /// Takes the tag with that key off an instance; one that is not there is no error.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn delete_tag(&self, instance_id: &InstanceId, key: &TagKey) -> Result<(), StoreError> {
        self.touch_instance(instance_id);
        self.execute(
            "DELETE FROM tags WHERE instance_id = ? AND tag_key = ?",
            params![P(instance_id), P(key)],
        )?;
        Ok(())
    }

    /// Takes all tags off an instance.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn delete_tags(&self, instance_id: &InstanceId) -> Result<(), StoreError> {
        self.touch_instance(instance_id);
        self.execute("DELETE FROM tags WHERE instance_id = ?", [P(instance_id)])?;
        Ok(())
    }
}
