//! The nonces of recent calls, so that a recorded call cannot be replayed.
//!
//! They live in memory; a file keeps them over a crash of the process. The file is not forced
//! to disk: after a power failure replays of the last seconds could pass, and a transaction for
//! every call would cost more than all the rest of it.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use ring::digest::{Context, SHA256};

use crate::StoreError;

/// How far the timestamp of a call may be from the server's time, either way.
pub const NONCE_WINDOW: SignedDuration = SignedDuration::from_mins(15);

/// A nonce can be of use for this long: a timestamp at the end of the window lies this far
/// before the moment in which it leaves the window at the other end.
const LIFETIME_SECONDS: i64 = 2 * NONCE_WINDOW.as_secs();
/// Nonces are forgotten together that expire within the same five minutes.
const BUCKET_SECONDS: i64 = 300;
/// Growing one set of all nonces would stall calls for a third of a second.
const SHARDS: usize = 64;
/// Fingerprint and expiry.
const RECORD_LENGTH: usize = 24;

/// The nonces of recent calls. All functions are safe to call from many threads.
pub struct NonceLog {
    shards: Vec<Mutex<Shard>>,
    /// Appending takes the read side: appends of many threads need not wait for each other.
    file: RwLock<LogFile>,
}

/// Buckets by the five minutes in which their nonces expire, in no order, few.
#[derive(Default)]
struct Shard(VecDeque<(i64, FingerprintSet)>);

/// Fingerprints are hashes already.
type FingerprintSet = HashSet<u128, BuildHasherDefault<Fold>>;

#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
    fn write_u128(&mut self, number: u128) {
        // The low bits chose the shard: take others.
        self.0 = (number >> 64) as u64;
    }
}

impl NonceLog {
    /// Reads the files that an earlier process left in the directory, and writes what still
    /// matters into a new one.
    ///
    /// # Errors
    /// [`StoreError::Io`] and its kin when the files cannot be read or written.
    pub fn open(directory: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let path = directory.join("nonces.log");
        let older = directory.join("nonces.log.1");
        let mut records = read_records(&older)?;
        records.extend(read_records(&path)?);
        records.retain(|&(_, expiry)| expiry >= now.as_second());
        let log = Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            file: RwLock::new(LogFile::create(path, &records, now)?),
        };
        remove(&older)?;
        for (fingerprint, expiry) in records {
            log.shard(fingerprint).insert(fingerprint, expiry, now);
        }
        Ok(log)
    }

    /// Records the nonce of a call that was signed with a key at `timestamp`. Returns whether
    /// the call is new; `false` means that the key used the nonce before, or that `timestamp`
    /// is outside of [`NONCE_WINDOW`] around `now`, so that it cannot be told any more.
    #[must_use]
    pub fn insert(
        &self,
        access_key_id: &str,
        nonce: &str,
        timestamp: Timestamp,
        now: Timestamp,
    ) -> bool {
        let age = now.as_second() - timestamp.as_second();
        if age.abs() > NONCE_WINDOW.as_secs() {
            return false;
        }
        let fingerprint = fingerprint(access_key_id, nonce);
        let expiry = timestamp.as_second() + NONCE_WINDOW.as_secs();
        let is_new = self.shard(fingerprint).insert(fingerprint, expiry, now);
        if is_new {
            self.append(fingerprint, expiry, now);
        }
        is_new
    }

    /// Appends a record. A disk that fails does not fail the call, which memory protects.
    fn append(&self, fingerprint: u128, expiry: i64, now: Timestamp) {
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        if !file.is_full(now) && file.append(fingerprint, expiry).is_ok() {
            return;
        }
        drop(file);
        let mut file = self.file.write().unwrap_or_else(PoisonError::into_inner);
        let appended = file
            .rotate(now)
            .and_then(|()| file.cut_torn_record())
            .and_then(|()| file.append(fingerprint, expiry));
        file.note(appended);
    }

    fn shard(&self, fingerprint: u128) -> MutexGuard<'_, Shard> {
        guard(&self.shards[fingerprint as usize % SHARDS])
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let sizes = self.shards.iter().map(|shard| {
            let shard = guard(shard);
            shard.0.iter().map(|(_, set)| set.len()).sum::<usize>()
        });
        sizes.sum()
    }
}

impl std::fmt::Debug for NonceLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NonceLog")
    }
}

