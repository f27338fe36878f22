//! Settings of the gateway.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openpeta_relay_io::KEEPALIVE;
pub use openpeta_relay_io::{LocalService, LoopKind};
use openpeta_types::{InstanceId, Whitelist};

use crate::slow_log::SlowLogConfig;

/// Serves sessions on the gateway's own loops, in the place of a node's socket.
pub trait LocalNodes: Send + Sync {
    /// What serves a session of this instance; `None` if that must be reached by its socket.
    fn serve(&self, instance: &InstanceId) -> Option<LocalService>;
}

/// How the gateway runs.
#[derive(Clone)]
pub struct GatewayConfig {
    /// Event loops, one thread each; 0 takes one per processor.
    pub workers: usize,
    /// TLS for clients that ask for it. Without, the greeting does not offer it.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Whether clients are offered compression, by zlib and by zstd.
    pub compression: bool,
    /// Load balancers: a connection from there has to begin with a PROXY header (version 1 or 2),
    /// which names the client. No other connection may.
    pub proxy_protocol_from: Whitelist,
    /// Time from the accepted connection to the end of the login.
    pub login_timeout: Duration,
    /// How long a session without a running command may stay silent. The node ends such a session
    /// after its own `wait_timeout`, so this is a backstop.
    pub idle_timeout: Duration,
    /// How long a client's host may be silent before the kernel asks it whether it is there. One that
    /// does not answer for as long again is taken for gone.
    pub keepalive: Duration,
    /// Sessions over all instances. `None` takes what the limit of open files allows.
    pub max_sessions: Option<usize>,
    /// Most digests of statements that are kept of an instance; 0 keeps none.
    pub digests: usize,
    /// Connections to an instance's node that are kept for clients to come, at most; 0 keeps none.
    pub warm_connections: usize,
    /// How long such a connection waits for a client.
    pub warm_time: Duration,
    /// How long a command waits for a node that went down, in a session that can go on over another
    /// connection; zero ends all sessions with the node's connection.
    pub revival_time: Duration,
    /// The log of slow statements; `None` for none.
    pub slow_log: Option<SlowLogConfig>,
    /// How the loops wait for and move bytes.
    pub io: LoopKind,
    /// Who serves sessions of instances with several nodes on the loops; without, they go over the
    /// coordinator's socket.
    pub local: Option<Arc<dyn LocalNodes>>,
    /// How long a loop looks for events before it sleeps while the gateway serves exactly one
    /// session and that one is busy; zero never.
    pub busy_poll: Duration,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            workers: 0,
            tls: None,
            compression: true,
            proxy_protocol_from: Whitelist::default(),
            login_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(8 * 3600),
            keepalive: KEEPALIVE,
            max_sessions: None,
            digests: 1000,
            warm_connections: 32,
            warm_time: Duration::from_secs(60),
            revival_time: Duration::from_secs(10),
            slow_log: None,
            io: LoopKind::Auto,
            local: None,
            busy_poll: Duration::from_micros(200),
        }
    }
}

impl fmt::Debug for GatewayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayConfig")
            .field("workers", &self.workers)
            .field("tls", &self.tls.is_some())
            .field("compression", &self.compression)
            .field("proxy_protocol_from", &self.proxy_protocol_from)
            .field("login_timeout", &self.login_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("keepalive", &self.keepalive)
            .field("max_sessions", &self.max_sessions)
            .field("digests", &self.digests)
            .field("warm_connections", &self.warm_connections)
            .field("warm_time", &self.warm_time)
            .field("revival_time", &self.revival_time)
            .field("slow_log", &self.slow_log)
            .field("io", &self.io)
            .field("local", &self.local.is_some())
            .field("busy_poll", &self.busy_poll)
            .finish()
    }
}
