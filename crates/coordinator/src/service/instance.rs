//! What the sessions of an instance share.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openpeta_mysql_wire::ErrPacket;
use openpeta_sql_route::Dialect;
use openpeta_types::route::InstanceRoute;
use openpeta_types::{InstanceId, Secret};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

use super::doubt::Doubt;
use super::heat::Heat;
use super::ids::Ids;
use super::intents::{self, Intent, UnderWay};
use super::life::{self, Former, Life, LifeError};
use super::{Changing, CoordinatorsConfig, Passages, Sessions, Stops, TableLocks};
use crate::Topology;
use crate::catalogue::{self, Catalogue, LoadError};
use crate::node::{NodeConnection, NodeError, NodeLogin};
use crate::session::Failure;

/// An instance with several nodes.
#[derive(Debug)]
pub struct Instance {
    config: Arc<CoordinatorsConfig>,
    id: InstanceId,
    route: Mutex<Arc<InstanceRoute>>,
    topology: Mutex<Arc<Topology>>,
    catalogue: Mutex<Known>,
    /// How often catalogue or topology have changed.
    changes: AtomicU64,
    /// Only one session reads the catalogue at a time.
    loading: tokio::sync::Mutex<()>,
    life: Life,
    former: Mutex<Vec<Arc<Former>>>,
    /// Shared by commits over nodes while they are carried out; whoever wants to see all of them or
    /// none takes it alone.
    fence: Arc<RwLock<()>>,
    /// Shared by commits of changes from their first vote to their end; taken alone to
    /// stand still.
    gate: Arc<RwLock<()>>,
    /// Shared by definitions from their begin to their end; taken alone to stand still. Nobody ever waits
    /// to take it alone, so whoever shares it may do so twice.
    definitions: Arc<RwLock<()>>,
    passages: Passages,
    locks: TableLocks,
    sessions: Sessions,
    ids: Ids,
    doubt: Doubt,
    heat: Heat,
    /// Definitions are to be brought to their end before anybody relies on the catalogue.
    unfinished: AtomicBool,
    under_way: UnderWay,
    changing: Arc<Changing>,
    stops: Arc<Stops>,
}

/// Which tables are distributed and where partitions are, as it was at one time.
#[derive(Clone, Debug)]
pub struct View {
    /// Which tables are distributed.
    pub catalogue: Arc<Catalogue>,
    /// Where partitions are.
    pub topology: Arc<Topology>,
    changes: u64,
}

/// What a session has that reads the catalogue.
pub(super) type Loading<'a> = tokio::sync::MutexGuard<'a, ()>;

/// The catalogue, if it is known.
#[derive(Debug, Default)]
struct Known {
    catalogue: Option<Arc<Catalogue>>,
    /// How often it was forgotten: what was read before that is not kept.
    forgotten: u64,
}

impl Instance {
    pub(super) fn open(
        config: Arc<CoordinatorsConfig>,
        route: &Arc<InstanceRoute>,
    ) -> Result<Self, LifeError> {
        let lives = config.directory.join(route.instance_id.as_str());
        std::fs::create_dir_all(&lives).map_err(|source| LifeError::Io {
            action: "create",
            path: lives.clone(),
            source,
        })?;
        let former = life::former(&lives, &[])?;
        let former = former.into_iter().map(Arc::new).collect();
        Ok(Self {
            life: Life::begin(&lives)?,
            former: Mutex::new(former),
            fence: Arc::default(),
            gate: Arc::default(),
            definitions: Arc::default(),
            passages: Passages::new(),
            locks: TableLocks::default(),
            sessions: Sessions::default(),
            ids: Ids::default(),
            doubt: Doubt::new(),
            heat: Heat::default(),
            unfinished: AtomicBool::new(true),
            under_way: UnderWay::default(),
            changing: Arc::default(),
            stops: Arc::default(),
            config,
            id: route.instance_id.clone(),
            topology: Mutex::new(Arc::new(topology(route))),
            route: Mutex::new(Arc::clone(route)),
            catalogue: Mutex::default(),
            changes: AtomicU64::new(0),
            loading: tokio::sync::Mutex::default(),
        })
    }

