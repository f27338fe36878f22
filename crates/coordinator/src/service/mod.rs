//! The service: a listener for each instance that has several nodes.

mod changing;
mod deadlock;
mod defining;
mod doubt;
mod heat;
mod hold;
mod ids;
mod instance;
mod intents;
mod leaving;
mod life;
mod locks;
mod passage;
mod recovery;
mod redefine;
mod redistribution;
mod sessions;
mod stand_still;
mod stops;
mod swap;
mod triggers;
mod turnstile;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use openpeta_relay_io::LocalService;
use openpeta_types::route::InstanceRoute;
use openpeta_types::{InstanceId, Secret};
use tokio::net::UnixListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

pub use changing::{Changing, Mark};
pub use defining::Defining;
pub use doubt::Doubt;
pub use heat::{DatabaseHeat, Heat, PartitionHeat, Use, Used};
pub use hold::HoldError;
pub use ids::Ids;
pub use instance::{Instance, View};
pub use intents::{Intent, Written};
pub(crate) use intents::{connect, exists, fingerprint, finish, literal, others, run, texts};
pub use leaving::LeaveError;
pub use life::{Life, LifeError};
pub use locks::{Held, Mode, Owner, TableLocks, Turnstiles};
pub use passage::{Passage, Passages};
pub use redefine::RedefineError;
pub use redistribution::Redistribution;
pub use sessions::{Entry, Running, Sessions};
pub use stand_still::StandStillError;
pub use stops::Stops;
pub use swap::Swap;
pub use turnstile::{Inside, Turnstile};

use crate::node::{Connector, Link};
use crate::session::{self, Roam, Roaming};

/// What the service needs to know.
#[derive(Clone, Debug)]
pub struct CoordinatorsConfig {
    /// Where it keeps what must not be lost: decisions, intents, ranges of ids.
    pub directory: PathBuf,
    /// The account by which it looks after nodes on its own.
    pub admin_account: String,
    /// That account's password.
    pub admin_password: Secret,
    /// The nodes' version, as executable comments give it: 101119 is 10.11.19.
    pub server_version: u32,
    /// The password of an account of the service by which definitions come, out of the administrator's, the
    /// instance and the account; `None` for accounts of users.
    pub definer_password: fn(&Secret, &InstanceId, &str) -> Option<Secret>,
}

/// Why the service cannot do what it is asked for.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The decisions cannot be kept.
    #[error(transparent)]
    Life(#[from] LifeError),
    /// The route names no nodes.
    #[error("the instance {0} has no nodes to coordinate")]
    NotSharded(InstanceId),
}

/// The coordinators of all instances with several nodes.
#[derive(Debug)]
pub struct Coordinators {
    config: Arc<CoordinatorsConfig>,
    served: Mutex<HashMap<InstanceId, Served>>,
    /// All that were served and may have sessions yet.
    all: Mutex<Vec<Weak<Instance>>>,
}

/// An instance that is served.
#[derive(Debug)]
struct Served {
    instance: Arc<Instance>,
    socket: PathBuf,
    listener: JoinHandle<()>,
    /// Where sessions do what takes long.
    runtime: Handle,
    recovery: JoinHandle<()>,
    deadlocks: JoinHandle<()>,
    heat: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.listener.abort();
        self.recovery.abort();
        self.deadlocks.abort();
        self.heat.abort();
    }
}

impl Coordinators {
    /// Opens the service with its directory, which is made if there is none.
    ///
    /// # Errors
    /// [`CoordinatorError::Io`].
    pub fn open(config: CoordinatorsConfig) -> Result<Self, CoordinatorError> {
        let made = std::fs::create_dir_all(&config.directory);
        made.map_err(|source| error("create", &config.directory, source))?;
        Ok(Self {
            config: Arc::new(config),
            served: Mutex::default(),
            all: Mutex::default(),
        })
    }

