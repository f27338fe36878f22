//! Sets of databases over several nodes, which have a part for each node: all of them are loaded as one
//! database, as an export of it would have it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::backup::{IDS, Manifest, said_by_users};
use crate::error::{EngineError, Result};
use crate::sql::TableDistribution;

/// What the text of a part begins with.
pub(super) const BEGINS: &[u8] = b"OpenPeta backup ";

/// Which part is read, and what is taken of it.
pub(super) struct Parts {
    manifest: Manifest,
    /// How many parts have begun.
    begun: usize,
    /// The tables of which each node has rows of its own.
    hashed: BTreeSet<String>,
}

impl Parts {
    /// `None` for a set of one node.
    pub(super) fn of(manifest: Manifest) -> Option<Self> {
        manifest.spread.is_some().then(|| Self {
            manifest,
            begun: 0,
            hashed: BTreeSet::new(),
        })
    }

    /// Takes note of a remark.
    pub(super) fn see(&mut self, remark: &[u8]) {
        if remark.starts_with(BEGINS) {
            self.begun += 1;
        }
    }

    /// A statement as it is to be run; `None` if it is not. Definitions are those of the first node, and say
    /// how rows are distributed as users say it.
    pub(super) fn taken<'t>(&mut self, text: &'t [u8]) -> Option<Cow<'t, [u8]>> {
        let is_first = self.begun <= 1;
        let is_about_ids = ["CREATE TABLE IF NOT EXISTS", "DELETE FROM", "INSERT INTO"]
            .iter()
            .any(|verb| text.starts_with(format!("{verb} {IDS} ").as_bytes()));
        if is_about_ids {
            // They go on behind what the definitions say.
            return None;
        }
        let Some(table) = name_behind(text, "CREATE TABLE ") else {
            let goes_on = text.starts_with(b"SET ") || text.starts_with(b"COMMIT");
            let is_row_of_node = || {
                let table = name_behind(text, "INSERT INTO ");
                table.is_some_and(|table| self.hashed.contains(&table))
            };
            return (is_first || goes_on || is_row_of_node()).then_some(text.into());
        };
        if !is_first {
            return None;
        }
        let Ok(create) = std::str::from_utf8(text) else {
            return Some(text.into());
        };
        let ids = self.manifest.spread.as_ref().map(|spread| &spread.ids);
        let next = ids.and_then(|ids| ids.get(&table)).copied();
        let (distribution, create) = said_by_users(create, next, true);
        if let Some(TableDistribution::Hash(_)) = distribution {
            self.hashed.insert(table);
        }
        Some(match create {
            Cow::Borrowed(create) => create.as_bytes().into(),
            Cow::Owned(create) => create.into_bytes().into(),
        })
    }

    /// What all nodes have together.
    ///
    /// # Errors
    /// [`EngineError::NotImported`] when the text has not as many parts as the manifest, or a part lacks a
    /// table.
    pub(super) fn together(self) -> Result<Manifest> {
        let differs = |what: String| Err(EngineError::NotImported { what });
        let wanted = self.manifest.node_number();
        if self.begun != wanted {
            let begun = self.begun;
            return differs(format!("the text has {begun} parts, the manifest {wanted}"));
        }
        let mut whole = self.manifest;
        let spread = whole.spread.take();
        let mut sums: BTreeMap<&String, (u64, u128)> = BTreeMap::new();
        let further = spread.iter().flat_map(|spread| &spread.nodes);
        let further = further.map(|node| &node.content.tables);
        let further: Vec<_> = further.collect();
        for name in &self.hashed {
            let of_each = std::iter::once(&whole.tables).chain(further.iter().copied());
            for tables in of_each {
                let entry = tables.get(name);
                let sum = entry.and_then(|entry| entry.checksum.parse::<u128>().ok());
                let (Some(entry), Some(sum)) = (entry, sum) else {
                    return differs(format!("the manifest lacks table {name} on a node"));
                };
                let sums = sums.entry(name).or_default();
                *sums = (sums.0 + entry.rows, sums.1 + sum);
            }
        }
        for (name, (rows, sum)) in sums {
            if let Some(entry) = whole.tables.get_mut(name) {
                (entry.rows, entry.checksum) = (rows, sum.to_string());
            }
        }
        Ok(whole)
    }
}

/// The quoted name behind the words with which a statement begins.
fn name_behind(text: &[u8], words: &str) -> Option<String> {
    let rest = text.strip_prefix(words.as_bytes())?.strip_prefix(b"`")?;
    let mut name = Vec::new();
    let mut bytes = rest.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'`' && bytes.next_if_eq(&b'`').is_none() {
            return String::from_utf8(name).ok();
        }
        name.push(byte);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_their_quotes() {
        let name = |text: &str| name_behind(text.as_bytes(), "INSERT INTO ");
        assert_eq!(name("INSERT INTO `a``b` VALUES (1)"), Some("a`b".into()));
        assert_eq!(name("INSERT INTO `a"), None);
        assert_eq!(name("INSERT INTO a VALUES (1)"), None);
    }
}
