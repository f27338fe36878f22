//! One call, from its request to its answer.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request};
use jiff::Timestamp;
use openpeta_control::{Caller, ControlError};
use openpeta_rpc_api::{
    ApiError, Failure, Format, HttpsRule, RawRequest, SignedCall, decode, render_error,
};
use openpeta_store::AccessKey;
use openpeta_types::{InstanceId, RequestId, TraceContext};
use tracing::{Instrument, error, error_span, warn};

use super::authenticate::authenticate;
use super::request_id::new_request_id;
use super::source::Source;
use super::{Api, access_log, answer, refusal};
use crate::actions::{self, Call, Outcome, mutating_call};
use crate::config::HttpForSecrets;
use crate::http::{Answer, BodyError, Peer, read_body};
use crate::telemetry::CallSpan;

/// Milliseconds after which a throttled call may be sent again; the newer SDKs wait for it.
const ACS_RETRY_AFTER: HeaderName = HeaderName::from_static("x-acs-retry-after");
/// Where a caller is in a trace of its own, as W3C Trace Context has it.
const TRACEPARENT: &str = "traceparent";
/// Bytes of a User-Agent that are kept in the audit trail.
const MAX_USER_AGENT: usize = 256;
/// Bytes of a Host that are sent back in errors.
const MAX_HOST: usize = 255;

/// How far a call has come, for its log line and its answer.
#[derive(Default)]
pub(super) struct Progress {
    /// The form of the answer.
    format: Format,
    /// The call, once it could be decoded.
    pub(super) call: Option<SignedCall>,
    /// Who makes it, once that is proven.
    pub(super) key: Option<Arc<AccessKey>>,
    /// Where the caller is in a trace of its own, from then on.
    caller_trace: Option<TraceContext>,
    /// Set when the call came too early.
    retry_after: Option<Duration>,
}

impl Api {
    /// Answers a call: the answer always has a RequestId, also when something breaks.
    pub(super) async fn call(&self, request: Request<Incoming>, peer: Peer) -> Answer {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let source = Source::of(&parts.headers, peer, &self.config.trusted_proxies);
        let request_id = new_request_id();
        let mut progress = Progress::default();
        let work = self.process(&parts, body, source, request_id, started, &mut progress);
        // What is logged meanwhile, by whomever, is of this call.
        let span = error_span!("call", %request_id);
        let result = caught(work).instrument(span).await;
        self.finish(&parts, source, request_id, started, &progress, result)
    }

    /// Renders, counts and logs what came of a call.
    fn finish(
        &self,
        parts: &Parts,
        source: Source,
        request_id: RequestId,
        started: Instant,
        progress: &Progress,
        result: Outcome,
    ) -> Answer {
        let action = progress.call.as_ref().map(SignedCall::action);
        let elapsed = started.elapsed();
        let format = progress.format;
        let trace = |http_status, code: &str| {
            let Some(tracer) = &self.tracer else { return };
            let span = CallSpan {
                request_id,
                caller: progress.caller_trace,
                action,
                account_id: progress.key.as_ref().map(|key| key.account_id),
                method: method(&parts.method),
                is_secure: source.secure,
                client: source.address,
                http_status,
                elapsed,
            };
            tracer.call(&span, code);
        };
        let (status, body) = match result {
            Ok(body) => {
                self.metrics.calls.succeeded(action, elapsed);
                access_log::write(request_id, source, progress, 200, "OK", elapsed);
                trace(200, "OK");
                (200, body)
            }
            Err(ControlError { api, context, .. }) => {
                self.metrics.calls.failed(action, &api.code, elapsed);
                let status = api.http_status;
                access_log::write(request_id, source, progress, status, &api.code, elapsed);
                trace(status, &api.code);
                log_cause(request_id, &api, context.as_deref());
                (
                    status,
                    render_error(format, &api, request_id, host(&parts.headers)),
                )
            }
        };
        let mut answer = answer(status, format, request_id, body);
        if let Some(wait) = progress.retry_after {
            let millis = u64::try_from(wait.as_micros().div_ceil(1000))
                .unwrap_or(u64::MAX)
                .max(1);
            let headers = answer.headers_mut();
            headers.insert(ACS_RETRY_AFTER, HeaderValue::from(millis));
            headers.insert(RETRY_AFTER, HeaderValue::from(millis.div_ceil(1000)));
        }
        answer
    }