impl Shard {
    /// Forgets what expired, then looks through all buckets: a nonce may have come with
    /// another timestamp.
    fn insert(&mut self, fingerprint: u128, expiry: i64, now: Timestamp) -> bool {
        let current = now.as_second().div_euclid(BUCKET_SECONDS);
        self.0.retain(|&(bucket, _)| bucket >= current);
        if self.0.iter().any(|(_, set)| set.contains(&fingerprint)) {
            return false;
        }
        let bucket = expiry.div_euclid(BUCKET_SECONDS);
        match self.0.iter_mut().find(|(known, _)| *known == bucket) {
            Some((_, set)) => set.insert(fingerprint),
            None => {
                self.0
                    .push_back((bucket, HashSet::from_iter([fingerprint])));
                true
            }
        }
    }
}

/// The file that is appended to.
struct LogFile {
    path: PathBuf,
    file: File,
    begun: i64,
    failing: bool,
}

impl LogFile {
    /// Writes the records into a new file and puts it in place of the one there was.
    fn create(path: PathBuf, records: &[(u128, i64)], now: Timestamp) -> Result<Self, StoreError> {
        let draft = path.with_extension("log.new");
        let write = || {
            remove_file(&draft)?;
            let file = open_new(&draft)?;
            let mut writer = BufWriter::new(file);
            for &(fingerprint, expiry) in records {
                writer.write_all(&encode(fingerprint, expiry))?;
            }
            let file = writer
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?;
            fs::rename(&draft, &path)?;
            Ok(file)
        };
        let file = write().map_err(|error| StoreError::io(&path, error))?;
        Ok(Self {
            path,
            file,
            begun: now.as_second(),
            failing: false,
        })
    }

    /// Whether all that the older file holds has expired, so that a new one is to be begun.
    fn is_full(&self, now: Timestamp) -> bool {
        now.as_second() - self.begun >= LIFETIME_SECONDS
    }

    /// Appends a record in one piece, behind those of other threads.
    fn append(&self, fingerprint: u128, expiry: i64) -> io::Result<()> {
        match (&self.file).write(&encode(fingerprint, expiry))? {
            RECORD_LENGTH => Ok(()),
            _ => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    /// Tells the operator once when the disk begins to fail.
    fn note(&mut self, appended: io::Result<()>) {
        match appended {
            Ok(()) => self.failing = false,
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "nonces are not kept over a restart");
                }
                if let Err(error) = self.cut_torn_record() {
                    tracing::error!(%error, "a torn record stays in the nonce log");
                }
            }
        }
    }

    /// Begins a new file when all that the older one holds has expired: a nonce written at the
    /// very end of one file's time lives for one lifetime more.
    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        if !self.is_full(now) {
            return Ok(());
        }
        fs::rename(&self.path, self.path.with_extension("log.1"))?;
        self.file = open_new(&self.path)?;
        self.begun = now.as_second();
        Ok(())
    }

    /// Takes away the part of a record that was written before the disk was full, else all
    /// later ones would be read shifted.
    fn cut_torn_record(&self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        match length % RECORD_LENGTH as u64 {
            0 => Ok(()),
            torn => self.file.set_len(length - torn),
        }
    }
}

/// A new file that is only ever appended to.
fn open_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// 128 bits that tell key and nonce from all others.
fn fingerprint(access_key_id: &str, nonce: &str) -> u128 {
    let mut context = Context::new(&SHA256);
    context.update(&(access_key_id.len() as u64).to_le_bytes());
    context.update(access_key_id.as_bytes());
    context.update(nonce.as_bytes());
    let digest = context.finish();
    let (first, _) = digest
        .as_ref()
        .split_first_chunk()
        .expect("SHA-256 has 32 bytes");
    u128::from_le_bytes(*first)
}

fn encode(fingerprint: u128, expiry: i64) -> [u8; RECORD_LENGTH] {
    let mut record = [0; RECORD_LENGTH];
    record[..16].copy_from_slice(&fingerprint.to_le_bytes());
    record[16..].copy_from_slice(&expiry.to_le_bytes());
    record
}

/// Fingerprints and expiries of a file; one that ends within a record lost that one.
fn read_records(path: &Path) -> Result<Vec<(u128, i64)>, StoreError> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::io(path, error));
        }
        _ => {}
    }
    let (records, _torn) = bytes.as_chunks::<RECORD_LENGTH>();
    let decode = |record: &[u8; RECORD_LENGTH]| {
        let (fingerprint, expiry) = record.split_first_chunk().expect("16 of 24 bytes");
        let expiry = expiry.try_into().expect("the other 8 bytes");
        (
            u128::from_le_bytes(*fingerprint),
            i64::from_le_bytes(expiry),
        )
    };
    Ok(records.iter().map(decode).collect())
}

