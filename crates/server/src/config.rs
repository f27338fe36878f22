//! The configuration file: the control plane's sections and those of the endpoint, the
//! gateway and the log. Every value has a default; a file names only what differs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use openpeta_control::{
    AlertsConfig, BackupConfig, BillingConfig, ControlConfig, EventsConfig, HistoryConfig,
    MonitoringConfig, NetworkConfig, NodesConfig, QuotaConfig,
};
use openpeta_types::{NodeSpecCatalogue, WhitelistEntry};
use serde::Deserialize;

use crate::ServeError;
use crate::telemetry::TelemetryConfig;
use crate::tls::TlsConfig;

/// The whole configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The signed API's endpoint.
    pub api: ApiConfig,
    /// Client sessions of databases.
    pub gateway: GatewayConfig,
    /// The log on standard error.
    pub log: LogConfig,
    /// Metrics for Prometheus.
    pub metrics: MetricsConfig,
    /// Traces and metrics for an OTLP collector.
    pub telemetry: TelemetryConfig,
    /// The operator's certificate.
    pub tls: TlsConfig,
    /// Addresses and ports of endpoints.
    pub network: NetworkConfig,
    /// Database nodes.
    pub nodes: NodesConfig,
    /// Limits per tenant and per instance.
    pub quotas: QuotaConfig,
    /// Prices, and what is done with them.
    pub billing: BillingConfig,
    /// Samples of what instances do and take.
    pub monitoring: MonitoringConfig,
    /// Backups.
    pub backup: BackupConfig,
    /// Alerts and webhooks.
    pub alerts: AlertsConfig,
    /// The list of events.
    pub events: EventsConfig,
    /// Audit rows, tasks, usage records.
    pub history: HistoryConfig,
    /// Node specs on offer; replaces the built-in list when given.
    pub node_specs: NodeSpecCatalogue,
    /// The file that all this was read from.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ServeError::Config`] with the file, the line and what is wrong there.
    pub fn read(path: &Path) -> Result<Self, ServeError> {
        let text = std::fs::read_to_string(path).map_err(|error| ServeError::Config {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let config = toml::from_str(&text).map_err(|error| ServeError::Config {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            // Whoever reads it again may be somewhere else by then.
            file: std::path::absolute(path).ok(),
            ..config
        })
    }

    /// Checks what the form of a value does not tell.
    ///
    /// # Errors
    /// [`ServeError::Setting`].
    pub fn check(&self) -> Result<(), ServeError> {
        let limits = &self.api.limits;
        let wrong = if limits.connections == 0 {
            "[api.limits] connections must not be 0"
        } else if limits.header_bytes < 8192 {
            "[api.limits] header_bytes must be at least 8192"
        } else if limits.query_bytes > limits.header_bytes {
            "[api.limits] query_bytes must not be more than header_bytes"
        } else if !(1..=MOST_KEEPALIVE).contains(&self.gateway.keepalive_seconds) {
            "[gateway] keepalive_seconds must be from 1 to 32767"
        } else if let Err(wrong) = self.tls.check() {
            wrong
        } else if let Err(wrong) = self.telemetry.check() {
            return Err(ServeError::Setting(wrong));
        } else {
            return self.control().check().map_err(ServeError::Setting);
        };
        Err(ServeError::Setting(wrong.to_owned()))
    }

    /// The sections that the control plane reads.
    #[must_use]
    pub fn control(&self) -> ControlConfig {
        ControlConfig {
            network: self.network.clone(),
            nodes: self.nodes.clone(),
            quotas: self.quotas.clone(),
            billing: self.billing.clone(),
            monitoring: self.monitoring.clone(),
            backup: self.backup.clone(),
            alerts: self.alerts,
            events: self.events,
            history: self.history,
            node_specs: self.node_specs.clone(),
            file: self.file.clone(),
        }
    }
}

/// The signed API's endpoint (`[api]`).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Address of the HTTP listener; port 0 takes a free one.
    pub http_listen: SocketAddr,
    /// Address of the HTTPS listener; port 0 takes a free one.
    pub https_listen: SocketAddr,
    /// Whether requests that carry a password are taken over plain HTTP.
    pub allow_http_for_secrets: HttpForSecrets,
    /// Whether plain HTTP is also refused for the actions that the API document marks as
    /// HTTPS-only although no secret travels with them.
    pub https_only_documented: bool,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether the page `/api` and the description `/openapi.json` are served.
    pub browser_page: bool,
    /// Sizes and times that a request may take.
    pub limits: HttpLimits,
    /// Calls per access key.
    pub throttle: ThrottleConfig,
    /// Seconds that requests in flight get to finish when the service stops.
    pub shutdown_seconds: u64,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            http_listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            https_listen: (Ipv4Addr::LOCALHOST, 8443).into(),
            allow_http_for_secrets: HttpForSecrets::Never,
            https_only_documented: false,
            trusted_proxies: Vec::new(),
            browser_page: true,
            limits: HttpLimits::default(),
            throttle: ThrottleConfig::default(),
            shutdown_seconds: 30,
        }
    }
}

