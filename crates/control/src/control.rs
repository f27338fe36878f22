//! The control plane as a whole: how it starts and stops, and what its functions hang on.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use openpeta_engine::{Engine, EngineConfig};
use openpeta_store::{NewEvent, Store, Task, Writer};
use openpeta_tasks::{NewTask, NoObserver, Observer, Tasks, TasksConfig, Workflow};
use openpeta_types::{DbName, EventKind, InstanceId, TaskId};
use tokio::task::JoinSet;

use crate::billing::PriceList;
use crate::gateway::PartitionUse;
use crate::parts::Parts;
use crate::ram::PolicyCache;
use crate::sampling::Samples;
use crate::{
    ControlConfig, ControlError, DataDir, DefaultTenant, Gateway, MutatingCall, NodeAccess,
    bootstrap, events, reconcilers, workflows,
};

/// How long the end of the service waits for steps of tasks.
const STEP_PATIENCE: Duration = Duration::from_secs(30);

/// The control plane. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Control {
    pub(crate) parts: Arc<Parts>,
    pub(crate) policies: Arc<PolicyCache>,
    tasks: Tasks,
    reconcilers: Arc<Mutex<JoinSet<()>>>,
}

/// A control plane that has not begun to change anything by itself.
pub struct Prepared {
    parts: Arc<Parts>,
}

impl Prepared {
    /// Goes on with the tasks that were under way, and starts the reconcilers. The observer is
    /// told what tasks do.
    ///
    /// # Errors
    /// [`ControlError`] when a test's fail point makes no sense.
    pub fn begin(self, observer: Arc<dyn Observer>) -> Result<Control, ControlError> {
        let parts = self.parts;
        let tasks_config = TasksConfig {
            observer,
            ..tasks_config()?
        };
        let tasks = Tasks::start(parts.store.clone(), workflows::all(&parts), tasks_config);
        let reconcilers = reconcilers::start(&parts);
        Ok(Control {
            parts,
            policies: Arc::default(),
            tasks,
            reconcilers: Arc::new(Mutex::new(reconcilers)),
        })
    }
}

impl Control {
    /// Starts the control plane: prepares the template of nodes, makes the default tenant,
    /// opens endpoints, adopts nodes, and goes on with the tasks that were under way.
    ///
    /// # Errors
    /// [`ControlError`] whose context tells the operator what is missing: the MariaDB
    /// programs, rights on the data directory, …
    pub async fn start(
        config: ControlConfig,
        data_dir: &DataDir,
        store: Store,
        gateway: Arc<dyn Gateway>,
    ) -> Result<(Self, DefaultTenant), ControlError> {
        let (prepared, tenant) = Self::prepare(config, data_dir, store, gateway).await?;
        Ok((prepared.begin(Arc::new(NoObserver))?, tenant))
    }

    /// The first half of [`start`](Self::start): all that must be done before clients come. Neither
    /// tasks nor reconcilers run yet.
    ///
    /// # Errors
    /// The same.
    pub async fn prepare(
        config: ControlConfig,
        data_dir: &DataDir,
        store: Store,
        gateway: Arc<dyn Gateway>,
    ) -> Result<(Prepared, DefaultTenant), ControlError> {
        let prices = PriceList::load(&config.billing, &config.node_specs);
        let prices = prices.map_err(ControlError::internal)?;
        let engine = open_engine(&config, data_dir, &store).await?;
        let access = NodeAccess {
            account: openpeta_engine::ADMIN_ACCOUNT,
            password: store.derive_secret("node admin"),
            server_version: engine.server_version_number(),
            definer_password: openpeta_engine::definer_password,
        };
        let prepared = gateway.prepare_coordinator(access);
        prepared.map_err(ControlError::internal)?;
        let tenant = bootstrap::bootstrap(&store, &config.network, Timestamp::now())?;
        let samples = Samples::open(&data_dir.samples(), &config.monitoring);
        let remote_sets = Parts::remote_sets(&config.backup, data_dir.path());
        let remote_sets = remote_sets.map_err(ControlError::internal)?;
        let remote_logs = Parts::remote_logs(&config.backup, data_dir.path());
        let remote_logs = remote_logs.map_err(ControlError::internal)?;
        let parts = Arc::new(Parts {
            config,
            prices,
            store,
            engine,
            gateway,
            publishing: Mutex::default(),
            opening: Mutex::default(),
            samples,
            log_archives: Default::default(),
            last_moments: Default::default(),
            remote_sets,
            remote_logs,
            fetched: Mutex::default(),
            events: Default::default(),
            delivery_counts: Default::default(),
            control_plane_backup: Default::default(),
            nodes_changed: tokio::sync::watch::Sender::new(()),
        });
        parts.events.record(NewEvent::new(
            Timestamp::now(),
            EventKind::ServiceStarted,
            "the service has started",
        ));
        if parts.is_recovering() {
            parts.adopt_sets()?;
        }
        reconcilers::first_round(&parts)?;
        Ok((Prepared { parts }, tenant))
    }

