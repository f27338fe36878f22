//! Metrics on an address of their own.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};

use crate::api::Api;
use crate::http::{Answer, Handler, Peer, text};

/// What answers there: metrics, and whether the service lives. Nothing of the API.
pub(crate) struct MetricsEndpoint(pub(crate) Arc<Api>);

impl Handler for MetricsEndpoint {
    async fn handle(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Answer {
        match request.uri().path() {
            "/metrics" => self.0.metrics(request.headers(), peer).await,
            "/healthz" => text(StatusCode::OK, "ok\n".into()),
            "/readyz" => self.0.readiness(),
            _ => text(StatusCode::NOT_FOUND, "see /metrics\n".into()),
        }
    }

    fn refusal(status: u16) -> Vec<u8> {
        plain(status)
    }

    fn too_many_connections() -> Vec<u8> {
        plain(503)
    }
}

fn plain(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} \r\nconnection: close\r\ncontent-length: 0\r\n\r\n").into_bytes()
}
