//! A gateway in front of a real node, and clients for it.
#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

mod compressed;
mod node;
mod raw;

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::OptsBuilder;
use openpeta_gateway::{Gateway, GatewayConfig, InstanceCounters};
use openpeta_mysql_wire::auth::{native, sha2};
use openpeta_types::route::{AccountLogin, InstanceRoute};
use openpeta_types::{EndpointId, InstanceId, Secret, Whitelist, WhitelistEntry};

pub use compressed::Compressed;
pub use node::{Node, PATIENCE};
pub use raw::{Raw, Reply, capabilities, connect_from};

pub const USER: &str = "app";
pub const PASSWORD: &str = "app's password";
pub const OTHER_USER: &str = "other";
pub const OTHER_PASSWORD: &str = "other's password";

/// Accounts on the node, with passwords that no client knows.
const PREPARE: &str = "
CREATE DATABASE shop;
CREATE USER 'app'@'%' IDENTIFIED BY 'backend-app';
CREATE USER 'other'@'%' IDENTIFIED BY 'backend-other';
GRANT ALL ON shop.* TO 'app'@'%', 'other'@'%';
GRANT PROCESS ON *.* TO 'app'@'%';
";

pub struct Setup {
    pub node: Node,
    pub gateway: Gateway,
    pub address: SocketAddr,
    pub route: InstanceRoute,
}

impl Setup {
    pub fn start() -> Self {
        Self::with(GatewayConfig::default())
    }

    pub fn with(config: GatewayConfig) -> Self {
        let node = Node::start(PREPARE);
        let gateway = Gateway::start(GatewayConfig {
            workers: match config.workers {
                0 => 2,
                workers => workers,
            },
            ..config
        })
        .unwrap();
        let accounts = [
            (USER, PASSWORD, "backend-app"),
            (OTHER_USER, OTHER_PASSWORD, "backend-other"),
        ];
        let route = InstanceRoute {
            instance_id: InstanceId::parse("pd-gatewaytest").unwrap(),
            whitelist: whitelist("127.0.0.0/8"),
            accounts: accounts
                .map(|(n, p, b)| (n.to_owned(), account(p, b)))
                .into(),
            super_accounts: [USER.to_owned()].into(),
            limits: std::collections::HashMap::new(),
            slow_threshold: None,
            node_socket: node.socket.clone(),
            sharding: None,
            max_connections: 100,
            write_lock: None,
        };
        gateway.publish(route.clone());
        let address = gateway
            .open_endpoint(
                endpoint(1),
                "127.0.0.1:0".parse().unwrap(),
                route.instance_id.clone(),
            )
            .unwrap();
        Self {
            node,
            gateway,
            address,
            route,
        }
    }

    /// Publishes the route with a change.
    pub fn publish(&mut self, change: impl FnOnce(&mut InstanceRoute)) {
        change(&mut self.route);
        self.gateway.publish(self.route.clone());
    }

    pub fn counters(&self) -> InstanceCounters {
        self.gateway.counters(&self.route.instance_id).unwrap()
    }

    pub fn sessions(&self) -> usize {
        self.gateway.sessions(&self.route.instance_id)
    }

    /// The command line client, through the gateway as the usual account.
    pub fn client(&self) -> Command {
        self.client_as(USER, PASSWORD)
    }

    pub fn client_as(&self, user: &str, password: &str) -> Command {
        let mut command = Command::new("mariadb");
        command
            .args([
                "--no-defaults",
                "-N",
                "-h",
                "127.0.0.1",
                "--connect-timeout=10",
            ])
            .arg(format!("--port={}", self.address.port()))
            .arg(format!("--user={user}"))
            .arg(format!("--password={password}"))
            .arg("shop");
        command
    }

    /// Options for `mysql_async`, as the usual account.
    pub fn options(&self) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.address.port())
            .user(Some(USER))
            .pass(Some(PASSWORD))
            .db_name(Some("shop"))
            .prefer_socket(false)
    }

    pub async fn connect(&self) -> mysql_async::Conn {
        mysql_async::Conn::new(self.options()).await.unwrap()
    }

    /// Waits until so many node connections wait for a client.
    pub fn warm(&self, count: u64) {
        eventually("connections are warm", || self.counters().warm == count);
    }

    /// A raw connection, logged in as the usual account.
    pub fn raw(&self) -> Raw {
        Raw::login(self.address, USER, PASSWORD, "shop")
    }
}

pub fn account(password: &str, backend: &str) -> AccountLogin {
    AccountLogin {
        native: native::verifier(password.as_bytes()),
        sha2: sha2::verifier(password.as_bytes()),
        backend_password: Secret::new(backend),
    }
}

pub fn whitelist(entries: &str) -> Whitelist {
    let entries: Vec<WhitelistEntry> = entries
        .split(',')
        .map(|entry| WhitelistEntry::parse(entry).unwrap())
        .collect();
    Whitelist::new(&entries)
}

pub fn endpoint(number: u32) -> EndpointId {
    EndpointId::parse(&format!("ep-{number}")).unwrap()
}

/// Waits until the condition holds.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "did not happen in time: {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Memory that this process has in use, in bytes.
pub fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    resident
        .trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap()
        * 1024
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a client program printed, which must have succeeded.
pub fn success(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// A server configuration with a certificate for 127.0.0.1, and the certificate as PEM.
pub fn tls() -> (Arc<rustls::ServerConfig>, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    (Arc::new(config), made.cert.pem())
}
