//! A running service: started part by part, stopped in the reverse order.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openpeta_control::{DataDir, DefaultTenant, EventRecorder};
use openpeta_gateway::{Gateway, LoopKind, SlowLogConfig};
use openpeta_store::{DirLock, Store, StoreError};
use openpeta_types::{EventKind, Whitelist};
use serde_json::json;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::config::{Config, GatewayConfig, GatewayIo};
use crate::coordination::Coordination;
use crate::handover::{self, Inheritance, Link, Predecessor, Retired, ServiceSockets};
use crate::http::bind;
use crate::metrics::Access;
use crate::plane::{Plane, PreparedPlane};
use crate::telemetry::Telemetry;
use crate::tls::{Tls, Unnamed};
use crate::{ServeError, credentials, data_dir, notify, unix_socket};

/// How often certificates are looked at.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(12 * 3600);
/// What the process before this one may take beyond the time for its sessions.
const BEYOND_DRAIN: Duration = Duration::from_secs(2);

/// What of a service stays when its plane is stopped.
pub(crate) struct Base {
    dir: PathBuf,
    pub(crate) config: Config,
    lock: Arc<DirLock>,
    pub(crate) sockets: ServiceSockets,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) coordination: Arc<Coordination>,
    /// Who may read the metrics.
    pub(crate) access: Arc<Access>,
    pub(crate) tls: Arc<Tls>,
    /// The process before this one, as long as it has sessions.
    pub(crate) predecessor: Arc<Predecessor>,
    pub(crate) telemetry: Arc<Telemetry>,
}

impl Base {
    pub(crate) fn data_dir(&self) -> DataDir {
        DataDir::new(&self.dir)
    }
}

/// A running service.
pub struct Service {
    base: Base,
    plane: Plane,
    http: SocketAddr,
    https: SocketAddr,
    /// The certificates' watch.
    watch: JoinHandle<()>,
}

/// How an attempt of another process to take over has ended.
pub enum HandOver {
    /// It serves. What is left here are sessions from before.
    Retired(Retired),
    /// This process serves on.
    Resumed(Box<Service>),
    /// Neither does.
    Failed(ServeError),
}

impl Service {
    /// Starts everything. When it returns, calls are answered and databases accept clients.
    /// Nodes of an earlier process are adopted as they run.
    ///
    /// # Errors
    /// [`ServeError`]; what was started is stopped again, nodes excepted.
    pub async fn start(dir: &Path, config: Config) -> Result<Self, ServeError> {
        data_dir::prepare(dir)?;
        let dir = absolute(dir)?;
        let lock = DirLock::take(&dir).map_err(|error| store_error(&dir, error))?;
        let lock = Arc::new(lock);
        // Before anything is started for nothing.
        let store = open_store(&dir, &lock)?;
        let base = Base::new(dir, config, lock, None)?;
        let prepared = PreparedPlane::new(&base, store).await?;
        let plane = prepared.begin(&base)?;
        Self::running(base, plane)
    }