    /// Serves an instance, or takes note of a route that has changed. It must be called within a
    /// tokio runtime, on which sessions then run.
    ///
    /// # Errors
    /// [`CoordinatorError`] when the socket cannot be made.
    pub fn publish(&self, route: &Arc<InstanceRoute>) -> Result<(), CoordinatorError> {
        let id = &route.instance_id;
        let Some(sharding) = &route.sharding else {
            return Err(CoordinatorError::NotSharded(id.clone()));
        };
        let mut served = self.lock();
        if let Some(found) = served.get(id)
            && found.socket == sharding.coordinator_socket
        {
            found.instance.set_route(route);
            return Ok(());
        }
        let socket = sharding.coordinator_socket.clone();
        let listener = listen(&socket)?;
        let instance = match served.remove(id) {
            Some(found) => Arc::clone(&found.instance),
            None => {
                let instance = Arc::new(Instance::open(Arc::clone(&self.config), route)?);
                self.all().push(Arc::downgrade(&instance));
                instance
            }
        };
        instance.set_route(route);
        let recovery = tokio::spawn(recovery::look_after(Arc::clone(&instance)));
        let deadlocks = tokio::spawn(deadlock::watch(Arc::clone(&instance)));
        let heat = tokio::spawn(heat::watch(Arc::clone(&instance)));
        let listener = tokio::spawn(accept(listener, Arc::clone(&instance)));
        served.insert(
            id.clone(),
            Served {
                instance,
                socket,
                listener,
                runtime: Handle::current(),
                recovery,
                deadlocks,
                heat,
            },
        );
        Ok(())
    }

    /// What serves a session of an instance on one of the gateway's loops, without a socket in between;
    /// `None` if the instance is not served.
    #[must_use]
    pub fn local(&self, id: &InstanceId) -> Option<LocalService> {
        let served = self.lock();
        let found = served.get(id)?;
        let (instance, runtime) = (Arc::clone(&found.instance), found.runtime.clone());
        Some(Box::new(move |stream, sockets| {
            let (link, connector) = (Link::Local(stream), Connector::Loop(sockets));
            let session = |roam| session::serve(instance, link, connector, roam);
            Box::pin(Roaming::new(runtime, session))
        }))
    }

    /// Serves an instance no more: nobody gets in. Sessions that are open stay.
    pub fn withdraw(&self, id: &InstanceId) {
        if let Some(served) = self.lock().remove(id) {
            // Another process may have made it anew; it then has another inode, and is not ours.
            let _ = std::fs::remove_file(&served.socket);
        }
    }

    /// An instance is gone, its nodes and all: its sessions end, and what was written down of its
    /// transactions and definitions concerns nobody any more.
    ///
    /// # Errors
    /// [`CoordinatorError::Io`] when its files cannot be removed.
    pub fn forget(&self, id: &InstanceId) -> Result<(), CoordinatorError> {
        if let Some(served) = self.lock().remove(id) {
            let _ = std::fs::remove_file(&served.socket);
        }
        for instance in self.withdrawn(id) {
            instance.sessions().end_all();
        }
        self.remove_lives(id)
    }

