//! Puts the statements of a dump into a database.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;

use tokio::sync::mpsc;

use super::Progress;
use super::manifest::Manifest;
use super::session::Session;
use crate::error::{AtPath, EngineError, Result};
use crate::sealed::{BackupKeys, OpeningReader};

/// Statements that may wait for the server.
const QUEUE: usize = 4;

/// Runs all statements of a set that are in a range of its text.
pub(super) async fn load(
    session: &mut Session,
    set: &Path,
    manifest: &Manifest,
    range: Range<u64>,
    keys: &BackupKeys,
    progress: Progress<'_>,
) -> Result<()> {
    let path = set.join(&manifest.dump.name);
    let (sender, mut statements) = mpsc::channel(QUEUE);
    let keys = manifest.encryption.as_ref().map(|_| keys.clone());
    let mut done = range.start;
    let reading =
        tokio::task::spawn_blocking(move || read_statements(&path, range, keys.as_ref(), &sender));
    while let Some(Statement { text, what }) = statements.recv().await {
        done += text.len() as u64;
        session
            .run("load a backup", &text)
            .await
            .map_err(|error| EngineError::NotLoaded {
                what: what.clone(),
                source: Box::new(error),
            })?;
        progress(done, manifest.dump.sql_bytes, &what);
    }
    match reading.await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// A statement and the comment before it, which says what it is about.
struct Statement {
    text: Vec<u8>,
    what: String,
}

/// What is compressed in a file, which is encrypted if there are keys.
pub(super) fn plain(path: &Path, keys: Option<&BackupKeys>) -> Result<impl Read + use<>> {
    let file = File::open(path).at("open", path)?;
    let plain: Box<dyn Read> = match keys {
        None => Box::new(file),
        Some(keys) => {
            let opened = OpeningReader::open(BufReader::with_capacity(256 << 10, file), keys);
            Box::new(opened.map_err(|failure| failure.at(path))?)
        }
    };
    zstd::Decoder::new(plain).at("decompress", path)
}

/// Reads the statements of a file that is encrypted if there are keys.
fn read_statements(
    path: &Path,
    range: Range<u64>,
    keys: Option<&BackupKeys>,
    statements: &mpsc::Sender<Statement>,
) -> Result<()> {
    let mut text = plain(path, keys)?;
    let before = &mut text.by_ref().take(range.start);
    std::io::copy(before, &mut std::io::sink()).at("read", path)?;
    let text = text.take(range.end - range.start);
    let mut lines = BufReader::with_capacity(256 << 10, text);
    let mut splitter = Splitter::default();
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line).at("read", path)? == 0 {
            break;
        }
        if let Some(statement) = splitter.push(&line)
            && statements.blocking_send(statement).is_err()
        {
            // Whoever wanted them does so no longer, and knows why.
            return Ok(());
        }
    }
    if splitter.text.is_empty() {
        return Ok(());
    }
    Err(EngineError::DamagedSet {
        path: path.to_owned(),
        what: "ends within a statement".to_owned(),
    })
}

/// Finds where statements end. A dump has no line break within a value, and no delimiter
/// within a statement, so that this needs no knowledge of SQL.
struct Splitter {
    text: Vec<u8>,
    what: String,
    delimiter: Vec<u8>,
}

impl Default for Splitter {
    fn default() -> Self {
        Self {
            text: Vec::new(),
            what: String::new(),
            delimiter: b";".to_vec(),
        }
    }
}

impl Splitter {
    /// Takes a line; gives the statement that it completes.
    fn push(&mut self, line: &[u8]) -> Option<Statement> {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        if self.text.is_empty() {
            if let Some(comment) = content.strip_prefix(b"-- ") {
                self.what = String::from_utf8_lossy(comment).into_owned();
                return None;
            }
            if let Some(delimiter) = content.strip_prefix(b"DELIMITER ") {
                self.delimiter = delimiter.to_vec();
                return None;
            }
        }
        self.text.extend_from_slice(content);
        if !self.text.ends_with(&self.delimiter) {
            self.text.push(b'\n');
            return None;
        }
        let mut text = std::mem::take(&mut self.text);
        text.truncate(text.len() - self.delimiter.len());
        Some(Statement {
            text,
            what: self.what.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_their_delimiter() {
        let mut splitter = Splitter::default();
        let dump = "-- table t\nCREATE TABLE t (\n  a text\n);\n\
            INSERT INTO t VALUES\n(';'),\n('x;\\n');\n\
            -- procedure p\nDELIMITER ;;\nCREATE PROCEDURE p()\nBEGIN\n  SELECT 1;\n\n  -- no;\nEND;;\n\
            DELIMITER ;\nSET x=1;\n";
        let found: Vec<_> = dump
            .split_inclusive('\n')
            .filter_map(|line| splitter.push(line.as_bytes()))
            .map(|statement| {
                let text = String::from_utf8(statement.text).expect("text");
                (statement.what, text)
            })
            .collect();
        let expected = [
            ("table t", "CREATE TABLE t (\n  a text\n)"),
            ("table t", "INSERT INTO t VALUES\n(';'),\n('x;\\n')"),
            (
                "procedure p",
                "CREATE PROCEDURE p()\nBEGIN\n  SELECT 1;\n\n  -- no;\nEND",
            ),
            ("procedure p", "SET x=1"),
        ];
        let found: Vec<_> = found
            .iter()
            .map(|(w, t)| (w.as_str(), t.as_str()))
            .collect();
        assert_eq!(found, expected);
        assert!(splitter.text.is_empty());
    }
}