    /// Processes that looked after it before and are over.
    pub(super) fn former(&self) -> Vec<Arc<Former>> {
        lock(&self.former).clone()
    }

    /// Looks for processes that have ended since: after a hand-over one goes on for a while.
    pub(super) fn look_for_former(&self) {
        let lives = self.lives();
        let known = self.former();
        match life::former(&lives, &known) {
            Ok(new) if new.is_empty() => {}
            Ok(new) => {
                lock(&self.former).extend(new.into_iter().map(Arc::new));
                self.unfinished.store(true, Ordering::Release);
                self.forget_tables();
            }
            Err(error) => {
                tracing::warn!(instance = %self.id, %error, "lives that are over cannot be read")
            }
        }
    }

    pub(super) fn set_route(&self, route: &Arc<InstanceRoute>) {
        let new = topology(route);
        *lock(&self.route) = Arc::clone(route);
        {
            let mut known = lock(&self.topology);
            if **known == new {
                // Plans are made with this one, and stay good.
                return;
            }
            *known = Arc::new(new);
            self.changes.fetch_add(1, Ordering::AcqRel);
        }
        self.forget_tables();
    }

    /// Where processes that look after it have their directories.
    pub(super) fn lives(&self) -> PathBuf {
        self.config.directory.join(self.id.as_str())
    }

    /// What it writes to disk.
    #[must_use]
    pub fn life(&self) -> &Life {
        &self.life
    }

    /// What holds readers of several nodes and commits over them apart: commits share it while they are
    /// carried out.
    #[must_use]
    pub fn fence(&self) -> Arc<RwLock<()>> {
        Arc::clone(&self.fence)
    }

    /// What commits of changes share from their first vote to their end.
    pub(crate) fn gate(&self) -> Arc<RwLock<()>> {
        Arc::clone(&self.gate)
    }

    /// What definitions share from their begin to their end.
    pub(crate) fn definitions(&self) -> Arc<RwLock<()>> {
        Arc::clone(&self.definitions)
    }

    /// As long as this is held, no transaction over nodes is carried out, and none is in part on these.
    ///
    /// # Errors
    /// When one that is in part cannot be settled.
    pub async fn alone(&self, nodes: &[u16]) -> Result<OwnedRwLockWriteGuard<()>, ErrPacket> {
        loop {
            self.doubt.wait(nodes).await?;
            let alone = Arc::clone(&self.fence).write_owned().await;
            if self.doubt.is_settled(nodes) {
                return Ok(alone);
            }
        }
    }

    /// Who uses partitions where they are.
    #[must_use]
    pub fn passages(&self) -> &Passages {
        &self.passages
    }

    /// Who uses which table, and who redefines it.
    #[must_use]
    pub fn locks(&self) -> &TableLocks {
        &self.locks
    }

    /// The sessions that are open here.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The ids of `AUTO_INCREMENT` columns.
    #[must_use]
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// What may be in doubt on the nodes.
    #[must_use]
    pub fn doubt(&self) -> &Doubt {
        &self.doubt
    }

    /// The intents that somebody here is at.
    pub(super) fn under_way(&self) -> UnderWay {
        Arc::clone(&self.under_way)
    }

    /// Tables that are whole at home and are being distributed.
    #[must_use]
    pub fn changing(&self) -> &Arc<Changing> {
        &self.changing
    }

    /// Where tests have definitions stop.
    #[must_use]
    pub fn stops(&self) -> &Arc<Stops> {
        &self.stops
    }

    /// Whether another process looks after the instance as well, as one does for a while after a hand-over.
    ///
    /// # Errors
    /// When lives cannot be read.
    pub(crate) fn has_company(&self) -> Result<bool, LifeError> {
        let lives = self.lives();
        life::has_others(&lives, &self.life, &self.former())
    }

    /// How much partitions are used.
    #[must_use]
    pub fn heat(&self) -> &Heat {
        &self.heat
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
        let config = &self.config;
        let definers = (config.definer_password)(&config.admin_password, &self.id, user);
        if definers.is_some() {
            return definers;
        }
        let route = Arc::clone(&lock(&self.route));
        let account = route.accounts.get(user)?;
        Some(account.backend_password.clone())
    }

