//! Exports: what a set has, in a form that is somebody else's.

use std::path::{Path, PathBuf};

use openpeta_types::{Compression, DbName, ExportForm, ExportLayout};
use tokio::sync::mpsc;

use super::layout::{Files, Layout};
use super::manifest::{BackupSource, DumpFile, Manifest};
use super::pace::Paced;
use super::writer::DumpWriter;
use super::{DUMP, Origin, Progress, TakenSet, set_dir};
use crate::engine::{Engine, blocking};
use crate::error::Result;
use crate::sealed::{self, BackupKeys};

/// What the text of an export is called without the ending of its compression.
const TEXT: &str = "dump.sql";

/// Where what is taken down goes.
pub(super) struct Place {
    pub(super) output: Output,
    /// The form of an export; `None` for a set.
    pub(super) form: Option<ExportForm>,
}

/// Files of a directory, or somebody who takes it as it comes.
pub(super) enum Output {
    Dir(PathBuf, BackupKeys),
    Stream(mpsc::Sender<Vec<u8>>),
}

impl Place {
    /// Begins to write.
    pub(super) fn open(self, database: &DbName, pace: Paced) -> Result<(DumpWriter, Layout)> {
        let compression = self.form.map_or(Compression::Zstd, |form| form.compression);
        let layout = match self.form.map(|form| form.layout) {
            None => Layout::Set,
            Some(ExportLayout::Sql) => Layout::Export,
            Some(ExportLayout::Mydumper) => Layout::Files(Files::new(database.as_str())),
        };
        let writer = match self.output {
            Output::Stream(sink) => DumpWriter::stream(sink, compression, pace)?,
            Output::Dir(dir, keys) => {
                let name = match &layout {
                    Layout::Set if keys.current().is_some() => {
                        format!("{DUMP}.{}", sealed::ENDING)
                    }
                    Layout::Set => DUMP.to_owned(),
                    Layout::Export => format!("{TEXT}{}", compression.ending()),
                    Layout::Files(files) => {
                        format!("{}{}", files.of_database(), compression.ending())
                    }
                };
                DumpWriter::create_as(&dir, name, compression, pace, keys)?
            }
        };
        Ok((writer, layout))
    }
}

/// A manifest with what is to be told of the files.
pub(super) fn with_files(manifest: Manifest, mut files: Vec<DumpFile>) -> Manifest {
    if files.len() == 1 {
        let dump = files.pop().unwrap_or_default();
        return Manifest { dump, ..manifest };
    }
    let sum = |of: fn(&DumpFile) -> u64| files.iter().map(of).sum();
    let dump = DumpFile {
        bytes: sum(|file| file.bytes),
        sql_bytes: sum(|file| file.sql_bytes),
        ..DumpFile::default()
    };
    Manifest {
        dump,
        files,
        ..manifest
    }
}

impl Engine {
    /// Writes a set that is somebody else's, in a form of their choice: in the clear, and nothing else
    /// knows of it.
    ///
    /// # Errors
    /// As [`take_set`](Self::take_set).
    pub async fn export_database(
        &self,
        origin: impl Into<Origin>,
        database: &DbName,
        (set, form): (&Path, ExportForm),
        source: &BackupSource,
        progress: Progress<'_>,
    ) -> Result<TakenSet> {
        let keys = BackupKeys::default();
        let target = (set, keys);
        self.write_set(
            origin.into(),
            database,
            target,
            Some(form),
            source,
            progress,
        )
        .await
    }

    /// Hands a database to somebody as one text, compressed, as it is read. Rows and checksums of all
    /// tables stand in a remark near its end, which comes only if all went well.
    ///
    /// # Errors
    /// As [`take_set`](Self::take_set); [`EngineError::Io`](crate::EngineError::Io) when whoever takes
    /// it does so no longer.
    pub async fn stream_database(
        &self,
        origin: impl Into<Origin>,
        database: &DbName,
        (sink, compression): (mpsc::Sender<Vec<u8>>, Compression),
        source: &BackupSource,
        progress: Progress<'_>,
    ) -> Result<Manifest> {
        let place = Place {
            output: Output::Stream(sink),
            form: Some(ExportForm {
                layout: ExportLayout::Sql,
                compression,
                for_one_node: false,
            }),
        };
        self.take_down(origin.into(), database, place, source, progress)
            .await
    }

    /// Removes what an export has written; the directory above stays.
    ///
    /// # Errors
    /// A file error.
    pub async fn discard_export(&self, set: &Path) -> Result<()> {
        let set = set.to_owned();
        blocking(move || set_dir::remove_set(&set)).await
    }
}
