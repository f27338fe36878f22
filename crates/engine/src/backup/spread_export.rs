//! Exports of databases that are spread over nodes: each table is whole, as if there was one node, and
//! says how it is distributed as users say it, or does not.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use openpeta_types::{Compression, DbName, ExportForm, ExportLayout, NodeId};
use tokio::sync::mpsc;

use super::dump::{self, Begun};
use super::export::{self, Output, Place};
use super::layout::Layout;
use super::manifest::{BackupSource, Manifest};
use super::moment;
use super::schema::{Schema, definition_of_table};
use super::session::Session;
use super::spread::{Snapshots, ids, look};
use super::writer::DumpWriter;
use super::{Progress, TakenSet, Tell, set_dir};
use crate::engine::{Engine, blocking};
use crate::error::{EngineError, Result};
use crate::quote;
use crate::sealed::BackupKeys;
use crate::sql::{TableDistribution, distribution};

/// The option in definitions that says how rows are distributed.
const OPTION: &str = " `distribute_by`=";

/// How a table's rows are distributed, and the text in its definition that says so.
fn distribution_of(create: &str) -> Option<(TableDistribution, std::ops::Range<usize>)> {
    // A comment may have anything in it, but stands before.
    let options = create.rfind("\n)")?;
    let begin = options + create[options..].rfind(OPTION)?;
    let value = &create[begin + OPTION.len()..];
    let mut end = 1;
    // A quote in the value stands there twice.
    while let Some(at) = value.get(end..)?.find('\'') {
        end += at + 1;
        match value[end..].starts_with('\'') {
            true => end += 1,
            false => break,
        }
    }
    let found = distribution(&create[begin + 1..])?;
    Some((found, begin..begin + OPTION.len() + end))
}

/// The clause by which users say it.
fn clause(distribution: &TableDistribution) -> String {
    match distribution {
        TableDistribution::Hash(column) => {
            format!(" DISTRIBUTE BY HASH({})", quote::identifier(column))
        }
        TableDistribution::Broadcast => " DISTRIBUTE BY BROADCAST".to_owned(),
    }
}

/// How a table's rows are distributed, and its definition as users say it, or without its distribution. What
/// `AUTO_INCREMENT` columns go on with stands there as well.
pub(crate) fn said_by_users(
    create: &str,
    next_id: Option<u64>,
    with_clause: bool,
) -> (Option<TableDistribution>, Cow<'_, str>) {
    let Some((distribution, range)) = distribution_of(create) else {
        return (None, create.into());
    };
    let mut text = create.to_owned();
    text.replace_range(range, "");
    if let Some(next) = next_id {
        text = definition_of_table(&text);
        let options = text.rfind("\n)").unwrap_or(0);
        let option = format!(" AUTO_INCREMENT={next}");
        let behind = text[options..].find(" ENGINE=InnoDB");
        if let Some(at) = behind.map(|at| options + at + " ENGINE=InnoDB".len()) {
            text.insert_str(at, &option);
        }
    }
    if with_clause {
        text.push_str(&clause(&distribution));
    }
    (Some(distribution), text.into())
}

/// The nodes beside the first one.
pub(super) struct Others {
    nodes: Vec<(Session, Schema)>,
    /// Tables with rows on all nodes.
    hashed: Vec<String>,
    /// Definitions say how rows are distributed.
    with_clauses: bool,
    /// From which value on `AUTO_INCREMENT` columns go on.
    ids: BTreeMap<String, u64>,
}

impl Others {
    /// A definition as it is written.
    pub(super) fn written<'c>(&self, name: &str, create: &'c str) -> Cow<'c, str> {
        let next = self.ids.get(name).copied();
        said_by_users(create, next, self.with_clauses).1
    }

    /// How many of them have rows of a table that the first one has not.
    pub(super) fn count(&self, table: &str) -> usize {
        match self.hashed.iter().any(|hashed| hashed == table) {
            true => self.nodes.len(),
            false => 0,
        }
    }

    /// What reads from one of them.
    pub(super) fn session(&mut self, at: usize) -> &mut Session {
        &mut self.nodes[at].0
    }

    /// About how much there is to read.
    pub(super) fn bytes(&self) -> u64 {
        let of_node = |schema: &Schema| -> u64 {
            let tables = self
                .hashed
                .iter()
                .filter_map(|name| schema.tables.get(name));
            tables.map(|table| table.bytes).sum()
        };
        self.nodes.iter().map(|(_, schema)| of_node(schema)).sum()
    }

    /// As [`moment::check_unchanged`], on each node that has a table.
    pub(super) async fn check_unchanged(
        &mut self,
        database: &DbName,
        names: &[&str],
    ) -> Result<()> {
        for (session, schema) in &mut self.nodes {
            let names = names.iter().copied();
            let there = names.filter(|name| schema.tables.contains_key(*name));
            let there: Vec<_> = there.collect();
            moment::check_unchanged(session, database, schema, &there).await?;
        }
        Ok(())
    }
}

impl Engine {
    /// As [`export_database`](Self::export_database), of what snapshots that were begun see.
    ///
    /// # Errors
    /// As there.
    pub async fn export_spread(
        &self,
        snapshots: Snapshots,
        (set, form): (&Path, ExportForm),
        source: &BackupSource,
        progress: Progress<'_>,
    ) -> Result<TakenSet> {
        let keys = BackupKeys::default();
        let directory = set.to_owned();
        let directory = blocking(move || set_dir::begin(&directory)).await?;
        let place = Place {
            output: Output::Dir(directory, keys.clone()),
            form: Some(form),
        };
        let manifest = self
            .write_whole(snapshots, place, !form.for_one_node, source, progress)
            .await?;
        self.finish_set(set, manifest, keys).await
    }

