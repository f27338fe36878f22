//! Backup sets over HTTP, by links that DescribeDatabaseBackup gives. Who has such a link needs no
//! key: its signature is the permission.

mod range;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_RANGE, RANGE, RETRY_AFTER, USER_AGENT,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use jiff::Timestamp;
use openpeta_control::{FetchableSet, Fetcher, LinkError};
use openpeta_types::RequestId;

use self::range::Wanted;
use super::call::{cut, header};
use super::request_id::new_request_id;
use super::source::Source;
use super::{Api, REQUEST_ID_HEADER};
use crate::http::{Answer, AnswerBody, Peer, text};

/// Downloads at the same time; whoever reads slowly must not take all connections.
pub(super) const AT_A_TIME: usize = 32;
/// Bytes of a User-Agent that are kept in the audit trail.
const MAX_USER_AGENT: usize = 256;

impl Api {
    /// Answers a request for a set.
    pub(super) async fn download(&self, request: Request<Incoming>, peer: Peer) -> Answer {
        let request_id = new_request_id();
        let answered = self.send_set(&request, peer, request_id).await;
        let mut answer = answered.unwrap_or_else(|refusal| refusal.answer());
        tracing::info!(%request_id, peer = %peer.address, path = request.uri().path(), status = answer.status().as_u16(), "a download of a backup set");
        if let Ok(value) = HeaderValue::try_from(request_id.to_string()) {
            answer.headers_mut().insert(REQUEST_ID_HEADER, value);
        }
        answer
    }

    async fn send_set(
        &self,
        request: &Request<Incoming>,
        peer: Peer,
        request_id: RequestId,
    ) -> Result<Answer, Refusal> {
        let is_head = request.method() == Method::HEAD;
        if request.method() != Method::GET && !is_head {
            return Err(Refusal::Method);
        }
        let headers = request.headers();
        let source = Source::of(headers, peer, &self.config.trusted_proxies);
        if !source.secure && !self.takes_secrets_in_clear(source.address) {
            return Err(Refusal::NotOverTls);
        }
        let (uri, now) = (request.uri(), Timestamp::now());
        let query = uri.query().unwrap_or_default();
        let link = self.control.read_link(uri.path(), query, now)?;
        let failed = |error: openpeta_control::ControlError| {
            tracing::error!(%request_id, context = error.context, "a backup set cannot be sent");
            Refusal::Failed
        };
        let set = self.control.fetchable_set(&link).await.map_err(failed)?;
        let set = set.ok_or(Refusal::Gone)?;
        let total = set.total();
        let tag = format!("\"{}\"", set.tag);
        // What has changed is sent from its beginning.
        let is_same = header(headers, IF_RANGE.as_str()).is_none_or(|known| known == tag);
        let asked = header(headers, RANGE.as_str()).filter(|_| is_same);
        let (status, range) = match Wanted::of(asked, total) {
            Wanted::Whole => (StatusCode::OK, 0..total),
            Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
            Wanted::Nothing => return Err(Refusal::Range(total)),
        };
        let mut answer = Response::new(AnswerBody::from(Bytes::new()));
        *answer.status_mut() = status;
        describe(answer.headers_mut(), &set, &tag, &range, status);
        if is_head {
            return Ok(answer);
        }
        let permit = Arc::clone(&self.downloads).try_acquire_owned();
        let permit = permit.map_err(|_| Refusal::TooMany)?;
        let fetcher = Fetcher {
            source_ip: source.address,
            user_agent: cut(
                header(headers, USER_AGENT.as_str()).unwrap_or_default(),
                MAX_USER_AGENT,
            )
            .to_owned(),
            request_id: request_id.to_string(),
            range: range.clone(),
            now,
        };
        self.control.record_fetch(&set, &fetcher).map_err(failed)?;
        let chunks = set.bytes(&range);
        // The place is free when the last chunk was taken, or nobody takes any.
        let chunks = chunks.map(move |chunk| {
            let _ = &permit;
            chunk
        });
        *answer.body_mut() = AnswerBody::streamed(chunks.boxed(), range.end - range.start);
        Ok(answer)
    }
}

fn describe(
    headers: &mut HeaderMap,
    set: &FetchableSet,
    tag: &str,
    range: &Range<u64>,
    status: StatusCode,
) {
    let mut put = |name: HeaderName, value: &str| {
        // Names of databases, numbers and hexadecimal digits are all that they have.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put(CONTENT_TYPE, "application/x-tar");
    put(CACHE_CONTROL, "private, no-store");
    put(ACCEPT_RANGES, "bytes");
    put(ETAG, tag);
    let file = format!("attachment; filename=\"{}\"", set.file_name);
    put(CONTENT_DISPOSITION, &file);
    let (first, end, total) = (range.start, range.end, set.total());
    put(CONTENT_LENGTH, &(end - first).to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{total}", end - 1);
        put(CONTENT_RANGE, &range);
    }
}

/// Why a set is not sent.
enum Refusal {
    Method,
    NotOverTls,
    Link(LinkError),
    Gone,
    Range(u64),
    TooMany,
    Failed,
}

impl From<LinkError> for Refusal {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl Refusal {
    fn answer(self) -> Answer {
        use StatusCode as S;
        let (status, why) = match &self {
            Self::Method => (S::METHOD_NOT_ALLOWED, "GET and HEAD are answered here."),
            Self::NotOverTls => (S::FORBIDDEN, "Backup sets are sent over HTTPS alone."),
            Self::Link(LinkError::Invalid) => (
                S::FORBIDDEN,
                "The link is not as DescribeDatabaseBackup gave it.",
            ),
            Self::Link(LinkError::Expired) => (
                S::FORBIDDEN,
                "The link has expired; DescribeDatabaseBackup gives another one.",
            ),
            Self::Gone => (S::NOT_FOUND, "The backup set is gone."),
            Self::Range(_) => (S::RANGE_NOT_SATISFIABLE, "There are no such bytes."),
            Self::TooMany => (
                S::SERVICE_UNAVAILABLE,
                "Too many downloads are under way; try again.",
            ),
            Self::Failed => (
                S::INTERNAL_SERVER_ERROR,
                "The backup set cannot be sent; the operator has been told why.",
            ),
        };
        let mut answer = text(status, format!("{why}\n"));
        let headers = answer.headers_mut();
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            Self::Range(total) => {
                if let Ok(value) = HeaderValue::try_from(format!("bytes */{total}")) {
                    headers.insert(CONTENT_RANGE, value);
                }
            }
            Self::TooMany => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("30"));
            }
            _ => {}
        }
        answer
    }
}
