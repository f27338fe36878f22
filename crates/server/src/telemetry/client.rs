//! Requests to the collector.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request};
use openpeta_control::outgoing::{Address, Reply, send};
use rustls::ClientConfig;

/// Bytes of an answer that are read.
const MOST_ANSWER: usize = 64 << 10;

/// Sends requests of one signal.
pub(super) struct Client {
    pub(super) address: Address,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
}

/// Why a request came to nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// For the operator.
    pub(super) reason: String,
    /// Whether it may be sent again, and if the collector said it, when.
    pub(super) again: Option<Option<Duration>>,
}

impl Client {
    /// Sends a request; returns the body of the answer.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn post(&self, body: Bytes) -> Result<Vec<u8>, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.address.path().parse().map_err(|_| Failure {
            reason: "the path cannot be asked for".to_owned(),
            again: None,
        })?;
        request.headers_mut().clone_from(&self.headers);
        let form = HeaderValue::from_static("application/x-protobuf");
        request.headers_mut().insert(CONTENT_TYPE, form);
        let sent = send(&self.address, self.tls.clone(), request, MOST_ANSWER);
        match tokio::time::timeout(self.timeout, sent).await {
            Ok(Ok(reply)) => judge(reply),
            Ok(Err(reason)) => Err(Failure {
                reason,
                again: Some(None),
            }),
            Err(_) => Err(Failure {
                reason: format!("no answer within {} s", self.timeout.as_secs()),
                again: Some(None),
            }),
        }
    }
}

/// What an answer means, by the specification of OTLP.
fn judge(reply: Reply) -> Result<Vec<u8>, Failure> {
    let status = reply.status;
    if (200..300).contains(&status) {
        return Ok(reply.body);
    }
    let wait = reply.headers.get(RETRY_AFTER);
    let wait = wait.and_then(|value| value.to_str().ok()?.parse().ok());
    let may_again = matches!(status, 429 | 502 | 503 | 504);
    Err(Failure {
        reason: format!("it answered {status}"),
        again: may_again.then(|| wait.map(Duration::from_secs)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_answers_ask_for_another_attempt() {
        let reply = |status, wait: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(wait) = wait {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(wait));
            }
            let body = b"x".to_vec();
            judge(Reply {
                status,
                headers,
                body,
            })
            .map_err(|failure| failure.again)
        };
        assert_eq!(reply(200, None), Ok(b"x".to_vec()));
        assert_eq!(reply(503, None), Err(Some(None)));
        let seven = Some(Duration::from_secs(7));
        assert_eq!(reply(429, Some("7")), Err(Some(seven)));
        assert_eq!(reply(429, Some("tomorrow")), Err(Some(None)));
        for status in [301, 400, 401, 404, 500] {
            assert_eq!(reply(status, Some("7")), Err(None), "{status}");
        }
    }
}
