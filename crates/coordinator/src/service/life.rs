//! The life of a process as a coordinator: its directory, which no other process uses as long as it
//! runs, with its decisions and intents. Directories of lives that are over are looked after until
//! nothing of them is left in doubt.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use openpeta_xa::{DecisionLog, Decisions, Fate, LogError, Node, TransactionId, fate};
use rustix::fs::{FlockOperation, flock};

/// This process's life.
#[derive(Debug)]
pub struct Life {
    /// Where it writes.
    pub directory: PathBuf,
    /// Its decisions.
    pub log: DecisionLog,
    /// Transactions that may still be decided.
    live: Mutex<HashSet<TransactionId>>,
    /// Held as long as the process lives.
    _lock: File,
}

/// One that is over.
#[derive(Debug)]
pub struct Former {
    /// Where it wrote.
    pub directory: PathBuf,
    coordinator: u64,
    decisions: Decisions,
    _lock: File,
}

/// Why lives cannot be read or begun.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Life {
    /// Begins a life in a directory of lives.
    ///
    /// # Errors
    /// [`LifeError`].
    pub fn begin(lives: &Path) -> Result<Self, LifeError> {
        let mut bytes = [0; 8];
        let random = Path::new("/dev/urandom");
        let read = File::open(random).and_then(|mut file| file.read_exact(&mut bytes));
        read.map_err(|source| error("read", random, source))?;
        let coordinator = u64::from_le_bytes(bytes);
        let directory = lives.join(format!("{coordinator:016x}"));
        fs::create_dir_all(&directory).map_err(|source| error("create", &directory, source))?;
        let lock = lock_of(&directory)?;
        let locked = flock(&lock, FlockOperation::NonBlockingLockExclusive);
        locked.map_err(|source| error("lock", &directory, source.into()))?;
        Ok(Self {
            log: DecisionLog::open(&directory, coordinator)?,
            directory,
            live: Mutex::default(),
            _lock: lock,
        })
    }

    /// A number for a transaction that begins.
    #[must_use]
    pub fn begin_transaction(&self) -> TransactionId {
        let id = self.log.next_id();
        self.live().insert(id);
        id
    }

    /// Nobody will decide on a transaction any more.
    pub fn end_transaction(&self, id: &TransactionId) {
        self.live().remove(id);
    }

    /// What becomes of a branch that a node lists.
    #[must_use]
    pub fn fate(&self, id: &TransactionId) -> Fate {
        // The decisions first: a transaction that is not live any more has been decided before.
        let is_live = self.live().contains(id);
        let decisions = self.log.decisions();
        fate(id, self.log.coordinator(), &decisions, |_| is_live)
    }

    /// What is decided and may not be carried out everywhere.
    #[must_use]
    pub fn decided(&self) -> Vec<(TransactionId, Vec<Node>)> {
        let decisions = self.log.decisions();
        let live = self.live();
        let mut all = Vec::new();
        for (id, nodes) in decisions.iter() {
            if !live.contains(id) {
                all.push((*id, nodes.to_vec()));
            }
        }
        all
    }

    fn live(&self) -> std::sync::MutexGuard<'_, HashSet<TransactionId>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lives of processes that do not run any more, but those that are known.
///
/// # Errors
/// [`LifeError`].
pub fn former(lives: &Path, known: &[Arc<Former>]) -> Result<Vec<Former>, LifeError> {
    let mut found = Vec::new();
    let entries = fs::read_dir(lives).map_err(|source| error("read", lives, source))?;
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(|source| error("read", lives, source))?;
        names.insert(entry.file_name());
    }
    for name in names {
        let coordinator = name
            .to_str()
            .filter(|name| name.len() == 16)
            .and_then(|name| u64::from_str_radix(name, 16).ok());
        let Some(coordinator) = coordinator else {
            continue;
        };
        if known.iter().any(|known| known.coordinator == coordinator) {
            continue;
        }
        let directory = lives.join(&name);
        let lock = lock_of(&directory)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            // It runs.
            continue;
        }
        let log = DecisionLog::open(&directory, coordinator)?;
        found.push(Former {
            decisions: log.decisions(),
            directory,
            coordinator,
            _lock: lock,
        });
    }
    Ok(found)
}

/// Whether a process lives beside this one.
///
/// # Errors
/// [`LifeError`].
pub fn has_others(lives: &Path, own: &Life, former: &[Arc<Former>]) -> Result<bool, LifeError> {
    let entries = fs::read_dir(lives).map_err(|source| error("read", lives, source))?;
    for entry in entries {
        let directory = entry.map_err(|source| error("read", lives, source))?.path();
        let is_known =
            directory == own.directory || former.iter().any(|former| former.directory == directory);
        if is_known || !directory.join("lock").exists() {
            continue;
        }
        let lock = lock_of(&directory)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Former {
    /// Whose it was.
    #[must_use]
    pub fn coordinator(&self) -> u64 {
        self.coordinator
    }

    /// What becomes of a branch that a node lists.
    #[must_use]
    pub fn fate(&self, id: &TransactionId) -> Fate {
        fate(id, self.coordinator, &self.decisions, |_| false)
    }
}

fn lock_of(directory: &Path) -> Result<File, LifeError> {
    let path = directory.join("lock");
    let options = File::options().create(true).append(true).open(&path);
    options.map_err(|source| error("open", &path, source))
}

fn error(action: &'static str, path: &Path, source: io::Error) -> LifeError {
    LifeError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
