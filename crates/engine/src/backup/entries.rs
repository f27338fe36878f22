//! What the manifest says of the objects of a database, out of the objects themselves.

use std::borrow::Cow;
use std::collections::BTreeMap;

use openpeta_types::DbName;
use ring::digest::{Context, SHA256};

use super::checksum::Checksum;
use super::columns;
use super::manifest::{EventEntry, SequenceEntry, TableEntry};
use super::schema::{Program, Schema, Table, definition_of_table};
use super::session::Session;
use super::set_dir::hex;
use super::views::View;
use crate::error::Result;
use crate::quote;

/// SHA-256 in hexadecimal.
pub(super) fn sha256(text: impl AsRef<[u8]>) -> String {
    let mut digest = Context::new(&SHA256);
    digest.update(text.as_ref());
    hex(digest)
}

/// A table, whose definition is written in that way, with what was found in it.
pub(super) fn table<'t>(
    table: &'t Table,
    written: impl Fn(&'t str) -> Cow<'t, str>,
    found: Checksum,
) -> TableEntry {
    let digest = |definition| sha256(definition_of_table(&written(definition)));
    TableEntry {
        engine: table.engine.clone(),
        rows: found.rows,
        checksum: found.sum.to_string(),
        definition: digest(&table.shown),
        exact_definition: (table.shown != table.create).then(|| digest(&table.create)),
        check: match table.columns.is_empty() {
            true => String::new(),
            false => columns::check_query(&table.columns, &table.from),
        },
    }
}

/// The views.
pub(super) fn views(schema: &Schema, database: &DbName) -> BTreeMap<String, String> {
    let entry = |view: &View| (view.name.clone(), sha256(view.definition(database)));
    schema.views.iter().map(entry).collect()
}

/// Stored routines or triggers.
pub(super) fn programs(programs: &[Program]) -> BTreeMap<String, String> {
    let entry = |program: &Program| {
        let name = match program.kind.as_str() {
            "TRIGGER" => program.name.clone(),
            kind => format!("{} {}", kind.to_lowercase(), program.name),
        };
        (name, sha256(program.definition()))
    };
    programs.iter().map(entry).collect()
}

/// Events.
pub(super) fn events(events: &[Program]) -> BTreeMap<String, EventEntry> {
    let entry = |event: &Program| {
        let entry = EventEntry {
            definition: sha256(event.definition()),
            last_due: event.last_due,
        };
        (event.name.clone(), entry)
    };
    events.iter().map(entry).collect()
}

/// A sequence and where it stands.
pub(super) async fn sequence(
    session: &mut Session,
    name: &str,
    create: &str,
) -> Result<SequenceEntry> {
    let query = format!(
        "SELECT next_not_cached_value, cycle_count FROM {}",
        quote::identifier(name)
    );
    let texts = session.texts("read a sequence", &query).await?;
    let mut texts = texts.into_iter().map(Option::unwrap_or_default);
    Ok(SequenceEntry {
        definition: sha256(create),
        next_value: texts.next().unwrap_or_default(),
        cycle_count: texts.next().unwrap_or_default(),
    })
}
