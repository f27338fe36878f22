//! Steps that all workflows share which load a backup set into a node of their own and compare
//! what came of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openpeta_engine::{Manifest, ReplayRange, ReplayUntil};
use openpeta_tasks::{RetryPolicy, Step, StepError, TaskContext, Workflow};
use openpeta_types::{BackupId, DbName, InstanceId, NodeId};

use super::engine_error;
use super::meter::Meter;
use crate::backups::{LocalSet, Moment, Told};
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

    /// The nodes, by number: as many as the set is of.
    fn nodes(params: &Self::Params) -> Vec<NodeId>;
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

    /// Makes sure that all of its files, and of the sets that it goes on from, are those that were
    /// written.
    pub(super) async fn check<W: Workflow>(
        &self,
        parts: &Parts,
        task: &TaskContext<'_, W>,
    ) -> Result<(), StepError> {
        let mut checked = 0;
        let mut next = Some((self.backup_id, self.manifest_sha256.to_owned()));
        while let Some((backup_id, manifest_sha256)) = next {
            let source = self.of(backup_id, &manifest_sha256);
            source.fetch(parts, task).await?;
            let set = source.path(parts);
            let manifest = parts.engine.check_set(&set, &manifest_sha256).await;
            next = base_of(&manifest.map_err(engine_error)?, checked)?;
            checked += 1;
        }
        Ok(())
    }

    /// The sets that this one goes on from, the first one first, with their data on this host.
    pub(super) async fn bases<W: Workflow>(
        &self,
        parts: &Parts,
        task: &TaskContext<'_, W>,
        manifest: &Manifest,
    ) -> Result<Vec<(PathBuf, Manifest)>, StepError> {
        let mut bases = Vec::new();
        let mut next = base_of(manifest, 0)?;
        while let Some((backup_id, manifest_sha256)) = next {
            let source = self.of(backup_id, &manifest_sha256);
            let manifest = source.fetch(parts, task).await?;
            next = base_of(&manifest, bases.len())?;
            bases.push((source.path(parts), manifest));
        }
        bases.reverse();
        Ok(bases)
    }

    /// Another set of the same database.
    fn of<'s>(&'s self, backup_id: BackupId, manifest_sha256: &'s str) -> SetSource<'s> {
        SetSource {
            backup_id,
            manifest_sha256,
            ..*self
        }
    }
}

/// The most sets that a set goes on from; more is a circle.
const MOST_BASES: usize = 10_000;

/// The set that one goes on from, if it does, and the SHA-256 of its manifest; `before` is how many
/// were found before.
fn base_of(manifest: &Manifest, before: usize) -> Result<Option<(BackupId, String)>, StepError> {
    let damaged = |what: &str| StepError::permanent("The backup set is damaged.", what);
    let physical = manifest.physical.as_ref();
    let Some(base) = physical.and_then(|physical| physical.base.as_ref()) else {
        return Ok(None);
    };
    if before >= MOST_BASES {
        return Err(damaged("its bases have no begin"));
    }
    let backup_id = BackupId::parse(&base.backup_id);
    let backup_id = backup_id.map_err(|_| damaged("its base has no number"))?;
    Ok(Some((backup_id, base.manifest_sha256.clone())))
}

/// Has the node run, whatever happened to it since it was started.
pub(super) async fn start(parts: &Parts, node: &NodeId) -> Result<(), StepError> {
    let started = parts.engine.start_node(node).await;
    started.map(drop).map_err(engine_error)
}

/// Has all of these nodes run.
pub(super) async fn start_all(parts: &Parts, nodes: &[NodeId]) -> Result<(), StepError> {
    for node in nodes {
        start(parts, node).await?;
    }
    Ok(())
}

/// The one node of a set that is of one.
fn only<'n>(nodes: &'n [NodeId], manifest: &Manifest) -> Result<&'n NodeId, StepError> {
    match nodes {
        [node] => Ok(node),
        _ => {
            let cause = format!("{} nodes for {}", nodes.len(), manifest.node_number());
            Err(StepError::permanent("The backup set is damaged.", cause))
        }
    }
}

