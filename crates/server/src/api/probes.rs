//! Health, readiness and metrics.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use openpeta_store::StoreError;

use super::Api;
use super::source::Source;
use crate::http::Answer;

/// A plain text.
pub(super) fn text(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, plain);
    answer
}

impl Api {
    /// Whether calls can be served: everything is started, nothing stops, the store reads.
    pub(super) fn readiness(&self) -> Answer {
        let unavailable = |why: &str| text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
        if !self.ready.load(Ordering::Acquire) {
            return unavailable("starting or stopping");
        }
        match self.control.store().read(|_| Ok::<_, StoreError>(())) {
            Ok(()) => text(StatusCode::OK, "ready\n".into()),
            Err(error) => {
                tracing::error!(%error, "the store does not answer");
                unavailable("the metadata store does not answer")
            }
        }
    }

    /// The metrics, for those who may read them.
    pub(super) fn metrics(&self, source: Source) -> Answer {
        let mut allowed = self.config.metrics_allowed.iter();
        if !allowed.any(|net| net.contains(&source.address)) {
            return text(
                StatusCode::FORBIDDEN,
                "not allowed from this address\n".into(),
            );
        }
        match self.metrics.render(&self.calls) {
            Ok(metrics) => text(StatusCode::OK, metrics),
            Err(error) => {
                tracing::error!(%error, "metrics could not be read");
                text(StatusCode::INTERNAL_SERVER_ERROR, "see the log\n".into())
            }
        }
    }
}
