//! An instance of three nodes behind a coordinator, and one plain server to compare with.

// Each test program uses a part of this.
#![allow(dead_code)]

mod busy;
mod front;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row};
use openpeta_coordinator::{Coordinators, CoordinatorsConfig};
use openpeta_engine::{Engine, EngineConfig};
use openpeta_types::route::{AccountLogin, InstanceRoute, Sharding};
use openpeta_types::{DbName, InstanceId, NodeId, NodeSettings, Secret, Whitelist};

pub use busy::{Busy, Turn};
use front::Front;

pub const ADMIN: &str = "openpeta_admin";
pub const ADMIN_PASSWORD: &str = "an admin's password";
pub const USER: &str = "shopper";
pub const PASSWORD: &str = "one of a shopper";
/// The database that is spread over the nodes.
pub const DATABASE: &str = "shop";
/// One that is whole on the first node.
pub const WHOLE: &str = "whole";

const SETTINGS: NodeSettings = NodeSettings {
    buffer_pool_bytes: 64 << 20,
    redo_log_bytes: 16 << 20,
    max_connections: 100,
    disk_quota_bytes: 1 << 30,
};

pub struct World {
    pub engine: Engine,
    pub nodes: Vec<NodeId>,
    pub plain: NodeId,
    pub route: Arc<InstanceRoute>,
    pub coordinators: Option<Arc<Coordinators>>,
    /// Where clients come in, but for those that want the socket.
    front: Option<Front>,
    /// What its sessions run on; ends with it.
    runtime: Option<tokio::runtime::Runtime>,
    pub config: CoordinatorsConfig,
    // Dropped last, after the processes in it.
    pub dir: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        if rustix::process::geteuid().is_root() {
            // As /tmp itself; what is below decides who gets in.
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
            std::fs::set_permissions(dir.path(), mode).expect("our own directory");
        }
        let mut config = EngineConfig::new(dir.path().join("d"), Secret::new(ADMIN_PASSWORD));
        config.relocation_dir = dir.path().join("relocated");
        config.template_dir = shared_template();
        let engine = Engine::open(config).await.expect("open");
        let names = ["nd-zero", "nd-one", "nd-two", "nd-plain"];
        let all = names.map(|name| NodeId::parse(name).expect("a node id"));
        for (number, node) in all.iter().enumerate() {
            engine.create_node(node, &SETTINGS).await.expect("create");
            engine.start_node(node).await.expect("start");
            let is_home = number == 0 || number == 3;
            set_up(&engine, node, is_home).await;
        }
        let [zero, one, two, plain] = all;
        let nodes = vec![zero, one, two];
        let sockets: Vec<_> = nodes
            .iter()
            .map(|node| engine.socket_path(node).expect("short enough"))
            .collect();
        let route = Arc::new(route(dir.path(), sockets));
        let config = CoordinatorsConfig {
            directory: dir.path().join("coordinator"),
            admin_account: ADMIN.into(),
            admin_password: Secret::new(ADMIN_PASSWORD),
            server_version: engine.server_version_number(),
            definer_password: |_, _, _| None,
        };
        let mut world = Self {
            engine,
            nodes,
            plain,
            route,
            coordinators: None,
            front: None,
            runtime: None,
            config,
            dir,
        };
        world.open();
        world
    }

    /// Begins a life of the coordinator.
    pub fn open(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let coordinators = Coordinators::open(self.config.clone()).expect("open");
        let entered = runtime.enter();
        coordinators.publish(&self.route).expect("served");
        drop(entered);
        let coordinators = Arc::new(coordinators);
        self.front = Some(Front::start(&coordinators, &self.route.instance_id));
        self.coordinators = Some(coordinators);
        self.runtime = Some(runtime);
    }

    /// Ends the life of the coordinator in the midst of everything, as if its process were killed.
    pub fn close(&mut self) {
        self.front = None;
        self.coordinators = None;
        if let Some(runtime) = self.runtime.take() {
            // Not from within another runtime's worker.
            let ended =
                std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(10)));
            ended.join().expect("it ends");
        }
    }

    /// Another process of the service, as after a hand-over, and where its clients come in.
    pub fn another(&self, number: usize) -> (Coordinators, PathBuf) {
        let other = Coordinators::open(self.config.clone()).expect("open");
        let mut route = (*self.route).clone();
        let socket = self.dir.path().join(format!("another-{number}.sock"));
        let sharding = route.sharding.as_mut().expect("spread");
        sharding.coordinator_socket = socket.clone();
        other.publish(&Arc::new(route)).expect("served");
        (other, socket)
    }

    /// Runs a definition until it comes to a step, and ends the coordinator's life there, or a node; all are there
    /// again afterwards. Whether the client was told that it is done.
    pub async fn cut_off(
        &mut self,
        step: &'static str,
        node: Option<usize>,
        definition: String,
    ) -> bool {
        let stops = self.coordinators().stops(&self.route.instance_id);
        let stops = stops.expect("served");
        stops.set(step);
        let mut conn = self.client().await;
        let change = tokio::spawn(async move { conn.query_drop(definition).await });
        stops.reached().await;
        match node {
            None => self.close(),
            Some(node) => {
                self.kill_node(node).await;
                stops.let_go();
            }
        }
        let done = change.await.expect("it ends").is_ok();
        match node {
            None => self.open(),
            Some(node) => self.start_node(node).await,
        }
        done
    }

    pub fn coordinators(&self) -> &Coordinators {
        self.coordinators.as_ref().expect("open")
    }

    pub fn coordinator_socket(&self) -> PathBuf {
        let sharding = self.route.sharding.as_ref();
        sharding.expect("sharded").coordinator_socket.clone()
    }

    /// Kills a node and lets it come back.
    pub async fn kill_node(&self, number: usize) {
        let node = &self.nodes[number];
        let process = self.engine.running(node).expect("look").expect("it runs");
        let ended = self.engine.wait_exit(node);
        kill("KILL", process.pid);
        ended.await.expect("the exit is noticed");
    }

    /// Starts a node again.
    pub async fn start_node(&self, number: usize) {
        self.engine
            .start_node(&self.nodes[number])
            .await
            .expect("it comes back");
    }

    /// A client of the coordinator.
    pub async fn client(&self) -> Conn {
        self.client_with(|it| it).await
    }

    /// A client of the coordinator that connects in some way.
    pub async fn client_with(&self, change: impl FnOnce(OptsBuilder) -> OptsBuilder) -> Conn {
        let socket = self.coordinator_socket();
        // Somebody else serves it.
        let Some(front) = &self.front else {
            return connect(&socket, USER, PASSWORD, change).await;
        };
        let address = front.address;
        let over_the_loops = |options: OptsBuilder| {
            change(options)
                .socket(None::<String>)
                .prefer_socket(false)
                .ip_or_hostname(address.ip().to_string())
                .tcp_port(address.port())
        };
        connect(&socket, USER, PASSWORD, over_the_loops).await
    }

    /// A client of the plain server that connects in some way.
    pub async fn plain_with(&self, change: impl FnOnce(OptsBuilder) -> OptsBuilder) -> Conn {
        let socket = self.engine.socket_path(&self.plain).expect("short enough");
        connect(&socket, USER, PASSWORD, change).await
    }

    /// The same client of the plain server.
    pub async fn plain(&self) -> Conn {
        self.plain_with(|it| it).await
    }

    /// The administrator's connection to a node itself.
    pub async fn node(&self, number: usize) -> Conn {
        let socket = self.engine.socket_path(&self.nodes[number]);
        connect(
            &socket.expect("short enough"),
            ADMIN,
            ADMIN_PASSWORD,
            |it| it,
        )
        .await
    }

    /// A client of both.
    pub async fn pair(&self) -> Pair {
        Pair {
            ours: self.client().await,
            plain: self.plain().await,
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.close();
        for found in self.engine.list_processes().unwrap_or_default() {
            kill("KILL", found.process.pid);
            let deadline = Instant::now() + Duration::from_secs(10);
            while self
                .engine
                .running(&found.node)
                .is_ok_and(|found| found.is_some())
                && Instant::now() < deadline
            {
                std::thread::yield_now();
            }
        }
    }
}

