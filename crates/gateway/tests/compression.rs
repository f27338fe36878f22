//! Clients that ask for compression, with and without TLS.

mod support;

use std::io::Write;

use openpeta_gateway::GatewayConfig;
use openpeta_mysql_wire::{Capabilities, Compression};
use support::{PASSWORD, Raw, Setup, USER, capabilities, eventually, success, tls};

/// What a statement of 1 MB costs on the way, by the gateway's counter.
fn bytes_in(setup: &Setup, arguments: &[&str]) -> u64 {
    let before = setup.counters().bytes_in;
    let statement = format!("SELECT LENGTH('{}')", "x".repeat(1_000_000));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(statement.as_bytes()).unwrap();
    let mut client = setup.client();
    client.arg("--max-allowed-packet=32M").args(arguments);
    let got = success(client.stdin(file.reopen().unwrap()));
    assert_eq!(got, "1000000\n");
    eventually("the session is gone", || setup.sessions() == 0);
    setup.counters().bytes_in - before
}

#[test]
fn the_command_line_client_compresses_with_and_without_tls() {
    let (config, certificate) = tls();
    let setup = Setup::with(GatewayConfig {
        tls: Some(config),
        ..GatewayConfig::default()
    });
    let mut ca = tempfile::NamedTempFile::new().unwrap();
    ca.write_all(certificate.as_bytes()).unwrap();
    let ca = format!("--ssl-ca={}", ca.path().display());
    for tls in [vec!["--skip-ssl"], vec!["--ssl", &ca]] {
        assert!(bytes_in(&setup, &tls) > 1_000_000);
        assert!(bytes_in(&setup, &[&tls[..], &["--compress"]].concat()) < 50_000);
    }
    // A large result, the same as without.
    let statement = "SELECT REPEAT(MD5(seq), 3000) FROM seq_1_to_300";
    let plain = success(setup.client().args(["--skip-ssl", "-e", statement]));
    let arguments = ["--skip-ssl", "--compress", "-e", statement];
    assert!(plain.len() > 28_000_000);
    assert!(plain == success(setup.client().args(arguments)));
}

#[test]
fn compression_that_is_off_is_not_used() {
    let setup = Setup::with(GatewayConfig {
        compression: false,
        ..GatewayConfig::default()
    });
    let raw = Raw::greeted(setup.address);
    let compression = Capabilities::COMPRESS | Capabilities::ZSTD_COMPRESS;
    assert_eq!(raw.greeting.capabilities & compression, Capabilities::NONE);
    assert!(bytes_in(&setup, &["--skip-ssl", "--compress"]) > 1_000_000);
}

#[test]
fn garbage_in_a_compressed_packet_ends_that_session_alone() {
    let setup = Setup::start();
    let login = || {
        let mut raw = Raw::greeted(setup.address);
        let compressing = capabilities() | Capabilities::COMPRESS;
        let reply = raw.try_login(USER, PASSWORD, "shop", compressing);
        assert_eq!(reply.error(), None);
        raw
    };
    let mut other = login().compressed(Compression::Zlib);
    let mut raw = login();
    // 4 bytes that are said to unpack to 100.
    raw.stream.write_all(b"\x04\0\0\0\x64\0\0junk").unwrap();
    assert_eq!(raw.rest(), b"");
    other.query("DO 1");
    assert_eq!(other.receive().error(), None);
    drop(other);
    eventually("the sessions are gone", || setup.sessions() == 0);
}
