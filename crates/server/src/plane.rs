//! What of a running service needs the store: the control plane, the API over it, the operator's
//! socket. It can be stopped and started anew while the gateway goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openpeta_control::{Control, ControlError, DefaultTenant, EventRecorder, Prepared};
use openpeta_store::Store;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use crate::api::Api;
use crate::config::ApiConfig;
use crate::gateway_adapter::GatewayAdapter;
use crate::http::HttpServer;
use crate::metrics::{Metrics, MetricsEndpoint};
use crate::service::Base;
use crate::telemetry::Pusher;
use crate::tls::Unnamed;
use crate::{ServeError, admin_socket};

/// How long connections to the API, or for metrics, that have no request under way may still send one when another
/// process takes over: many times the way of a packet.
const LINGER: Duration = Duration::from_millis(500);
/// How long a reading of the metrics may take.
const METRICS: Duration = Duration::from_secs(1);
/// How long the operator's commands under way may take.
const COMMANDS: Duration = Duration::from_secs(10);
/// How long it may take until whatever has the store in hand has noticed that it is to end.
const RELEASE: Duration = Duration::from_secs(10);

/// A plane that has not begun to do anything by itself.
pub(crate) struct PreparedPlane {
    store: Store,
    prepared: Prepared,
    tenant: DefaultTenant,
    acceptor: TlsAcceptor,
}

/// A running plane.
pub(crate) struct Plane {
    pub(crate) tenant: DefaultTenant,
    store: Store,
    api: Arc<Api>,
    server: HttpServer<Api>,
    metrics_server: Option<HttpServer<MetricsEndpoint>>,
    pusher: Option<Pusher>,
    control: Control,
    stop_admin: watch::Sender<bool>,
    admin: JoinHandle<()>,
}

impl PreparedPlane {
    /// Makes everything ready over an open store: endpoints are open when this returns.
    ///
    /// # Errors
    /// [`ServeError`].
    pub(crate) async fn new(base: &Base, store: Store) -> Result<Self, ServeError> {
        let adapter = GatewayAdapter {
            gateway: Arc::clone(&base.gateway),
            predecessor: Arc::clone(&base.predecessor),
            coordination: Arc::clone(&base.coordination),
        };
        let acceptor = TlsAcceptor::from(base.tls.server_config(&[b"http/1.1"], Unnamed::Own)?);
        let config = base.config.control();
        let adapter = Arc::new(adapter);
        let (prepared, tenant) = Control::prepare(config, &base.data_dir(), store.clone(), adapter)
            .await
            .map_err(control_error)?;
        Ok(Self {
            store,
            prepared,
            tenant,
            acceptor,
        })
    }

    /// Goes on with tasks, answers calls.
    ///
    /// # Errors
    /// [`ServeError`].
    pub(crate) fn begin(self, base: &Base) -> Result<Plane, ServeError> {
        let system = |reason| ServeError::System {
            what: "using a socket",
            reason,
        };
        let sockets = &base.sockets;
        let http = sockets.http.try_clone().and_then(TcpListener::from_std);
        let https = sockets.https.try_clone().and_then(TcpListener::from_std);
        let admin = sockets.admin.try_clone().and_then(UnixListener::from_std);
        let (http, https) = (http.map_err(system)?, https.map_err(system)?);
        let admin = admin.map_err(system)?;
        let telemetry = &base.telemetry;
        let control = self.prepared.begin(telemetry.observer());
        let control = control.map_err(control_error)?;
        let own = sockets
            .metrics
            .as_ref()
            .map(std::net::TcpListener::try_clone);
        let own = own.transpose().map_err(system)?;
        let own = own.map(TcpListener::from_std).transpose().map_err(system)?;
        let config = &base.config;
        let (access, gateway) = (Arc::clone(&base.access), Arc::clone(&base.gateway));
        let metrics = Metrics::new(
            &config.metrics,
            access,
            gateway,
            control.clone(),
            Arc::clone(telemetry),
        );
        let (tracer, api) = (telemetry.tracer(), config.api.clone());
        let api = Api::new(control.clone(), api, metrics, tracer, own.is_none());
        let api = Arc::new(api);
        let metrics_server = own.map(|listener| {
            let endpoint = Arc::new(MetricsEndpoint(Arc::clone(&api)));
            let server = HttpServer::new(endpoint, config.api.limits.clone());
            let tls = config.metrics.tls.then(|| self.acceptor.clone());
            server.listen(listener, tls);
            server
        });
        let server = HttpServer::new(Arc::clone(&api), base.config.api.limits.clone());
        server.listen(http, None);
        server.listen(https, Some(self.acceptor));
        let (stop_admin, stop) = watch::channel(false);
        let admin = tokio::spawn(admin_socket::serve(admin, control.clone(), stop));
        api.set_ready(true);
        let its = Arc::clone(&api);
        let pusher = telemetry.push(move || its.points());
        Ok(Plane {
            tenant: self.tenant,
            store: self.store,
            api,
            server,
            metrics_server,
            pusher,
            control,
            stop_admin,
            admin,
        })
    }
}

impl Plane {
    /// The way to the list of events, which does not hold the store.
    pub(crate) fn events(&self) -> EventRecorder {
        self.control.event_recorder()
    }

    /// Stops: calls in flight and steps of tasks finish, as far as the configured times allow.
    pub(crate) async fn stop(self, config: &ApiConfig) {
        self.api.set_ready(false);
        self.end(config, Duration::ZERO).await;
    }

    /// As [`stop`](Self::stop), for another process to go on; the API does not seem to be down in
    /// the meantime. Returns when the store is closed.
    ///
    /// # Errors
    /// The store, when something does not let go of it.
    pub(crate) async fn yield_store(self, config: &ApiConfig) -> Result<(), Store> {
        let open = self.store.downgrade();
        self.end(config, LINGER).await;
        let end = Instant::now() + RELEASE;
        loop {
            if open.is_closed() {
                return Ok(());
            }
            if Instant::now() >= end
                && let Some(store) = open.upgrade()
            {
                return Err(store);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn end(self, config: &ApiConfig, linger: Duration) {
        let Self {
            server,
            metrics_server,
            pusher,
            control,
            stop_admin,
            mut admin,
            ..
        } = self;
        stop_admin.send_replace(true);
        let calls = Duration::from_secs(config.shutdown_seconds);
        let stop_metrics = async {
            if let Some(server) = metrics_server {
                server.stop(METRICS, linger).await;
            }
            if let Some(pusher) = pusher {
                pusher.stop(METRICS).await;
            }
        };
        let stop_calls = server.stop(calls, linger);
        let finished = match linger.is_zero() {
            // How the service stops can be watched.
            true => {
                let finished = stop_calls.await;
                stop_metrics.await;
                finished
            }
            false => tokio::join!(stop_calls, stop_metrics).0,
        };
        if !finished {
            warn!("calls in flight were cut off");
        }
        let commands = calls.min(COMMANDS);
        if tokio::time::timeout(commands, &mut admin).await.is_err() {
            warn!("commands of the operator were cut off");
            admin.abort();
            let _ = admin.await;
        }
        control.shutdown().await;
    }
}

fn control_error(error: ControlError) -> ServeError {
    ServeError::Control(error.context.unwrap_or_else(|| error.api.to_string()))
}
