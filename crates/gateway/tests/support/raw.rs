//! A client that sends and receives packets as they are.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use openpeta_mysql_wire::auth::native;
use openpeta_mysql_wire::{
    Capabilities, Compression, Greeting, HEADER_LEN, Login, Reader, put_packet,
};
use rustix::net::{AddressFamily, SocketType};

use super::{Compressed, PATIENCE};

pub trait Stream: Read + Write + Send {
    fn set_patience(&self, patience: Duration);

    /// How long a write may wait for room.
    fn set_write_patience(&self, _patience: Duration) {}
}

impl Stream for TcpStream {
    fn set_patience(&self, patience: Duration) {
        self.set_read_timeout(Some(patience)).unwrap();
    }

    fn set_write_patience(&self, patience: Duration) {
        self.set_write_timeout(Some(patience)).unwrap();
    }
}

impl Stream for UnixStream {
    fn set_patience(&self, patience: Duration) {
        self.set_read_timeout(Some(patience)).unwrap();
    }
}

pub struct Raw {
    pub stream: Box<dyn Stream>,
    pub greeting: Greeting,
}

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub sequence: u8,
    pub payload: Vec<u8>,
}

impl Reply {
    /// The code, if it is an error.
    pub fn error(&self) -> Option<u16> {
        match self.payload[..] {
            [0xFF, low, high, ..] => Some(u16::from_le_bytes([low, high])),
            _ => None,
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

impl Raw {
    /// Connects over TCP and logs in.
    pub fn login(address: SocketAddr, user: &str, password: &str, database: &str) -> Self {
        let mut raw = Self::greeted(address);
        let reply = raw.try_login(user, password, database, capabilities());
        assert_eq!(reply.error(), None, "{}", reply.text());
        raw
    }

    /// Connects over TCP and reads the greeting.
    pub fn greeted(address: SocketAddr) -> Self {
        Self::over(Box::new(TcpStream::connect(address).unwrap()))
    }

    /// Connects straight to a node.
    pub fn direct(socket: &Path) -> Self {
        Self::over(Box::new(UnixStream::connect(socket).unwrap()))
    }

    pub fn over(mut stream: Box<dyn Stream>) -> Self {
        stream.set_patience(PATIENCE);
        let greeting = read_packet(&mut *stream).unwrap();
        let greeting = Greeting::parse(&greeting.payload)
            .unwrap_or_else(|error| panic!("{error}: {}", greeting.text()));
        Self { stream, greeting }
    }

    /// Answers the greeting and returns the server's answer.
    pub fn try_login(
        &mut self,
        user: &str,
        password: &str,
        database: &str,
        capabilities: Capabilities,
    ) -> Reply {
        let login = Login {
            capabilities,
            max_packet_size: 64 << 20,
            charset: 45,
            filler: [0; 19],
            user: user.into(),
            auth_response: native::response(password.as_bytes(), &self.greeting.nonce),
            database: Some(database.into()),
            plugin: Some(native::NAME.into()),
            attributes: None,
            zstd_level: capabilities
                .contains(Capabilities::ZSTD_COMPRESS)
                .then_some(3),
        };
        let mut payload = Vec::new();
        login.encode(&mut payload);
        self.send(1, &payload);
        self.receive()
    }

    /// Everything from here on is compressed, as the login has asked for.
    #[must_use]
    pub fn compressed(self, compression: Compression) -> Self {
        Self {
            stream: Box::new(Compressed::new(self.stream, compression)),
            greeting: self.greeting,
        }
    }

    pub fn send(&mut self, sequence: u8, payload: &[u8]) {
        let mut packet = Vec::new();
        put_packet(&mut packet, sequence, payload);
        self.stream.write_all(&packet).unwrap();
    }

    /// Sends a statement.
    pub fn query(&mut self, statement: &str) {
        self.send(0, &[b"\x03", statement.as_bytes()].concat());
    }

    /// Runs a statement whose whole reply is one packet.
    pub fn execute(&mut self, statement: &str) -> Reply {
        self.query(statement);
        self.receive()
    }

    /// Runs a statement whose reply is one result, and returns its rows as text, or the error.
    pub fn rows(&mut self, statement: &str) -> Result<Vec<Vec<String>>, u16> {
        self.query(statement);
        let head = self.receive();
        if let Some(code) = head.error() {
            return Err(code);
        }
        if head.payload[0] == 0 {
            return Ok(Vec::new());
        }
        for _ in 0..=head.payload[0] {
            self.receive();
        }
        let mut rows = Vec::new();
        loop {
            let packet = self.receive();
            match packet.error() {
                Some(code) => return Err(code),
                None if packet.payload[0] == 0xFE && packet.payload.len() < 9 => return Ok(rows),
                None => rows.push(texts(&packet.payload)),
            }
        }
    }

    /// Says goodbye and waits for the end of the connection.
    pub fn quit(mut self) {
        self.send(0, &[1]);
        assert_eq!(self.rest(), b"");
    }

    pub fn receive(&mut self) -> Reply {
        read_packet(&mut *self.stream).unwrap()
    }

    /// Waits for the end of the connection and returns what came before it.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        rest
    }
}

/// The values of a row, `NULL` for none.
fn texts(row: &[u8]) -> Vec<String> {
    let mut reader = Reader::new(row);
    let mut values = Vec::new();
    while !reader.is_empty() {
        if reader.clone().u8() == Ok(0xFB) {
            reader.u8().unwrap();
            values.push("NULL".to_owned());
        } else {
            let value = reader.lenenc_bytes().unwrap();
            values.push(String::from_utf8_lossy(value).into_owned());
        }
    }
    values
}

/// What the raw client can do; enough for everything the tests send.
pub fn capabilities() -> Capabilities {
    [
        Capabilities::CONNECT_WITH_DB,
        Capabilities::LOCAL_FILES,
        Capabilities::PROTOCOL_41,
        Capabilities::TRANSACTIONS,
        Capabilities::SECURE_CONNECTION,
        Capabilities::MULTI_STATEMENTS,
        Capabilities::MULTI_RESULTS,
        Capabilities::PS_MULTI_RESULTS,
        Capabilities::PLUGIN_AUTH,
        Capabilities::MYSQL,
    ]
    .into_iter()
    .fold(Capabilities::NONE, |all, one| Capabilities(all.0 | one.0))
}

/// Connects from a chosen address of this machine.
pub fn connect_from(from: &str, to: SocketAddr) -> TcpStream {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let from: SocketAddr = format!("{from}:0").parse().unwrap();
    rustix::net::bind(&socket, &from).unwrap();
    rustix::net::connect(&socket, &to).unwrap();
    TcpStream::from(socket)
}

fn read_packet(stream: &mut (impl Read + ?Sized)) -> io::Result<Reply> {
    let mut header = [0; HEADER_LEN];
    stream.read_exact(&mut header)?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload)?;
    Ok(Reply {
        sequence: header[3],
        payload,
    })
}
