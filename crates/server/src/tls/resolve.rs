//! Which certificate a client is shown.

use std::sync::{Arc, RwLock};

use rustls::client::verify_server_name;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::ServerName;

/// The certificates for new handshakes.
#[derive(Debug)]
pub(super) struct Certificates {
    /// Made here, for all names that the service knows of itself.
    pub(super) own: Arc<CertifiedKey>,
    /// The operator's.
    pub(super) operators: Option<Arc<CertifiedKey>>,
}

/// What a client is shown that does not say whom it wants to reach. Only names are said, never
/// addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unnamed {
    /// The service's own: who calls the API by an address verifies that.
    Own,
    /// The operator's if there is one: clients of MySQL seldom say a name.
    Operators,
}

/// Chooses for the handshakes of a listener.
#[derive(Debug)]
pub(super) struct Resolver {
    pub(super) current: Arc<RwLock<Certificates>>,
    pub(super) unnamed: Unnamed,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self
            .current
            .read()
            .unwrap_or_else(|broken| broken.into_inner());
        let chosen = match (&current.operators, hello.server_name()) {
            (None, _) => &current.own,
            (Some(operators), Some(name)) if is_for(operators, name) => operators,
            (Some(_), Some(_)) => &current.own,
            (Some(operators), None) => match self.unnamed {
                Unnamed::Own => &current.own,
                Unnamed::Operators => operators,
            },
        };
        Some(Arc::clone(chosen))
    }
}

/// Whether a certificate is good for a name.
fn is_for(key: &CertifiedKey, name: &str) -> bool {
    let Ok(name) = ServerName::try_from(name) else {
        return false;
    };
    let parsed = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    parsed.is_ok_and(|certificate| verify_server_name(&certificate, &name).is_ok())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::{
        ClientConfig, ClientConnection, DigitallySignedStruct, ServerConnection, SignatureScheme,
    };
    use rustls_pki_types::{CertificateDer, UnixTime};

    use super::*;
    use crate::tls::{Tls, TlsConfig};

    /// Trusts everybody: what is shown is what matters here.
    #[derive(Debug)]
    struct Trusting;

    impl ServerCertVerifier for Trusting {
        fn verify_server_cert(
            &self,
            _end_entity: &CertificateDer<'_>,
            _intermediates: &[CertificateDer<'_>],
            _name: &ServerName<'_>,
            _ocsp: &[u8],
            _now: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _certificate: &CertificateDer<'_>,
            _signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _message: &[u8],
            _certificate: &CertificateDer<'_>,
            _signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }

    /// The certificate that a client is shown who wants to reach `name`.
    fn shown(tls: &Tls, unnamed: Unnamed, name: &str) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting))
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut client = ClientConnection::new(Arc::new(config), name).expect("client");
        let config = tls.server_config(&[], unnamed).expect("server config");
        let mut server = ServerConnection::new(config).expect("server");
        while client.is_handshaking() || server.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).expect("write");
            server.read_tls(&mut bytes.as_slice()).expect("read");
            server.process_new_packets().expect("the client's packets");
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).expect("write");
            client.read_tls(&mut bytes.as_slice()).expect("read");
            client.process_new_packets().expect("the server's packets");
        }
        client.peer_certificates().expect("shown")[0].to_vec()
    }

    /// A certificate for `name` in files, as an operator has one; and its bytes.
    fn write(dir: &Path, name: &str) -> (PathBuf, PathBuf, Vec<u8>) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("certificate");
        let (certificate, key) = (dir.join("full.pem"), dir.join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).expect("write");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("write");
        (certificate, key, made.cert.der().to_vec())
    }

    fn open(dir: &Path, files: TlsConfig) -> Result<Tls, crate::ServeError> {
        Tls::open(dir.join("tls"), files, None, None, &[])
    }

    #[test]
    fn the_operators_certificate_is_shown_where_it_is_good() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (certificate, key, theirs) = write(dir.path(), "db.example.com");
        let files = TlsConfig {
            certificate_file: Some(certificate.clone()),
            key_file: Some(key.clone()),
        };
        let tls = open(dir.path(), files).expect("open");
        for unnamed in [Unnamed::Own, Unnamed::Operators] {
            assert_eq!(shown(&tls, unnamed, "db.example.com"), theirs);
            assert_ne!(shown(&tls, unnamed, "localhost"), theirs);
        }
        // An address is not said.
        assert_eq!(shown(&tls, Unnamed::Operators, "127.0.0.1"), theirs);
        assert_ne!(shown(&tls, Unnamed::Own, "127.0.0.1"), theirs);

        let (_, _, renewed) = write(dir.path(), "db.example.com");
        assert_eq!(shown(&tls, Unnamed::Operators, "db.example.com"), theirs);
        tls.reload().expect("reload");
        assert_eq!(shown(&tls, Unnamed::Operators, "db.example.com"), renewed);

        std::fs::write(&certificate, "garbage").expect("write");
        let error = tls.reload().expect_err("no certificate").to_string();
        assert!(error.contains("full.pem"), "{error}");
        assert_eq!(shown(&tls, Unnamed::Operators, "db.example.com"), renewed);
    }

    #[test]
    fn files_that_do_not_go_together_are_refused() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (certificate, key, _) = write(dir.path(), "db.example.com");
        let other = tempfile::tempdir().expect("tempdir");
        let (_, other, _) = write(other.path(), "db.example.com");
        for (certificate, key, named) in [
            (certificate.clone(), other, "full.pem"),
            (certificate.clone(), dir.path().join("none"), "none"),
            (dir.path().join("none"), key.clone(), "none"),
            (key, certificate.clone(), "key.pem"),
        ] {
            let files = TlsConfig {
                certificate_file: Some(certificate),
                key_file: Some(key),
            };
            let error = open(dir.path(), files).err().expect("refused").to_string();
            assert!(error.contains(named), "{error}");
        }
        let half = TlsConfig {
            certificate_file: Some(certificate),
            key_file: None,
        };
        assert!(half.check().is_err());
        assert!(TlsConfig::default().check().is_ok());
    }
}
