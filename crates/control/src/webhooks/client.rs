//! One POST to a webhook: within a time, to the address that is named, no redirect followed, no proxy
//! asked, nothing of the answer read but its status.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use openpeta_store::Webhook;
use openpeta_types::{EventKind, Secret};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Failure;
use super::signature::signature;
use crate::AlertsConfig;

/// Where systems keep the certificates that they trust.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Who a notification is for.
pub(crate) struct Target {
    url: String,
    secret: Secret,
    ca_file: Option<PathBuf>,
    time_out_seconds: u32,
}

/// A notification.
pub(crate) struct Message<'a> {
    pub(crate) delivery_id: &'a str,
    pub(crate) kind: EventKind,
    pub(crate) body: String,
}

impl Target {
    pub(crate) fn of(webhook: &Webhook, config: &AlertsConfig) -> Self {
        Self {
            url: webhook.webhook.url.clone(),
            secret: webhook.webhook.secret.clone(),
            ca_file: webhook.webhook.ca_file.as_ref().map(PathBuf::from),
            time_out_seconds: config.timeout_seconds,
        }
    }
}

/// A URL that can be posted to.
#[derive(Debug)]
pub(crate) struct Address {
    is_https: bool,
    host: String,
    port: u16,
    /// Host and port as the URL has them.
    authority: String,
    path: String,
}

impl Address {
    /// Reads a URL; `Err` says what is wrong with it.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
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
}

/// Posts a notification; `Ok` with the status when the receiver has taken it.
pub(crate) async fn post(
    target: &Target,
    message: &Message<'_>,
    now: Timestamp,
) -> Result<u16, Failure> {
    let seconds = target.time_out_seconds;
    let attempt = attempt(target, message, now);
    let status = tokio::time::timeout(Duration::from_secs(seconds.into()), attempt).await;
    match status.map_err(|_| Failure::TimeOut(seconds))? {
        Ok(status @ 200..300) => Ok(status),
        Ok(status) => Err(Failure::Status(status)),
        Err(reason) => Err(Failure::Transport(reason)),
    }
}

async fn attempt(target: &Target, message: &Message<'_>, now: Timestamp) -> Result<u16, String> {
    let address = Address::parse(&target.url)?;
    let request = Request::post(&address.path)
        .header(HOST, &address.authority)
        .header(USER_AGENT, concat!("openpeta/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json")
        .header("OpenPeta-Delivery", message.delivery_id)
        .header("OpenPeta-Event", message.kind.as_str())
        .header(
            "OpenPeta-Signature",
            signature(&target.secret, now.as_second(), &message.body),
        )
        .body(Full::new(Bytes::from(message.body.clone())));
    let request = request.map_err(|error| error.to_string())?;
    let place = (address.host.as_str(), address.port);
    let stream = TcpStream::connect(place).await;
    let stream =
        stream.map_err(|error| format!("cannot connect to {}: {error}", address.authority))?;
    if !address.is_https {
        return exchange(stream, request).await;
    }
    let config = tls_config(target.ca_file.as_deref())?;
    let name = ServerName::try_from(address.host.clone()).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(config).connect(name, stream).await;
    exchange(stream.map_err(|error| format!("TLS: {error}"))?, request).await
}

/// One request over a connection of its own.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<u16, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // The answer may have come with the end.
        ended = connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(error),
        },
    };
    answer.map(|answer| answer.status().as_u16()).map_err(told)
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
pub(crate) fn tls_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let from_environment = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let system = SYSTEM_ROOTS.iter().map(PathBuf::from);
    let file = match ca_file {
        Some(file) => file.to_owned(),
        None => from_environment
            .into_iter()
            .chain(system)
            .find(|file| file.exists())
            .ok_or("the system has no file of certificates to trust; name one with --ca-file")?,
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