    /// Starts everything in place of the process that serves the data directory, whose clients
    /// notice nothing; as [`start`](Self::start) if there is none. When this fails, that process
    /// serves on.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn replace(dir: &Path, config: Config) -> Result<Self, ServeError> {
        data_dir::prepare(dir)?;
        let dir = absolute(dir)?;
        let Some(mut inheritance) = Inheritance::ask(&dir).await? else {
            return Self::start(&dir, config).await;
        };
        let lock = Arc::new(inheritance.lock(&dir)?);
        let base = Base::new(dir, config, lock, Some(&mut inheritance))?;
        fail_point("prepared");
        inheritance.claim_store().await?;
        fail_point("store");
        let store = open_store(&base.dir, &base.lock)?;
        let prepared = PreparedPlane::new(&base, store).await?;
        let sessions = inheritance.claim_clients().await?;
        fail_point("clients");
        base.predecessor.count(sessions);
        base.gateway.release();
        let plane = prepared.begin(&base)?;
        fail_point("begun");
        let pid = inheritance.serving(&base.predecessor).await?;
        info!(
            pid = pid.map(|pid| pid.as_raw_nonzero().get()),
            "taken over"
        );
        base.lock
            .sign()
            .map_err(|error| store_error(&base.dir, error))?;
        tokio::spawn(Arc::clone(&base.predecessor).watch());
        Self::running(base, plane)
    }

    fn running(base: Base, plane: Plane) -> Result<Self, ServeError> {
        let http = local(&base.sockets.http)?;
        let https = local(&base.sockets.https)?;
        let metrics = base.sockets.metrics.as_ref().map(local).transpose()?;
        credentials::write(
            &base.data_dir().credentials(),
            http,
            https,
            &base.tls.ca_file(),
            &plane.tenant,
        )?;
        let metrics = metrics.map(tracing::field::display);
        info!(%http, %https, metrics, data_dir = %base.dir.display(), "serving");
        Ok(Self {
            http,
            https,
            watch: tokio::spawn(watch_certificates(Arc::clone(&base.tls), plane.events())),
            base,
            plane,
        })
    }

    /// The data directory, as an absolute path.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.base.dir
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

    /// The address that metrics alone are served on, with the port that was chosen.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        let listener = self.base.sockets.metrics.as_ref()?;
        listener.local_addr().ok()
    }

    /// The default tenant and its access key.
    #[must_use]
    pub const fn default_tenant(&self) -> &DefaultTenant {
        &self.plane.tenant
    }

    /// Reads the certificates again, for new connections, and the token of the metrics.
    pub fn reload(&self) {
        let events = self.plane.events();
        match reload(&self.base.tls) {
            Ok(()) => {
                let kind = EventKind::CertificatesReloaded;
                events.record(kind, "the certificates were read again", &json!({}));
            }
            Err(error) => certificates_unreadable(&events, &error),
        }
        if let Err(error) = self.base.access.reload() {
            warn!(%error, "the token of the metrics not read; the former one stays in use");
        }
    }

    /// Waits for a process that wants to take over.
    pub(crate) async fn successor(&self) -> Link {
        loop {
            match self.base.sockets.successor.accept().await {
                Ok((stream, _)) => return Link::new(stream),
                Err(error) => {
                    warn!(%error, "cannot accept on the socket for hand-overs");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Lets another process take over.
    pub(crate) async fn hand_over(self, mut link: Link) -> HandOver {
        let (base, config) = (&self.base, &self.base.config);
        let pid = link.peer();
        info!(
            pid = pid.map(|pid| pid.as_raw_nonzero().get()),
            "handing over"
        );
        let (sockets, gateway) = (&base.sockets, &base.gateway);
        if let Err(error) = handover::offer(&mut link, config, sockets, &base.lock, gateway).await {
            warn!(%error, "not handed over: the new process did not come so far; serving on");
            return HandOver::Resumed(Box::new(self));
        }
        let Self {
            base, plane, watch, ..
        } = self;
        let kept = plane.yield_store(&base.config.api).await;
        let passed = match &kept {
            Ok(()) => {
                let sessions = || handover::all_sessions(&base.gateway, &base.predecessor);
                handover::pass_on(&mut link, &base.gateway, sessions).await
            }
            Err(_) => Err(std::io::Error::other("the store is still in use")),
        };
        watch.abort();
        match passed {
            Ok(()) => {
                info!(sessions = base.gateway.open_sessions(), "handed over");
                if let Some(pid) = pid {
                    notify::replaced_by(pid);
                }
                HandOver::Retired(base.retire(link))
            }
            Err(error) => {
                drop(link);
                warn!(%error, "not handed over; serving on");
                match base.resume(kept.err()).await {
                    Ok(service) => HandOver::Resumed(Box::new(service)),
                    Err(error) => HandOver::Failed(error),
                }
            }
        }
    }

    /// Stops: no new connections; calls in flight, transactions and steps of tasks finish, as
    /// far as the configured times allow. Nodes keep running.
    pub async fn stop(self) {
        info!("stopping");
        let Self {
            base, plane, watch, ..
        } = self;
        watch.abort();
        let Base {
            dir,
            config,
            // Held until the end.
            lock: _lock,
            sockets,
            gateway,
            predecessor,
            telemetry,
            ..
        } = base;
        // Whoever comes now is refused.
        drop(sockets);
        let patience = Duration::from_secs(config.gateway.drain_seconds);
        let drain = tokio::task::spawn_blocking(move || gateway.drain(patience));
        let earlier =
            tokio::task::spawn_blocking(move || predecessor.stop(patience + BEYOND_DRAIN));
        plane.stop(&config.api).await;
        telemetry.shutdown().await;
        if let Ok(cut @ 1..) = drain.await {
            warn!(
                sessions = cut,
                "database sessions in a transaction were cut off"
            );
        }
        let _ = earlier.await;
        for path in [
            DataDir::new(&dir).admin_socket(),
            handover::socket_path(&dir),
        ] {
            let _ = std::fs::remove_file(path);
        }
        info!("stopped");
    }
}

impl Base {
    /// What needs no store, on sockets of its own or of the process before.
    fn new(
        dir: PathBuf,
        config: Config,
        lock: Arc<DirLock>,
        mut inheritance: Option<&mut Inheritance>,
    ) -> Result<Self, ServeError> {
        let data_dir = DataDir::new(&dir);
        let inherited = inheritance.as_deref_mut();
        let [http, https] = inherited.map_or([None, None], |inheritance| {
            inheritance.api(config.api.http_listen, config.api.https_listen)
        });
        let bound = |listener: Option<StdListener>, address, flag| match listener {
            Some(listener) => Ok(listener),
            None => bind(address, flag),
        };
        let http = bound(http, config.api.http_listen, "http-listen")?;
        let https = bound(https, config.api.https_listen, "https-listen")?;
        let inherited = inheritance.as_deref_mut();
        let metrics = match (config.metrics.listen, inherited) {
            (None, _) => None,
            (Some(wanted), inherited) => {
                let inherited = inherited.and_then(|inheritance| inheritance.metrics(wanted));
                Some(bound(inherited, wanted, "[metrics] listen")?)
            }
        };
        let access = Arc::new(Access::new(&config.metrics)?);
        let inherited = inheritance.as_deref_mut();
        let (admin, successor) = match inherited.and_then(Inheritance::unix) {
            Some([admin, successor]) => (
                UnixListener::from(admin),
                tokio::net::UnixListener::from_std(successor.into()).map_err(socket_error)?,
            ),
            None => (
                unix_socket::listen(&data_dir.admin_socket())?
                    .into_std()
                    .map_err(socket_error)?,
                unix_socket::listen(&handover::socket_path(&dir))?,
            ),
        };
        let domain = config.network.domain.as_deref();
        let network = &config.network;
        let public = network.public_host();
        let names = [
            local(&http)?.ip(),
            local(&https)?.ip(),
            network.classic_address,
            network.public_address(),
            local(metrics.as_ref().unwrap_or(&https))?.ip(),
        ];
        let tls = Arc::new(Tls::open(
            data_dir.tls(),
            config.tls.clone(),
            domain,
            Some(&public),
            &names,
        )?);
        let coordination = Arc::new(Coordination::new(&dir));
        let local = Arc::clone(&coordination);
        let gateway = start_gateway(&config.gateway, &tls, data_dir.slow_log(), local)?;
        let gateway = Arc::new(gateway);
        if let Some(inheritance) = inheritance {
            gateway.hold();
            gateway.inherit(inheritance.endpoints());
        }
        Ok(Self {
            predecessor: Arc::new(Predecessor::none(Arc::clone(&gateway))),
            coordination,
            telemetry: Telemetry::start(&config.telemetry, &dir)?,
            dir,
            config,
            lock,
            sockets: ServiceSockets {
                http,
                https,
                metrics,
                admin,
                successor,
            },
            gateway,
            access,
            tls,
        })
    }

    /// Serves on after a hand-over that came to nothing.
    async fn resume(self, store: Option<Store>) -> Result<Service, ServeError> {
        // Clients of databases first: they need no store.
        if let Err(error) = self.coordination.listen_anew() {
            warn!(
                error = &error as &dyn std::error::Error,
                "sockets of coordinators could not be taken back"
            );
        }
        self.gateway.release();
        let store = match store {
            Some(store) => store,
            None => open_store(&self.dir, &self.lock)?,
        };
        let plane = PreparedPlane::new(&self, store).await?.begin(&self)?;
        Service::running(self, plane)
    }

    /// Lets go of everything but the sessions.
    fn retire(self, link: Link) -> Retired {
        self.gateway.surrender();
        let seconds = &self.config.gateway;
        Retired {
            link,
            gateway: self.gateway,
            coordination: self.coordination,
            predecessor: self.predecessor,
            patience: Duration::from_secs(seconds.upgrade_drain_seconds),
            drain: Duration::from_secs(seconds.drain_seconds),
            telemetry: self.telemetry,
        }
    }
}

/// Ends the process at this point of taking over, if a test wants it (debug builds only).
fn fail_point(_name: &str) {
    #[cfg(debug_assertions)]
    if std::env::var("OPENPETA_HANDOVER_DIES").is_ok_and(|at| at == _name) {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

fn absolute(dir: &Path) -> Result<PathBuf, ServeError> {
    std::path::absolute(dir).map_err(|reason| ServeError::DataDir {
        path: dir.to_owned(),
        reason,
    })
}

fn open_store(dir: &Path, lock: &Arc<DirLock>) -> Result<Store, ServeError> {
    Store::open_locked(dir, Arc::clone(lock)).map_err(|error| store_error(dir, error))
}

fn socket_error(reason: std::io::Error) -> ServeError {
    ServeError::System {
        what: "using a socket",
        reason,
    }
}

fn start_gateway(
    config: &GatewayConfig,
    tls: &Tls,
    slow_log: PathBuf,
    local: Arc<Coordination>,
) -> Result<Gateway, ServeError> {
    let threshold = Duration::try_from_secs_f64(config.slow_log_seconds)
        .map_err(|error| ServeError::Gateway(format!("slow_log_seconds: {error}")))?;
    let slow_log = SlowLogConfig {
        directory: slow_log,
        threshold: Some(threshold).filter(|time| !time.is_zero()),
        max_bytes: config.slow_log_max_bytes,
        files: config.slow_log_files,
    };
    let tls = config
        .tls
        .then(|| tls.server_config(&[], Unnamed::Operators))
        .transpose()?;
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
        local: Some(local),
    })
    .map_err(|error| ServeError::Gateway(error.to_string()))
}

fn local(listener: &StdListener) -> Result<SocketAddr, ServeError> {
    let what = "reading a listener's address";
    listener
        .local_addr()
        .map_err(|reason| ServeError::System { what, reason })
}

/// Renews the certificate while the service runs for months.
async fn watch_certificates(tls: Arc<Tls>, events: EventRecorder) {
    let mut ticks = tokio::time::interval(CERTIFICATE_CHECK);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if let Err(error) = reload(&tls) {
            certificates_unreadable(&events, &error);
        }
    }
}

fn reload(tls: &Tls) -> Result<(), ServeError> {
    let read = tls.reload();
    match &read {
        Ok(()) => info!("certificates read"),
        Err(error) => warn!(%error, "certificates not read; the former ones stay in use"),
    }
    read
}

fn certificates_unreadable(events: &EventRecorder, error: &ServeError) {
    let text = format!("the certificates cannot be read: {error}");
    let details = json!({ "error": error.to_string() });
    events.record(EventKind::CertificatesUnreadable, &text, &details);
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
