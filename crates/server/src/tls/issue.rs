//! A CA of our own and the certificate that it signs.

use std::path::Path;

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::data_dir::write_private;

/// The CA's certificate; clients are pointed to it.
pub(super) const CA_CERTIFICATE: &str = "ca.pem";
/// The CA's key.
pub(super) const CA_KEY: &str = "ca.key";
/// The service's certificate.
pub(super) const SERVER_CERTIFICATE: &str = "server.pem";
/// The service's key.
pub(super) const SERVER_KEY: &str = "server.key";

/// Clients are told to trust the CA once; it outlives them.
const CA_DAYS: i32 = 20 * 365;
/// What browsers and systems accept at most is 398 days.
const SERVER_DAYS: i32 = 390;

/// Makes the CA if there is none.
pub(super) fn ensure_ca(dir: &Path) -> Result<(), String> {
    if dir.join(CA_CERTIFICATE).exists() {
        return Ok(());
    }
    let key = generate()?;
    let certificate = ca_params()
        .self_signed(&key)
        .map_err(|error| error.to_string())?;
    if !dir.exists() {
        std::fs::create_dir(dir).map_err(|error| error.to_string())?;
    }
    // The certificate last: it says that the CA is complete.
    write(dir, CA_KEY, &key.serialize_pem())?;
    write(dir, CA_CERTIFICATE, &certificate.pem())?;
    make_readable(dir, CA_CERTIFICATE)
}

/// Makes a key and a certificate for `names`, signed by the CA.
pub(super) fn issue_server(dir: &Path, names: &[String]) -> Result<(), String> {
    issue_server_for(dir, names, SERVER_DAYS)
}

pub(super) fn issue_server_for(dir: &Path, names: &[String], days: i32) -> Result<(), String> {
    let ca_key =
        std::fs::read_to_string(dir.join(CA_KEY)).map_err(|error| format!("{CA_KEY}: {error}"))?;
    let ca_key = KeyPair::from_pem(&ca_key).map_err(|error| format!("{CA_KEY}: {error}"))?;
    let issuer = Issuer::new(ca_params(), ca_key);

    let mut params = CertificateParams::new(names).map_err(|error| error.to_string())?;
    set_validity(&mut params, days);
    params
        .distinguished_name
        .push(DnType::CommonName, "OpenPeta");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = generate()?;
    let certificate = params
        .signed_by(&key, &issuer)
        .map_err(|error| error.to_string())?;
    write(dir, SERVER_KEY, &key.serialize_pem())?;
    write(dir, SERVER_CERTIFICATE, &certificate.pem())?;
    make_readable(dir, SERVER_CERTIFICATE)
}

/// The CA's parameters. Name and key identify a CA, so the same name and the stored key make
/// an issuer without reading the certificate back.
fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    set_validity(&mut params, CA_DAYS);
    params
        .distinguished_name
        .push(DnType::CommonName, "OpenPeta local CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Valid from yesterday, so that a client whose clock is behind accepts it.
fn set_validity(params: &mut CertificateParams, days: i32) {
    let today = TimeZone::UTC.to_datetime(Timestamp::now()).date();
    let date = |offset: i32| {
        let date = today.saturating_add(offset.days());
        rcgen::date_time_ymd(date.year().into(), date.month() as u8, date.day() as u8)
    };
    params.not_before = date(-1);
    params.not_after = date(days);
}

/// P-256: small handshakes, and every client can.
fn generate() -> Result<KeyPair, String> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|error| error.to_string())
}

fn write(dir: &Path, name: &str, content: &str) -> Result<(), String> {
    write_private(&dir.join(name), content.as_bytes()).map_err(|error| format!("{name}: {error}"))
}

/// Lets every user of the machine read a certificate; there is nothing secret in it.
fn make_readable(dir: &Path, name: &str) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir.join(name), PermissionsExt::from_mode(0o644))
        .map_err(|error| format!("{name}: {error}"))
}
