//! What tools and frameworks ask a server when they connect brings the same answers directly and
//! through the gateway. The scripts in `tools/` are written after what the tools are known to ask,
//! not recorded from them.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::support::{PASSWORD, Raw, Reply, Setup, USER, capabilities};
use openpeta_mysql_wire::{Capabilities, proxy};

/// One line of a script.
#[derive(Clone, Copy, Debug)]
enum Line<'a> {
    Query(&'a str),
    /// A statement whose values depend on the moment or the session: all else is compared.
    Shape(&'a str),
    Prepare(&'a str),
    Use(&'a str),
    Ping,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        if line.is_empty() || line.starts_with("##") {
            return None;
        }
        Some(match line.split_once(' ') {
            Some(("\\shape", rest)) => Self::Shape(rest),
            Some(("\\prepare", rest)) => Self::Prepare(rest),
            Some(("\\use", rest)) => Self::Use(rest),
            _ if line == "\\ping" => Self::Ping,
            _ => Self::Query(line),
        })
    }

    fn payload(self) -> Vec<u8> {
        let (command, text) = match self {
            Self::Query(text) | Self::Shape(text) => (3, text),
            Self::Prepare(text) => (0x16, text),
            Self::Use(text) => (2, text),
            Self::Ping => (0x0E, ""),
        };
        [&[command], text.as_bytes()].concat()
    }
}

/// The packets of a reply.
fn replies(raw: &mut Raw, line: Line<'_>) -> Vec<Reply> {
    raw.send(0, &line.payload());
    let head = raw.receive();
    let first = head.payload[0];
    let mut packets = vec![head];
    // So many times a list up to its end follows.
    let lists = match (line, first) {
        (_, 0xFF) => 0,
        (Line::Prepare(_), _) => {
            let counts = &packets[0].payload[5..9];
            usize::from(counts[..2] != [0, 0]) + usize::from(counts[2..] != [0, 0])
        }
        (_, 0) => 0,
        _ => 2,
    };
    for _ in 0..lists {
        loop {
            let packet = raw.receive();
            let is_end =
                packet.error().is_some() || packet.payload[0] == 0xFE && packet.payload.len() < 9;
            packets.push(packet);
            if is_end {
                break;
            }
        }
    }
    packets
}

/// Columns, and how many rows.
fn shape(packets: &[Reply]) -> (Vec<Reply>, usize) {
    let end = packets
        .iter()
        .position(|packet| packet.payload[0] == 0xFE && packet.payload.len() < 9);
    let columns = packets[..end.unwrap_or(packets.len())].to_vec();
    (columns, packets.len())
}

fn compare(setup: &Setup, script: &Path, capabilities: Capabilities) -> usize {
    let text = fs::read_to_string(script).unwrap();
    let mut socket = UnixStream::connect(&setup.node.socket).unwrap();
    // Errors name the client's host, so it has to be the same.
    let mut header = Vec::new();
    let client = SocketAddr::from(([127, 0, 0, 1], 4444));
    proxy::put_header(&mut header, client, setup.address);
    socket.write_all(&header).unwrap();
    let mut direct = Raw::over(Box::new(socket));
    let answer = direct.try_login(USER, "backend-app", "shop", capabilities);
    assert_eq!(answer.error(), None, "{}", answer.text());
    let lines: Vec<_> = text.lines().filter_map(Line::parse).collect();
    // One after the other, or locks would be in the way.
    let told: Vec<_> = lines
        .iter()
        .map(|line| replies(&mut direct, *line))
        .collect();
    direct.quit();
    let mut through = Raw::greeted(setup.address);
    let same = through.try_login(USER, PASSWORD, "shop", capabilities);
    assert_eq!(same, answer, "the answer to the login");
    for (line, expected) in lines.iter().zip(told) {
        let got = replies(&mut through, *line);
        match line {
            Line::Shape(_) => assert_eq!(shape(&got), shape(&expected), "{line:?}"),
            _ => assert_eq!(got, expected, "{line:?}"),
        }
    }
    lines.len()
}

#[test]
fn tools_are_answered_as_by_the_node() {
    let setup = Setup::start();
    setup.node.administer(
        "CREATE TABLE shop.item (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40) NOT NULL DEFAULT 'x' COMMENT 'its name',
            price DECIMAL(9,2), UNIQUE KEY by_name (name));
         CREATE TABLE shop.part (item INT NOT NULL, n INT, KEY (n), FOREIGN KEY (item) REFERENCES shop.item (id));
         CREATE VIEW shop.dear AS SELECT * FROM shop.item WHERE price > 10;
         CREATE PROCEDURE shop.nothing() DO 1;
         INSERT INTO shop.item (name, price) VALUES ('pen', 1.5), ('ink', 12.25)",
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools");
    let mut scripts: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    let mariadb = capabilities().without(Capabilities::MYSQL);
    for script in scripts {
        for capabilities in [
            capabilities(),
            capabilities() | Capabilities::FOUND_ROWS,
            mariadb,
        ] {
            let count = compare(&setup, &script, capabilities);
            assert!(count > 4, "{}: {count} lines", script.display());
        }
    }
}
