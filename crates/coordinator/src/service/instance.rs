//! What the sessions of an instance share.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openpeta_mysql_wire::ErrPacket;
use openpeta_sql_route::Dialect;
use openpeta_types::route::InstanceRoute;
use openpeta_types::{InstanceId, Secret};

use super::CoordinatorsConfig;
use crate::Topology;
use crate::catalogue::{self, Catalogue, LoadError};
use crate::node::{NodeConnection, NodeError, NodeLogin};

/// An instance with several nodes.
#[derive(Debug)]
pub struct Instance {
    config: Arc<CoordinatorsConfig>,
    id: InstanceId,
    route: Mutex<Arc<InstanceRoute>>,
    topology: Mutex<Arc<Topology>>,
    catalogue: Mutex<Known>,
    /// Only one session reads the catalogue at a time.
    loading: tokio::sync::Mutex<()>,
}

/// The catalogue, if it is known.
#[derive(Debug, Default)]
struct Known {
    catalogue: Option<Arc<Catalogue>>,
    /// How often it was forgotten: what was read before that is not kept.
    forgotten: u64,
}

impl Instance {
    pub(super) fn new(config: Arc<CoordinatorsConfig>, route: &Arc<InstanceRoute>) -> Self {
        Self {
            config,
            id: route.instance_id.clone(),
            topology: Mutex::new(Arc::new(topology(route))),
            route: Mutex::new(Arc::clone(route)),
            catalogue: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn set_route(&self, route: &Arc<InstanceRoute>) {
        let new = Arc::new(topology(route));
        let before = std::mem::replace(&mut *lock(&self.topology), Arc::clone(&new));
        *lock(&self.route) = Arc::clone(route);
        if before != new {
            self.forget_tables();
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &InstanceId {
        &self.id
    }

    /// Its nodes and where partitions are.
    #[must_use]
    pub fn topology(&self) -> Arc<Topology> {
        Arc::clone(&lock(&self.topology))
    }

    /// The nodes' version.
    #[must_use]
    pub fn server_version(&self) -> u32 {
        self.config.server_version
    }

    /// The password of an account on the nodes.
    #[must_use]
    pub fn password_of(&self, user: &[u8]) -> Option<Secret> {
        let user = std::str::from_utf8(user).ok()?;
        if user == self.config.admin_account {
            return Some(self.config.admin_password.clone());
        }
        let route = Arc::clone(&lock(&self.route));
        let account = route.accounts.get(user)?;
        Some(account.backend_password.clone())
    }

    /// Why writes are refused, when they are.
    #[must_use]
    pub fn write_lock(&self) -> Option<String> {
        lock(&self.route).write_lock.clone()
    }

    /// A connection of the service itself to a node.
    ///
    /// # Errors
    /// When the node is not reached.
    pub async fn connect(&self, node: u16) -> Result<NodeConnection, NodeError> {
        let topology = self.topology();
        let socket = topology.socket(node).ok_or_else(NodeError::closed)?;
        let config = &self.config;
        let login = NodeLogin::of_service(&config.admin_account, config.admin_password.clone());
        NodeConnection::connect(socket, &login).await
    }

    /// Which tables are distributed.
    ///
    /// # Errors
    /// What a client is told when home cannot be asked.
    pub async fn catalogue(&self) -> Result<Arc<Catalogue>, ErrPacket> {
        if let Some(known) = &lock(&self.catalogue).catalogue {
            return Ok(Arc::clone(known));
        }
        let _only_one = self.loading.lock().await;
        let before = {
            let known = lock(&self.catalogue);
            if let Some(catalogue) = &known.catalogue {
                return Ok(Arc::clone(catalogue));
            }
            known.forgotten
        };
        let catalogue = Arc::new(self.load().await.map_err(|error| {
            tracing::warn!(instance = %self.id, %error, "the catalogue is not known");
            let told = match error {
                LoadError::Table { .. } => error.to_string(),
                _ => "which tables are distributed cannot be told now".to_owned(),
            };
            ErrPacket::new(1235, b"42000", format!("OpenPeta: catalogue: {told}"))
        })?);
        let mut known = lock(&self.catalogue);
        if known.forgotten == before {
            known.catalogue = Some(Arc::clone(&catalogue));
        }
        Ok(catalogue)
    }

    async fn load(&self) -> Result<Catalogue, LoadError> {
        let topology = self.topology();
        let databases: BTreeSet<String> = topology.databases().map(str::to_owned).collect();
        let mut home = self.connect(Topology::HOME).await?;
        let dialect = Dialect::new(self.config.server_version);
        let catalogue = catalogue::load(&mut home, &databases, dialect).await;
        home.quit().await;
        catalogue
    }

    /// The catalogue is read anew when it is next needed.
    pub fn forget_tables(&self) {
        let mut known = lock(&self.catalogue);
        known.catalogue = None;
        known.forgotten += 1;
    }
}

fn topology(route: &InstanceRoute) -> Topology {
    let sharding = route.sharding.as_ref();
    Topology::new(sharding.expect("only instances with several nodes are served"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