    /// As [`stream_database`](Self::stream_database), of what snapshots that were begun see.
    ///
    /// # Errors
    /// As there.
    pub async fn stream_spread(
        &self,
        snapshots: Snapshots,
        (sink, compression, for_one_node): (mpsc::Sender<Vec<u8>>, Compression, bool),
        source: &BackupSource,
        progress: Progress<'_>,
    ) -> Result<Manifest> {
        let place = Place {
            output: Output::Stream(sink),
            form: Some(ExportForm {
                layout: ExportLayout::Sql,
                compression,
                for_one_node,
            }),
        };
        self.write_whole(snapshots, place, !for_one_node, source, progress)
            .await
    }

    async fn write_whole(
        &self,
        snapshots: Snapshots,
        place: Place,
        with_clauses: bool,
        source: &BackupSource,
        progress: Progress<'_>,
    ) -> Result<Manifest> {
        let database = snapshots.database.clone();
        let source = source.clone();
        let work = move |writer: DumpWriter, layout: Layout, tell: Tell| async move {
            let target = (writer, layout);
            write_down(snapshots, &source, with_clauses, target, &*tell).await
        };
        self.write_text(&database, place, work, progress).await
    }
}

/// Reads all snapshots as one database.
async fn write_down(
    snapshots: Snapshots,
    source: &BackupSource,
    with_clauses: bool,
    (mut writer, layout): (DumpWriter, Layout),
    progress: Progress<'_>,
) -> Result<Manifest> {
    let Snapshots {
        database, nodes, ..
    } = snapshots;
    let count = nodes.len();
    let mut first: Option<(NodeId, Session, Begun)> = None;
    let mut others = Others {
        nodes: Vec::new(),
        hashed: Vec::new(),
        with_clauses,
        ids: BTreeMap::new(),
    };
    for (number, snapshot) in nodes.into_iter().enumerate() {
        let (node, session, begun, _) = look(snapshot, &database, number, count).await?;
        match number {
            0 => first = Some((node, session, begun)),
            _ => others.nodes.push((session, begun.schema)),
        }
    }
    let Some((node, mut session, mut begun)) = first else {
        return Err(EngineError::RestoreDiffers {
            what: "the number of nodes".to_owned(),
        });
    };
    let is_hashed = |create: &str| {
        let found = distribution_of(create);
        matches!(found, Some((TableDistribution::Hash(_), _)))
    };
    let tables = begun.schema.tables.iter();
    let hashed = tables.filter(|(_, table)| is_hashed(&table.create));
    others.hashed = hashed.map(|(name, _)| name.clone()).collect();
    others.ids = ids(&mut session, &database).await?;
    moment::release(&mut session).await?;
    // It is no part of anything.
    begun.what = String::new();
    let target = (&mut writer, &layout);
    let others_too = Some(&mut others);
    let taken = dump::write_down(
        &mut session,
        &database,
        source,
        begun,
        others_too,
        target,
        progress,
    );
    let mut manifest = taken.await?;
    manifest.binlog.node = node.to_string();
    session.close().await;
    for (session, _) in others.nodes {
        session.close().await;
    }
    let files = writer.finish_files().await?;
    Ok(export::with_files(manifest, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(with_clauses: bool) -> Others {
        Others {
            nodes: Vec::new(),
            hashed: Vec::new(),
            with_clauses,
            ids: [("orders".to_owned(), 701)].into(),
        }
    }

    #[test]
    fn definitions_say_it_as_users_do_or_not_at_all() {
        let create = "CREATE TABLE `orders` (\n  `a``b` int(11) NOT NULL COMMENT '\n) `distribute_by`=''x'''\n) \
             ENGINE=InnoDB AUTO_INCREMENT=17 DEFAULT CHARSET=utf8mb4 COMMENT='says `distribute_by`=''BROADCAST''' \
             `distribute_by`='HASH(a`b)' `other`='x'";
        let written = others(true).written("orders", create).into_owned();
        assert_eq!(
            written,
            "CREATE TABLE `orders` (\n  `a``b` int(11) NOT NULL COMMENT '\n) `distribute_by`=''x'''\n) \
             ENGINE=InnoDB AUTO_INCREMENT=701 DEFAULT CHARSET=utf8mb4 COMMENT='says `distribute_by`=''BROADCAST''' \
             `other`='x' DISTRIBUTE BY HASH(`a``b`)"
        );
        assert_eq!(
            others(false).written("orders", create),
            written.replace(" DISTRIBUTE BY HASH(`a``b`)", "")
        );
        let broadcast =
            "CREATE TABLE `c` (\n  `a` int(11)\n) ENGINE=InnoDB `distribute_by`='BROADCAST'";
        assert_eq!(
            others(true).written("c", broadcast),
            "CREATE TABLE `c` (\n  `a` int(11)\n) ENGINE=InnoDB DISTRIBUTE BY BROADCAST"
        );
        let single = "CREATE TABLE `s` (\n  `a` int(11)\n) ENGINE=InnoDB AUTO_INCREMENT=3";
        assert_eq!(others(true).written("s", single), single);
    }
}
