//! The moment in which a table gets another distribution, kept apart from processes that begin: one that read
//! the catalogue in its midst would go on planning by what the table was.
//!
//! Whoever brings a table over has this moment alone, from looking for other processes to the end; whoever reads
//! the catalogue shares it. A process is there for others before it reads. So either it is seen in time, and
//! the table stays what it is, or it reads what the table has become. What was decided and could not be carried
//! out at once is looked for by whoever reads.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use openpeta_mysql_wire::ErrPacket;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Instance;
use super::intents::is_decided;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(40);
/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(10);

/// The moment, or a share of it, until this is dropped.
#[derive(Debug)]
pub struct Swap(#[expect(dead_code, reason = "held")] File);

impl Instance {
    /// Takes the moment alone.
    ///
    /// # Errors
    /// When the service's directory cannot be used, or others read for too long.
    pub(crate) async fn swap(&self) -> io::Result<Swap> {
        self.lock_swap(FlockOperation::NonBlockingLockExclusive)
            .await
    }

    /// Takes a share of the moment once no table is being brought over, neither by a process that runs nor by one
    /// that has ended in the midst of it, and no other process defines anything.
    pub(super) async fn between_swaps(&self) -> Result<Swap, ErrPacket> {
        let end = Instant::now() + PATIENCE;
        loop {
            self.finish_definitions().await?;
            let shared = self.lock_swap(FlockOperation::NonBlockingLockShared).await;
            let waits = match shared {
                Ok(shared) => match self.others_are_at_it() {
                    Ok(false) => return Ok(shared),
                    other => other,
                },
                Err(error) => Err(error),
            };
            if let Err(error) = &waits {
                tracing::warn!(instance = %self.id(), %error, "lives cannot be read");
            }
            if waits.is_err() || Instant::now() >= end {
                return Err(ErrPacket::new(
                    1235,
                    b"42000",
                    "OpenPeta: ddl-unfinished: another process of the service is defining something; try again",
                ));
            }
            // It may have ended since.
            self.look_for_former();
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn lock_swap(&self, how: FlockOperation) -> io::Result<Swap> {
        let path = self.lives().join("swap");
        let file = File::options().create(true).append(true).open(path)?;
        let end = Instant::now() + PATIENCE;
        loop {
            match flock(&file, how) {
                Ok(()) => return Ok(Swap(file)),
                Err(Errno::WOULDBLOCK) if Instant::now() < end => {}
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether another process brings a table over, or defines something.
    fn others_are_at_it(&self) -> io::Result<bool> {
        Ok(self.others_have_decided()? || self.others_define()?)
    }

    /// Whether a process that is not known to have ended has a table to bring over, and this is not that process.
    fn others_have_decided(&self) -> io::Result<bool> {
        for life in self.others()? {
            if is_decided(&life)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
