//! HTTP/1.1 over TCP and TLS: connections, their limits, and the handler that answers.

mod answer_body;
mod body;
mod connection;
mod deadline;
mod io;
mod listener;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};

pub(crate) use answer_body::AnswerBody;
pub(crate) use body::{BodyError, read_body};
pub(crate) use listener::{HttpServer, bind};

/// An answer.
pub(crate) type Answer = Response<AnswerBody>;

/// A plain text.
pub(crate) fn text(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(AnswerBody::from(Bytes::from(body)));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, plain);
    answer
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// The other end's address.
    pub(crate) address: SocketAddr,
    /// Whether it came over TLS.
    pub(crate) secure: bool,
}

/// What answers requests.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Answers a request. It may be dropped before its end when the client goes away.
    fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Answer> + Send;

    /// The bytes of a whole answer to a request that the parser refused with this status.
    fn refusal(status: u16) -> Vec<u8>;

    /// The bytes of a whole answer to a connection more than the limit.
    fn too_many_connections() -> Vec<u8>;
}