    /// Makes the checks of the API in its order and carries the call out.
    ///
    /// # Errors
    /// The first check that failed, or what the action answered.
    async fn process(
        &self,
        parts: &Parts,
        body: Incoming,
        source: Source,
        request_id: RequestId,
        started: Instant,
        progress: &mut Progress,
    ) -> Outcome {
        let query = parts.uri.query().unwrap_or_default();
        let header = |name: &str| header(&parts.headers, name);
        let body = match self.receive(&parts.method, query, body).await {
            Ok(body) => body,
            Err(error) => {
                progress.format = refusal::asked_format(query, &header);
                return Err(error.into());
            }
        };
        let call = match decode_request(parts, &body) {
            Ok(call) => progress.call.insert(call),
            Err(failure) => {
                progress.format = failure.format;
                return Err(failure.error.into());
            }
        };
        progress.format = call.format();
        let now = Timestamp::now();
        let key = progress
            .key
            .insert(authenticate(self.control.store(), call, now)?);
        // What is asked for in the name of a trace must be asked for by somebody.
        let trace = self.tracer.as_ref().map(|tracer| {
            progress.caller_trace = header(TRACEPARENT).and_then(TraceContext::parse);
            tracer.context(request_id, progress.caller_trace)
        });
        let throttle = if call.spec().mutating {
            &self.changes
        } else {
            &self.reads
        };
        if let Err(wait) = throttle.admit(call.access_key_id(), started) {
            progress.retry_after = Some(wait);
            return Err(ApiError::throttling().into());
        }
        let caller = Caller {
            account_id: key.account_id,
            ram_user: key.ram_user.clone(),
            access_key_id: key.access_key_id.clone(),
            source_ip: source.address,
            secure_transport: source.secure,
            user_agent: cut(
                header(USER_AGENT.as_str()).unwrap_or_default(),
                MAX_USER_AGENT,
            )
            .into(),
            request_id,
            now,
            trace,
        };
        self.carry_out(call, caller, host(&parts.headers)).await
    }

    /// Reads the body, where the method has one that matters.
    async fn receive(
        &self,
        method: &Method,
        query: &str,
        body: Incoming,
    ) -> Result<bytes::Bytes, ApiError> {
        let limits = &self.config.limits;
        if query.len() > limits.query_bytes {
            return Err(ApiError::invalid_parameter("Query").with_detail("It is too long."));
        }
        if !matches!(*method, Method::GET | Method::POST) {
            return Ok(bytes::Bytes::new());
        }
        read_body(body, limits).await.map_err(|error| {
            ApiError::invalid_parameter("Body").with_detail(match error {
                BodyError::TooLarge => "It is too large.",
                BodyError::TooSlow => "It did not arrive in time.",
                BodyError::Broken => "It is not complete.",
            })
        })
    }

    /// Makes the checks that need to know who calls, and runs the action. A changing call that
    /// is refused from here on leaves an audit row; one that succeeds has left its own.
    async fn carry_out(&self, call: &SignedCall, caller: Caller, host: &str) -> Outcome {
        let control = &self.control;
        if !call.spec().mutating {
            self.check_permitted(call, &caller)?;
            return actions::read(&Call {
                control,
                call,
                caller: &caller,
                host,
            })
            .await;
        }
        let (change, digest) = mutating_call(call, caller, self.digest_key.expose());
        let run = async {
            self.check_permitted(call, &change.caller)?;
            digest?;
            actions::change(
                &Call {
                    control,
                    call,
                    caller: &change.caller,
                    host,
                },
                &change,
            )
            .await
        };
        let result = caught(run).await;
        if let Err(error) = &result
            && !error.is_audited
        {
            let named = call
                .instance()
                .and_then(|text| InstanceId::parse(text).ok());
            let audited = control.audit_refusal(&change, named.as_ref(), &error.api.code);
            if let Err(failure) = audited {
                error!(
                    context = failure.context,
                    "the audit row of a refused call could not be written"
                );
            }
        }
        result
    }

