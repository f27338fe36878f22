//! HTTP for the object store: a connection for each request, and no wait without an end.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use hyper::Uri;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsConnector;

/// For a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// From the first byte of a request to the head of its answer. A part of an upload is the longest.
const ANSWER: Duration = Duration::from_secs(120);
/// For more of an answer.
const IDLE: Duration = Duration::from_secs(60);

/// Makes connections that trust these certificates.
#[derive(Clone)]
pub(super) struct Connector(pub(super) Option<Arc<ClientConfig>>);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let uri = std::mem::take(request.uri_mut());
        let stream = timeout(CONNECT, self.open(&uri)).await;
        let stream = stream
            .map_err(|late| HttpError::new(HttpErrorKind::Connect, late))?
            .map_err(|error| HttpError::new(HttpErrorKind::Connect, error))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path
            .parse()
            .map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = HeaderValue::from_str(authority)
            .map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let agent = HeaderValue::from_static(concat!("openpeta/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(USER_AGENT, agent);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // It ends with the body of the answer, or when nobody wants that any more.
        tokio::spawn(connection);
        let answer = timeout(ANSWER, sender.send_request(request)).await;
        let answer = answer.map_err(|late| HttpError::new(HttpErrorKind::Timeout, late))?;
        let answer = answer.map_err(broken)?;
        Ok(answer.map(|body| {
            HttpResponseBody::new(Patient {
                body,
                idle: Box::pin(sleep(IDLE)),
            })
        }))
    }
}

impl Connector {
    async fn open(&self, uri: &Uri) -> io::Result<Box<dyn Stream>> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let config = match &self.0 {
            Some(config) if is_https => Arc::clone(config),
            _ => return Ok(Box::new(stream)),
        };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Box::new(stream))
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection that ended where it should not have.
fn broken(error: hyper::Error) -> HttpError {
    HttpError::new(HttpErrorKind::Interrupted, error)
}

/// A body that fails when no more of it comes for long.
struct Patient {
    body: Incoming,
    idle: Pin<Box<Sleep>>,
}

impl Body for Patient {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let until = tokio::time::Instant::now() + IDLE;
            self.idle.as_mut().reset(until);
            return Poll::Ready(frame.map(|frame| frame.map_err(broken)));
        }
        ready!(self.idle.as_mut().poll(context));
        let late = io::Error::from(io::ErrorKind::TimedOut);
        Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, late))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