    /// Over these parts, with nobody to run tasks or reconcilers.
    #[cfg(test)]
    pub(crate) fn without_workers(parts: &Arc<Parts>) -> Self {
        let config = TasksConfig {
            max_running: 0,
            max_long: 0,
            ..TasksConfig::default()
        };
        Self {
            parts: Arc::clone(parts),
            policies: Arc::default(),
            tasks: Tasks::start(parts.store.clone(), workflows::all(parts), config),
            reconcilers: Arc::default(),
        }
    }

    /// Stops reconcilers and tasks, the latter between two steps if the one that runs ends soon.
    /// One that does not is cut off as a crash would, and run again by the next start. Nodes
    /// keep running.
    pub async fn shutdown(&self) {
        self.reconcilers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .abort_all();
        self.parts.samples.flush();
        self.flush_events();
        let between_steps = tokio::time::timeout(STEP_PATIENCE, self.tasks.shutdown()).await;
        if between_steps.is_err() {
            tracing::warn!(
                "steps of tasks that take long are cut off; the next start runs them again"
            );
            self.tasks.kill().await;
        }
    }

    /// The way to the list of events, for what lives longer than the control plane.
    #[must_use]
    pub fn event_recorder(&self) -> EventRecorder {
        EventRecorder(Arc::downgrade(&self.parts))
    }

    /// Writes the last events, when the service ends.
    fn flush_events(&self) {
        events::collect(&self.parts, Timestamp::now());
        let kind = EventKind::ServiceStopped;
        self.event_recorder()
            .record(kind, "the service stops", &serde_json::json!({}));
        if let Err(error) = self.parts.events.write(&self.parts.store) {
            tracing::warn!(%error, "the last events could not be written");
        }
    }

    /// The store, for what the server needs of it: access keys and nonces.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// How much each partition of a database over several nodes is used, as
    /// [`Gateway::partition_use`](crate::Gateway::partition_use) tells it.
    #[must_use]
    pub fn partition_use(&self, id: &InstanceId, db_name: &DbName) -> Option<Vec<PartitionUse>> {
        self.parts.gateway.partition_use(id, db_name)
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Adds a task for what a call decided, in the call's transaction.
    pub(crate) fn enqueue<W: Workflow>(
        &self,
        writer: &Writer<'_>,
        call: &MutatingCall,
        instance: &InstanceId,
        db_name: Option<DbName>,
        params: W::Params,
    ) -> Result<TaskId, ControlError> {
        let task = NewTask::<W> {
            account_id: call.caller.account_id,
            instance_id: Some(instance.clone()),
            db_name,
            action: call.action.spec().name,
            params,
            trace: call.caller.trace,
        };
        Ok(Tasks::enqueue(writer, &task)?)
    }

    /// Waits for a task to end, but not for long; what it does goes on by itself. `None` while
    /// it has not ended.
    pub(crate) async fn wait_for_task(&self, task: TaskId, patience: Duration) -> Option<Task> {
        let ended = tokio::time::timeout(patience, self.tasks.wait(task)).await;
        ended.ok()?.ok()
    }
}

/// Records events about the service as a whole, as long as the control plane is there.
#[derive(Clone)]
pub struct EventRecorder(Weak<Parts>);

impl EventRecorder {
    /// Has an event written. It never fails or waits.
    pub fn record(&self, kind: EventKind, text: &str, details: &serde_json::Value) {
        if let Some(parts) = self.0.upgrade() {
            let event = NewEvent::new(Timestamp::now(), kind, text);
            parts.events.record(event.with(details));
        }
    }
}

/// How tasks run: as usual, or with the fail point that a test of the whole program set in
/// the environment (debug builds only).
fn tasks_config() -> Result<TasksConfig, ControlError> {
    let config = TasksConfig::default();
    #[cfg(debug_assertions)]
    if let Some(fail_point) =
        openpeta_tasks::FailPoint::from_env().map_err(ControlError::internal)?
    {
        return Ok(TasksConfig {
            hooks: Arc::new(fail_point),
            ..config
        });
    }
    Ok(config)
}

async fn open_engine(
    config: &ControlConfig,
    data_dir: &DataDir,
    store: &Store,
) -> Result<Engine, ControlError> {
    let nodes = &config.nodes;
    let mut settings = EngineConfig::new(data_dir.path(), store.derive_secret("node admin"));
    settings.mariadbd.clone_from(&nodes.mariadbd);
    settings.install_db.clone_from(&nodes.install_db);
    settings.node_user = settings.node_user.map(|_| nodes.user.clone());
    settings.start_timeout = nodes.start_timeout();
    settings.backup_bytes_per_second = NonZeroU64::new(config.backup.max_bytes_per_second);
    settings.backup_floor_bytes_per_second = config.backup.floor();
    settings.backup_keys = config.backup.keys().map_err(ControlError::internal)?;
    if let Some(key_id) = settings.backup_keys.current_id() {
        tracing::info!(key_id, readable = ?settings.backup_keys, "backups are encrypted");
    }
    let engine = Engine::open(settings)
        .await
        .map_err(ControlError::internal)?;
    engine
        .prepare_template()
        .await
        .map_err(ControlError::internal)?;
    Ok(engine)
}
