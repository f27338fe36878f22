//! What incremental sets go on from.

use openpeta_engine::{EngineError, Manifest};
use openpeta_store::{BackupSet, Instance, Reader};
use openpeta_types::{BackupId, BackupMethod, BackupStatus, DbName};

use crate::ControlError;
use crate::parts::Parts;

/// Of how many sets one that can be gone on from is looked for.
const MAX_SETS: u32 = 1_000;

impl Parts {
    /// The set that an incremental backup of a database goes on from now: the newest one of data
    /// files. Else why there is none.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn base_of(
        &self,
        reader: &Reader<'_>,
        instance: &Instance,
        db_name: &DbName,
    ) -> Result<Result<BackupId, String>, ControlError> {
        let is_candidate = |set: &BackupSet| {
            set.set.db_name == *db_name
                && set.set.method == BackupMethod::Physical
                && set.status == BackupStatus::Success
        };
        let sets = reader.backup_sets(Some(&instance.instance_id), MAX_SETS)?;
        let Some(base) = sets.into_iter().find(is_candidate) else {
            return Ok(Err(
                "There is no set of data files to go on from.".to_owned()
            ));
        };
        let base_id = base.backup_id;
        let mut chain = reader.backup_bases(base_id)?;
        chain.insert(0, base);
        Ok(self.check_chain(instance, &chain).map(|()| base_id))
    }

    /// Makes sure that sets, the newest first, lead to what the instance serves now.
    fn check_chain(&self, instance: &Instance, chain: &[BackupSet]) -> Result<(), String> {
        for (index, set) in chain.iter().enumerate() {
            let id = set.backup_id;
            let has_fault = set
                .verification
                .as_ref()
                .is_some_and(|it| it.failure.is_some());
            let is_last = set.set.base_id.is_none();
            if has_fault || (index + 1 == chain.len() && !is_last) {
                return Err(format!("Backup set {id} is damaged."));
            }
        }
        let newest = &chain[0];
        let id = newest.backup_id;
        let directory = self.backup_dir(&instance.instance_id, id);
        let sha256 = newest
            .outcome
            .manifest_sha256
            .as_deref()
            .unwrap_or_default();
        let manifest = self.engine.read_manifest(&directory, sha256);
        let manifest = manifest.map_err(|error| match error {
            EngineError::NoKey { key_id, .. } => {
                format!("Backup set {id} is encrypted with the key {key_id}, which the service does not have.")
            }
            _ => format!("Backup set {id} is damaged."),
        })?;
        self.goes_on_from(instance, &manifest)
            .map_err(|why| format!("Backup set {id} {why}."))
    }

    /// Whether pages that were written since a set can be told by their numbers; else why not, as
    /// the rest of a sentence.
    ///
    /// # Errors
    /// That reason.
    pub(crate) fn goes_on_from(
        &self,
        instance: &Instance,
        manifest: &Manifest,
    ) -> Result<(), &'static str> {
        let node = instance.node_id.as_ref();
        if node.is_none_or(|node| node.as_str() != manifest.binlog.node) {
            return Err("is not of what the instance serves since a switch or a recovery");
        }
        // The server that runs says more of itself than the program: `…-log`.
        if !manifest
            .server_version
            .starts_with(self.engine.server_version())
        {
            return Err("is of another version of the server");
        }
        Ok(())
    }

    /// The base of a backup by policy: none when a full set is due, after so many incremental
    /// ones, or when none can be gone on from.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn base_by_policy(
        &self,
        reader: &Reader<'_>,
        instance: &Instance,
        db_name: &DbName,
    ) -> Result<Option<BackupId>, ControlError> {
        let most = self.config.backup.incrementals as usize;
        if most == 0 || self.config.backup.method() != BackupMethod::Physical {
            return Ok(None);
        }
        match self.base_of(reader, instance, db_name)? {
            Ok(base) if reader.backup_bases(base)?.len() < most => Ok(Some(base)),
            Ok(_) => Ok(None),
            Err(why) => {
                tracing::info!(instance = %instance.instance_id, database = %db_name, why, "a full backup is taken where an incremental one would be due");
                Ok(None)
            }
        }
    }
}
