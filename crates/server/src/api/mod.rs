//! The signed API: from an HTTP request to an answer, in the order of checks that the API has.

mod access_log;
mod authenticate;
mod call;
mod download;
mod probes;
mod refusal;
mod request_id;
mod source;
mod throttle;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use openpeta_control::{Control, SetLink};
use openpeta_rpc_api::{Format, action_of_path};
use openpeta_types::{RequestId, Secret};
use tokio::sync::Semaphore;

use crate::config::ApiConfig;
use crate::console;
use crate::http::{Answer, AnswerBody, Handler, Peer, text};
use crate::metrics::Metrics;
use crate::telemetry::Tracer;
use throttle::Throttle;

/// The header in which every answer repeats its RequestId.
const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-acs-request-id");

/// The signed API of one service.
pub(crate) struct Api {
    control: Control,
    config: ApiConfig,
    reads: Throttle,
    changes: Throttle,
    /// Secret parameters enter a ClientToken's digest under this key.
    digest_key: Secret,
    metrics: Metrics,
    tracer: Option<Arc<Tracer>>,
    /// Whether metrics are served here, not on an address of their own.
    serves_metrics: bool,
    ready: AtomicBool,
    /// Places for downloads of backup sets.
    downloads: Arc<Semaphore>,
}

impl Api {
    /// The API of a control plane; not ready until [`set_ready`](Self::set_ready).
    pub(crate) fn new(
        control: Control,
        config: ApiConfig,
        metrics: Metrics,
        tracer: Option<Arc<Tracer>>,
        serves_metrics: bool,
    ) -> Self {
        let limits = &config.throttle;
        Self {
            reads: Throttle::new(limits.reads_per_second, limits.reads_burst),
            changes: Throttle::new(limits.changes_per_second, limits.changes_burst),
            digest_key: control.store().derive_secret("client token"),
            metrics,
            tracer,
            serves_metrics,
            ready: AtomicBool::new(false),
            downloads: Arc::new(Semaphore::new(download::AT_A_TIME)),
            control,
            config,
        }
    }

    /// Tells `/readyz` whether calls are served.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
}

impl Handler for Api {
    async fn handle(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Answer {
        match request.uri().path() {
            "/" => self.call(request, peer).await,
            "/healthz" => text(StatusCode::OK, "ok\n".into()),
            "/readyz" => self.readiness(),
            "/metrics" if self.serves_metrics => self.metrics(request.headers(), peer).await,
            path if SetLink::is_path(path) => self.download(request, peer).await,
            path if action_of_path(path).is_some() => self.call(request, peer).await,
            path => self
                .config
                .browser_page
                .then(|| console::answer(request.method(), path))
                .flatten()
                .unwrap_or_else(|| refusal::no_such_path(&request)),
        }
    }

    fn refusal(status: u16) -> Vec<u8> {
        refusal::unreadable_request(status)
    }

    fn too_many_connections() -> Vec<u8> {
        refusal::too_many_connections()
    }
}

/// An answer of the API.
fn answer(status: u16, format: Format, request_id: RequestId, body: String) -> Answer {
    let mut answer = Response::new(AnswerBody::from(Bytes::from(body)));
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    if let Ok(value) = HeaderValue::try_from(request_id.to_string()) {
        headers.insert(REQUEST_ID_HEADER, value);
    }
    answer
}
