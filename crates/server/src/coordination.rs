//! The coordinators of instances with several nodes, as a part of the service: they stay when its
//! plane is stopped, as the gateway does.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use openpeta_control::{HeldWork, NodeAccess, PartitionUse};
use openpeta_coordinator::{
    CoordinatorError, Coordinators, CoordinatorsConfig, PartitionHeat, StandStillError,
};
use openpeta_gateway::{LocalNodes, LocalService};
use openpeta_types::route::InstanceRoute;
use openpeta_types::{DbName, InstanceId};
use tokio::runtime::Handle;

/// How long what is half done on the nodes of an instance may take to come to its end.
const LEAVING: Duration = Duration::from_secs(20);

/// Below the data directory: the sockets, and what coordinators must not lose.
const DIRECTORY: &str = "coordinator";

/// The coordinators, once it is known how nodes are reached.
pub(crate) struct Coordination {
    directory: PathBuf,
    coordinators: OnceLock<Coordinators>,
    /// Sessions run here, whichever thread publishes a route.
    runtime: Handle,
}

impl LocalNodes for Coordination {
    fn serve(&self, instance: &InstanceId) -> Option<LocalService> {
        self.coordinators.get()?.local(instance)
    }
}

impl Coordination {
    /// Below that data directory. To be called within the runtime of the service.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self {
            directory: data_dir.join(DIRECTORY),
            coordinators: OnceLock::new(),
            runtime: Handle::current(),
        }
    }

    /// Where the sockets are.
    pub(crate) fn sockets(&self) -> &Path {
        &self.directory
    }

    /// Opens them, unless they are.
    ///
    /// # Errors
    /// [`CoordinatorError`].
    pub(crate) fn open(&self, access: NodeAccess) -> Result<(), CoordinatorError> {
        if self.coordinators.get().is_none() {
            let opened = Coordinators::open(CoordinatorsConfig {
                directory: self.directory.clone(),
                admin_account: access.account.to_owned(),
                admin_password: access.password,
                server_version: access.server_version,
                definer_password: access.definer_password,
            })?;
            // Another thread may have been first; theirs are as good.
            let _ = self.coordinators.set(opened);
        }
        Ok(())
    }

    /// Serves an instance by a route that says how its rows are spread.
    ///
    /// # Errors
    /// [`CoordinatorError`].
    pub(crate) fn publish(&self, route: &InstanceRoute) -> Result<(), CoordinatorError> {
        let _runtime = self.runtime.enter();
        let Some(coordinators) = self.coordinators.get() else {
            return Err(CoordinatorError::NotSharded(route.instance_id.clone()));
        };
        coordinators.publish(&Arc::new(route.clone()))
    }

    /// Does something while nothing is half done over the nodes of a database.
    ///
    /// # Errors
    /// [`StandStillError`].
    pub(crate) async fn stand_still(
        &self,
        instance: &InstanceId,
        database: &DbName,
        limit: Duration,
        work: impl Future<Output = ()>,
    ) -> Result<(), StandStillError> {
        let coordinators = self.coordinators.get().ok_or(StandStillError::NotServed)?;
        coordinators
            .stand_still(instance, database.as_str(), limit, work)
            .await
    }

    /// Takes note of a route for sessions from before a hand-over.
    pub(crate) fn update(&self, route: &InstanceRoute) {
        if let Some(coordinators) = self.coordinators.get() {
            coordinators.update(&Arc::new(route.clone()));
        }
    }

    /// Lets nobody in to an instance any more.
    pub(crate) fn withdraw(&self, instance: &InstanceId) {
        if let Some(coordinators) = self.coordinators.get() {
            coordinators.withdraw(instance);
        }
        // One of a process that was killed.
        let _ = std::fs::remove_file(self.directory.join(format!("{instance}.sock")));
    }

    /// Keeps nothing of an instance whose nodes are gone.
    pub(crate) fn forget(&self, instance: &InstanceId) {
        self.withdraw(instance);
        if let Some(coordinators) = self.coordinators.get()
            && let Err(error) = coordinators.forget(instance)
        {
            tracing::warn!(%instance, error = &error as &dyn std::error::Error, "files of an instance that is gone are left");
        }
    }

    /// Brings all that is half done on an instance's nodes to its end, and lets nobody begin anything more.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn leave(&self, route: InstanceRoute) -> Result<(), String> {
        let Some(coordinators) = self.coordinators.get() else {
            return Err("there is no coordinator".to_owned());
        };
        let left = coordinators.leave(&Arc::new(route), LEAVING).await;
        left.map_err(|error| error.to_string())
    }

    /// Whether tables of an instance are being defined.
    pub(crate) async fn is_defining(&self, instance: &InstanceId) -> bool {
        match self.coordinators.get() {
            Some(coordinators) => coordinators.is_defining(instance).await.unwrap_or(true),
            None => true,
        }
    }

    /// How much each partition of a database is used.
    pub(crate) fn partition_use(
        &self,
        instance: &InstanceId,
        database: &DbName,
    ) -> Option<Vec<PartitionUse>> {
        let coordinators = self.coordinators.get()?;
        let told = coordinators.heat(instance, database.as_str())?;
        let of = |its: PartitionHeat| PartitionUse {
            reads: its.total.reads,
            writes: its.total.writes,
            rows_read: its.total.rows_read,
            rows_written: its.total.rows_written,
            reads_per_second: its.rate.reads,
            writes_per_second: its.rate.writes,
            rows_read_per_second: its.rate.rows_read,
            rows_written_per_second: its.rate.rows_written,
        };
        Some(told.into_iter().map(of).collect())
    }

    /// Changes which tables an instance has past its coordinator.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn redefine(
        &self,
        instance: &InstanceId,
        work: HeldWork<'_>,
    ) -> Result<(), String> {
        let Some(coordinators) = self.coordinators.get() else {
            return Err("there is no coordinator".to_owned());
        };
        let redefined = coordinators.redefine(instance, work).await;
        redefined.map_err(|error| error.to_string())
    }

    /// Does something while nobody uses the distributed tables of an instance.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn hold(
        &self,
        instance: &InstanceId,
        patience: Duration,
        called: bool,
        work: HeldWork<'_>,
    ) -> Result<(), String> {
        let Some(coordinators) = self.coordinators.get() else {
            return Err("there is no coordinator".to_owned());
        };
        let held = coordinators.hold(instance, patience, called, work).await;
        held.map_err(|error| error.to_string())
    }

    /// Takes the sockets back from a process that did not take over in the end.
    ///
    /// # Errors
    /// [`CoordinatorError`].
    pub(crate) fn listen_anew(&self) -> Result<(), CoordinatorError> {
        let _runtime = self.runtime.enter();
        let coordinators = self.coordinators.get();
        coordinators.map_or(Ok(()), Coordinators::listen_anew)
    }
}
