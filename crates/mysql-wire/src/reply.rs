//! Single packets a server answers with: OK, ERR, and those of the authentication.

use std::ops::RangeInclusive;

use crate::{Reader, Status, WireError, put_lenenc_int, put_nul_bytes};

/// First byte of an OK packet.
pub(crate) const OK: u8 = 0x00;
/// First byte of a request for a local file.
pub(crate) const LOCAL_INFILE: u8 = 0xFB;
/// First byte of an EOF packet, of the OK packet in its place, and of an authentication switch.
pub(crate) const EOF: u8 = 0xFE;
/// First byte of an ERR packet.
pub(crate) const ERR: u8 = 0xFF;
/// The error code of MariaDB's progress reports, which look like errors and are none.
pub(crate) const PROGRESS: u16 = 0xFFFF;

/// The kind of a session change that is a new database.
const SESSION_TRACK_SCHEMA: u8 = 1;

const AUTH_MORE_DATA: u8 = 0x01;
const FAST_AUTH_SUCCESS: u8 = 0x03;

/// The head of an OK packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OkPacket {
    /// Rows changed.
    pub affected_rows: u64,
    /// LAST_INSERT_ID().
    pub last_insert_id: u64,
    /// The session's status.
    pub status: Status,
    /// Number of warnings.
    pub warnings: u16,
}

impl OkPacket {
    /// Whether a payload is an OK packet, in a place where no result set can stand.
    #[must_use]
    pub fn is(payload: &[u8]) -> bool {
        payload.first() == Some(&OK)
    }

    /// Reads a payload; text and session changes behind the head are left alone.
    ///
    /// # Errors
    /// [`WireError`] if it is none or cut short.
    pub fn parse(payload: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        if !matches!(reader.u8()?, OK | EOF) {
            return Err(WireError::Malformed("OK packet"));
        }
        Ok(Self {
            affected_rows: reader.lenenc_int()?,
            last_insert_id: reader.lenenc_int()?,
            status: Status(reader.u16()?),
            warnings: reader.u16()?,
        })
    }

    /// The session's new database among the changes that an OK packet with
    /// [`Status::SESSION_STATE_CHANGED`] tells a client with
    /// [`Capabilities::SESSION_TRACK`](crate::Capabilities::SESSION_TRACK); empty for none.
    #[must_use]
    pub fn changed_schema(payload: &[u8]) -> Option<&[u8]> {
        let mut reader = Reader::new(payload);
        reader.u8().ok()?;
        reader.lenenc_int().ok()?;
        reader.lenenc_int().ok()?;
        reader.u32().ok()?;
        reader.lenenc_bytes().ok()?;
        let mut changes = Reader::new(reader.lenenc_bytes().ok()?);
        let mut schema = None;
        while let Ok(kind) = changes.u8() {
            let change = changes.lenenc_bytes().ok()?;
            if kind == SESSION_TRACK_SCHEMA {
                schema = Reader::new(change).lenenc_bytes().ok();
            }
        }
        schema
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(OK);
        put_lenenc_int(out, self.affected_rows);
        put_lenenc_int(out, self.last_insert_id);
        out.extend_from_slice(&self.status.0.to_le_bytes());
        out.extend_from_slice(&self.warnings.to_le_bytes());
    }
}

/// An ERR packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrPacket {
    /// The error's number.
    pub code: u16,
    /// The SQLSTATE; absent in errors that take the place of the greeting.
    pub sqlstate: Option<[u8; 5]>,
    /// The text.
    pub message: Vec<u8>,
}

impl ErrPacket {
    /// The numbers that clients give to errors of their own. libmariadb takes such a number from
    /// no server: it reports a malformed packet (2027) instead.
    pub const OF_CLIENTS: RangeInclusive<u16> = 2000..=2999;

    /// An error of our own, with a SQLSTATE.
    ///
    /// # Panics
    /// In debug builds, if the number is one [of clients](Self::OF_CLIENTS).
    #[must_use]
    pub fn new(code: u16, sqlstate: &[u8; 5], message: impl Into<String>) -> Self {
        Self {
            sqlstate: Some(*sqlstate),
            ..Self::without_sqlstate(code, message)
        }
    }