pub fn kill(signal: &str, pid: u32) {
    let status = Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .status()
        .expect("kill is essential");
    assert!(status.success(), "kill {signal} {pid}");
}

async fn set_up(engine: &Engine, node: &NodeId, is_home: bool) {
    let mut sql = engine.sql(node).await.expect("connect");
    let databases: &[&str] = if is_home {
        &[DATABASE, WHOLE]
    } else {
        &[DATABASE]
    };
    for name in databases {
        let name = DbName::parse(name).expect("a name");
        sql.create_database(&name).await.expect("create");
    }
    sql.close().await;
    let socket = engine.socket_path(node).expect("short enough");
    let mut admin = connect(&socket, ADMIN, ADMIN_PASSWORD, |it| {
        it.db_name(None::<String>)
    })
    .await;
    let mut statements = vec![format!("CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'")];
    // As the service does it: on each node in what it has.
    let granted = databases.iter();
    statements.extend(granted.map(|name| format!("GRANT ALL ON {name}.* TO {USER}@'%'")));
    for statement in statements {
        admin.query_drop(&statement).await.expect(&statement);
    }
}

fn route(dir: &Path, nodes: Vec<PathBuf>) -> InstanceRoute {
    let login = AccountLogin {
        native: [0; 20],
        sha2: [0; 32],
        backend_password: Secret::new(PASSWORD),
    };
    let partitions = (0..24).map(|partition| partition % 3).collect();
    InstanceRoute {
        instance_id: InstanceId::parse("pd-k9zd5az6k3f1rh").expect("an id"),
        whitelist: Whitelist::default(),
        accounts: HashMap::from([(USER.to_owned(), login)]),
        super_accounts: HashSet::new(),
        limits: HashMap::new(),
        slow_threshold: None,
        node_socket: nodes[0].clone(),
        sharding: Some(Sharding {
            foreign: BTreeMap::new(),
            moving: Default::default(),
            coordinator_socket: dir.join("coordinator.sock"),
            nodes,
            databases: BTreeMap::from([(DATABASE.to_owned(), partitions)]),
        }),
        max_connections: 100,
        write_lock: None,
    }
}

