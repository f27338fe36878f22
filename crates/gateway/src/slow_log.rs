//! The slow log: statements that took long, one JSON object a line, a file per instance.
//!
//! Event loops hand records to a thread of its own and never wait for it: what does not fit into
//! its queue is dropped and counted.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use openpeta_sql_route::{Dialect, mask_passwords};
use openpeta_types::InstanceId;
use serde_json::json;

use crate::digests::Outcome;

/// Records that wait to be written.
const QUEUE: usize = 1024;
/// Bytes of a statement that are kept.
pub(crate) const LONGEST_TEXT: usize = 4096;
/// No statement is slow.
const OFF: u64 = u64::MAX;

/// Where slow statements are logged, and which are slow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowLogConfig {
    /// The directory of the files; made if it is not there.
    pub directory: PathBuf,
    /// A statement that takes this long is slow, unless the instance says otherwise; `None` for
    /// none.
    pub threshold: Option<Duration>,
    /// A file that would grow beyond is put aside for a new one, in bytes.
    pub max_bytes: u64,
    /// Files kept of an instance, at least one.
    pub files: usize,
}

/// A statement that took long.
pub(crate) struct Record {
    pub(crate) account: Option<String>,
    pub(crate) client: SocketAddr,
    pub(crate) database: Vec<u8>,
    pub(crate) outcome: Outcome,
    pub(crate) error: Option<u16>,
    pub(crate) digest: u64,
    /// The statement's beginning, or what its digest is of.
    pub(crate) text: Vec<u8>,
    pub(crate) dialect: Dialect,
}

/// The way to the log for all instances.
#[derive(Clone)]
pub(crate) struct SlowLog {
    sender: SyncSender<(InstanceId, Record)>,
    dropped: Arc<AtomicU64>,
    threshold: Option<Duration>,
}

/// The way to the log for one instance.
pub(crate) struct SlowTap {
    log: Option<(InstanceId, SlowLog)>,
    /// In nanoseconds.
    threshold: AtomicU64,
}

impl SlowLog {
    /// Starts the thread that writes; it ends when nobody can send it anything anymore.
    pub(crate) fn start(config: &SlowLogConfig) -> io::Result<Self> {
        fs::create_dir_all(&config.directory)?;
        let (sender, records) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            directory: config.directory.clone(),
            max_bytes: config.max_bytes,
            files: config.files.max(1),
            open: HashMap::new(),
            dropped: Arc::clone(&dropped),
        };
        let thread = thread::Builder::new().name("slow-log".to_owned());
        thread.spawn(move || writer.run(&records))?;
        Ok(Self {
            sender,
            dropped,
            threshold: config.threshold,
        })
    }

    /// Records that were not written.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl SlowTap {
    pub(crate) fn new(instance: InstanceId, log: Option<SlowLog>) -> Self {
        let threshold = log.as_ref().and_then(|log| log.threshold);
        let tap = Self {
            log: log.map(|log| (instance, log)),
            threshold: AtomicU64::new(OFF),
        };
        tap.set_threshold(threshold);
        tap
    }

    /// The way to nowhere.
    pub(crate) const fn detached() -> Self {
        Self {
            log: None,
            threshold: AtomicU64::new(OFF),
        }
    }

    /// Takes a route's word: zero for never, `None` for what is configured.
    pub(crate) fn follow(&self, threshold: Option<Duration>) {
        self.set_threshold(match threshold {
            Some(time) => Some(time).filter(|time| !time.is_zero()),
            None => self.log.as_ref().and_then(|(_, log)| log.threshold),
        });
    }

    /// From when on statements are slow; `None` for never.
    pub(crate) fn set_threshold(&self, threshold: Option<Duration>) {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(OFF);
        let nanos = threshold.filter(|_| self.log.is_some()).map_or(OFF, nanos);
        self.threshold.store(nanos, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.threshold.load(Ordering::Relaxed) != OFF
    }

    #[inline]
    pub(crate) fn is_slow(&self, time: Duration) -> bool {
        let threshold = self.threshold.load(Ordering::Relaxed);
        threshold != OFF && time.as_nanos() >= u128::from(threshold)
    }

    pub(crate) fn write(&self, record: Record) {
        let Some((instance, log)) = &self.log else {
            return;
        };
        if log.sender.try_send((instance.clone(), record)).is_err() {
            log.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes what it is sent.
struct Writer {
    directory: PathBuf,
    max_bytes: u64,
    files: usize,
    /// The files of instances, and their lengths.
    open: HashMap<InstanceId, (File, u64)>,
    dropped: Arc<AtomicU64>,
}

/// Files that are open at once.
const MOST_OPEN: usize = 64;

impl Writer {
    fn run(mut self, records: &Receiver<(InstanceId, Record)>) {
        let mut failing = false;
        for (instance, record) in records {
            match self.write(&instance, &line(&record)) {
                Ok(()) => failing = false,
                Err(error) => {
                    self.open.remove(&instance);
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    if !failing {
                        tracing::warn!(%error, %instance, "the slow log cannot be written");
                    }
                    failing = true;
                }
            }
        }
    }

    fn write(&mut self, instance: &InstanceId, line: &[u8]) -> io::Result<()> {
        if !self.open.contains_key(instance) {
            if self.open.len() >= MOST_OPEN {
                self.open.clear();
            }
            let opened = self.open(instance)?;
            self.open.insert(instance.clone(), opened);
        }
        let length = self.open.get(instance).map_or(0, |(_, length)| *length);
        if length > 0 && length + line.len() as u64 > self.max_bytes {
            self.open.remove(instance);
            self.rotate(instance)?;
            let opened = self.open(instance)?;
            self.open.insert(instance.clone(), opened);
        }
        if let Some((file, length)) = self.open.get_mut(instance) {
            file.write_all(line)?;
            *length += line.len() as u64;
        }
        Ok(())
    }

    /// The file of an instance; each further one is older.
    fn path(&self, instance: &InstanceId, age: usize) -> PathBuf {
        let name = match age {
            0 => format!("{instance}.jsonl"),
            age => format!("{instance}.{age}.jsonl"),
        };
        self.directory.join(name)
    }

    fn open(&self, instance: &InstanceId) -> io::Result<(File, u64)> {
        let mut options = OpenOptions::new();
        // Statements hold what only their owner may know.
        options.create(true).append(true).mode(0o600);
        let file = options.open(self.path(instance, 0))?;
        let length = file.metadata()?.len();
        Ok((file, length))
    }

    fn rotate(&self, instance: &InstanceId) -> io::Result<()> {
        let last = self.files - 1;
        if last == 0 {
            return fs::remove_file(self.path(instance, 0));
        }
        for age in (0..last).rev() {
            match fs::rename(self.path(instance, age), self.path(instance, age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A record as it stands in the file.
fn line(record: &Record) -> Vec<u8> {
    let text = mask_passwords(&record.text, record.dialect);
    let outcome = &record.outcome;
    let object = json!({
        "time": jiff::Timestamp::now().to_string(),
        "account": record.account,
        "client": record.client.to_string(),
        "database": String::from_utf8_lossy(&record.database),
        "seconds": outcome.time.as_secs_f64(),
        "rows_sent": outcome.rows_sent,
        "rows_affected": outcome.rows_affected,
        "error": record.error,
        "digest": format!("{:016x}", record.digest),
        "statement": String::from_utf8_lossy(&text),
    });
    let mut line = object.to_string().into_bytes();
    line.push(b'\n');
    line
}