    /// The same in the place of the greeting, or for clients from before MySQL 4.1.
    ///
    /// # Panics
    /// As [`Self::new`].
    #[must_use]
    pub fn without_sqlstate(code: u16, message: impl Into<String>) -> Self {
        debug_assert!(
            !Self::OF_CLIENTS.contains(&code),
            "{code} is a number of clients"
        );
        Self {
            code,
            sqlstate: None,
            message: message.into().into_bytes(),
        }
    }

    /// Whether a payload is an ERR packet.
    #[must_use]
    pub fn is(payload: &[u8]) -> bool {
        payload.first() == Some(&ERR)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`WireError`] if it is none or cut short.
    pub fn parse(payload: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != ERR {
            return Err(WireError::Malformed("ERR packet"));
        }
        let code = reader.u16()?;
        let mut marked = reader.clone();
        let sqlstate = match (marked.u8(), marked.array()) {
            (Ok(b'#'), Ok(state)) => {
                reader = marked;
                Some(state)
            }
            _ => None,
        };
        Ok(Self {
            code,
            sqlstate,
            message: reader.rest().to_vec(),
        })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(ERR);
        out.extend_from_slice(&self.code.to_le_bytes());
        if let Some(state) = &self.sqlstate {
            out.push(b'#');
            out.extend_from_slice(state);
        }
        out.extend_from_slice(&self.message);
    }
}

/// The server's wish that the client authenticates with another plugin or nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthSwitch {
    /// The plugin to use.
    pub plugin: Vec<u8>,
    /// Its first data: the nonce, and a NUL.
    pub data: Vec<u8>,
}

impl AuthSwitch {
    /// Whether a payload is an authentication switch, in a place where one can stand.
    #[must_use]
    pub fn is(payload: &[u8]) -> bool {
        payload.first() == Some(&EOF)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`WireError`] if it is none, or the switch to the method from before MySQL 4.1.
    pub fn parse(payload: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != EOF || reader.is_empty() {
            return Err(WireError::Malformed("authentication switch"));
        }
        Ok(Self {
            plugin: reader.nul_bytes()?.to_vec(),
            data: reader.rest().to_vec(),
        })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(EOF);
        put_nul_bytes(out, &self.plugin);
        out.extend_from_slice(&self.data);
    }
}

/// The payload with which `caching_sha2_password` tells that the scramble was right and that an
/// OK follows.
#[must_use]
pub const fn fast_auth_success() -> [u8; 2] {
    [AUTH_MORE_DATA, FAST_AUTH_SUCCESS]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_with_and_without_sqlstate() {
        let plain = ErrPacket::parse(b"\xff\x10\x04Too many connections").unwrap();
        assert_eq!((plain.code, plain.sqlstate), (1040, None));
        let denied = ErrPacket::new(1045, b"28000", "Access denied");
        let mut out = Vec::new();
        denied.encode(&mut out);
        assert_eq!(out, b"\xff\x15\x04#28000Access denied");
        assert_eq!(ErrPacket::parse(&out), Ok(denied));
    }

    #[cfg(debug_assertions)]
    #[test]
    fn no_error_of_our_own_has_a_number_of_clients() {
        for code in [1999, 3000] {
            assert_eq!(ErrPacket::new(code, b"HY000", "").code, code);
        }
        for code in [2000, 2006, 2013, 2027, 2999] {
            let made = std::panic::catch_unwind(|| ErrPacket::new(code, b"HY000", ""));
            assert!(made.is_err(), "{code}");
            let made = std::panic::catch_unwind(|| ErrPacket::without_sqlstate(code, ""));
            assert!(made.is_err(), "{code}");
        }
        // What a node has sent is passed on as it is.
        let of_node = b"\xff\xdd\x07#HY000Lost connection";
        assert_eq!(ErrPacket::parse(of_node).unwrap().code, 2013);
    }

    #[test]
    fn a_switch_to_the_old_method_is_refused() {
        assert!(AuthSwitch::parse(&[EOF]).is_err());
    }
}