async fn connect(
    socket: &Path,
    user: &str,
    password: &str,
    change: impl FnOnce(OptsBuilder) -> OptsBuilder,
) -> Conn {
    try_connect(socket, user, password, change)
        .await
        .expect("let in")
}

/// A connection, if it can be made.
pub async fn try_connect(
    socket: &Path,
    user: &str,
    password: &str,
    change: impl FnOnce(OptsBuilder) -> OptsBuilder,
) -> mysql_async::Result<Conn> {
    let options = OptsBuilder::default()
        .socket(Some(socket.to_string_lossy()))
        .user(Some(user))
        .pass(Some(password))
        .db_name(Some(DATABASE))
        .stmt_cache_size(0);
    Conn::new(change(options)).await
}

/// A template for all tests, in cargo's target directory, if the node user gets there. Each test
/// with one of its own would take seconds longer.
fn shared_template() -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let me = rustix::process::geteuid();
    let is_open = |dir: &Path| {
        std::fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
    };
    let usable = me.is_root() && dir.ancestors().all(is_open);
    usable.then(|| dir.join("engine-template"))
}

/// What a client sees of the answer to a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    Rows(Vec<String>, Vec<Vec<mysql_async::Value>>),
    Done {
        affected: u64,
        last_insert_id: Option<u64>,
        info: String,
        warnings: u16,
    },
    Failed(u16, String),
}

