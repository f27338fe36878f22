//! The store itself: connections, transactions, and the memory that commits keep exact.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openpeta_types::{AccountId, Secret};
use rusqlite::Connection;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;

use crate::changes::{Topic, Watchers};
use crate::instance_index::InstanceIndex;
use crate::key_cache::KeyCache;
use crate::seal::Sealer;
use crate::session::AfterCommit;
use crate::{AccessKey, DirLock, NonceLog, PolicyAttachment, Reader, StoreError, Writer, open};

/// A write transaction that takes longer is worth a warning: all others wait for it.
const LONG_WRITE: Duration = Duration::from_secs(1);

/// The metadata store of one data directory. Clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

/// Sees whether a store is still open, without keeping it open.
#[derive(Clone)]
pub struct WeakStore {
    shared: Weak<Shared>,
    open: Weak<()>,
}

impl WeakStore {
    /// The store, if any clone of it is left.
    #[must_use]
    pub fn upgrade(&self) -> Option<Store> {
        Some(Store {
            shared: self.shared.upgrade()?,
        })
    }

    /// Whether its files are closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.open.strong_count() == 0
    }
}

/// What all clones and transactions share.
pub(crate) struct Shared {
    data_dir: PathBuf,
    pub(crate) sealer: Sealer,
    /// Idle connections for reading. As many are made as threads read at once; the last one
    /// used, whose statements and pages are warm, is taken first.
    readers: Mutex<Vec<Connection>>,
    /// Closed after the readers: only a writer that is the last one moves the write-ahead log
    /// into the database.
    writer: Mutex<Connection>,
    index: RwLock<InstanceIndex>,
    keys: RwLock<KeyCache>,
    nonces: NonceLog,
    watchers: Watchers,
    lock: Arc<DirLock>,
    /// The last field, so that it goes when the files are closed.
    open: Arc<()>,
}

