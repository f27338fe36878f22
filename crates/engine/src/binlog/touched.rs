//! Reads on in a log that its server is writing, and tells which rows of some tables are touched.
//!
//! Neither transactions nor their order matter to who asks for this: a row that is named here is read
//! again from its table. So a transaction that is only prepared, or one that is rolled back, is no
//! special case.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::archive;
use super::event::{Change, Checksums, HEADER, Header, Kind, MAGIC, Malformed, table_database};
use super::rows::{Table, table_id};
use crate::error::{AtPath, EngineError, Result};

/// A table whose rows are watched.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) name: String,
    /// How many columns it has.
    pub(crate) width: usize,
    /// The columns that are told of a row, by their places from 0.
    pub(crate) columns: Vec<usize>,
}

/// A place in the log of a server.
#[derive(Clone, Debug)]
pub(crate) struct LogTail {
    dir: PathBuf,
    database: String,
    watched: Vec<Watched>,
    file: String,
    offset: u64,
}

/// Takes the number of a watched table and the values of a row's columns, as the log has them.
pub(crate) type Take<'t> = &'t mut (dyn FnMut(usize, &[&[u8]]) + Send);

const UNREADABLE: Malformed = Malformed("has rows that cannot be told apart");
const OTHER_TABLE: Malformed = Malformed("has rows of a table that was redefined");

impl LogTail {
    /// From a position on, which is the begin of an event.
    pub(crate) fn new(
        dir: PathBuf,
        database: &str,
        watched: Vec<Watched>,
        (file, offset): (String, u64),
    ) -> Self {
        Self {
            dir,
            database: database.to_owned(),
            watched,
            file,
            offset,
        }
    }

    /// Goes to another position.
    pub(crate) fn move_to(&mut self, file: String, offset: u64) {
        self.file = file;
        self.offset = offset;
    }

    /// Where it is.
    pub(crate) fn position(&self) -> (&str, u64) {
        (&self.file, self.offset)
    }

    /// Reads on up to a position.
    pub(crate) fn read_until(&mut self, file: &str, offset: u64, take: Take<'_>) -> Result<()> {
        let number = |name: &str| {
            archive::number(name).ok_or_else(|| EngineError::LogGap {
                file: name.to_owned(),
                position: 0,
            })
        };
        let last = number(file)?;
        loop {
            let current = number(&self.file)?;
            if current > last {
                return Ok(());
            }
            let limit = (current == last).then_some(offset);
            self.read_file(limit, take)?;
            if current == last {
                return Ok(());
            }
            self.file = archive::name(current + 1);
            self.offset = 0;
        }
    }

    fn read_file(&mut self, limit: Option<u64>, take: Take<'_>) -> Result<()> {
        let path = self.dir.join(&self.file);
        let mut log = File::open(&path).at("open", &path)?;
        let mut magic = [0; MAGIC.len()];
        log.read_exact(&mut magic).at("read", &path)?;
        if magic != MAGIC {
            return Err(damaged(
                &path,
                0,
                Malformed("does not begin as a binary log"),
            ));
        }
        let first = event(&mut log, &path, MAGIC.len() as u64)?;
        let Some((header, first)) = first else {
            return Ok(());
        };
        let checksums = Checksums::declared(&first).map_err(|it| damaged(&path, 4, it))?;
        let begin = MAGIC.len() as u64 + u64::from(header.length);
        self.offset = self.offset.max(begin);
        log.seek(SeekFrom::Start(self.offset)).at("read", &path)?;
        let mut log = BufReader::with_capacity(1 << 20, log);
        let mut tables: HashMap<u64, Option<(usize, Table)>> = HashMap::new();
        while limit.is_none_or(|limit| self.offset < limit) {
            let Some((header, bytes)) = event(&mut log, &path, self.offset)? else {
                return Ok(());
            };
            self.event(&header, &bytes, checksums, &mut tables, take)
                .map_err(|what| damaged(&path, self.offset, what))?;
            self.offset += u64::from(header.length);
        }
        Ok(())
    }

    fn event(
        &self,
        header: &Header,
        bytes: &[u8],
        checksums: Checksums,
        tables: &mut HashMap<u64, Option<(usize, Table)>>,
        take: Take<'_>,
    ) -> std::result::Result<(), Malformed> {
        match header.kind {
            Kind::TableMap => {
                let content = checksums.content(bytes)?;
                let table = match table_database(content)? == self.database.as_bytes() {
                    true => Some(Table::parse(content)?),
                    false => None,
                };
                let found = table.and_then(|table| {
                    let at = self.watched.iter().position(|it| it.name == table.name)?;
                    Some((at, table))
                });
                if let Some((at, table)) = &found
                    && table.width() != Some(self.watched[*at].width)
                {
                    return Err(match table.width() {
                        Some(_) => OTHER_TABLE,
                        None => UNREADABLE,
                    });
                }
                tables.insert(table_id(content)?, found);
                Ok(())
            }
            Kind::Rows(change) => {
                let content = checksums.content(bytes)?;
                let Some(Some((at, table))) = tables.get(&table_id(content)?) else {
                    return Ok(());
                };
                let wanted = &self.watched[*at].columns;
                let mut give = |values: &[&[u8]]| take(*at, values);
                table
                    .values(content, change == Change::Update, wanted, &mut give)
                    .ok_or(UNREADABLE)
            }
            // Rows in a form that these servers do not write.
            Kind::Part if matches!(bytes[4], 20..=22 | 30..=32 | 166..=171) => Err(UNREADABLE),
            _ => Ok(()),
        }
    }
}

/// The next event; `None` where the file ends, also within one.
fn event(log: &mut impl Read, path: &Path, offset: u64) -> Result<Option<(Header, Vec<u8>)>> {
    let mut frame = Vec::with_capacity(HEADER);
    log.by_ref()
        .take(HEADER as u64)
        .read_to_end(&mut frame)
        .at("read", path)?;
    let Some(head) = frame.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let header = Header::parse(head).map_err(|what| damaged(path, offset, what))?;
    let rest = u64::from(header.length) - HEADER as u64;
    let mut bytes = frame;
    let read = log.take(rest).read_to_end(&mut bytes).at("read", path)?;
    Ok((read as u64 == rest).then_some((header, bytes)))
}

fn damaged(path: &Path, offset: u64, what: Malformed) -> EngineError {
    EngineError::DamagedLog {
        path: path.to_owned(),
        offset,
        what: what.0,
    }
}
