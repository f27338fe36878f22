//! One request, one answer, over TCP or TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::PATIENCE;

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The error code in a JSON or XML body; empty in an answer without one.
    #[must_use]
    pub fn code(&self) -> &str {
        let between = |before: &str, after: &str| {
            let (_, rest) = self.body.split_once(before)?;
            rest.split_once(after).map(|(code, _)| code)
        };
        between("\"Code\":\"", "\"")
            .or_else(|| between("<Code>", "</Code>"))
            .unwrap_or_default()
    }
}

/// Sends a request on a connection of its own and reads the answer.
///
/// # Errors
/// When the connection breaks before the whole answer is there.
pub(crate) fn exchange(
    address: SocketAddr,
    tls: Option<&Arc<ClientConfig>>,
    request: &[u8],
) -> io::Result<Answer> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    match tls {
        None => converse(stream, request),
        Some(config) => {
            let name = ServerName::from(address.ip());
            let session =
                ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
            converse(StreamOwned::new(session, stream), request)
        }
    }
}

fn converse(mut stream: impl Read + Write, request: &[u8]) -> io::Result<Answer> {
    stream.write_all(request)?;
    stream.flush()?;
    let mut received = Vec::new();
    match stream.read_to_end(&mut received) {
        // A service that is killed sends no end of TLS; the length tells whether all is there.
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
        _ => parse(&received).ok_or_else(|| ErrorKind::UnexpectedEof.into()),
    }
}

/// The answer, if it is whole.
fn parse(received: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(received).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length: usize = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok()).flatten()
    })?;
    (body.len() == length).then(|| Answer {
        status: head
            .get(9..12)
            .and_then(|status| status.parse().ok())
            .unwrap_or_default(),
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_answers_count() {
        let whole = "HTTP/1.1 404 X\r\nContent-Length: 14\r\n\r\n{\"Code\":\"No.\"}";
        let answer = parse(whole.as_bytes()).unwrap();
        assert_eq!((answer.status, answer.code()), (404, "No."));
        for end in 0..whole.len() {
            assert_eq!(parse(&whole.as_bytes()[..end]), None);
        }
    }
}