/// Which clients may send a password over plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpForSecrets {
    /// None.
    Never,
    /// Those on this machine.
    Loopback,
    /// All.
    Always,
}

/// Sizes and times that a request may take (`[api.limits]`).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// Open connections, both listeners together.
    pub connections: usize,
    /// Bytes of the request line and the headers.
    pub header_bytes: usize,
    /// Bytes of the query. The parser itself reads no more than 65,534.
    pub query_bytes: usize,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// Seconds from accepting a connection to its first request's last header, TLS included.
    pub first_request_seconds: u64,
    /// Seconds from an answer to the next request's last header.
    pub idle_seconds: u64,
    /// Seconds that any body may take.
    pub body_seconds: u64,
    /// Bytes a second that a client must send for a longer time.
    pub body_bytes_per_second: u32,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            header_bytes: 80 * 1024,
            query_bytes: 48 * 1024,
            body_bytes: 256 * 1024,
            first_request_seconds: 15,
            idle_seconds: 60,
            body_seconds: 10,
            body_bytes_per_second: 4096,
        }
    }
}

impl HttpLimits {
    /// From accepting a connection to its first request's last header.
    #[must_use]
    pub const fn first_request(&self) -> Duration {
        Duration::from_secs(self.first_request_seconds)
    }

    /// From an answer to the next request's last header.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }

    /// The time that any body may take.
    #[must_use]
    pub const fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.body_seconds)
    }
}

/// Calls that one access key may make (`[api.throttle]`). A rate of 0 sets no limit.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThrottleConfig {
    /// Reading calls a second.
    pub reads_per_second: u32,
    /// Reading calls that may come at once.
    pub reads_burst: u32,
    /// Changing calls a second.
    pub changes_per_second: u32,
    /// Changing calls that may come at once.
    pub changes_burst: u32,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            reads_per_second: 0,
            reads_burst: 1,
            changes_per_second: 100,
            changes_burst: 200,
        }
    }
}

/// The kernel takes no more.
const MOST_KEEPALIVE: u64 = 32_767;