    /// Removes what was written down of an instance's transactions and definitions.
    fn remove_lives(&self, id: &InstanceId) -> Result<(), CoordinatorError> {
        let lives = self.config.directory.join(id.as_str());
        match std::fs::remove_dir_all(&lives) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(error("remove", &lives, source))
            }
            _ => Ok(()),
        }
    }

    /// Takes note of a route that has changed, for sessions that are open here. Another process listens
    /// for new ones.
    pub fn update(&self, route: &Arc<InstanceRoute>) {
        let served = self.lock();
        if let Some(found) = served.get(&route.instance_id)
            && route.sharding.is_some()
        {
            found.instance.set_route(route);
        }
    }

    /// Listens anew for every instance: another process that wanted to take over may have taken the
    /// sockets.
    ///
    /// # Errors
    /// [`CoordinatorError::Io`] when a socket cannot be made.
    pub fn listen_anew(&self) -> Result<(), CoordinatorError> {
        for served in self.lock().values_mut() {
            let listener = listen(&served.socket)?;
            let accepting = accept(listener, Arc::clone(&served.instance));
            std::mem::replace(&mut served.listener, tokio::spawn(accepting)).abort();
        }
        Ok(())
    }

    /// Tables of an instance may have been redefined on its nodes by somebody else.
    pub fn forget_tables(&self, id: &InstanceId) {
        if let Some(served) = self.lock().get(id) {
            served.instance.forget_tables();
        }
    }

    /// Does something while nothing is half done over the nodes of an instance's database, as
    /// [`Instance::stand_still`] does.
    ///
    /// # Errors
    /// [`StandStillError`].
    pub async fn stand_still<T>(
        &self,
        id: &InstanceId,
        database: &str,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, StandStillError> {
        let instance = self
            .lock()
            .get(id)
            .map(|served| Arc::clone(&served.instance));
        let instance = instance.ok_or(StandStillError::NotServed)?;
        instance.stand_still(database, limit, work).await
    }

    /// Does something while nobody uses the distributed tables of an instance, as [`Instance::hold`] does.
    ///
    /// # Errors
    /// [`HoldError`].
    pub async fn hold<T>(
        &self,
        id: &InstanceId,
        patience: Duration,
        called: bool,
        work: impl Future<Output = T>,
    ) -> Result<T, HoldError> {
        let instance = self.get(id).ok_or(HoldError::NotServed)?;
        instance.hold(patience, called, work).await
    }

    /// Changes tables of an instance past its coordinator, as [`Instance::redefine`] does.
    ///
    /// # Errors
    /// [`RedefineError`].
    pub async fn redefine<T>(
        &self,
        id: &InstanceId,
        work: impl Future<Output = T>,
    ) -> Result<T, RedefineError> {
        let instance = self.get(id).ok_or(RedefineError::NotServed)?;
        instance.redefine(work).await
    }

    /// Whether definitions are under way on an instance, as [`Instance::is_defining`] tells it.
    ///
    /// # Errors
    /// [`HoldError::NotServed`].
    pub async fn is_defining(&self, id: &InstanceId) -> Result<bool, HoldError> {
        let instance = self.get(id).ok_or(HoldError::NotServed)?;
        Ok(instance.is_defining().await)
    }

    /// How much each partition of a database is used; `None` if none was, or its instance is not served.
    #[must_use]
    pub fn heat(&self, id: &InstanceId, database: &str) -> Option<Vec<PartitionHeat>> {
        self.get(id)?.heat().told(database, Instant::now())
    }

    /// How many reads of a database were passed on as they came; none if its instance is not served.
    #[must_use]
    pub fn short_reads(&self, id: &InstanceId, database: &str) -> u64 {
        self.get(id).map_or(0, |it| it.heat().short(database).0)
    }

    /// As [`Self::short_reads`], of writes.
    #[must_use]
    pub fn short_writes(&self, id: &InstanceId, database: &str) -> u64 {
        self.get(id).map_or(0, |it| it.heat().short(database).1)
    }

    /// Where tests have definitions of an instance stop.
    #[must_use]
    pub fn stops(&self, id: &InstanceId) -> Option<Arc<Stops>> {
        Some(Arc::clone(self.get(id)?.stops()))
    }

    fn get(&self, id: &InstanceId) -> Option<Arc<Instance>> {
        let served = self.lock();
        served.get(id).map(|served| Arc::clone(&served.instance))
    }

    /// All there is yet of an instance.
    fn withdrawn(&self, id: &InstanceId) -> Vec<Arc<Instance>> {
        let mut all = self.all();
        all.retain(|instance| instance.strong_count() > 0);
        let all = all.iter().filter_map(Weak::upgrade);
        all.filter(|instance| instance.id() == id).collect()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Weak<Instance>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InstanceId, Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listen(socket: &Path) -> Result<UnixListener, CoordinatorError> {
    match std::fs::remove_file(socket) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(error("remove", socket, source));
        }
        _ => {}
    }
    let listener =
        UnixListener::bind(socket).map_err(|source| error("listen on", socket, source))?;
    let only_us = std::fs::Permissions::from_mode(0o600);
    let set = std::fs::set_permissions(socket, only_us);
    set.map_err(|source| error("protect", socket, source))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, instance: Arc<Instance>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let (link, instance) = (Link::Socket(socket), Arc::clone(&instance));
                tokio::spawn(session::serve(
                    instance,
                    link,
                    Connector::Runtime,
                    Roam::default(),
                ));
            }
            Err(error) => {
                // Out of descriptors, most likely: others must end before it gets better.
                tracing::warn!(%error, "a session cannot be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn error(action: &'static str, path: &Path, source: io::Error) -> CoordinatorError {
    CoordinatorError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
