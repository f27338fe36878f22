//! The log on disk: decisions of many transactions are written and synced together, by a thread of
//! its own, so that nobody who decides has to wait for a disk in an event loop.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::record::{self, Damage, Decision, Decisions, Record};
use crate::{Node, TransactionId};

/// The log is written anew when it is longer than this, and than four times what it would be.
const LONG: usize = 1 << 20;
/// Zeros that are written ahead at once: where a batch only takes their place, the file system has nothing of its
/// own to write before the batch is on disk. The log ends where they begin.
const AHEAD: usize = 256 << 10;
/// Bytes that a record may take; for guessing what a log written anew takes.
const RECORD: usize = 64;

/// Why the log cannot be used. Until it is opened anew nobody knows which of the decisions that
/// failed are on disk, so it takes no more of them.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// What is there cannot be relied on.
    #[error("{path}: {damage}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// It is another coordinator's.
    #[error("{path} is the log of coordinator {found:016x}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: u64,
    },
}

/// Called when a decision is on disk, or when it cannot be told whether it is.
pub type Done = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// The decisions of one coordinator. There must be one at a time for a directory; the owner's lock of
/// the directory sees to that.
pub struct DecisionLog {
    shared: Arc<Shared>,
    coordinator: u64,
    epoch: u32,
    next: AtomicU64,
    writer: Option<JoinHandle<()>>,
}

impl fmt::Debug for DecisionLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionLog")
            .field("coordinator", &self.coordinator)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

struct Shared {
    state: Mutex<State>,
    wanted: Condvar,
}

#[derive(Default)]
struct State {
    /// What is to be written.
    records: Vec<Record>,
    waiting: Vec<Done>,
    /// On disk and not ended.
    decisions: Decisions,
    failed: Option<LogError>,
    closing: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DecisionLog {
    /// Opens the log of a directory, which is made if there is none, and begins a new epoch.
    ///
    /// # Errors
    /// [`LogError`] when it cannot be read or written, is damaged, or another coordinator's.
    pub fn open(directory: &Path, coordinator: u64) -> Result<Self, LogError> {
        let mut file = LogFile::open(directory, coordinator)?;
        let epoch = file.epoch + 1;
        file.append(&[Record::Epoch(epoch)])?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                decisions: file.decisions.clone(),
                ..State::default()
            }),
            wanted: Condvar::new(),
        });
        let path = file.path.clone();
        let for_writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("xa-log".into())
            .spawn(move || write_all(&for_writer, file))
            .map_err(|source| error("start a thread for", &path, source))?;
        Ok(Self {
            shared,
            coordinator,
            epoch,
            next: AtomicU64::new(1),
            writer: Some(writer),
        })
    }

    /// A number for a transaction, which no other one has had or will have.
    #[must_use]
    pub fn next_id(&self) -> TransactionId {
        TransactionId {
            coordinator: self.coordinator,
            epoch: self.epoch,
            number: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whose log it is.
    #[must_use]
    pub fn coordinator(&self) -> u64 {
        self.coordinator
    }

    /// The life of the coordinator that began when the log was opened.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Writes that a transaction is to be committed on these nodes. `done` is called by the log's
    /// thread, which it must not hold up; with an error the transaction must be left as it is, for
    /// whoever opens the log next finds it decided or not.
    pub fn decide(&self, id: TransactionId, nodes: &[Node], done: Done) {
        let mut state = self.shared.lock();
        if let Some(failed) = state.failed.clone() {
            drop(state);
            return done(Err(failed));
        }
        state.records.push(Record::Commit(Decision {
            id,
            nodes: nodes.to_vec(),
        }));
        state.waiting.push(done);
        self.shared.wanted.notify_one();
    }

    /// Notes that a decided transaction is committed on all its nodes. It is written with the next
    /// decision: if it is lost, the nodes are asked once more.
    pub fn end(&self, id: TransactionId) {
        let mut state = self.shared.lock();
        if state.decisions.end(&id) && state.failed.is_none() {
            state.records.push(Record::End(id));
        }
    }

    /// Decisions that are on disk and not carried out everywhere.
    #[must_use]
    pub fn decisions(&self) -> Decisions {
        self.shared.lock().decisions.clone()
    }
}

impl Drop for DecisionLog {
    /// Waits until all that was asked for is written.
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.wanted.notify_one();
        if let Some(writer) = self.writer.take() {
            // It does not panic, and if it did there would be nothing to be done here.
            let _ = writer.join();
        }
    }
}

