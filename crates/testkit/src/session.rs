//! A small MySQL client: text statements, plain connections, from any address of this machine.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use openpeta_mysql_wire::auth::{native, sha2};
use openpeta_mysql_wire::{Capabilities, Greeting, HEADER_LEN, put_packet};
use rustix::net::{AddressFamily, SocketType};

use crate::{PATIENCE, wait_for};

/// How to log in.
#[derive(Clone)]
pub struct Login {
    /// Where the server is.
    pub address: SocketAddr,
    /// The account.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The database to use; empty for none.
    pub database: String,
    /// The address to come from; `None` leaves it to the system.
    pub source: Option<Ipv4Addr>,
}

impl Login {
    /// The same from another address.
    #[must_use]
    pub fn from_source(&self, source: [u8; 4]) -> Self {
        Self {
            source: Some(source.into()),
            ..self.clone()
        }
    }

    /// The same with another account.
    #[must_use]
    pub fn as_user(&self, user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            ..self.clone()
        }
    }

    /// Logs in.
    ///
    /// # Errors
    /// [`SqlError`].
    pub fn connect(&self) -> Result<Session, SqlError> {
        Session::open(self, native::NAME)
    }

    /// Logs in with `caching_sha2_password`.
    ///
    /// # Errors
    /// [`SqlError`].
    pub fn connect_with_sha2(&self) -> Result<Session, SqlError> {
        Session::open(self, sha2::NAME)
    }

    /// Logs in as soon as that is possible.
    ///
    /// # Panics
    /// When it never is.
    #[track_caller]
    #[must_use]
    pub fn connect_when_possible(&self) -> Session {
        wait_for("a session", || self.connect().ok())
    }
}

/// First byte of a packet that goes on with the authentication.
const AUTH_MORE_DATA: u8 = 1;

/// Why a statement, or a login, has no result.
#[derive(Debug)]
pub enum SqlError {
    /// The server said so.
    Refused {
        /// Its error number.
        code: u16,
        /// Its text.
        message: String,
    },
    /// The connection broke; the outcome is unknown.
    Broken(io::Error),
}

impl SqlError {
    /// The server's error number, if it gave one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Broken(_) => None,
        }
    }
}

impl From<io::Error> for SqlError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// Rows of texts; `None` is NULL.
pub type Rows = Vec<Vec<Option<String>>>;

/// A session.
pub struct Session {
    stream: TcpStream,
    /// The connection's id, as the server's greeting tells it.
    pub connection_id: u32,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.connection_id)
    }
}

impl Session {
    fn open(login: &Login, plugin: &[u8]) -> Result<Self, SqlError> {
        let stream = connect(login)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut session = Self {
            stream,
            connection_id: 0,
        };
        let payload = session.receive()?;
        let greeting = Greeting::parse(&payload).map_err(io::Error::other)?;
        session.connection_id = greeting.connection_id;
        let (password, nonce) = (login.password.as_bytes(), &greeting.nonce);
        let auth_response = match plugin {
            sha2::NAME => sha2::response(password, nonce),
            _ => native::response(password, nonce),
        };
        let mut answer = Vec::new();
        openpeta_mysql_wire::Login {
            capabilities: capabilities(),
            max_packet_size: 64 << 20,
            charset: 45,
            filler: [0; 19],
            user: login.user.clone().into_bytes(),
            auth_response,
            database: (!login.database.is_empty()).then(|| login.database.clone().into_bytes()),
            plugin: Some(plugin.into()),
            attributes: None,
            zstd_level: None,
        }
        .encode(&mut answer);
        session.send(1, &answer)?;
        if session.receive()?[0] == AUTH_MORE_DATA {
            // The proof was right; the OK follows.
            session.receive()?;
        }
        Ok(session)
    }

    /// Runs a statement; one without rows gives none.
    ///
    /// # Errors
    /// [`SqlError`].
    pub fn query(&mut self, statement: &str) -> Result<Rows, SqlError> {
        self.send(0, &[b"\x03", statement.as_bytes()].concat())?;
        let head = self.receive()?;
        if head[0] == 0 {
            return Ok(Vec::new());
        }
        while !is_eof(&self.receive()?) {}
        let mut rows = Vec::new();
        loop {
            let payload = self.receive()?;
            if is_eof(&payload) {
                return Ok(rows);
            }
            rows.push(columns(&payload).ok_or(SqlError::Broken(ErrorKind::InvalidData.into()))?);
        }
    }

    /// The first column of the first row.
    ///
    /// # Errors
    /// [`SqlError`].
    ///
    /// # Panics
    /// When there is none, or it is NULL.
    pub fn value(&mut self, statement: &str) -> Result<String, SqlError> {
        let rows = self.query(statement)?;
        Ok(rows[0][0].clone().expect("not NULL"))
    }

    fn send(&mut self, sequence: u8, payload: &[u8]) -> io::Result<()> {
        let mut packet = Vec::new();
        put_packet(&mut packet, sequence, payload);
        self.stream.write_all(&packet)
    }

    /// The next packet that is not an error.
    fn receive(&mut self) -> Result<Vec<u8>, SqlError> {
        let mut header = [0; HEADER_LEN];
        self.stream.read_exact(&mut header)?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload)?;
        match payload[..] {
            [] => Err(SqlError::Broken(ErrorKind::InvalidData.into())),
            [0xFF, low, high, ref message @ ..] => Err(SqlError::Refused {
                code: u16::from_le_bytes([low, high]),
                message: String::from_utf8_lossy(message).into_owned(),
            }),
            _ => Ok(payload),
        }
    }
}

fn connect(login: &Login) -> io::Result<TcpStream> {
    let Some(source) = login.source else {
        return TcpStream::connect(login.address);
    };
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddr::from((source, 0)))?;
    rustix::net::connect(&socket, &login.address)?;
    Ok(TcpStream::from(socket))
}

fn capabilities() -> Capabilities {
    [
        Capabilities::CONNECT_WITH_DB,
        Capabilities::PROTOCOL_41,
        Capabilities::TRANSACTIONS,
        Capabilities::SECURE_CONNECTION,
        Capabilities::PLUGIN_AUTH,
        Capabilities::MYSQL,
    ]
    .into_iter()
    .fold(Capabilities::NONE, |all, one| Capabilities(all.0 | one.0))
}

fn is_eof(payload: &[u8]) -> bool {
    payload[0] == 0xFE && payload.len() < 9
}

/// A row of the text protocol.
fn columns(payload: &[u8]) -> Option<Vec<Option<String>>> {
    let mut rest = payload;
    let mut columns = Vec::new();
    while let Some((&first, after)) = rest.split_first() {
        let (length, after) = match first {
            0xFB => {
                columns.push(None);
                rest = after;
                continue;
            }
            0xFC => (
                usize::from(u16::from_le_bytes([*after.first()?, *after.get(1)?])),
                after.get(2..)?,
            ),
            0xFD | 0xFE => return None,
            short => (usize::from(short), after),
        };
        let text = String::from_utf8_lossy(after.get(..length)?).into_owned();
        columns.push(Some(text));
        rest = &after[length..];
    }
    Some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_columns() {
        let mut row = b"\x01a\xFB\x00\xFC\x2C\x01".to_vec();
        row.extend([b'x'; 300]);
        let expected = [
            Some("a".into()),
            None,
            Some(String::new()),
            Some("x".repeat(300)),
        ];
        assert_eq!(columns(&row).unwrap(), expected);
        assert_eq!(columns(b"\x05abc"), None);
    }
}