/// Client sessions of databases (`[gateway]`).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Event loops; 0 takes one per processor.
    pub workers: usize,
    /// Whether clients are offered TLS.
    pub tls: bool,
    /// Whether clients are offered compression.
    pub compression: bool,
    /// Addresses and blocks of load balancers, whose connections begin with a PROXY header.
    pub proxy_protocol_from: Vec<WhitelistEntry>,
    /// Seconds that a client has to log in.
    pub login_seconds: u64,
    /// Seconds that a session may stay silent; the node's own `wait_timeout` comes first.
    pub idle_seconds: u64,
    /// Seconds of silence after which a client's host is asked whether it is there; the session ends
    /// when it does not answer for as long again.
    pub keepalive_seconds: u64,
    /// Sessions over all instances; absent takes what the limit of open files allows.
    pub max_sessions: Option<usize>,
    /// Most digests of statements that are kept of an instance; 0 keeps none.
    pub digests: usize,
    /// Connections to an instance's node that are kept for clients to come; 0 keeps none.
    pub warm_connections: usize,
    /// Seconds that such a connection waits for a client.
    pub warm_seconds: u64,
    /// Seconds that a command waits for a node that went down, in a session that can go on; 0 ends
    /// all sessions with their node.
    pub reconnect_seconds: u64,
    /// Statements that take so many seconds go to the slow log of their instance; 0 for none.
    pub slow_log_seconds: f64,
    /// Bytes that a file of the slow log may have.
    pub slow_log_max_bytes: u64,
    /// Files of the slow log that are kept of an instance.
    pub slow_log_files: usize,
    /// How sessions' bytes are moved.
    pub io: GatewayIo,
    /// Microseconds for which a loop looks for more before it sleeps while there is exactly one
    /// session and that one is busy; 0 never.
    pub busy_poll_microseconds: u64,
    /// Seconds that open transactions get to finish when the service stops.
    pub drain_seconds: u64,
    /// Seconds for which sessions go on in a process that another one has taken over from.
    pub upgrade_drain_seconds: u64,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            workers: 0,
            tls: true,
            compression: true,
            proxy_protocol_from: Vec::new(),
            login_seconds: 10,
            idle_seconds: 28_800,
            keepalive_seconds: 60,
            max_sessions: None,
            digests: 1000,
            warm_connections: 32,
            warm_seconds: 60,
            reconnect_seconds: 10,
            slow_log_seconds: 0.0,
            slow_log_max_bytes: 64 << 20,
            slow_log_files: 5,
            io: GatewayIo::Auto,
            busy_poll_microseconds: 200,
            drain_seconds: 10,
            upgrade_drain_seconds: 1800,
        }
    }
}

/// How the gateway moves the bytes of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayIo {
    /// io_uring where the kernel has it and allows it, else epoll.
    Auto,
    /// io_uring; the service does not start without it.
    IoUring,
    /// Epoll.
    Epoll,
}

/// Metrics for Prometheus (`[metrics]`).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// An address of their own; port 0 takes a free one. Without, `/metrics` is on the addresses of
    /// the API.
    pub listen: Option<SocketAddr>,
    /// Whether that address is served over TLS, with the certificate of the API.
    pub tls: bool,
    /// Clients that may read them.
    pub allowed_networks: Vec<IpNet>,
    /// A file whose first line is a token that clients must send as well.
    pub token_file: Option<PathBuf>,
    /// Instances that have series of their own, the oldest first; the others are added up.
    pub instances: usize,
    /// Databases, of all instances together, that have series of their own.
    pub databases: usize,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            listen: None,
            tls: false,
            allowed_networks: vec![
                IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
                IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST)),
            ],
            token_file: None,
            instances: 500,
            databases: 1000,
        }
    }
}

/// The log on standard error (`[log]`).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// The least level that is written, or directives such as `info,openpeta_gateway=debug`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".into(),
        }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_only_what_differs() {
        let config: Config = toml::from_str(
            "[api]\nhttp_listen = \"0.0.0.0:80\"\nallow_http_for_secrets = \"loopback\"\n\
             trusted_proxies = [\"10.0.0.0/8\"]\n[api.limits]\nconnections = 7\n[log]\nformat = \"json\"\n",
        )
        .expect("valid");
        assert_eq!(config.api.http_listen.port(), 80);
        assert_eq!(config.api.https_listen.port(), 8443);
        assert_eq!(config.api.allow_http_for_secrets, HttpForSecrets::Loopback);
        assert_eq!(config.api.limits.connections, 7);
        assert_eq!(
            config.api.limits.body_bytes,
            HttpLimits::default().body_bytes
        );
        assert_eq!(config.log.format, LogFormat::Json);
    }

    #[test]
    fn misspelled_keys_are_refused_with_their_line() {
        for text in [
            "[api]\nhttp_lisen = \"127.0.0.1:1\"\n",
            "[nodez]\n",
            "[api]\nhttp_listen = 3\n",
        ] {
            let dir = tempfile::tempdir().expect("tempdir");
            let path = dir.path().join("openpeta.toml");
            std::fs::write(&path, text).expect("write");
            let error = Config::read(&path)
                .expect_err("must be refused")
                .to_string();
            assert!(
                error.contains("openpeta.toml") && error.contains("line"),
                "{error}"
            );
        }
    }
}
