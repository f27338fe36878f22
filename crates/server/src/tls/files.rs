//! Certificates in files, and the operator's among them (`[tls]`).

use std::path::{Path, PathBuf};

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;

/// A certificate of an authority that clients trust already (`[tls]`), beside the service's own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM: the certificate, and behind it those of the authorities between it and the one that
    /// clients know.
    pub certificate_file: Option<PathBuf>,
    /// PEM: its key, PKCS #8, PKCS #1 or SEC 1, without a passphrase.
    pub key_file: Option<PathBuf>,
}

impl TlsConfig {
    /// Whether both files are named, or none.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.certificate_file.is_some() == self.key_file.is_some() {
            return Ok(());
        }
        Err("[tls] certificate_file and key_file go together")
    }

    /// The operator's certificate with its key; `None` if there is none.
    ///
    /// # Errors
    /// Which file cannot be read or understood, or that the key is another certificate's.
    pub(super) fn read(&self, provider: &CryptoProvider) -> Result<Option<CertifiedKey>, String> {
        let (Some(certificate), Some(key)) = (&self.certificate_file, &self.key_file) else {
            return Ok(None);
        };
        read(certificate, key, provider).map(Some)
    }
}

/// A certificate with those that signed it, and its key.
pub(super) fn read(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, String> {
    let at = |file: &Path, reason: String| format!("{}: {reason}", file.display());
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| at(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(at(certificate, "there is no certificate in it".into()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| at(key, error.to_string()))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|error| {
        at(
            certificate,
            format!("{error}; the key is {}", key.display()),
        )
    })
}