/// Runs a statement, and tells what a client sees of all its results.
pub async fn see(conn: &mut Conn, statement: &str) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut result = match conn.query_iter(statement).await {
        Ok(result) => result,
        Err(error) => return vec![failed(error)],
    };
    loop {
        let columns = result.columns();
        let names: Vec<_> = columns
            .iter()
            .flat_map(|columns| columns.iter())
            .map(|column| column.name_str().into_owned())
            .collect();
        let rows: Vec<Row> = match result.collect().await {
            Ok(rows) => rows,
            Err(error) => {
                seen.push(failed(error));
                return seen;
            }
        };
        seen.push(if names.is_empty() {
            Seen::Done {
                affected: result.affected_rows(),
                last_insert_id: result.last_insert_id(),
                info: result.info().into_owned(),
                warnings: result.warnings(),
            }
        } else {
            Seen::Rows(names, rows.into_iter().map(Row::unwrap).collect())
        });
        if result.is_empty() {
            return seen;
        }
    }
}

fn failed(error: mysql_async::Error) -> Seen {
    match error {
        mysql_async::Error::Server(error) => Seen::Failed(error.code, error.message),
        other => panic!("{other}"),
    }
}

/// The same client of the coordinator and of a plain server.
pub struct Pair {
    pub ours: Conn,
    pub plain: Conn,
}

impl Pair {
    /// Runs a statement on both, and expects that nobody can tell them apart.
    pub async fn same(&mut self, statement: &str) -> Vec<Seen> {
        let ours = see(&mut self.ours, statement).await;
        let plain = see(&mut self.plain, statement).await;
        assert_eq!(ours, plain, "{statement}");
        ours
    }

    /// Runs a statement with a clause that only we know, and without it on the plain server.
    pub async fn both(&mut self, ours: &str, plain: &str) {
        let ours_seen = see(&mut self.ours, ours).await;
        let plain_seen = see(&mut self.plain, plain).await;
        assert!(
            !matches!(ours_seen[..], [Seen::Failed(..)]),
            "{ours}: {ours_seen:?}"
        );
        assert!(
            !matches!(plain_seen[..], [Seen::Failed(..)]),
            "{plain}: {plain_seen:?}"
        );
    }

    /// Expects that ours is refused with a code of ours.
    pub async fn refused(&mut self, statement: &str, code: &str) {
        let seen = see(&mut self.ours, statement).await;
        let is_it = matches!(&seen[..], [Seen::Failed(1235, message)]
            if message.starts_with(&format!("OpenPeta: {code}: ")));
        assert!(is_it, "{statement}: {seen:?}");
    }
}

impl World {
    /// The rows of a distributed table over all nodes, sorted, as texts; each node's own if `each`.
    pub async fn rows(&self, table: &str) -> Vec<String> {
        let mut all = Vec::new();
        for node in 0..self.nodes.len() {
            all.extend(texts(&mut self.node(node).await, table).await);
        }
        all.sort();
        all
    }

    /// The rows of a table on each node.
    pub async fn rows_by_node(&self, table: &str) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        for node in 0..self.nodes.len() {
            all.push(texts(&mut self.node(node).await, table).await);
        }
        all
    }

    /// Expects that the rows over all nodes are those of the plain server, and on the right nodes.
    pub async fn same_rows(&self, table: &str) {
        let plain = texts(&mut self.plain().await, table).await;
        assert_eq!(self.rows(table).await, plain, "{table}");
    }
}

async fn texts(conn: &mut Conn, table: &str) -> Vec<String> {
    let rows: Vec<Row> = conn
        .query(format!("SELECT * FROM {table}"))
        .await
        .expect(table);
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|row| format!("{:?}", row.unwrap()))
        .collect();
    rows.sort();
    rows
}