fn remove(path: &Path) -> Result<(), StoreError> {
    remove_file(path).map_err(|error| StoreError::io(path, error))
}

/// Removes a file; that there is none is no error.
fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn open(directory: &tempfile::TempDir, second: i64) -> NonceLog {
        NonceLog::open(directory.path(), at(second)).unwrap()
    }

    #[test]
    fn a_nonce_is_new_once_for_each_key() {
        let directory = tempfile::tempdir().unwrap();
        let log = open(&directory, 0);
        assert!(log.insert("key", "n", at(0), at(0)));
        assert!(!log.insert("key", "n", at(0), at(0)));
        assert!(!log.insert("key", "n", at(800), at(1)), "other timestamp");
        assert!(log.insert("other", "n", at(0), at(0)));
        assert!(log.insert("ke", "yn", at(0), at(0)), "not concatenated");
    }

    #[test]
    fn outside_of_the_window_nothing_is_new() {
        let directory = tempfile::tempdir().unwrap();
        let log = open(&directory, 0);
        assert!(log.insert("key", "a", at(-900), at(0)));
        assert!(log.insert("key", "b", at(900), at(0)));
        assert!(!log.insert("key", "c", at(-901), at(0)));
        assert!(!log.insert("key", "d", at(901), at(0)));
    }

    #[test]
    fn a_nonce_is_known_until_its_timestamp_leaves_the_window_then_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let log = open(&directory, 0);
        assert!(log.insert("key", "n", at(900), at(0)));
        for now in [1, 600, 1_200, 1_800] {
            assert!(!log.insert("key", "n", at(900), at(now)), "{now}");
        }
        // Each insert sweeps the shard that it falls into.
        for filler in 0..10_000 {
            let _ = log.insert("key", &format!("f{filler}"), at(10_000), at(10_000));
        }
        assert_eq!(log.len(), 10_000);
    }

    #[test]
    fn an_earlier_process_is_remembered_whatever_it_left() {
        let directory = tempfile::tempdir().unwrap();
        // Forgotten, not closed: as after a kill.
        std::mem::forget({
            let log = open(&directory, 0);
            assert!(log.insert("key", "a", at(0), at(0)));
            assert!(log.insert("key", "b", at(600), at(0)));
            log
        });
        let path = directory.path().join("nonces.log");
        let mut torn = OpenOptions::new().append(true).open(&path).unwrap();
        torn.write_all(&[7; 11]).unwrap();
        let log = open(&directory, 10);
        assert!(!log.insert("key", "a", at(0), at(10)));
        assert!(!log.insert("key", "b", at(10), at(10)));
        assert!(log.insert("key", "c", at(10), at(10)));
        drop(log);
        let log = open(&directory, 20);
        assert!(!log.insert("key", "c", at(10), at(20)));
        drop(log);
        // At second 950 "a" and "c" have left the window and are not written again.
        let log = open(&directory, 950);
        assert_eq!(log.len(), 1);
        assert_eq!(fs::metadata(&path).unwrap().len(), 24);
    }

    #[test]
    fn rotation_keeps_what_matters_and_bounds_the_files() {
        let directory = tempfile::tempdir().unwrap();
        let log = open(&directory, 0);
        let mut now = 0;
        for round in 0..50 {
            let nonce = format!("n{round}");
            assert!(log.insert("key", &nonce, at(now + 900), at(now)));
            now += 600;
        }
        let mut size = 0;
        for name in ["nonces.log", "nonces.log.1"] {
            size += fs::metadata(directory.path().join(name)).unwrap().len();
        }
        assert!(size <= 8 * 24, "{size}");
        drop(log);
        let log = open(&directory, now - 600);
        for round in 47..50 {
            let nonce = format!("n{round}");
            assert!(
                !log.insert("key", &nonce, at(now - 600), at(now - 600)),
                "{nonce}"
            );
        }
    }

    #[test]
    fn a_full_disk_leaves_whole_records_and_memory_protects() {
        let directory = tempfile::tempdir().unwrap();
        let log = open(&directory, 0);
        assert!(log.insert("key", "a", at(0), at(0)));
        log.file.write().unwrap().file = File::open("/dev/null").unwrap();
        assert!(log.insert("key", "b", at(0), at(0)));
        assert!(!log.insert("key", "b", at(0), at(0)));
        let path = directory.path().join("nonces.log");
        assert_eq!(fs::metadata(path).unwrap().len(), 24);
    }
}
