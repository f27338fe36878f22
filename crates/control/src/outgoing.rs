//! One HTTP request to somebody outside: to the address that is named, no redirect followed, no proxy
//! asked, no more of the answer read than is wanted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where systems keep the certificates that they trust.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A URL that can be posted to.
#[derive(Clone, Debug)]
pub struct Address {
    is_https: bool,
    host: String,
    port: u16,
    /// Host and port as the URL has them.
    authority: String,
    path: String,
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{url:?}: {error}"))?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("{url:?} does not begin with https:// or http://")),
        };
        let authority = uri
            .authority()
            .ok_or_else(|| format!("{url:?} names no host"))?;
        if authority.as_str().contains('@') {
            return Err("a URL must hold no user or password".to_owned());
        }
        if url.contains('#') {
            return Err("a URL with a fragment cannot be posted to".to_owned());
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(format!("{url:?} names no host"));
        }
        let rest = authority.as_str().strip_prefix(authority.host());
        let port = match (authority.port_u16(), rest) {
            (Some(port), _) => port,
            (None, Some("")) if is_https => 443,
            (None, Some("")) => 80,
            _ => return Err(format!("{url:?} has a wrong port")),
        };
        Ok(Self {
            is_https,
            port,
            host,
            authority: authority.as_str().to_owned(),
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
        })
    }

    /// Whether it is reached over TLS.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.is_https
    }

    /// What is asked for there, its query included.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, or the beginning of it.
    pub body: Vec<u8>,
}

/// Sends a request over a connection of its own and reads the answer, of its body no more than so many
/// bytes.
///
/// # Errors
/// Why there was no answer; nothing of the request.
pub async fn send(
    address: &Address,
    tls: Option<Arc<ClientConfig>>,
    mut request: Request<Full<Bytes>>,
    most_bytes: usize,
) -> Result<Reply, String> {
    let host = HeaderValue::from_str(&address.authority).map_err(|error| error.to_string())?;
    let agent = HeaderValue::from_static(concat!("openpeta/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(USER_AGENT, agent);
    let place = (address.host.as_str(), address.port);
    let stream = TcpStream::connect(place).await;
    let stream =
        stream.map_err(|error| format!("cannot connect to {}: {error}", address.authority))?;
    if !address.is_https {
        return exchange(stream, request, most_bytes).await;
    }
    let config = tls.ok_or("nothing is said of the certificates to trust")?;
    let name = ServerName::try_from(address.host.clone()).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(config).connect(name, stream).await;
    let stream = stream.map_err(|error| format!("TLS: {error}"))?;
    exchange(stream, request, most_bytes).await
}

/// Sends a GET request over a connection of its own; gives the head of the answer, and its body as it
/// comes.
///
/// # Errors
/// Why there was no answer; it begins with `TLS` if that is why.
pub async fn open(
    address: &Address,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Response<Incoming>, String> {
    let host = HeaderValue::from_str(&address.authority).map_err(|error| error.to_string())?;
    let agent = HeaderValue::from_static(concat!("openpeta/", env!("CARGO_PKG_VERSION")));
    let request = Request::get(address.path())
        .header(HOST, host)
        .header(USER_AGENT, agent)
        .body(Full::<Bytes>::default())
        .map_err(|error| error.to_string())?;
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await;
    let stream =
        stream.map_err(|error| format!("cannot connect to {}: {error}", address.authority))?;
    if !address.is_https {
        return begin(stream, request).await;
    }
    let config = tls.ok_or("nothing is said of the certificates to trust")?;
    let name = ServerName::try_from(address.host.clone()).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(config).connect(name, stream).await;
    begin(stream.map_err(|error| format!("TLS: {error}"))?, request).await
}

async fn begin<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(told)?;
    // It ends with the body of the answer, or when nobody wants that any more.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(told)
}

async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    most_bytes: usize,
) -> Result<Reply, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body: beginning(body, most_bytes).await?,
        })
    };
    tokio::pin!(answer);
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // The answer may have come with the end.
        ended = connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(error),
        },
    };
    answer.map_err(told)
}

async fn beginning<B>(mut body: B, most_bytes: usize) -> Result<Vec<u8>, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut read = Vec::new();
    while read.len() < most_bytes
        && let Some(frame) = body.frame().await
    {
        if let Ok(data) = frame?.into_data() {
            let room = most_bytes - read.len();
            read.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(read)
}

/// An error with its causes.
fn told(error: hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Trusts the certificates of that file, else the system's.
///
/// # Errors
/// What is wrong with the file.
pub fn tls_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let from_environment = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let system = SYSTEM_ROOTS.iter().map(PathBuf::from);
    let file = match ca_file {
        Some(file) => file.to_owned(),
        None => from_environment
            .into_iter()
            .chain(system)
            .find(|file| file.exists())
            .ok_or("the system has no file of certificates to trust; name a CA file")?,
    };
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let certificates = CertificateDer::pem_file_iter(&file).map_err(|error| wrong(&error))?;
    let mut roots = RootCertStore::empty();
    let certificates: Result<Vec<_>, _> = certificates.collect();
    let (added, _) = roots.add_parsable_certificates(certificates.map_err(|error| wrong(&error))?);
    if added == 0 {
        return Err(wrong(&"no certificate"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_wrong_ones_refused() {
        let read = |url| {
            let address = Address::parse(url).expect("right");
            (address.is_https, address.host, address.port, address.path)
        };
        let text = |text: &str| text.to_owned();
        assert_eq!(
            read("https://hooks.example.com/a?b=c"),
            (true, text("hooks.example.com"), 443, text("/a?b=c"))
        );
        assert_eq!(
            read("http://[::1]:8000"),
            (false, text("::1"), 8000, text("/"))
        );
        for url in [
            "",
            "hooks.example.com",
            "ftp://example.com/",
            "/path",
            "https://user:password@example.com/",
            "https://example.com/#fragment",
            "https:///path",
            "https://example.com:99999/",
        ] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }
}
