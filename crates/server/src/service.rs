//! A running service: started part by part, stopped in the reverse order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openpeta_control::{Control, ControlError, DataDir, DefaultTenant};
use openpeta_gateway::{Gateway, LoopKind, SlowLogConfig};
use openpeta_store::{Store, StoreError};
use openpeta_types::Whitelist;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::admin_socket::AdminSocket;
use crate::api::Api;
use crate::config::{Config, GatewayConfig, GatewayIo};
use crate::gateway_adapter::GatewayAdapter;
use crate::http::{HttpServer, bind};
use crate::metrics::MetricsSource;
use crate::tls::Tls;
use crate::{ServeError, credentials, data_dir};

/// How often certificates are looked at.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(12 * 3600);

/// A running service.
pub struct Service {
    dir: PathBuf,
    http: SocketAddr,
    https: SocketAddr,
    tenant: DefaultTenant,
    config: Config,
    api: Arc<Api>,
    server: HttpServer<Api>,
    control: Control,
    gateway: Arc<Gateway>,
    tls: Arc<Tls>,
    /// The admin socket and the certificates' watch.
    background: Vec<JoinHandle<()>>,
}

impl Service {
    /// Starts everything. When it returns, calls are answered and databases accept clients.
    /// Nodes of an earlier process are adopted as they run.
    ///
    /// # Errors
    /// [`ServeError`]; what was started is stopped again, nodes excepted.
    pub async fn start(dir: &Path, config: Config) -> Result<Self, ServeError> {
        data_dir::prepare(dir)?;
        let dir = std::path::absolute(dir).map_err(|reason| ServeError::DataDir {
            path: dir.to_owned(),
            reason,
        })?;
        let data_dir = DataDir::new(&dir);
        let store = Store::open(&dir).map_err(|error| store_error(&dir, error))?;
        // Before anything is started for nothing.
        let http_listener = bind(config.api.http_listen, "http-listen")?;
        let https_listener = bind(config.api.https_listen, "https-listen")?;
        let (http, https) = (local(&http_listener)?, local(&https_listener)?);

        let domain = config.network.domain.as_deref();
        let network = &config.network;
        let public = network.public_host();
        let names = [
            http.ip(),
            https.ip(),
            network.classic_address,
            network.public_address(),
        ];
        let tls = Arc::new(Tls::open(data_dir.tls(), domain, Some(&public), &names)?);
        let acceptor = TlsAcceptor::from(tls.server_config(&[b"http/1.1"])?);
        let gateway = Arc::new(start_gateway(&config.gateway, &tls, data_dir.slow_log())?);
        let adapter = Arc::new(GatewayAdapter(Arc::clone(&gateway)));
        let (control, tenant) = Control::start(config.control(), &data_dir, store.clone(), adapter)
            .await
            .map_err(control_error)?;

        let metrics = MetricsSource::new(Arc::clone(&gateway), store);
        let api = Arc::new(Api::new(control.clone(), config.api.clone(), metrics));
        let server = HttpServer::new(Arc::clone(&api), config.api.limits.clone());
        server.listen(http_listener, None);
        server.listen(https_listener, Some(acceptor));
        let admin = AdminSocket::open(&data_dir.admin_socket())?;
        let background = vec![
            tokio::spawn(admin.serve(control.clone())),
            tokio::spawn(watch_certificates(Arc::clone(&tls))),
        ];
        credentials::write(
            &data_dir.credentials(),
            http,
            https,
            &tls.ca_file(),
            &tenant,
        )?;
        api.set_ready(true);
        info!(%http, %https, data_dir = %dir.display(), "serving");
        Ok(Self {
            dir,
            http,
            https,
            tenant,
            config,
            api,
            server,
            control,
            gateway,
            tls,
            background,
        })
    }