impl Store {
    /// Opens the store of a data directory, made if it does not exist, and locks it against
    /// other processes until the last clone is dropped.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::KeyMissing`], [`StoreError::KeyMalformed`],
    /// [`StoreError::NewerSchema`], [`StoreError::ReadOnly`], [`StoreError::DiskFull`],
    /// [`StoreError::Corrupt`], and others as the files fail.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(data_dir).map_err(|error| StoreError::io(data_dir, error))?;
        Self::open_locked(data_dir, Arc::new(DirLock::take(data_dir)?))
    }

    /// As [`open`](Self::open), with a lock that this process has already.
    ///
    /// # Errors
    /// The same, but for [`StoreError::InUse`].
    pub fn open_locked(data_dir: &Path, lock: Arc<DirLock>) -> Result<Self, StoreError> {
        let (writer, sealer) = open::open_writer(data_dir)?;
        let shared = Shared {
            data_dir: data_dir.to_owned(),
            sealer,
            writer: Mutex::new(writer),
            readers: Mutex::default(),
            index: RwLock::default(),
            keys: RwLock::default(),
            nonces: NonceLog::open(data_dir, jiff::Timestamp::now())?,
            watchers: Watchers::new(),
            lock,
            open: Arc::default(),
        };
        let store = Self {
            shared: Arc::new(shared),
        };
        store.read(|reader| {
            let index = InstanceIndex::load(reader)?;
            let keys = KeyCache::load(reader)?;
            *write_guard(&store.shared.index) = index;
            *write_guard(&store.shared.keys) = keys;
            Ok::<_, StoreError>(())
        })?;
        Ok(store)
    }

    /// The lock of the data directory, which may be held for longer than the store is open.
    #[must_use]
    pub fn lock(&self) -> Arc<DirLock> {
        Arc::clone(&self.shared.lock)
    }

    /// Sees whether it is still open.
    #[must_use]
    pub fn downgrade(&self) -> WeakStore {
        WeakStore {
            shared: Arc::downgrade(&self.shared),
            open: Arc::downgrade(&self.shared.open),
        }
    }

    /// Runs a read transaction on this thread: what `read` sees is one state of the store.
    /// It takes tens of microseconds and never waits for a writer.
    ///
    /// # Errors
    /// Those of `read`, and [`StoreError`] when the store fails.
    ///
    /// # Panics
    /// When called within another transaction.
    pub fn read<T, E: From<StoreError>>(
        &self,
        read: impl FnOnce(&Reader<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let _alone = OneTransaction::begin();
        let idle = lock_guard(&self.shared.readers).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open::open_reader(&self.shared.data_dir)?,
        };
        let transaction = Transaction::begin(&connection, "BEGIN DEFERRED")?;
        let value = read(&Reader::new(&connection, &self.shared));
        drop(transaction);
        lock_guard(&self.shared.readers).push(connection);
        value
    }

    /// Runs the write transaction: when `write` succeeds its changes are on disk, in memory and
    /// announced before this returns; when it fails nothing happened. It waits for the disk,
    /// so on a worker of a multi-threaded runtime the other tasks are handed to another one
    /// first.
    ///
    /// # Errors
    /// Those of `write`, and [`StoreError`] when the store fails.
    ///
    /// # Panics
    /// When called within another transaction.
    pub fn write<T, E: From<StoreError>>(
        &self,
        write: impl FnOnce(&Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let transaction = || {
            let _alone = OneTransaction::begin();
            self.transact(write)
        };
        let on_worker = Handle::try_current()
            .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
        let (value, topics, after_commit) = if on_worker {
            tokio::task::block_in_place(transaction)
        } else {
            transaction()
        }?;
        // First the actions: whoever is woken finds what they do done.
        for action in after_commit {
            action();
        }
        self.shared.watchers.notify(&topics);
        Ok(value)
    }

    /// The transaction of [`write`](Self::write) and the memory that follows it, under the
    /// writer's lock so that memory changes in the order of commits.
    fn transact<T, E: From<StoreError>>(
        &self,
        write: impl FnOnce(&Writer<'_>) -> Result<T, E>,
    ) -> Result<(T, BTreeSet<Topic>, Vec<AfterCommit>), E> {
        let connection = lock_guard(&self.shared.writer);
        let begun = Instant::now();
        let transaction = Transaction::begin(&connection, "BEGIN IMMEDIATE")?;
        let writer = Writer::new(&connection, &self.shared);
        let value = write(&writer)?;
        let instances = writer.refreshed_instances()?;
        let keys = writer.refreshed_keys()?;
        transaction.commit()?;
        if !instances.is_empty() {
            write_guard(&self.shared.index).apply(instances);
        }
        let after_commit = writer.take_after_commit();
        let touched = writer.touched.take();
        if touched.topics.contains(&Topic::AccessKeys) {
            write_guard(&self.shared.keys).apply(keys);
        }
        let elapsed = begun.elapsed();
        if elapsed > LONG_WRITE {
            tracing::warn!(?elapsed, topics = ?touched.topics, "a write transaction took long");
        }
        Ok((value, touched.topics, after_commit))
    }

    /// The instances in memory.
    pub(crate) fn index(&self) -> RwLockReadGuard<'_, InstanceIndex> {
        self.shared.index()
    }

    /// The access key of that id, from memory. The caller checks status and expiry.
    #[must_use]
    pub fn access_key(&self, id: &str) -> Option<Arc<AccessKey>> {
        read_guard(&self.shared.keys).key(id)
    }

    /// The policies of a sub-user, by name, from memory. The same `Arc` comes back until they
    /// change, so that what was derived from it can be kept with it.
    #[must_use]
    pub fn policies(&self, account_id: AccountId, user_name: &str) -> Arc<Vec<PolicyAttachment>> {
        read_guard(&self.shared.keys).policies(account_id, user_name)
    }

    /// The nonces of recent calls.
    #[must_use]
    pub fn nonces(&self) -> &NonceLog {
        &self.shared.nonces
    }

    /// A counter that every commit raises that changed rows of the topic.
    #[must_use]
    pub fn watch(&self, topic: Topic) -> watch::Receiver<u64> {
        self.shared.watchers.subscribe(topic)
    }

    /// A secret of 43 characters out of `0-9a-zA-Z_-` that follows from the store's key and the
    /// purpose: always the same in this installation, another one in every other.
    #[must_use]
    pub fn derive_secret(&self, purpose: &str) -> Secret {
        Secret::new(URL_SAFE_NO_PAD.encode(self.shared.sealer.derive(purpose)))
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.shared.data_dir
    }

    /// Lets the database grow no further than it is, as on a full disk.
    #[cfg(test)]
    pub(crate) fn fill_disk(&self) {
        let connection = lock_guard(&self.shared.writer);
        connection
            .pragma_update(None, "max_page_count", 1)
            .expect("a limit below the size means the size");
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("data_dir", &self.shared.data_dir)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// The instances in memory, as the last commit left them.
    pub(crate) fn index(&self) -> RwLockReadGuard<'_, InstanceIndex> {
        read_guard(&self.index)
    }
}