    /// Whether an account is of type Super.
    #[must_use]
    pub fn is_super(&self, user: &[u8]) -> bool {
        let user = std::str::from_utf8(user).unwrap_or_default();
        lock(&self.route).super_accounts.contains(user)
    }

    /// Why writes are refused, when they are.
    #[must_use]
    pub fn write_lock(&self) -> Option<String> {
        lock(&self.route).write_lock.clone()
    }

    /// Whether they are.
    pub(crate) fn is_write_locked(&self) -> bool {
        lock(&self.route).write_lock.is_some()
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
        // Somebody may have read it in the meantime, and nobody else does now.
        if let Some(known) = &lock(&self.catalogue).catalogue {
            return Ok(Arc::clone(known));
        }
        let _between = self.between_swaps().await?;
        let before = lock(&self.catalogue).forgotten;
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
            self.changes.fetch_add(1, Ordering::AcqRel);
        }
        Ok(catalogue)
    }

    /// Catalogue and topology as they are now; `None` if the catalogue must be read before.
    #[must_use]
    pub fn view(&self) -> Option<View> {
        // What changes while we look makes it old at once.
        let changes = self.changes.load(Ordering::Acquire);
        let catalogue = lock(&self.catalogue).catalogue.clone()?;
        Some(View {
            catalogue,
            topology: self.topology(),
            changes,
        })
    }

    /// A number that is another one once catalogue or topology have changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether a view is still what there is.
    #[must_use]
    pub fn is_now(&self, view: &View) -> bool {
        self.changes.load(Ordering::Acquire) == view.changes
    }

    /// Whether the catalogue is known and need not be read.
    pub(crate) fn knows_tables(&self) -> bool {
        lock(&self.catalogue).catalogue.is_some()
    }

    /// A definition was not brought to its end.
    pub(crate) fn has_intents(&self, why: &Failure) {
        tracing::warn!(instance = %self.id, %why, "a definition is to be finished later");
        self.unfinished.store(true, Ordering::Release);
        self.forget_tables();
    }

    /// Brings definitions to their end that were cut off, by this process or one before.
    pub(super) async fn finish_definitions(&self) -> Result<(), ErrPacket> {
        if !self.unfinished.load(Ordering::Acquire) {
            return Ok(());
        }
        let _defining = self.definitions().read_owned().await;
        if !self.unfinished.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let all = self.former();
        let former = all.iter().map(|former| former.directory.as_path());
        for life in former.chain([self.life.directory.as_path()]) {
            let (left, has_others) = intents::left(life, &self.under_way);
            if has_others {
                // Should somebody not come to an end with one, it is finished later.
                self.unfinished.store(true, Ordering::Release);
            }
            for (written, intent) in left {
                if let Some(intent) = intent
                    && let Err(failure) = intents::finish(self, &intent).await
                {
                    // Rows would be lost, or be others, were these left as they are.
                    let is_to_end =
                        matches!(intent, Intent::Redistribute(_) | Intent::Triggers { .. });
                    if let Failure::Statement(_) = failure
                        && !is_to_end
                    {
                        // It would refuse it again; all else must go on.
                        tracing::error!(instance = %self.id, %failure, "a definition was carried out on some nodes alone");
                        written.done();
                        continue;
                    }
                    self.unfinished.store(true, Ordering::Release);
                    tracing::warn!(instance = %self.id, ?failure, "a definition cannot be finished");
                    return Err(ErrPacket::new(
                        1235,
                        b"42000",
                        "OpenPeta: ddl-unfinished: a definition was cut off, and a node that it concerns \
                         does not answer or refuses it",
                    ));
                }
                written.done();
            }
        }
        Ok(())
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

    /// As long as this is held nobody reads the catalogue.
    pub(super) async fn loading(&self) -> Loading<'_> {
        self.loading.lock().await
    }

    /// The catalogue is read anew when it is next needed.
    pub fn forget_tables(&self) {
        let mut known = lock(&self.catalogue);
        known.catalogue = None;
        known.forgotten += 1;
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}

fn topology(route: &InstanceRoute) -> Topology {
    let sharding = route.sharding.as_ref();
    Topology::new(sharding.expect("only instances with several nodes are served"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
