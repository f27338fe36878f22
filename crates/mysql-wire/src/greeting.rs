//! The server's first packet.

use crate::auth::NONCE_LEN;
use crate::{Capabilities, Reader, Status, WireError, put_nul_bytes};

const PROTOCOL_VERSION: u8 = 10;
const NONCE_HEAD: usize = 8;

/// The greeting ("Initial Handshake Packet", protocol version 10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The server's version, as it stands in the packet.
    pub server_version: Vec<u8>,
    /// The connection's id, as CONNECTION_ID() tells it.
    pub connection_id: u32,
    /// What the client mixes with its password.
    pub nonce: [u8; NONCE_LEN],
    /// What the server can do; MariaDB's extended flags are set only where it sent them.
    pub capabilities: Capabilities,
    /// The server's default collation (the low byte of its id).
    pub charset: u8,
    /// The status of the new session.
    pub status: Status,
    /// The authentication plugin that the nonce is for.
    pub plugin: Vec<u8>,
}

impl Greeting {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`WireError`] if it is cut short, of another protocol version, or from a server without
    /// authentication by plugin (all since MySQL 5.5 and MariaDB 5.2 have it).
    pub fn parse(payload: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != PROTOCOL_VERSION {
            return Err(WireError::Malformed("protocol version"));
        }
        let server_version = reader.nul_bytes()?.to_vec();
        let connection_id = reader.u32()?;
        let mut nonce = [0; NONCE_LEN];
        nonce[..NONCE_HEAD].copy_from_slice(reader.bytes(NONCE_HEAD)?);
        reader.u8()?;
        let low = reader.u16()?;
        let charset = reader.u8()?;
        let status = Status(reader.u16()?);
        let high = reader.u16()?;
        let nonce_len = reader.u8()?;
        reader.bytes(6)?;
        let extended = reader.u32()?;
        let low = u32::from(low) | u32::from(high) << 16;
        let mut capabilities = Capabilities::from_halves(low, 0);
        if !capabilities.contains(
            Capabilities::PROTOCOL_41 | Capabilities::SECURE_CONNECTION | Capabilities::PLUGIN_AUTH,
        ) {
            return Err(WireError::Malformed("the server's capabilities"));
        }
        if !capabilities.contains(Capabilities::MYSQL) {
            capabilities = Capabilities::from_halves(low, extended);
        }
        if usize::from(nonce_len) != NONCE_LEN + 1 {
            return Err(WireError::Malformed("nonce length"));
        }
        nonce[NONCE_HEAD..].copy_from_slice(reader.bytes(NONCE_LEN - NONCE_HEAD)?);
        reader.u8()?;
        let plugin = reader.nul_or_rest().to_vec();
        Ok(Self {
            server_version,
            connection_id,
            nonce,
            capabilities,
            charset,
            status,
            plugin,
        })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let low = self.capabilities.low();
        out.push(PROTOCOL_VERSION);
        put_nul_bytes(out, &self.server_version);
        out.extend_from_slice(&self.connection_id.to_le_bytes());
        out.extend_from_slice(&self.nonce[..NONCE_HEAD]);
        out.push(0);
        out.extend_from_slice(&(low as u16).to_le_bytes());
        out.push(self.charset);
        out.extend_from_slice(&self.status.0.to_le_bytes());
        out.extend_from_slice(&((low >> 16) as u16).to_le_bytes());
        out.push(NONCE_LEN as u8 + 1);
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.capabilities.extended().to_le_bytes());
        out.extend_from_slice(&self.nonce[NONCE_HEAD..]);
        out.push(0);
        put_nul_bytes(out, &self.plugin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As MariaDB 10.11 sent it.
    const MARIADB: &[u8] = b"\n5.5.5-10.11.19-MariaDB-0+deb12u1-log\0\x06\0\0\0<Rh3e$~p\0\
        \xfe\xf7\x08\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0:l5`dTYAzb\\'\0mysql_native_password\0";

    #[test]
    fn a_greeting_of_mariadb_survives_the_round_trip() {
        let greeting = Greeting::parse(MARIADB).unwrap();
        assert_eq!(greeting.connection_id, 6);
        assert_eq!(&greeting.nonce, b"<Rh3e$~p:l5`dTYAzb\\'");
        assert_eq!(greeting.capabilities.extended(), 0x1D);
        assert!(!greeting.capabilities.contains(Capabilities::MYSQL));
        let mut out = Vec::new();
        greeting.encode(&mut out);
        assert_eq!(out, MARIADB);
    }

    #[test]
    fn every_prefix_is_refused_or_read() {
        for len in 0..MARIADB.len() - b"mysql_native_password\0".len() {
            assert!(Greeting::parse(&MARIADB[..len]).is_err(), "{len}");
        }
    }
}
