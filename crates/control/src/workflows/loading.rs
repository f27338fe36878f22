//! Steps that all workflows share which load a backup set into a node of their own and compare
//! what came of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openpeta_engine::Manifest;
use openpeta_tasks::{RetryPolicy, Step, StepError, TaskContext, Workflow};
use openpeta_types::{BackupId, DbName, InstanceId, NodeId};

use super::engine_error;
use super::meter::Meter;
use crate::backups::{LocalSet, Told};
use crate::parts::Parts;

/// A load or a comparison that failed for want of the node is begun anew.
pub(super) const RETRY: RetryPolicy = RetryPolicy {
    attempts: 3,
    first_delay: Duration::from_secs(1),
    max_delay: Duration::from_secs(30),
};

/// A workflow that loads a set into a node which nobody else uses.
pub(super) trait LoadsSet: Workflow {
    /// What it acts on.
    fn parts(&self) -> &Arc<Parts>;

    /// The set.
    fn source(params: &Self::Params) -> SetSource<'_>;

    /// The node.
    fn node(params: &Self::Params) -> &NodeId;
}

/// A set and what is known of it.
pub(super) struct SetSource<'a> {
    pub(super) instance_id: &'a InstanceId,
    pub(super) db_name: &'a DbName,
    pub(super) backup_id: BackupId,
    pub(super) manifest_sha256: &'a str,
}

impl SetSource<'_> {
    /// Where the set lies.
    pub(super) fn path(&self, parts: &Parts) -> PathBuf {
        parts.backup_dir(self.instance_id, self.backup_id)
    }

    /// The set's manifest, after a check that it is the one that was written.
    pub(super) fn manifest(&self, parts: &Parts) -> Result<Manifest, StepError> {
        let manifest = parts
            .engine
            .read_manifest(&self.path(parts), self.manifest_sha256);
        manifest.map_err(engine_error)
    }

    /// Has the data on this host. What is fetched is checked on its way; returns the manifest.
    pub(super) async fn fetch<W: Workflow>(
        &self,
        parts: &Parts,
        task: &TaskContext<'_, W>,
    ) -> Result<Manifest, StepError> {
        let manifest = self.manifest(parts)?;
        let local = LocalSet {
            instance_id: self.instance_id,
            backup_id: self.backup_id,
            dir: &self.path(parts),
            dump: &manifest.dump,
            manifest_sha256: self.manifest_sha256,
        };
        let meter = Meter::new();
        let progress = |told: Told| meter.tell_of_storage(task, told, "Fetching the backup set");
        parts.remote_sets.fetch(local, &progress).await?;
        Ok(manifest)
    }

    /// Makes sure that all of its files are those that were written.
    pub(super) async fn check<W: Workflow>(
        &self,
        parts: &Parts,
        task: &TaskContext<'_, W>,
    ) -> Result<(), StepError> {
        self.fetch(parts, task).await?;
        let set = self.path(parts);
        let checked = parts.engine.check_set(&set, self.manifest_sha256);
        checked.await.map(drop).map_err(engine_error)
    }
}

/// Has the node run, whatever happened to it since it was started.
pub(super) async fn start(parts: &Parts, node: &NodeId) -> Result<(), StepError> {
    let started = parts.engine.start_node(node).await;
    started.map(drop).map_err(engine_error)
}

/// Makes the database anew out of the set.
pub(super) async fn load<W: LoadsSet>(
    parts: &Parts,
    task: &TaskContext<'_, W>,
) -> Result<(), StepError> {
    // It was checked before; what was damaged since is found when the content is compared.
    let manifest = W::source(task.params()).fetch(parts, task).await?;
    let meter = Meter::new();
    let progress = |done: u64, total: u64, what: &str| {
        meter.tell(task, (done, total), &format!("Loading {what}"));
    };
    let (node, source) = (W::node(task.params()), W::source(task.params()));
    let set = source.path(parts);
    let loaded = parts
        .engine
        .load_set(node, source.db_name, &set, &manifest, &progress)
        .await;
    loaded.map_err(engine_error)
}

/// Compares what is on the node with the set.
pub(super) async fn compare<W: LoadsSet>(
    parts: &Parts,
    task: &TaskContext<'_, W>,
    manifest: &Manifest,
) -> Result<(), StepError> {
    let meter = Meter::new();
    let progress = |done: u64, total: u64, what: &str| {
        meter.tell(task, (done, total), &format!("Comparing table {what}"));
    };
    let (node, source) = (W::node(task.params()), W::source(task.params()));
    let compared = parts
        .engine
        .verify_set(node, source.db_name, manifest, &progress)
        .await;
    compared.map_err(engine_error)
}

/// The files of the set are those that were written.
pub(super) struct CheckSet;

#[async_trait]
impl<W: LoadsSet> Step<W> for CheckSet {
    const NAME: &'static str = "check-set";
    const TITLE: &'static str = "Checking the backup set";
    const IS_INTERRUPTIBLE: bool = true;
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let source = W::source(task.params());
        source.check(workflow.parts(), task).await
    }
}

/// The database is on the node. It goes with the node.
pub(super) struct LoadSet;

#[async_trait]
impl<W: LoadsSet> Step<W> for LoadSet {
    const NAME: &'static str = "load-set";
    const TITLE: &'static str = "Loading the backup set";
    const WEIGHT: u32 = 20;
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let parts = workflow.parts();
        start(parts, W::node(task.params())).await?;
        load(parts, task).await
    }
}

/// What is on the node is what the manifest says, to the last row.
pub(super) struct CompareContent;

#[async_trait]
impl<W: LoadsSet> Step<W> for CompareContent {
    const NAME: &'static str = "compare-content";
    const TITLE: &'static str = "Comparing the content with the backup set";
    const WEIGHT: u32 = 10;
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let parts = workflow.parts();
        start(parts, W::node(task.params())).await?;
        let manifest = W::source(task.params()).manifest(parts)?;
        compare(parts, task, &manifest).await
    }
}
