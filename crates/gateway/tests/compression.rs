//! Clients that ask for compression, with and without TLS.

use std::io::{Read, Write};

use crate::support::{PASSWORD, Raw, Setup, USER, capabilities, eventually, success, tls};
use openpeta_gateway::GatewayConfig;
use openpeta_mysql_wire::{
    Capabilities, Codecs, CompressedStream, Compression, PacketBuffer, put_packet,
};

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

#[test]
fn the_numbers_within_compressed_packets_do_not_matter() {
    // As on a direct connection. MariaDB Connector/J 2 begins with 1.
    let setup = Setup::start();
    let compressing = capabilities() | Capabilities::COMPRESS;
    let mut direct = Raw::direct(&setup.node.socket);
    direct.try_login(USER, "backend-app", "shop", compressing);
    let mut through = Raw::greeted(setup.address);
    through.try_login(USER, PASSWORD, "shop", compressing);
    let answers = [direct, through].map(|mut raw| {
        let long = format!("\x03SELECT LENGTH('{}')", "x".repeat(17_000_000));
        let mut answers = Vec::new();
        for (number, command) in [
            (1, "\x03SELECT 1"),
            (0, "\x0e"),
            (7, &long),
            (0, "\x03DO 1"),
        ] {
            let mut packets = Vec::new();
            put_packet(&mut packets, number, command.as_bytes());
            // A new conversation, whatever the number inside.
            let mut stream = CompressedStream::new(Compression::Zlib);
            let mut wire = Vec::new();
            stream.send(&mut Codecs::default(), &packets, &mut wire);
            raw.stream.write_all(&wire).unwrap();
            let mut answer = Vec::new();
            let count = if command.contains("SELECT") { 5 } else { 1 };
            let mut plain = PacketBuffer::new(1 << 20);
            while answer.len() < count {
                while let Some(packet) = plain.next_packet().unwrap() {
                    answer.push(packet);
                }
                if answer.len() < count {
                    let packet = compressed_packet(&mut raw);
                    let mut unpacked = Vec::new();
                    let received = stream.receive(&mut Codecs::default(), &packet, &mut unpacked);
                    received.unwrap();
                    plain.push(&unpacked);
                }
            }
            answers.push(answer);
        }
        answers
    });
    assert_eq!(answers[0], answers[1]);
}

/// The next one from the server.
fn compressed_packet(raw: &mut Raw) -> Vec<u8> {
    let mut packet = vec![0; 7];
    raw.stream.read_exact(&mut packet).unwrap();
    let length = u32::from_le_bytes([packet[0], packet[1], packet[2], 0]);
    packet.resize(7 + length as usize, 0);
    raw.stream.read_exact(&mut packet[7..]).unwrap();
    packet
}
