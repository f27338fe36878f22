//! What the tests of this crate share: a world of its own for each test, with real nodes.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use openpeta_engine::{Engine, EngineConfig};
use openpeta_rpc_api::instances::CreateInstanceRequest;
use openpeta_rpc_api::{Action, ApiRequest, Params};
use openpeta_store::{Database, Instance, InstanceDetail, Store};
use openpeta_tasks::{Tasks, TasksConfig};
use openpeta_types::route::InstanceRoute;
use openpeta_types::{
    AccountId, ChargeType, DbName, EndpointId, InstanceId, LockMode, NetworkType, NodeId,
    ObjectStatus, POSTPAID_EXPIRY, RequestId, Secret,
};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::backups::{Bucket, RemoteLogs, RemoteSets};
use crate::billing::PriceList;
use crate::network::Opened;
use crate::parts::Parts;
use crate::sampling::Samples;
use crate::{
    Caller, Control, ControlConfig, ControlError, DefaultTenant, Gateway, MutatingCall,
    OpenEndpointError, StandStillError, Work, bootstrap, random, workflows,
};

/// Password of administration on the nodes of tests.
pub(crate) const ADMIN_PASSWORD: &str = "admin-password";

/// An engine with its own directory; what it left running is destroyed with it.
pub(crate) struct TestEngine {
    pub(crate) engine: Engine,
    _directory: TempDir,
}

impl TestEngine {
    pub(crate) async fn new() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        // Nodes run as another user when the tests run as root.
        let open = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(directory.path(), open).expect("it is ours");
        let mut config = EngineConfig::new(directory.path(), Secret::new(ADMIN_PASSWORD));
        config.template_dir = shared_template();
        let engine = Engine::open(config).await.expect("MariaDB is installed");
        engine.prepare_template().await.expect("a template");
        Self {
            engine,
            _directory: directory,
        }
    }
}

/// A template for all tests, in cargo's target directory, if other users get there: nodes run
/// as one of them when the tests run as root. Making one takes seconds.
fn shared_template() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tmp");
    std::fs::create_dir_all(&target).ok()?;
    let target = target.canonicalize().ok()?;
    let is_open = |directory: &Path| {
        let metadata = std::fs::metadata(directory);
        metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    };
    target
        .ancestors()
        .all(is_open)
        .then(|| target.join("control-template"))
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        let engine = self.engine.clone();
        let destroy = async move {
            for node in engine.list_nodes().unwrap_or_default() {
                let _ = engine.destroy_node(&node.node).await;
            }
        };
        let blocking = move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(destroy);
        };
        let _ = std::thread::spawn(blocking).join();
    }
}

/// A store, a gateway that only listens, and the engine of the test.
pub(crate) struct World {
    pub(crate) parts: Arc<Parts>,
    pub(crate) gateway: Arc<ListeningGateway>,
    pub(crate) control: Control,
    pub(crate) tenant: DefaultTenant,
    _directory: TempDir,
}

impl World {
    pub(crate) fn new(engine: &TestEngine) -> Self {
        let mut config = ControlConfig::default();
        // What is deleted is to leave nothing; tests of the recycle bin say so.
        config.backup.recycle_days = 0;
        Self::configured(engine, config)
    }

    pub(crate) fn configured(engine: &TestEngine, config: ControlConfig) -> Self {
        Self::with_bucket(engine, config, None)
    }

