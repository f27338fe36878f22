//! TLS of the API's endpoint and of the gateway: certificates out of `DIR/tls`, made at the
//! first start and renewed before they expire, and the operator's own; replaced in the running
//! service on request.

mod files;
mod issue;
mod resolve;

pub use files::TlsConfig;
pub(crate) use resolve::Unnamed;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use self::resolve::{Certificates, Resolver};
use crate::ServeError;

/// A certificate is replaced when it has less than this left.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

/// The service's certificates, and where they come from.
pub(crate) struct Tls {
    dir: PathBuf,
    /// Names and addresses that the certificate of our own must be good for.
    names: Vec<String>,
    /// The operator's certificate.
    files: TlsConfig,
    provider: Arc<CryptoProvider>,
    /// For new handshakes; read once for each, replaced rarely.
    current: Arc<RwLock<Certificates>>,
}

impl Tls {
    /// Reads the certificate in `dir`, making or renewing what is needed, and the one in `files`.
    ///
    /// The one in `dir` is good for localhost, 127.0.0.1, ::1, this host's name, the `listen` addresses, the
    /// `public_host` that clients are told, and `domain` with all names below it that endpoints
    /// have.
    ///
    /// # Errors
    /// [`ServeError::Tls`] when a file cannot be read, written or understood.
    pub(crate) fn open(
        dir: PathBuf,
        files: TlsConfig,
        domain: Option<&str>,
        public_host: Option<&str>,
        listen: &[IpAddr],
    ) -> Result<Self, ServeError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let names = certificate_names(domain, public_host, listen);
        let certificates = load(&dir, &files, &names, &provider)?;
        Ok(Self {
            dir,
            names,
            files,
            provider,
            current: Arc::new(RwLock::new(certificates)),
        })
    }

    /// Reads the files again, renewing the certificate of our own if it is due. New handshakes
    /// use what was read; open connections stay.
    ///
    /// # Errors
    /// [`ServeError::Tls`]; the former certificates stay in use then.
    pub(crate) fn reload(&self) -> Result<(), ServeError> {
        let certificates = load(&self.dir, &self.files, &self.names, &self.provider)?;
        *self
            .current
            .write()
            .unwrap_or_else(|broken| broken.into_inner()) = certificates;
        Ok(())
    }

    /// The certificate of the CA, for clients.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.join(issue::CA_CERTIFICATE)
    }

    /// TLS 1.2 and 1.3 for a protocol, none named for one without ALPN; `unnamed` says what is
    /// shown to clients that do not say whom they want to reach.
    pub(crate) fn server_config(
        &self,
        alpn: &[&[u8]],
        unnamed: Unnamed,
    ) -> Result<Arc<ServerConfig>, ServeError> {
        let resolver = Resolver {
            current: Arc::clone(&self.current),
            unnamed,
        };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| ServeError::Tls(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config.ticketer = rustls::crypto::ring::Ticketer::new()
            .map_err(|error| ServeError::Tls(error.to_string()))?;
        Ok(Arc::new(config))
    }
}

fn certificate_names(
    domain: Option<&str>,
    public_host: Option<&str>,
    listen: &[IpAddr],
) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    // A host name that DNS could not carry cannot be checked by a client either.
    let hosts = [Some(host), public_host.map(str::to_owned)];
    let is_name = |host: &String| ServerName::try_from(host.as_str()).is_ok();
    names.extend(hosts.into_iter().flatten().filter(is_name));
    names.extend(
        listen
            .iter()
            .filter(|address| !address.is_unspecified())
            .map(IpAddr::to_string),
    );
    if let Some(domain) = domain {
        names.push(domain.to_owned());
        names.push(format!("petadata.{domain}"));
        names.push(format!("*.petadata.rds.{domain}"));
    }
    names.sort();
    names.dedup();
    names
}

/// Reads certificates and keys, after making or renewing those of our own if need be.
fn load(
    dir: &Path,
    files: &TlsConfig,
    names: &[String],
    provider: &Arc<CryptoProvider>,
) -> Result<Certificates, ServeError> {
    let error = |reason: String| ServeError::Tls(format!("{}: {reason}", dir.display()));
    issue::ensure_ca(dir).map_err(error)?;
    if !is_good(dir, names, provider) {
        issue::issue_server(dir, names).map_err(error)?;
    }
    Ok(Certificates {
        own: Arc::new(read_own(dir, provider).map_err(error)?),
        operators: files.read(provider).map_err(ServeError::Tls)?.map(Arc::new),
    })
}