    /// The data directory, as an absolute path.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.dir
    }

    /// The address that HTTP is served on, with the port that was chosen.
    #[must_use]
    pub const fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// The address that HTTPS is served on, with the port that was chosen.
    #[must_use]
    pub const fn https_address(&self) -> SocketAddr {
        self.https
    }

    /// The default tenant and its access key.
    #[must_use]
    pub const fn default_tenant(&self) -> &DefaultTenant {
        &self.tenant
    }

    /// Reads the certificates again, for new connections.
    pub fn reload_certificates(&self) {
        reload(&self.tls);
    }

    /// Stops: no new connections; calls in flight, transactions and steps of tasks finish, as
    /// far as the configured times allow. Nodes keep running.
    pub async fn stop(self) {
        info!("stopping");
        self.api.set_ready(false);
        for task in &self.background {
            task.abort();
        }
        for task in self.background {
            // Waits until it is gone, and the admin socket with it.
            let _ = task.await;
        }
        let patience = Duration::from_secs(self.config.gateway.drain_seconds);
        let gateway = Arc::clone(&self.gateway);
        let drain = tokio::task::spawn_blocking(move || gateway.drain(patience));
        let calls = Duration::from_secs(self.config.api.shutdown_seconds);
        if !self.server.stop(calls).await {
            warn!("calls in flight were cut off");
        }
        self.control.shutdown().await;
        if let Ok(cut @ 1..) = drain.await {
            warn!(
                sessions = cut,
                "database sessions in a transaction were cut off"
            );
        }
        info!("stopped");
    }
}

fn start_gateway(
    config: &GatewayConfig,
    tls: &Tls,
    slow_log: PathBuf,
) -> Result<Gateway, ServeError> {
    let threshold = Duration::try_from_secs_f64(config.slow_log_seconds)
        .map_err(|error| ServeError::Gateway(format!("slow_log_seconds: {error}")))?;
    let slow_log = SlowLogConfig {
        directory: slow_log,
        threshold: Some(threshold).filter(|time| !time.is_zero()),
        max_bytes: config.slow_log_max_bytes,
        files: config.slow_log_files,
    };
    let tls = config.tls.then(|| tls.server_config(&[])).transpose()?;
    Gateway::start(openpeta_gateway::GatewayConfig {
        workers: config.workers,
        tls,
        compression: config.compression,
        proxy_protocol_from: Whitelist::new(&config.proxy_protocol_from),
        login_timeout: Duration::from_secs(config.login_seconds),
        idle_timeout: Duration::from_secs(config.idle_seconds),
        keepalive: Duration::from_secs(config.keepalive_seconds),
        max_sessions: config.max_sessions,
        digests: config.digests,
        warm_connections: config.warm_connections,
        warm_time: Duration::from_secs(config.warm_seconds),
        revival_time: Duration::from_secs(config.reconnect_seconds),
        // An instance may have a threshold of its own at any time.
        slow_log: Some(slow_log),
        io: match config.io {
            GatewayIo::Auto => LoopKind::Auto,
            GatewayIo::IoUring => LoopKind::IoUring,
            GatewayIo::Epoll => LoopKind::Epoll,
        },
        busy_poll: Duration::from_micros(config.busy_poll_microseconds),
    })
    .map_err(|error| ServeError::Gateway(error.to_string()))
}

fn local(listener: &TcpListener) -> Result<SocketAddr, ServeError> {
    let what = "reading a listener's address";
    listener
        .local_addr()
        .map_err(|reason| ServeError::System { what, reason })
}

/// Renews the certificate while the service runs for months.
async fn watch_certificates(tls: Arc<Tls>) {
    let mut ticks = tokio::time::interval(CERTIFICATE_CHECK);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        reload(&tls);
    }
}

fn reload(tls: &Tls) {
    match tls.reload() {
        Ok(()) => info!("certificates read"),
        Err(error) => warn!(%error, "certificates not read; the former ones stay in use"),
    }
}

fn store_error(dir: &Path, error: StoreError) -> ServeError {
    match error {
        StoreError::InUse { pid } => ServeError::AlreadyServed {
            path: dir.to_owned(),
            pid,
        },
        StoreError::Io { path, source } => ServeError::DataDir {
            path,
            reason: source,
        },
        StoreError::ReadOnly => ServeError::DataDir {
            path: dir.to_owned(),
            reason: std::io::ErrorKind::ReadOnlyFilesystem.into(),
        },
        StoreError::DiskFull => ServeError::DataDir {
            path: dir.to_owned(),
            reason: std::io::ErrorKind::StorageFull.into(),
        },
        other => ServeError::Store(other.to_string()),
    }
}

fn control_error(error: ControlError) -> ServeError {
    ServeError::Control(error.context.unwrap_or_else(|| error.api.to_string()))
}