/// The log's thread: takes all that has come in the meantime, writes and syncs it at once.
fn write_all(shared: &Shared, mut file: LogFile) {
    loop {
        let mut state = shared.lock();
        while state.waiting.is_empty() && !state.closing {
            state = shared
                .wanted
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let records = std::mem::take(&mut state.records);
        let waiting = std::mem::take(&mut state.waiting);
        let closing = state.closing;
        drop(state);
        let result = match records.is_empty() {
            true => Ok(()),
            false => file.append(&records),
        };
        let mut state = shared.lock();
        match &result {
            Ok(()) => {
                for record in records {
                    if let Record::Commit(decision) = record {
                        state.decisions.add(decision);
                    }
                }
            }
            Err(failed) => state.failed = Some(failed.clone()),
        }
        drop(state);
        for done in waiting {
            done(result.clone());
        }
        if closing {
            if result.is_ok() {
                file.close();
            }
            return;
        }
        if result.is_ok()
            && let Err(failed) = file.shorten()
        {
            // The old file is whole, but may not be the one that has the name any more.
            shared.lock().failed = Some(failed);
        }
    }
}

/// The file, and what is in it.
struct LogFile {
    path: PathBuf,
    file: File,
    coordinator: u64,
    epoch: u32,
    decisions: Decisions,
    length: usize,
    /// How long the file is, zeros included.
    room: usize,
}

impl LogFile {
    fn open(directory: &Path, coordinator: u64) -> Result<Self, LogError> {
        let path = directory.join("decisions");
        if !fs::exists(&path).map_err(|source| error("look for", &path, source))? {
            return Self::create(path, coordinator, 0, Decisions::default());
        }
        let log = fs::read(&path).map_err(|source| error("read", &path, source))?;
        let contents = record::read(&log).map_err(|damage| LogError::Damaged {
            path: path.clone(),
            damage,
        })?;
        if contents.coordinator != coordinator {
            return Err(LogError::Foreign {
                path,
                found: contents.coordinator,
            });
        }
        let cut = |file: &File| {
            file.set_len(contents.length as u64)?;
            file.sync_all()
        };
        let file = OpenOptions::new().write(true).open(&path);
        let file = file.and_then(|file| cut(&file).map(|()| file));
        Ok(Self {
            file: file.map_err(|source| error("open", &path, source))?,
            path,
            coordinator,
            epoch: contents.epoch,
            decisions: contents.decisions,
            length: contents.length,
            room: contents.length,
        })
    }

    /// Writes a new file with these decisions, in place of the one that may be there.
    fn create(
        path: PathBuf,
        coordinator: u64,
        epoch: u32,
        decisions: Decisions,
    ) -> Result<Self, LogError> {
        let mut log = record::head(coordinator).to_vec();
        let commits = decisions.iter().map(|(id, nodes)| {
            Record::Commit(Decision {
                id: *id,
                nodes: nodes.to_vec(),
            })
        });
        let records: Vec<_> = [Record::Epoch(epoch)].into_iter().chain(commits).collect();
        record::put_batch(&mut log, record::HEAD, &records);
        let beside = path.with_extension("new");
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(&log)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            let directory = path.parent().unwrap_or(Path::new("."));
            File::open(directory)?.sync_all()?;
            OpenOptions::new().write(true).open(&path)
        };
        Ok(Self {
            file: write().map_err(|source| error("write", &path, source))?,
            path,
            coordinator,
            epoch,
            decisions,
            length: log.len(),
            room: log.len(),
        })
    }

    /// Writes and syncs a batch.
    fn append(&mut self, records: &[Record]) -> Result<(), LogError> {
        let mut batch = Vec::new();
        record::put_batch(&mut batch, self.length, records);
        let length = batch.len();
        if self.length + length > self.room {
            batch.resize(length + AHEAD, 0);
            self.room = self.length + batch.len();
        }
        let at = self.length as u64;
        let mut written = self.file.write_all_at(&batch, at);
        if written.is_err() && batch.len() > length {
            // There may be room for what must be there.
            batch.truncate(length);
            self.room = self.length + length;
            written = self.file.write_all_at(&batch, at);
        }
        let synced = written.and_then(|()| self.file.sync_data());
        synced.map_err(|source| error("write", &self.path, source))?;
        self.length += length;
        for record in records {
            match record {
                Record::Epoch(epoch) => self.epoch = *epoch,
                Record::Commit(decision) => self.decisions.add(decision.clone()),
                Record::End(id) => {
                    self.decisions.end(id);
                }
            }
        }
        Ok(())
    }

    /// Leaves nothing behind the log. If that fails, it ends there all the same.
    fn close(&self) {
        let _ = self.file.set_len(self.length as u64);
    }

    /// Writes the log anew if most of it is over.
    fn shorten(&mut self) -> Result<(), LogError> {
        if self.length < LONG || self.length / 4 < self.decisions.len() * RECORD {
            return Ok(());
        }
        let decisions = std::mem::take(&mut self.decisions);
        *self = Self::create(self.path.clone(), self.coordinator, self.epoch, decisions)?;
        Ok(())
    }
}

fn error(action: &'static str, path: &Path, source: io::Error) -> LogError {
    LogError::Io {
        action,
        path: path.to_owned(),
        source: Arc::new(source),
    }
}
