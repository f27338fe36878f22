//! Signed calls of the API over HTTPS.

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use openpeta_rpc_api::{Acs3Request, Credentials, sign_acs3};
use openpeta_types::Secret;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::ordered_json::Node;
use crate::profile::Profile;

/// The body's media type.
const FORM: &str = "application/x-www-form-urlencoded";
/// The longest to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest to wait for a whole answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 << 20;

/// Calls the API of one service with one access key.
pub struct Client {
    profile: Profile,
    agent: Agent,
    endpoint: String,
    secure: bool,
}

/// An answer that is no error.
pub struct Answer {
    /// As it came.
    pub text: String,
    /// The same, read.
    pub node: Node,
}

/// What a link gave.
pub enum Part {
    /// The bytes from there on.
    Rest {
        /// They.
        reader: Box<dyn io::Read>,
        /// Bytes of the whole.
        total: u64,
    },
    /// There are none from there on.
    Nothing {
        /// Bytes of the whole.
        total: u64,
    },
}

impl Client {
    /// The credentials it calls with.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// A client for the service that the profile names: over HTTPS, trusting the profile's CA
    /// alone, or over plain HTTP when asked.
    ///
    /// # Errors
    /// When the profile names no such endpoint, or its CA file cannot be read.
    pub fn new(profile: Profile, plain_http: bool) -> Result<Self, Failure> {
        Self::with_timeouts(profile, plain_http, CONNECT_TIMEOUT, CALL_TIMEOUT)
    }

    /// As [`new`](Self::new) over HTTPS, for callers who would rather have no answer than wait.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn hasty(profile: Profile, patience: Duration) -> Result<Self, Failure> {
        Self::with_timeouts(profile, false, patience, patience)
    }

    fn with_timeouts(
        profile: Profile,
        plain_http: bool,
        connect: Duration,
        call: Duration,
    ) -> Result<Self, Failure> {
        let (endpoint, member) = if plain_http {
            (&profile.http_endpoint, "http_endpoint")
        } else {
            (&profile.https_endpoint, "https_endpoint")
        };
        let endpoint = endpoint.clone().ok_or_else(|| {
            Failure::local(
                "InvalidCredentialsFile",
                format!("{} has no {member}", profile.file.display()),
            )
        })?;
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("openpeta/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(connect))
            .timeout_global(Some(call));
        if is_loopback(&endpoint) {
            // A proxy from the environment leads elsewhere.
            config = config.proxy(None);
        }
        if !plain_http {
            config = config.tls_config(tls_config(&profile)?);
        }
        Ok(Self {
            profile,
            agent: config.build().new_agent(),
            endpoint,
            secure: !plain_http,
        })
    }

    /// Calls an action.
    ///
    /// # Errors
    /// [`Failure::Api`] when the service answers with an error; [`Failure::Unreachable`] when it
    /// does not answer, [`Failure::ConnectionLost`] when the outcome is unknown;
    /// [`Failure::Usage`] when a secret would travel in clear.
    pub fn call(&self, call: &Invocation) -> Result<Answer, Failure> {
        if !self.secure && call.carries_secret() {
            return Err(Failure::Usage(format!(
                "{} carries a password and is not sent over plain HTTP: leave out --http",
                call.action
            )));
        }
        match self.send(call) {
            // Safe to repeat: it reads, or its token keeps it from being done twice.
            Err(Failure::ConnectionLost(_)) if call.is_repeatable() => self.send(call),
            outcome => outcome,
        }
    }

    fn send(&self, call: &Invocation) -> Result<Answer, Failure> {
        let (_, host) = self
            .endpoint
            .split_once("://")
            .unwrap_or(("", &self.endpoint));
        // Parameters travel in the body: URLs end up in logs.
        let body = Zeroizing::new(form_encode(call.parameters.iter()));
        let nonce = uuid::Uuid::new_v4().to_string();
        let (_, headers) = sign_acs3(&Acs3Request {
            method: "POST",
            path: "/",
            host,
            action: &call.action,
            query: &[],
            body: body.as_bytes(),
            headers: &[("content-type", FORM)],
            credentials: Credentials {
                access_key_id: &self.profile.access_key_id,
                access_key_secret: self.profile.access_key_secret.expose(),
                security_token: self.profile.security_token.as_ref().map(Secret::expose),
            },
            timestamp: Timestamp::now(),
            nonce: &nonce,
        });
        let mut request = self.agent.post(format!("{}/", self.endpoint));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut response = request
            .send(body.as_str())
            .map_err(|error| self.transport_failure(error))?;
        let status = response.status();
        let text = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_string()
            .map_err(|error| self.transport_failure(error))?;
        if status.is_success() {
            return match serde_json::from_str(&text) {
                Ok(node) => Ok(Answer { text, node }),
                Err(_) => Err(self.not_the_service(status.as_u16())),
            };
        }
        let error: Option<Node> = serde_json::from_str(&text).ok();
        let part = |name| Some(error.as_ref()?.text(name)?.to_owned());
        match (part("Code"), part("Message")) {
            (Some(code), Some(message)) => Err(Failure::Api {
                code,
                message,
                request_id: part("RequestId"),
                body: text,
            }),
            _ => Err(self.not_the_service(status.as_u16())),
        }
    }

    /// Fetches what a link leads to, from that byte on.
    ///
    /// # Errors
    /// [`Failure::Refused`] with what the service says against it; [`Failure::Unreachable`] or
    /// [`Failure::ConnectionLost`].
    pub fn fetch(&self, link: &str, from: u64) -> Result<Part, Failure> {
        let request = self
            .agent
            .get(link)
            .config()
            // As long as it takes: it may be large.
            .timeout_global(None)
            .timeout_recv_response(Some(CALL_TIMEOUT))
            .build()
            .header("range", format!("bytes={from}-"));
        let mut response = request
            .call()
            .map_err(|error| self.transport_failure(error))?;
        let range = response.headers().get("content-range");
        let range = range.and_then(|value| value.to_str().ok());
        let total = range
            .and_then(|range| range.rsplit_once('/'))
            .and_then(|(_, total)| total.parse().ok());
        match (response.status().as_u16(), total) {
            (206, Some(total)) => Ok(Part::Rest {
                reader: Box::new(response.into_body().into_reader()),
                total,
            }),
            (416, Some(total)) => Ok(Part::Nothing { total }),
            (status, _) => {
                let text = response.body_mut().with_config().limit(4096);
                let text = text.read_to_string().unwrap_or_default();
                let what = format!("HTTP status {status}: {}", text.trim());
                Err(Failure::local("DownloadRefused", what))
            }
        }
    }

    fn not_the_service(&self, status: u16) -> Failure {
        Failure::Unreachable(format!(
            "{} answers with HTTP status {status} and no document of the API: is it the service?",
            self.endpoint
        ))
    }

    /// What a transport error means: the request never arrived, or its outcome is unknown.
    fn transport_failure(&self, error: ureq::Error) -> Failure {
        use ureq::{Error, Timeout};
        let endpoint = &self.endpoint;
        let never_arrived = match &error {
            Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
            Error::Timeout(timeout) => matches!(timeout, Timeout::Connect | Timeout::Resolve),
            Error::ConnectionFailed | Error::HostNotFound => true,
            _ => false,
        };
        if let Error::Rustls(error) = &error {
            return untrusted(endpoint, &self.profile, error);
        }
        if let Error::Io(wrapped) = &error
            && let Some(tls) = wrapped.get_ref().and_then(|inner| inner.downcast_ref())
        {
            return untrusted(endpoint, &self.profile, tls);
        }
        if never_arrived {
            Failure::Unreachable(format!(
                "nobody answers at {endpoint} ({error}): is the service running? Start it with \
                 `openpeta serve`"
            ))
        } else {
            Failure::ConnectionLost(format!(
                "{endpoint}: {error}; whether the call was carried out is not known"
            ))
        }
    }
}

