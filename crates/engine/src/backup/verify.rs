//! Compares a database with the manifest of the set that it was loaded from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use openpeta_types::DbName;

use super::checksum::{Checksum, RowHasher};
use super::manifest::{EventEntry, Manifest};
use super::schema::{Schema, Table, definition_of_table};
use super::session::{Session, bytes};
use super::{Progress, columns, entries};
use crate::error::{EngineError, Result};

/// Makes sure that everything that the manifest tells of is there and is the same, and nothing
/// else.
pub(super) async fn verify(
    session: &mut Session,
    database: &DbName,
    manifest: &Manifest,
    progress: Progress<'_>,
) -> Result<()> {
    let schema = Schema::read(session, database).await?;
    if schema.database != manifest.database {
        return Err(differs("the settings of the database"));
    }
    compare("view", &manifest.views, &entries::views(&schema, database))?;
    // Files are copied whatever they say; SQL text cannot have such views.
    if manifest.physical.is_some() && !schema.invalid_views.is_empty() {
        compare("view", &manifest.invalid_views, &schema.invalid_views)?;
    } else if let Some(name) = schema.invalid_views.keys().next() {
        return Err(differs(&format!("view {name}, which is not valid")));
    }
    let routines = entries::programs(&schema.routines);
    compare("routine", &manifest.routines, &routines)?;
    let triggers = entries::programs(&schema.triggers);
    compare("trigger", &manifest.triggers, &triggers)?;
    let events = entries::events(&schema.events);
    compare_events(&manifest.events, &events, Timestamp::now())?;
    let mut sequences = BTreeMap::new();
    for (name, create) in &schema.sequences {
        let entry = entries::sequence(session, name, create).await?;
        sequences.insert(name.clone(), entry);
    }
    compare("sequence", &manifest.sequences, &sequences)?;
    let names = |names: &mut dyn Iterator<Item = &String>| {
        names
            .map(|name| (name.clone(), ()))
            .collect::<BTreeMap<_, _>>()
    };
    let expected = names(&mut manifest.tables.keys());
    compare("table", &expected, &names(&mut schema.tables.keys()))?;
    let total = schema.tables.values().map(|table| table.bytes).sum();
    let mut read = 0;
    for (name, table) in &schema.tables {
        progress(read, total, name);
        let expected = &manifest.tables[name];
        let digest = |definition| entries::sha256(definition_of_table(definition));
        let exact = expected.exact_definition.as_ref();
        // Sets of earlier versions tell what is shown, and no more.
        if digest(&table.shown) != expected.definition
            || exact.is_some_and(|exact| digest(&table.create) != *exact)
        {
            return Err(differs(&format!("the definition of table {name}")));
        }
        let found = checksum(session, table).await?;
        if found.rows != expected.rows {
            let what = format!("table {name}: {} rows, not {}", found.rows, expected.rows);
            return Err(differs(&what));
        }
        if found.sum.to_string() != expected.checksum {
            return Err(differs(&format!("the content of table {name}")));
        }
        read += table.bytes;
    }
    Ok(())
}

fn compare<T: PartialEq>(
    kind: &str,
    expected: &BTreeMap<String, T>,
    found: &BTreeMap<String, T>,
) -> Result<()> {
    let differing = |name: &&String| expected.get(*name) != found.get(*name);
    match expected.keys().chain(found.keys()).find(differing) {
        Some(name) if !found.contains_key(name) => {
            Err(differs(&format!("{kind} {name}, which is missing")))
        }
        Some(name) if !expected.contains_key(name) => {
            Err(differs(&format!("{kind} {name}, which is not in the set")))
        }
        Some(name) => Err(differs(&format!("{kind} {name}"))),
        None => Ok(()),
    }
}

/// Compares events. One whose last time is over is dropped or disabled by the server that it
/// is loaded into, as it was by now where it comes from.
fn compare_events(
    expected: &BTreeMap<String, EventEntry>,
    found: &BTreeMap<String, EventEntry>,
    now: Timestamp,
) -> Result<()> {
    let is_over = |name: &str| {
        let last_due = expected.get(name).and_then(|event| event.last_due);
        last_due.is_some_and(|last_due| last_due <= now)
    };
    let lasting = |events: &BTreeMap<String, EventEntry>| {
        let events = events.iter().filter(|(name, _)| !is_over(name));
        events
            .map(|(name, event)| (name.clone(), event.definition.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    compare("event", &lasting(expected), &lasting(found))
}

/// Rows and checksum of a table.
pub(crate) async fn checksum(session: &mut Session, table: &Table) -> Result<Checksum> {
    let mut checksum = Checksum::default();
    if table.columns.is_empty() {
        return Ok(checksum);
    }
    let query = columns::select(&table.columns, &table.from);
    let mut rows = session.stream("read rows", query).await?;
    let mut hasher = RowHasher::default();
    while let Some(row) = rows.next().await? {
        for index in 0..table.columns.len() {
            hasher.push(bytes(&row, index));
        }
        hasher.add_to(&mut checksum);
    }
    Ok(checksum)
}

fn differs(what: &str) -> EngineError {
    EngineError::RestoreDiffers {
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(definition: &str, last_due: Option<i64>) -> EventEntry {
        EventEntry {
            definition: definition.to_owned(),
            last_due: last_due.map(|second| Timestamp::from_second(second).expect("in range")),
        }
    }

    #[test]
    fn what_differs_is_named() {
        let map = |pairs: &[(&str, u8)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect::<BTreeMap<_, _>>()
        };
        let expected = map(&[("a", 1), ("b", 2)]);
        let error = |found: &[(&str, u8)]| {
            let compared = compare("view", &expected, &map(found));
            compared.expect_err("they differ").to_string()
        };
        assert!(compare("view", &expected, &expected).is_ok());
        assert!(error(&[("a", 1)]).contains("view b, which is missing"));
        assert!(error(&[("a", 1), ("b", 3)]).contains("view b"));
        assert!(error(&[("a", 1), ("b", 2), ("c", 3)]).contains("view c, which is not"));
    }

    #[test]
    fn an_event_that_is_over_may_be_gone() {
        let now = Timestamp::from_second(100).expect("in range");
        let expected = BTreeMap::from([
            ("over".to_owned(), event("x", Some(99))),
            ("daily".to_owned(), event("y", None)),
        ]);
        let mut found = expected.clone();
        found.remove("over");
        assert!(compare_events(&expected, &found, now).is_ok());
        found.remove("daily");
        assert!(compare_events(&expected, &found, now).is_err());
    }
}