/// Makes a database anew out of its set.
pub(super) async fn load_set<W: Workflow>(
    parts: &Parts,
    task: &TaskContext<'_, W>,
    source: &SetSource<'_>,
    nodes: &[NodeId],
) -> Result<(), StepError> {
    // It was checked before; what was damaged since is found when the content is compared.
    let manifest = source.fetch(parts, task).await?;
    let meter = Meter::new();
    let name = source.db_name;
    let progress = |done: u64, total: u64, what: &str| {
        meter.tell(task, (done, total), &format!("Loading {what} of {name}"));
    };
    let (engine, set) = (&parts.engine, source.path(parts));
    if manifest.spread.is_some() {
        let loaded = engine.load_spread_set(nodes, name, &set, &manifest, &progress);
        return loaded.await.map_err(engine_error);
    }
    let node = only(nodes, &manifest)?;
    let bases = source.bases(parts, task, &manifest).await?;
    let loaded = engine
        .load_set(node, name, &bases, &set, &manifest, &progress)
        .await;
    loaded.map_err(engine_error)
}

/// Compares what is on the nodes with the set.
pub(super) async fn compare_set<W: Workflow>(
    parts: &Parts,
    task: &TaskContext<'_, W>,
    source: &SetSource<'_>,
    nodes: &[NodeId],
) -> Result<(), StepError> {
    let manifest = source.manifest(parts)?;
    let meter = Meter::new();
    let name = source.db_name;
    let progress = |done: u64, total: u64, what: &str| {
        let what = format!("Comparing table {what} of {name}");
        meter.tell(task, (done, total), &what);
    };
    let engine = &parts.engine;
    let compared = match manifest.spread {
        Some(_) => {
            engine
                .verify_spread_set(nodes, name, &manifest, &progress)
                .await
        }
        None => {
            let node = only(nodes, &manifest)?;
            engine.verify_set(node, name, &manifest, &progress).await
        }
    };
    compared.map_err(engine_error)
}

/// Applies to each of the nodes that a set was loaded into what the log of its source says up to a
/// moment.
pub(super) async fn replay_to_moment<W: Workflow>(
    parts: &Parts,
    task: &TaskContext<'_, W>,
    source: &SetSource<'_>,
    nodes: &[NodeId],
    moment: &Moment,
) -> Result<(), StepError> {
    let manifest = source.manifest(parts)?;
    let name = source.db_name;
    let meter = Meter::new();
    let progress = |done: u64, total: u64, what: &str| {
        meter.tell(task, (done, total), &format!("Applying {what} of {name}"));
    };
    let begins = manifest.binlogs();
    for ((node, from), end) in nodes.iter().zip(&begins).zip(&moment.nodes) {
        let damaged = |what| StepError::permanent("The backup set is damaged.", what);
        let logged = NodeId::parse(&from.node).map_err(|_| damaged("it names no node"))?;
        let until = ReplayUntil::at(end).ok_or_else(|| damaged("a moment has no position"))?;
        let range = ReplayRange {
            archive: &parts.log_archive(&logged),
            from,
            until,
        };
        let replayed = parts.engine.replay_log(node, name, range, &progress);
        let replayed = replayed.await.map_err(engine_error)?;
        tracing::info!(%node, database = %name, groups = replayed.groups, gtid = replayed.gtid, "the binary log is applied");
    }
    Ok(())
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
        let (nodes, source) = (W::nodes(task.params()), W::source(task.params()));
        start_all(parts, &nodes).await?;
        load_set(parts, task, &source, &nodes).await
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
        let (nodes, source) = (W::nodes(task.params()), W::source(task.params()));
        start_all(parts, &nodes).await?;
        compare_set(parts, task, &source, &nodes).await
    }
}
