//! What a restored host fetches from its bucket: the backup of the control plane itself, the
//! manifests of sets, the archived logs of lost nodes.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use crate::backups::{control_planes, fetch_control_plane};
use crate::parts::Parts;
use crate::{BackupConfig, ControlError};

/// Fetches a backup of a control plane, the newest when none is named, into a directory, decrypted. Blocks. Returns
/// the file.
///
/// # Errors
/// What is wrong, for the operator.
pub fn fetch_backup(
    config: &BackupConfig,
    name: Option<&str>,
    dir: &Path,
) -> Result<PathBuf, String> {
    let bucket = config.bucket()?.ok_or(NO_BUCKET)?;
    let keys = config.keys()?;
    wait_for(async {
        let names = control_planes(&bucket).await;
        let names = names.map_err(|error| error.to_string())?;
        let found = match name {
            Some(name) => names.iter().find(|found| *found == name),
            None => names.last(),
        };
        let found = found.ok_or_else(|| match names.is_empty() {
            true => "there is no backup of a control plane in the bucket".to_owned(),
            false => format!(
                "there is no such backup of a control plane in the bucket, but {}",
                names.join(", ")
            ),
        })?;
        let target = dir.join(found);
        let fetched = fetch_control_plane(&bucket, found, &keys, &target).await;
        fetched.map_err(|error| error.to_string())?;
        Ok(target)
    })?
}

const NO_BUCKET: &str = "the configuration names no bucket (backup.store)";

fn wait_for<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    Ok(runtime.block_on(work))
}

impl Parts {
    /// Fetches what the bucket has, until it was done once.
    pub(crate) async fn fetch_lost_if_due(&self) {
        if !self.is_recovering() || !self.remote_sets.is_used() || self.fetched() == Some(Ok(())) {
            return;
        }
        let fetched = self.fetch_lost().await;
        if let Err(error) = &fetched {
            let context = error.context.as_deref().unwrap_or_default();
            tracing::error!(
                context,
                "not all of what the backup storage has could be fetched; it is tried again"
            );
        }
        let fetched = fetched.map_err(|error| {
            error
                .context
                .unwrap_or_else(|| error.api.message.into_owned())
        });
        *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
    }

    /// Whether that was done; `None` before the first time.
    pub(crate) fn fetched(&self) -> Option<Result<(), String>> {
        let fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        fetched.clone()
    }

    async fn fetch_lost(&self) -> Result<(), ControlError> {
        let dir_of = |instance: &_, backup_id| self.backup_dir(instance, backup_id);
        let found = self.remote_sets.find(&dir_of).await;
        let found = found.map_err(ControlError::unavailable)?;
        self.adopt_sets()?;
        let nodes = self.remote_logs.nodes_in_bucket().await;
        for node in nodes.map_err(ControlError::unavailable)? {
            let row = self.store.read(|reader| reader.node(&node))?;
            // The log of one that is there goes on.
            if row.is_none() || self.engine.has_node(&node) {
                continue;
            }
            let archive = self.log_archive(&node);
            let fetched = self.remote_logs.fetch(&self.engine, &node, &archive);
            let fetched = fetched.await.map_err(ControlError::unavailable)?;
            tracing::info!(%node, files = fetched.files, bytes = fetched.bytes, "an archived binary log is fetched from the backup storage");
        }
        tracing::info!(sets = found, "what the backup storage has is known");
        Ok(())
    }
}
