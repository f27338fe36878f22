//! Definitions, kept apart from other processes, as there are during a hand-over: each plans by the catalogue
//! that it has read.
//!
//! Whoever defines holds a lock of its process, from looking for other processes to the end; whoever reads the
//! catalogue waits as long as another process's is held. A process is there for others before it reads. So
//! either it is seen in time, and nothing is defined, or it reads what was defined.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Instance;
use crate::Refusal;

/// How often it is tried while somebody looks whether the lock is held.
const PAUSE: Duration = Duration::from_millis(2);

/// The lock, until this is dropped.
#[derive(Debug)]
pub struct Defining(#[expect(dead_code, reason = "held")] File);

impl Instance {
    /// Begins something that other processes must know to plan.
    ///
    /// # Errors
    /// `hand-over` when there is another process, which may have read the catalogue.
    pub(crate) async fn define_alone(&self) -> Result<Defining, Refusal> {
        let lock = lock_of(&self.life().directory);
        let file = lock.map_err(|error| unusable(&error))?;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(unusable(&error.into())),
            }
        }
        self.refuse_company()?;
        Ok(Defining(file))
    }

    /// Refuses what other processes would have to know, if there are any.
    ///
    /// # Errors
    /// `hand-over`.
    pub(crate) fn refuse_company(&self) -> Result<(), Refusal> {
        match self.has_company() {
            Ok(false) => Ok(()),
            Ok(true) => Err(Refusal::new(
                "hand-over",
                "another process of the service has sessions of this instance; try again when they have ended",
            )),
            Err(error) => {
                tracing::error!(%error, "lives cannot be read");
                Err(Refusal::new(
                    "ddl-log",
                    "the service cannot read its own directory",
                ))
            }
        }
    }

    /// Whether another process defines something.
    pub(super) fn others_define(&self) -> io::Result<bool> {
        for life in self.others()? {
            let file = match lock_of(&life) {
                // It has ended, and was tidied up.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The directories of processes that are not known to have ended, without this one's.
    pub(super) fn others(&self) -> io::Result<Vec<PathBuf>> {
        let former = self.former();
        let mut others = Vec::new();
        for entry in fs::read_dir(self.lives())? {
            let life = entry?.path();
            let has_ended = former.iter().any(|former| former.directory == life);
            if life.is_dir() && life != self.life().directory && !has_ended {
                others.push(life);
            }
        }
        Ok(others)
    }
}

fn lock_of(life: &Path) -> io::Result<File> {
    let path = life.join("defining");
    File::options().create(true).append(true).open(path)
}

fn unusable(error: &io::Error) -> Refusal {
    tracing::error!(%error, "a definition cannot be begun");
    Refusal::new("ddl-log", "the service cannot use its own directory")
}
