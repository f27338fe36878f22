//! One connection, from accept to close.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::deadline::Deadline;
use super::io::AnswerStream;
use super::{Handler, Peer};
use crate::config::HttpLimits;

/// What all connections of a listener share.
pub(super) struct Shared<H> {
    pub(super) handler: Arc<H>,
    pub(super) limits: Arc<HttpLimits>,
    pub(super) tls: Option<TlsAcceptor>,
    /// Whether the service stops.
    pub(super) stop: watch::Receiver<Stop>,
}

/// Whether the service stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It does not.
    No,
    /// Each connection has one more request if that begins within this time.
    Within(Duration),
}

/// Serves one connection until it ends.
pub(super) async fn serve<H: Handler>(shared: Arc<Shared<H>>, stream: TcpStream, peer: Peer) {
    // Answers are written whole; waiting to fill a segment would only delay them.
    let _ = stream.set_nodelay(true);
    let deadline = Deadline::new(shared.limits.first_request());
    let Some(acceptor) = &shared.tls else {
        return serve_stream(shared, stream, peer, deadline).await;
    };
    let mut stop = shared.stop.clone();
    let handshake = timeout_at(deadline.next_check(), acceptor.accept(stream));
    let too_late = async {
        let linger = stopped(&mut stop).await;
        sleep(linger).await;
    };
    let accepted = tokio::select! {
        accepted = handshake => accepted,
        () = too_late => return,
    };
    match accepted {
        Ok(Ok(stream)) => serve_stream(shared, stream, peer, deadline).await,
        Ok(Err(error)) => debug!(peer = %peer.address, %error, "TLS handshake failed"),
        Err(_) => debug!(peer = %peer.address, "TLS handshake took too long"),
    }
}

/// Waits until the service stops; returns for how long connections may linger.
pub(super) async fn stopped(stop: &mut watch::Receiver<Stop>) -> Duration {
    match stop.wait_for(|stop| *stop != Stop::No).await.as_deref() {
        Ok(Stop::Within(linger)) => *linger,
        // The server is gone, which is a stop as well.
        _ => Duration::ZERO,
    }
}

async fn serve_stream<H: Handler, S>(
    shared: Arc<Shared<H>>,
    stream: S,
    peer: Peer,
    deadline: Deadline,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let idle = shared.limits.idle();
    let deadline = &Arc::new(deadline);
    let stopped_already = &shared.stop;
    let service = service_fn(|request| {
        deadline.suspend();
        let answer = Arc::clone(&shared.handler).handle(request, peer);
        async move {
            let mut answer = answer.await;
            if *stopped_already.borrow() != Stop::No {
                // The parser closes behind it.
                let headers = answer.headers_mut();
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            answer.body_mut().watch(deadline, idle);
            deadline.set(Instant::now(), idle);
            Ok::<_, Infallible>(answer)
        }
    });
    let io = TokioIo::new(AnswerStream::new(stream, H::refusal));
    let connection = http1::Builder::new()
        // The deadline below covers the headers without a timer per request.
        .header_read_timeout(None)
        // A client may close its sending side once its request is out.
        .half_close(true)
        .max_header_size(shared.limits.header_bytes)
        .max_buf_size(shared.limits.header_bytes.max(MIN_BUFFER))
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut stop = shared.stop.clone();
    let mut stopping = false;
    let mut last = pin!(sleep_until(Instant::now()));
    let mut lingering = false;
    let mut check = pin!(sleep_until(deadline.next_check()));
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    debug!(peer = %peer.address, %error, "connection failed");
                }
                return;
            }
            linger = stopped(&mut stop), if !stopping => {
                stopping = true;
                // With a request in flight it ends behind the answer.
                lingering = !linger.is_zero() && !deadline.is_suspended();
                match lingering {
                    true => last.as_mut().reset(Instant::now() + linger),
                    false => connection.as_mut().graceful_shutdown(),
                }
            }
            () = last.as_mut(), if lingering => {
                lingering = false;
                connection.as_mut().graceful_shutdown();
            }
            () = check.as_mut() => {
                if deadline.has_passed() {
                    debug!(peer = %peer.address, "no request in time; connection closed");
                    return;
                }
                check.as_mut().reset(deadline.next_check());
            }
        }
    }
}

/// The parser's own lower bound.
const MIN_BUFFER: usize = 8192;