    /// With backup sets in a bucket.
    pub(crate) fn with_bucket(
        engine: &TestEngine,
        config: ControlConfig,
        bucket: Option<Bucket>,
    ) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let store = Store::open(directory.path()).expect("a new store");
        let prices = PriceList::load(&config.billing, &config.node_specs);
        let tenant = bootstrap::bootstrap(&store, &config.network, Timestamp::now())
            .expect("a new store takes a tenant");
        let gateway = Arc::new(ListeningGateway::default());
        let samples = Samples::open(&directory.path().join("samples"), &config.monitoring);
        let parts = Arc::new(Parts {
            config,
            prices: prices.expect("a right price list"),
            store,
            engine: engine.engine.clone(),
            gateway: Arc::clone(&gateway) as _,
            publishing: Mutex::default(),
            opening: Mutex::default(),
            samples,
            log_archives: Default::default(),
            last_moments: Default::default(),
            remote_logs: RemoteLogs::new(bucket.clone(), directory.path().join("binlogs.remote")),
            remote_sets: RemoteSets::new(bucket, directory.path().join("backups.remote")),
            fetched: Mutex::default(),
            events: Default::default(),
            delivery_counts: Default::default(),
            control_plane_backup: Default::default(),
            nodes_changed: tokio::sync::watch::Sender::new(()),
        });
        Self {
            control: Control::without_workers(&parts),
            parts,
            gateway,
            tenant,
            _directory: directory,
        }
    }

    /// A call of the default tenant.
    pub(crate) fn call(&self, action: Action) -> MutatingCall {
        MutatingCall {
            caller: self.caller(),
            action,
            parameters: "{}".into(),
            digest: [0; 32],
        }
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller {
            account_id: self.tenant.account_id,
            ram_user: None,
            access_key_id: self.tenant.access_key_id.clone(),
            source_ip: Ipv4Addr::LOCALHOST.into(),
            secure_transport: true,
            user_agent: "test".into(),
            request_id: RequestId::from_random([1; 16]),
            now: Timestamp::now(),
            trace: None,
        }
    }

    /// Orders an instance; nobody works on its task.
    pub(crate) fn order(&self) -> InstanceId {
        let call = self.call(Action::CreateInstance);
        let response = self.control.create_instance(&call, &order_request(&[]));
        response.expect("the order is right").instance_id
    }

    /// Makes an ordered instance ACTIVE in the store, without a node, for tests that need none.
    pub(crate) fn activate(&self, id: &InstanceId) {
        let activated = self.parts.store.write(|writer| {
            for database in writer.databases(id)? {
                writer.set_database_status(id, &database.db_name, ObjectStatus::Active)?;
            }
            writer.set_instance_status(id, ObjectStatus::Active)
        });
        activated.expect("the store works");
    }

    /// An ACTIVE Classic instance of the default tenant that no node stands behind; its endpoint
    /// is open. For what is not about nodes.
    pub(crate) fn instance_without_node(&self) -> InstanceId {
        let instance = Instance {
            instance_id: random::instance_id().expect("random"),
            account_id: self.tenant.account_id,
            name: None,
            region_id: self.tenant.region_id.to_owned(),
            zone_id: self.tenant.zone_id.to_owned(),
            network_type: NetworkType::Classic,
            vpc_id: None,
            vswitch_id: None,
            charge_type: ChargeType::PostPaid,
            status: ObjectStatus::Active,
            lock_mode: LockMode::Unlock,
            lock_reason: None,
            node_id: None,
            created_at: Timestamp::now(),
            expires_at: POSTPAID_EXPIRY,
            release_at: None,
            business_unit: None,
        };
        let written = self.parts.store.write(|writer| {
            let endpoint = self.parts.classic_endpoint(writer, &instance)?;
            writer.insert_instance(&instance)?;
            writer.insert_endpoint(&endpoint)?;
            Ok::<_, ControlError>(endpoint)
        });
        let endpoint = written.expect("the store works");
        // Tests that run at the same time take ports, too.
        while let Opened::Failed(_) = self.open(&endpoint.endpoint_id) {
            let moved = self.parts.move_endpoint(&endpoint.endpoint_id);
            moved.expect("there are many ports");
        }
        instance.instance_id
    }

    pub(crate) fn open(&self, id: &EndpointId) -> Opened {
        self.parts.open_endpoint(id).expect("the store works")
    }

    /// What clients are told of an instance.
    pub(crate) fn detail(&self, id: &InstanceId) -> Arc<InstanceDetail> {
        self.parts.store.instance_detail(id).expect("it exists")
    }

    /// Adds an ACTIVE instance with a database `shop` that exist in the store alone, ordered at
    /// that time.
    pub(crate) fn seed(
        &self,
        account_id: AccountId,
        id: &str,
        charge_type: ChargeType,
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> InstanceId {
        let instance_id = InstanceId::parse(id).expect("an id");
        let instance = Instance {
            instance_id: instance_id.clone(),
            account_id,
            name: None,
            region_id: "cn-hangzhou".into(),
            zone_id: "cn-hangzhou-b".into(),
            network_type: NetworkType::Classic,
            vpc_id: None,
            vswitch_id: None,
            charge_type,
            status: ObjectStatus::Active,
            lock_mode: LockMode::Unlock,
            lock_reason: None,
            node_id: None,
            created_at,
            expires_at,
            release_at: None,
            business_unit: None,
        };
        let specs = &self.parts.config.node_specs;
        let (node_spec, settings) = specs.find("petadata.s2.xlarge").expect("on offer");
        let database = Database {
            instance_id: instance_id.clone(),
            db_name: DbName::parse("shop").expect("a name"),
            node_spec: node_spec.clone(),
            settings: settings.clone(),
            node_number: 1,
            charge_type,
            status: ObjectStatus::Active,
            created_at,
            expires_at,
            source_instance_id: None,
        };
        let seeded = self.parts.store.write(|writer| {
            writer.insert_instance(&instance)?;
            writer.insert_database(&database)
        });
        seeded.expect("the store works");
        instance_id
    }

    /// Adds another tenant.
    pub(crate) fn add_tenant(&self, name: &str) -> AccountId {
        let tenant = bootstrap::new_tenant(name, Timestamp::now()).expect("random numbers");
        let added = self
            .parts
            .store
            .write(|writer| writer.insert_tenant(&tenant));
        added.expect("the store works");
        tenant.account_id
    }

    /// Runs every task to its end.
    pub(crate) async fn run_tasks(&self) {
        let all = workflows::all(&self.parts);
        let tasks = Tasks::start(self.parts.store.clone(), all, TasksConfig::default());
        let unfinished = self.parts.store.read(|reader| reader.unfinished_tasks());
        for task in unfinished.expect("the store works") {
            tasks.wait(task.task_id).await.expect("the task exists");
        }
        tasks.shutdown().await;
    }
}