/// The certificate of our own.
fn read_own(dir: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    files::read(
        &dir.join(issue::SERVER_CERTIFICATE),
        &dir.join(issue::SERVER_KEY),
        provider,
    )
}

/// Whether the certificate of our own is there, fits its key, was signed by the CA, is good for all
/// names, and stays valid for a while.
fn is_good(dir: &Path, names: &[String], provider: &Arc<CryptoProvider>) -> bool {
    let Ok(key) = read_own(dir, provider) else {
        return false;
    };
    let Ok(root) = CertificateDer::from_pem_file(dir.join(issue::CA_CERTIFICATE)) else {
        return false;
    };
    let mut roots = RootCertStore::empty();
    if roots.add(root).is_err() {
        return false;
    }
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(provider),
    )
    .build();
    let Ok(verifier) = verifier else { return false };
    let Some((leaf, intermediates)) = key.cert.split_first() else {
        return false;
    };
    let now = UnixTime::now().as_secs();
    let later = UnixTime::since_unix_epoch(Duration::from_secs(now) + RENEW_BEFORE);
    names.iter().all(|name| {
        // A wildcard is checked by a name that it covers.
        let Ok(name) = ServerName::try_from(name.replacen('*', "pd-0", 1)) else {
            return false;
        };
        [UnixTime::now(), later].into_iter().all(|time| {
            use rustls::client::danger::ServerCertVerifier;
            verifier
                .verify_server_cert(leaf, intermediates, &name, &[], time)
                .is_ok()
        })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn leaf(tls: &Tls) -> Vec<u8> {
        tls.current.read().expect("lock").own.cert[0].to_vec()
    }

    fn open(dir: &Path, domain: Option<&str>) -> Tls {
        let address = [IpAddr::from([10, 0, 0, 1])];
        Tls::open(
            dir.join("tls"),
            TlsConfig::default(),
            domain,
            Some("public.example.com"),
            &address,
        )
        .expect("open")
    }

    #[test]
    fn certificates_are_kept_until_they_no_longer_fit() {
        let dir = tempfile::tempdir().expect("tempdir");
        let first = open(dir.path(), None);
        let ca = std::fs::read(first.ca_file()).expect("ca");
        assert_eq!(
            leaf(&first),
            leaf(&open(dir.path(), None)),
            "kept at the next start"
        );

        let named = open(dir.path(), Some("db.example.com"));
        assert_ne!(leaf(&first), leaf(&named), "made anew for another name");
        assert_eq!(
            ca,
            std::fs::read(named.ca_file()).expect("ca"),
            "by the same CA"
        );
        assert!(is_good(&named.dir, &named.names, &named.provider));
        assert!(named.names.iter().any(|name| name == "public.example.com"));

        std::fs::remove_file(named.dir.join(issue::SERVER_KEY)).expect("remove");
        let before = leaf(&named);
        named.reload().expect("reload");
        assert_ne!(before, leaf(&named), "made anew when the key is gone");
    }

    #[test]
    fn a_certificate_of_another_ca_is_replaced() {
        let dir = tempfile::tempdir().expect("tempdir");
        let first = open(dir.path(), None);
        std::fs::remove_file(first.dir.join(issue::CA_KEY)).expect("remove");
        std::fs::remove_file(first.ca_file()).expect("remove");
        let second = open(dir.path(), None);
        assert_ne!(leaf(&first), leaf(&second));
    }

    #[test]
    fn an_expiring_certificate_is_renewed() {
        let dir = tempfile::tempdir().expect("tempdir");
        let tls = open(dir.path(), None);
        issue::issue_server_for(&tls.dir, &tls.names, 20).expect("issue");
        assert!(!is_good(&tls.dir, &tls.names, &tls.provider));
        tls.reload().expect("reload");
        assert!(is_good(&tls.dir, &tls.names, &tls.provider));
    }

    #[test]
    fn keys_are_private_and_a_bad_file_is_named() {
        let dir = tempfile::tempdir().expect("tempdir");
        let tls = open(dir.path(), None);
        for name in [issue::CA_KEY, issue::SERVER_KEY] {
            let mode = tls
                .dir
                .join(name)
                .metadata()
                .expect("metadata")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        std::fs::write(tls.dir.join(issue::CA_KEY), "garbage").expect("write");
        std::fs::remove_file(tls.dir.join(issue::SERVER_KEY)).expect("remove");
        let error = tls
            .reload()
            .expect_err("the CA's key cannot be read")
            .to_string();
        assert!(error.contains(issue::CA_KEY), "{error}");
    }
}
