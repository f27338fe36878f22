//! A gateway for one instance with one account, for measurements and trials by hand.
//!
//! `relay_one LISTEN SOCKET USER PASSWORD BACKEND_PASSWORD [WORKERS [BUSY_POLL_US [auto|io_uring|epoll [DIGESTS [WARM [CERTIFICATE KEY]]]]]]` lets the account in from
//! everywhere, prints the address once it listens, and runs until its input ends.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::collections::HashMap;
use std::error::Error;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use openpeta_gateway::{Gateway, GatewayConfig, LoopKind};
use openpeta_mysql_wire::auth::{native, sha2};
use openpeta_types::route::{AccountLogin, InstanceRoute};
use openpeta_types::{EndpointId, InstanceId, Secret, Whitelist, WhitelistEntry};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const USAGE: &str = "relay_one LISTEN SOCKET USER PASSWORD BACKEND_PASSWORD [WORKERS [BUSY_POLL_US [auto|io_uring|epoll [DIGESTS [WARM [CERTIFICATE KEY]]]]]]";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((required, optional)) = arguments.split_at_checked(5) else {
        return Err(USAGE.into());
    };
    let mut config = GatewayConfig::default();
    if let Some(workers) = optional.first() {
        config.workers = workers.parse()?;
    }
    if let Some(microseconds) = optional.get(1) {
        config.busy_poll = Duration::from_micros(microseconds.parse()?);
    }
    if let Some(kind) = optional.get(2) {
        config.io = match kind.as_str() {
            "auto" => LoopKind::Auto,
            "io_uring" => LoopKind::IoUring,
            "epoll" => LoopKind::Epoll,
            _ => return Err(USAGE.into()),
        };
    }
    if let Some(digests) = optional.get(3) {
        config.digests = digests.parse()?;
    }
    if let Some(warm) = optional.get(4) {
        config.warm_connections = warm.parse()?;
    }
    if let Some([certificate, key]) = optional.get(5..7) {
        config.tls = Some(tls(certificate, key)?);
    }
    let [listen, socket, user, password, backend] = required else {
        return Err(USAGE.into());
    };
    let login = AccountLogin {
        native: native::verifier(password.as_bytes()),
        sha2: sha2::verifier(password.as_bytes()),
        backend_password: Secret::new(backend),
    };
    let instance = InstanceId::parse("pd-relayone")?;
    let gateway = Gateway::start(config)?;
    gateway.publish(InstanceRoute {
        instance_id: instance.clone(),
        whitelist: Whitelist::new(&[WhitelistEntry::parse("0.0.0.0/0")?]),
        accounts: HashMap::from([(user.clone(), login)]),
        super_accounts: [user.clone()].into(),
        limits: HashMap::new(),
        slow_threshold: None,
        node_socket: socket.into(),
        sharding: None,
        max_connections: 10_000,
        write_lock: None,
    });
    let endpoint = EndpointId::parse("ep-relayone")?;
    let address = gateway.open_endpoint(endpoint, listen.parse()?, instance.clone())?;
    println!("{address}");
    // Ends with the script that started it.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    println!("{:?}", gateway.counters(&instance));
    Ok(())
}

/// What offers TLS with that certificate and key, in files of PEM.
fn tls(certificate: &str, key: &str) -> Result<Arc<ServerConfig>, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    Ok(Arc::new(config))
}