/// A transaction on a connection; rolled back unless committed.
struct Transaction<'c>(&'c Connection);

impl<'c> Transaction<'c> {
    fn begin(connection: &'c Connection, begin: &str) -> Result<Self, StoreError> {
        connection.prepare_cached(begin)?.execute([])?;
        Ok(Self(connection))
    }

    fn commit(self) -> Result<(), StoreError> {
        self.0.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.0.is_autocommit() {
            return;
        }
        let ended = self
            .0
            .prepare_cached("ROLLBACK")
            .map(|mut rollback| rollback.execute([]));
        if let Err(error) | Ok(Err(error)) = ended {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

/// Marks that this thread is in a transaction: a second one would wait for the first for ever,
/// or see another state of the store.
struct OneTransaction;

thread_local! {
    static IN_TRANSACTION: Cell<bool> = const { Cell::new(false) };
}

impl OneTransaction {
    fn begin() -> Self {
        assert!(
            !IN_TRANSACTION.replace(true),
            "a store transaction was begun within another one"
        );
        Self
    }
}

impl Drop for OneTransaction {
    fn drop(&mut self) {
        IN_TRANSACTION.set(false);
    }
}

// A panic in a transaction rolls it back and leaves nothing half done: a poisoned lock guards
// sound data.

fn lock_guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_guard<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write_guard<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::Tenant;

    fn open() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        (directory, store)
    }

    fn tenant(number: u64) -> Tenant {
        Tenant {
            account_id: AccountId::from_number(number),
            name: format!("tenant {number} {}", "x".repeat(4_000)),
            balance_cents: 0,
            real_name_verified: false,
            finance: false,
            instance_quota: None,
            database_quota: None,
            account_quota: None,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn count(store: &Store) -> usize {
        let tenants: Result<_, StoreError> = store.read(|reader| reader.tenants());
        tenants.unwrap().len()
    }

    #[test]
    fn a_full_disk_is_told_and_nothing_is_half_done() {
        let (_directory, store) = open();
        store
            .write(|writer| writer.insert_tenant(&tenant(1)))
            .unwrap();
        store.fill_disk();
        let failed = store.write(|writer| {
            for number in 2..500 {
                writer.insert_tenant(&tenant(number))?;
            }
            Ok::<_, StoreError>(())
        });
        assert!(matches!(failed, Err(StoreError::DiskFull)), "{failed:?}");
        assert_eq!(count(&store), 1);
    }

    #[test]
    fn after_an_error_that_ended_the_transaction_nothing_is_committed_alone() {
        let (_directory, store) = open();
        let failed = store.write(|writer| {
            writer.insert_tenant(&tenant(1))?;
            // SQLite itself rolls back like this on some errors.
            writer.execute("ROLLBACK", [])?;
            writer.insert_tenant(&tenant(2))
        });
        assert!(failed.is_err());
        assert_eq!(count(&store), 0);
    }

    #[test]
    fn a_failed_or_panicked_transaction_changes_nothing_and_runs_no_action() {
        let (_directory, store) = open();
        let topic = store.watch(Topic::AccessKeys);
        let failed = store.write(|writer| {
            writer.insert_tenant(&tenant(1))?;
            writer.after_commit(|| panic!("was not committed"));
            Err::<(), _>(StoreError::ReadOnly)
        });
        assert!(matches!(failed, Err(StoreError::ReadOnly)));
        let panicked = std::panic::catch_unwind(|| {
            store.write(|writer| {
                writer.insert_tenant(&tenant(1))?;
                panic!("in a transaction");
                #[allow(unreachable_code)]
                Ok::<_, StoreError>(())
            })
        });
        assert!(panicked.is_err());
        assert_eq!(count(&store), 0);
        assert!(!topic.has_changed().unwrap());
        store
            .write(|writer| writer.insert_tenant(&tenant(1)))
            .unwrap();
        assert_eq!(count(&store), 1);
    }

    #[test]
    fn actions_run_after_the_commit_and_may_use_the_store() {
        let (_directory, store) = open();
        let (sender, receiver) = std::sync::mpsc::channel();
        let inner = store.clone();
        store
            .write(|writer| {
                writer.after_commit(move || sender.send(count(&inner)).unwrap());
                writer.insert_tenant(&tenant(1))
            })
            .unwrap();
        assert_eq!(receiver.try_recv(), Ok(1));
    }

    #[test]
    fn who_waits_for_a_change_is_woken_when_the_actions_are_done() {
        let (_directory, store) = open();
        let topic = store.watch(Topic::Tasks);
        let (sender, receiver) = std::sync::mpsc::channel();
        let (inner, seen) = (store.clone(), topic.clone());
        store
            .write(|writer| {
                writer.after_commit(move || {
                    sender.send(seen.has_changed().unwrap()).unwrap();
                    // An action's own transaction wakes others by itself.
                    inner
                        .write(|writer| writer.insert_tenant(&tenant(2)))
                        .unwrap();
                });
                writer.touch(Topic::Tasks);
                writer.insert_tenant(&tenant(1))
            })
            .unwrap();
        assert_eq!(receiver.try_recv(), Ok(false));
        assert!(topic.has_changed().unwrap());
        assert_eq!(count(&store), 2);
    }

    #[test]
    #[should_panic(expected = "within another one")]
    fn a_transaction_within_another_is_refused() {
        let (_directory, store) = open();
        let _ = store.read(|_| store.write(|writer| writer.insert_tenant(&tenant(1))));
    }

    #[test]
    fn a_reader_sees_one_state_while_others_write() {
        let (_directory, store) = open();
        store
            .read(|reader| {
                assert_eq!(reader.tenants()?.len(), 0);
                std::thread::scope(|scope| {
                    scope
                        .spawn(|| store.write(|writer| writer.insert_tenant(&tenant(1))))
                        .join()
                        .unwrap()
                })?;
                assert_eq!(reader.tenants()?.len(), 0);
                Ok::<_, StoreError>(())
            })
            .unwrap();
        assert_eq!(count(&store), 1);
    }

    #[test]
    fn derived_secrets_depend_on_key_and_purpose_alone() {
        let (directory, store) = open();
        let secret = store.derive_secret("node admin");
        assert_eq!(secret.expose().len(), 43);
        assert_ne!(secret, store.derive_secret("other"));
        drop(store);
        let again = Store::open(directory.path()).unwrap();
        assert_eq!(secret, again.derive_secret("node admin"));
        let (_other_directory, other) = open();
        assert_ne!(secret, other.derive_secret("node admin"));
    }
}
