//! Final sets that could not be brought to the bucket when their databases went: they lie on this host, and
//! are brought there as soon as it takes them.
//!
//! Which ones wait is told by what is noted of sets in the bucket: whole here, begun there, not whole there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use openpeta_store::{NewEvent, StoreError, Writer};
use openpeta_tasks::StepError;
use openpeta_types::{BackupId, BackupStatus, DbName, EventKind, InstanceId};
use serde_json::json;

use super::{LocalSet, is_of_storage};
use crate::ControlError;
use crate::parts::Parts;

/// Between two looks whether a set that is sent is still wanted.
const LOOK: Duration = Duration::from_secs(1);

/// The sets that wait, each with why it was not taken the last time.
#[derive(Default)]
pub(crate) struct WaitingSets(Mutex<BTreeMap<BackupId, String>>);

impl WaitingSets {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Why a set is not there yet; `None` if it does not wait.
    pub(crate) fn failure(&self, backup_id: BackupId) -> Option<String> {
        self.lock().get(&backup_id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<BackupId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A set that is whole on this host.
struct Whole {
    db_name: DbName,
    manifest_sha256: String,
}

impl Parts {
    /// Brings sets to the bucket that wait for it. What fails is tried again in the next round.
    ///
    /// # Errors
    /// [`ControlError`] when the store or the disk fails.
    pub(crate) async fn send_waiting(self: Arc<Self>) -> Result<(), ControlError> {
        if !self.remote_sets.is_used() {
            return Ok(());
        }
        let begun = self.remote_sets.unfinished();
        let mut waiting = Vec::new();
        for (instance, backup_id) in begun.map_err(ControlError::unavailable)? {
            if let Some(set) = self.whole_set(backup_id)? {
                waiting.push((instance, backup_id, set));
            }
        }
        {
            let mut known = self.remote_sets.waiting.lock();
            let is_one = |id: BackupId| waiting.iter().any(|(_, waits, _)| *waits == id);
            known.retain(|id, _| is_one(*id));
            for (_, backup_id, _) in &waiting {
                known.entry(*backup_id).or_default();
            }
        }
        for (instance, backup_id, set) in waiting {
            match self.send_set(&instance, backup_id, &set).await {
                Ok(is_there) => {
                    self.remote_sets.waiting.lock().remove(&backup_id);
                    if is_there {
                        self.note_stored(&instance, backup_id, &set)?;
                    }
                }
                Err(error) => {
                    let failure = message(error);
                    tracing::warn!(%instance, backup = %backup_id, failure, "a final backup waits for the backup storage");
                    let of_storage = is_of_storage(&failure);
                    self.remote_sets.waiting.lock().insert(backup_id, failure);
                    // What is not reached now is not reached for the others either.
                    if of_storage {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// A set that somebody wants and that is whole: one in the recycle bin, or of a database that is
    /// still there.
    fn whole_set(&self, backup_id: BackupId) -> Result<Option<Whole>, StoreError> {
        self.store.read(|reader| {
            if let Some(set) = reader.recycled_set(backup_id)? {
                return Ok(Some(Whole {
                    db_name: set.db_name,
                    manifest_sha256: set.manifest_sha256,
                }));
            }
            let set = reader.backup_set(backup_id)?;
            let set = set.filter(|set| set.status == BackupStatus::Success);
            Ok(set.and_then(|set| {
                Some(Whole {
                    db_name: set.set.db_name,
                    manifest_sha256: set.outcome.manifest_sha256?,
                })
            }))
        })
    }

    /// Brings a set to the bucket; whether it is there, which it is not if nobody wants it any more.
    async fn send_set(
        &self,
        instance: &InstanceId,
        backup_id: BackupId,
        set: &Whole,
    ) -> Result<bool, StepError> {
        let dir = self.backup_dir(instance, backup_id);
        let sha256 = &set.manifest_sha256;
        let manifest = self.engine.read_manifest(&dir, sha256);
        let manifest = manifest.map_err(crate::workflows::engine_error)?;
        let local = LocalSet {
            instance_id: instance,
            backup_id,
            dir: &dir,
            dump: &manifest.dump,
            manifest_sha256: sha256,
        };
        tokio::select! {
            // The copy here goes when nobody reads it, as one that was fetched.
            sent = self.remote_sets.send_now(local, &|_| {}) => {
                sent?;
                Ok(true)
            }
            gone = self.until_gone(backup_id) => {
                gone?;
                self.destroy_backup(instance, backup_id).await?;
                Ok(false)
            }
        }
    }

    /// Waits until nobody wants a set any more.
    async fn until_gone(&self, backup_id: BackupId) -> Result<(), StoreError> {
        while self.whole_set(backup_id)?.is_some() {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    fn note_stored(
        &self,
        instance: &InstanceId,
        backup_id: BackupId,
        set: &Whole,
    ) -> Result<(), StoreError> {
        tracing::info!(%instance, backup = %backup_id, "a final backup that waited is in the backup storage");
        let db_name = &set.db_name;
        let text = format!("set {backup_id} of database {db_name} is in the bucket now");
        self.store.write(|writer| {
            note(
                writer,
                EventKind::FinalBackupStored,
                instance,
                db_name,
                text,
                backup_id,
            );
            Ok(())
        })
    }

    /// Notes that a final set stays on this host for the time being.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn note_waiting(
        &self,
        instance: &InstanceId,
        backup_id: BackupId,
        db_name: &DbName,
        error: StepError,
    ) -> Result<(), StoreError> {
        let failure = message(error);
        tracing::warn!(%instance, backup = %backup_id, failure, "a final backup stays on this host until the backup storage takes it");
        let text = format!(
            "set {backup_id} of database {db_name} lies on the host until the bucket takes it: {failure}"
        );
        self.remote_sets.waiting.lock().insert(backup_id, failure);
        self.store.write(|writer| {
            note(
                writer,
                EventKind::FinalBackupWaits,
                instance,
                db_name,
                text,
                backup_id,
            );
            Ok(())
        })
    }
}

/// What the operator is told of a failure.
fn message(error: StepError) -> String {
    match error {
        StepError::Permanent { message, .. } | StepError::Refused { message, .. } => message,
        StepError::Transient { cause } => cause.to_string(),
    }
}

fn note(
    writer: &Writer<'_>,
    kind: EventKind,
    instance: &InstanceId,
    db_name: &DbName,
    text: String,
    backup_id: BackupId,
) {
    let details = json!({ "backup_id": backup_id.to_string() });
    let event = NewEvent::new(Timestamp::now(), kind, text).of(Some(instance));
    writer.note_event(&NewEvent {
        db_name: Some(db_name.clone()),
        ..event.with(&details)
    });
}
