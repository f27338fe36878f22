//! HTTP, byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is text")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("JSON in {self:?}"))
    }
}

/// How long a server may take for anything; a hang fails the test.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that sends what it is told to.
pub struct Connection<S = TcpStream> {
    pub stream: S,
    received: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("timeout");
        stream.set_nodelay(true).expect("nodelay");
        Self {
            stream,
            received: Vec::new(),
        }
    }
}

impl Connection<rustls::StreamOwned<rustls::ClientConnection, TcpStream>> {
    /// Opens a TLS connection that trusts the given CA alone.
    pub fn open_tls(address: SocketAddr, ca_file: &Path) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(ca_file).expect("CA");
        roots.add(ca).expect("CA is usable");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("name");
        let session = rustls::ClientConnection::new(Arc::new(config), name).expect("session");
        let plain = Connection::open(address).stream;
        Self {
            stream: rustls::StreamOwned::new(session, plain),
            received: Vec::new(),
        }
    }
}

impl<S: Read + Write> Connection<S> {
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("send");
        self.stream.flush().expect("flush");
    }

    /// The next answer; `None` when the server closed the connection instead.
    pub fn try_receive(&mut self) -> Option<Reply> {
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(reply) = self.take_reply() {
                return Some(reply);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!(
                        "no answer in time; so far {:?}",
                        self.received.escape_ascii()
                    )
                }
                Err(_) => return None,
            }
        }
    }

    pub fn receive(&mut self) -> Reply {
        self.try_receive().expect("an answer")
    }

    fn take_reply(&mut self) -> Option<Reply> {
        let end = self
            .received
            .windows(4)
            .position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8(self.received[..end].to_vec()).expect("the head is text");
        let status = head.get(9..12)?.parse().expect("a status");
        let mut reply = Reply {
            status,
            head,
            body: Vec::new(),
        };
        if status == 100 {
            self.received.drain(..end + 4);
            return self.take_reply();
        }
        let length: usize = reply
            .header("content-length")
            .map_or(0, |length| length.parse().expect("a length"));
        let whole = end + 4 + length;
        if self.received.len() < whole {
            return None;
        }
        reply.body = self.received[end + 4..whole].to_vec();
        self.received.drain(..whole);
        Some(reply)
    }
}

/// Sends a request on a connection of its own.
pub fn exchange(address: SocketAddr, request: &[u8]) -> Reply {
    let mut connection = Connection::open(address);
    connection.send(request);
    connection.receive()
}