    /// The checks between signature and parameters.
    fn check_permitted(&self, call: &SignedCall, caller: &Caller) -> Result<(), ControlError> {
        let spec = call.spec();
        if !caller.secure_transport && self.needs_tls(spec.https, caller) {
            return Err(ApiError::need_ssl().into());
        }
        let params = call.params();
        let name = match params.get("OwnerAccount") {
            Some(_) => {
                let tenant = self
                    .control
                    .store()
                    .read(|store| store.tenant(caller.account_id))?;
                tenant.map(|tenant| tenant.name).unwrap_or_default()
            }
            None => String::new(),
        };
        call.check_owner(caller.account_id, &name)?;
        let region = params.get("RegionId");
        self.control
            .check_permission(caller, call.action(), call.instance(), region)
    }

    fn needs_tls(&self, rule: HttpsRule, caller: &Caller) -> bool {
        match rule {
            HttpsRule::Optional => false,
            HttpsRule::Documented => self.config.https_only_documented,
            HttpsRule::CarriesSecret => !self.takes_secrets_in_clear(caller.source_ip),
        }
    }

    /// Whether secrets may travel over plain HTTP to and from there.
    pub(super) fn takes_secrets_in_clear(&self, client: IpAddr) -> bool {
        match self.config.allow_http_for_secrets {
            HttpForSecrets::Never => false,
            HttpForSecrets::Loopback => client.is_loopback(),
            HttpForSecrets::Always => true,
        }
    }
}

/// Turns a panic into an error, so that it costs its own call and nothing else.
async fn caught(work: impl Future<Output = Outcome>) -> Outcome {
    let result = AssertUnwindSafe(work).catch_unwind().await;
    result.unwrap_or_else(|_| Err(ControlError::internal("panic in a handler")))
}

/// The call that a request makes.
fn decode_request(parts: &Parts, body: &[u8]) -> Result<SignedCall, Failure> {
    decode(&RawRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        header: &|name| header(&parts.headers, name),
        body,
    })
}

/// Tells the operator what a client is not told.
fn log_cause(request_id: RequestId, api: &ApiError, context: Option<&str>) {
    let Some(context) = context else { return };
    if api.http_status >= 500 {
        error!(%request_id, code = %api.code, context, "call failed");
    } else {
        warn!(%request_id, code = %api.code, context, "call refused");
    }
}

/// The name of a method that HTTP itself has; any other is for the client to choose.
fn method(method: &Method) -> &'static str {
    let known = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH"];
    let mut known = known.into_iter();
    known
        .find(|name| *name == method.as_str())
        .unwrap_or("_OTHER")
}

/// A header's value, where it is text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    std::str::from_utf8(headers.get(name)?.as_bytes()).ok()
}

/// The host that the client called, for HostId.
pub(super) fn host(headers: &HeaderMap) -> &str {
    cut(header(headers, HOST.as_str()).unwrap_or_default(), MAX_HOST)
}

/// At most `length` bytes of a text.
pub(super) fn cut(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_internal_error() {
        let error = caught(async { panic!("on purpose") })
            .await
            .expect_err("an error");
        assert_eq!(
            (error.api.http_status, &*error.api.code),
            (500, "InternalError")
        );
        assert_eq!(
            caught(async { Ok("fine".into()) }).await.ok().as_deref(),
            Some("fine")
        );
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("a", 300), "a");
    }
}