/// A connection to the database `shop` on the node of an instance.
pub(crate) async fn connect(world: &World, id: &InstanceId) -> mysql_async::Conn {
    let instance = world.parts.store.read(|reader| reader.instance(id));
    let instance = instance.expect("the store works").expect("it exists");
    connect_to(world, &instance.node_id.expect("it has a node")).await
}

/// A connection to the database `shop` on a node.
pub(crate) async fn connect_to(world: &World, node: &NodeId) -> mysql_async::Conn {
    connect_in(world, node, "shop").await
}

/// A connection to a database on a node.
pub(crate) async fn connect_in(world: &World, node: &NodeId, database: &str) -> mysql_async::Conn {
    let socket = world.parts.engine.socket_path(node).expect("short enough");
    let options = mysql_async::OptsBuilder::default()
        .socket(Some(socket.to_string_lossy()))
        .user(Some(openpeta_engine::ADMIN_ACCOUNT))
        .pass(Some(ADMIN_PASSWORD))
        .db_name(Some(database));
    let connected = mysql_async::Conn::new(options).await;
    connected.expect("the node accepts connections")
}

/// A right order, with some parameters changed or, when empty, left out.
pub(crate) fn order_request(changes: &[(&str, &str)]) -> CreateInstanceRequest {
    let mut pairs = HashMap::from([
        ("RegionId", "cn-hangzhou"),
        ("ZoneId", "cn-hangzhou-b"),
        ("DBName", "shop"),
        ("NodeSpec", "petadata.s2.xlarge"),
        ("NodeNumber", "1"),
        ("AccountName", "alice"),
        ("AccountPassword", "Passw0rd!"),
    ]);
    pairs.extend(changes.iter().copied());
    let params = Params::from_pairs(pairs).expect("unique names");
    CreateInstanceRequest::from_params(&params).expect("well formed")
}

/// Listens where it is told to and greets with one byte; remembers routes.
#[derive(Default)]
pub(crate) struct ListeningGateway {
    open: Mutex<HashMap<EndpointId, JoinHandle<()>>>,
    routes: Mutex<HashMap<InstanceId, InstanceRoute>>,
}

impl ListeningGateway {
    pub(crate) fn route(&self, id: &InstanceId) -> Option<InstanceRoute> {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.get(id).cloned()
    }
}

#[async_trait::async_trait]
impl Gateway for ListeningGateway {
    fn publish(&self, route: InstanceRoute) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.insert(route.instance_id.clone(), route);
    }

    fn withdraw(&self, instance: &InstanceId) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.remove(instance);
    }

    fn open_endpoint(
        &self,
        endpoint: &EndpointId,
        address: SocketAddr,
        _instance: &InstanceId,
    ) -> Result<(), OpenEndpointError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.contains_key(endpoint) {
            return Ok(());
        }
        let listener = std::net::TcpListener::bind(address)
            .map_err(|_| OpenEndpointError::AddressInUse(address))?;
        listener.set_nonblocking(true).expect("a socket of ours");
        let listener = TcpListener::from_std(listener).expect("a socket of ours");
        let greet = async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let _ = client.write_all(b"x").await;
            }
        };
        open.insert(endpoint.clone(), tokio::spawn(greet));
        Ok(())
    }

    fn stand_still<'a>(
        &'a self,
        instance: &'a InstanceId,
        _database: &'a DbName,
        _limit: Duration,
        work: Work<'a, ()>,
    ) -> Work<'a, Result<(), StandStillError>> {
        Box::pin(async move {
            let is_served = |route: InstanceRoute| route.sharding.is_some();
            if !self.route(instance).is_some_and(is_served) {
                return Err(StandStillError::NotServed);
            }
            work.await;
            Ok(())
        })
    }

    fn coordinator_sockets(&self) -> Option<PathBuf> {
        Some(PathBuf::from("/run/coordinator"))
    }

    fn close_endpoint(&self, endpoint: &EndpointId, _grace: Duration) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listening) = open.remove(endpoint) {
            listening.abort();
        }
    }

    fn endpoints(&self) -> Vec<EndpointId> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.keys().cloned().collect()
    }
}