fn untrusted(endpoint: &str, profile: &Profile, error: &rustls::Error) -> Failure {
    let ca_file = profile
        .ca_file
        .as_deref()
        .map_or_else(|| "(none)".to_owned(), |file| file.display().to_string());
    Failure::Unreachable(format!(
        "{endpoint} is not trusted: {error}. The CA file is {ca_file}, named by {}",
        profile.file.display()
    ))
}

/// Trusts the profile's CA, and nobody else.
fn tls_config(profile: &Profile) -> Result<TlsConfig, Failure> {
    let Some(ca_file) = &profile.ca_file else {
        return Err(Failure::local(
            "InvalidCredentialsFile",
            format!("{} has no ca_file", profile.file.display()),
        ));
    };
    let failed = |reason: String| {
        Failure::local(
            "InvalidCaFile",
            format!("cannot read the CA file {}: {reason}", ca_file.display()),
        )
    };
    let pem = std::fs::read(ca_file).map_err(|error| failed(error.to_string()))?;
    let mut roots: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(root) = item.map_err(|error| failed(error.to_string()))? {
            roots.push(root);
        }
    }
    if roots.is_empty() {
        return Err(failed("there is no certificate in it".to_owned()));
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
}

/// Whether the endpoint is on this machine.
fn is_loopback(endpoint: &str) -> bool {
    let Some((_, authority)) = endpoint.split_once("://") else {
        return false;
    };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    };
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Names and values as a form: everything escaped but `A-Z a-z 0-9 - _ . ~`.
fn form_encode<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut form = String::with_capacity(256);
    for (name, value) in pairs {
        if !form.is_empty() {
            form.push('&');
        }
        percent_encode(&mut form, name);
        form.push('=');
        percent_encode(&mut form, value);
    }
    form
}

fn percent_encode(form: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            form.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(form, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_escape_all_but_the_unreserved() {
        let pairs = [("A b", "c&=+é"), ("Z", "-_.~9")];
        assert_eq!(
            form_encode(pairs.into_iter()),
            "A%20b=c%26%3D%2B%C3%A9&Z=-_.~9"
        );
    }

    #[test]
    fn loopback_endpoints_are_known() {
        for endpoint in [
            "https://127.0.0.1:8443",
            "http://localhost",
            "http://[::1]:80",
        ] {
            assert!(is_loopback(endpoint), "{endpoint}");
        }
        for endpoint in ["https://10.0.0.1:8443", "https://localhost.example", "x"] {
            assert!(!is_loopback(endpoint), "{endpoint}");
        }
    }
}
