//! Health, readiness and metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, StatusCode};
use openpeta_store::StoreError;

use super::Api;
use super::call::header;
use super::source::Source;
use crate::http::{Answer, Peer, text};
use crate::metrics::{FamilyPoints, Format, Refused};

impl Api {
    /// Whether calls can be served: everything is started, nothing stops, the store reads.
    pub(crate) fn readiness(&self) -> Answer {
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

    /// The metrics as numbers. Looks at the process of every node, so not for async threads.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub(crate) fn points(&self) -> Result<Vec<FamilyPoints>, StoreError> {
        self.metrics.points(self.ready.load(Ordering::Acquire))
    }

    /// The metrics, for those who may read them.
    pub(crate) async fn metrics(self: &Arc<Self>, headers: &HeaderMap, peer: Peer) -> Answer {
        let source = Source::of(headers, peer, &self.config.trusted_proxies);
        let authorization = header(headers, AUTHORIZATION.as_str()).unwrap_or_default();
        if let Err(refused) = self.metrics.access.check(source.address, authorization) {
            self.metrics.count_refused();
            return refusal(refused);
        }
        let accept = headers.get_all(ACCEPT).iter();
        let accept: Vec<_> = accept.filter_map(|value| value.to_str().ok()).collect();
        let format = Format::accepted(&accept.join(","));
        let its = Arc::clone(self);
        let written = tokio::task::spawn_blocking(move || {
            let is_ready = its.ready.load(Ordering::Acquire);
            its.metrics.render(format, is_ready)
        });
        let error = match written.await {
            Ok(Ok(metrics)) => {
                let mut answer = text(StatusCode::OK, metrics);
                let form = HeaderValue::from_static(format.content_type());
                answer.headers_mut().insert(CONTENT_TYPE, form);
                return answer;
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(%error, "metrics could not be read");
        text(StatusCode::INTERNAL_SERVER_ERROR, "see the log\n".into())
    }
}

fn refusal(why: Refused) -> Answer {
    match why {
        Refused::Network => {
            let why = "not allowed from this address\n";
            text(StatusCode::FORBIDDEN, why.into())
        }
        Refused::Token => {
            let mut answer = text(StatusCode::UNAUTHORIZED, "not without the token\n".into());
            let scheme = HeaderValue::from_static("Bearer realm=\"metrics\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            answer
        }
    }
}
