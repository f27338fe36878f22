//! COM_CHANGE_USER: another login on the same connection.

use std::fmt;

use crate::command::COM_CHANGE_USER;
use crate::{Capabilities, Reader, WireError, put_lenenc_bytes, put_nul_bytes};

/// The command, as far as it was given: older clients end it early.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangeUser {
    /// The account's name.
    pub user: Vec<u8>,
    /// What the authentication plugin made of password and nonce; at most 255 bytes.
    pub auth_response: Vec<u8>,
    /// The database to use; empty for none.
    pub database: Vec<u8>,
    /// The client's collation.
    pub charset: Option<u16>,
    /// The authentication plugin, with [`Capabilities::PLUGIN_AUTH`].
    pub plugin: Option<Vec<u8>>,
    /// The connection attributes, as in [`Login::attributes`](crate::Login::attributes).
    pub attributes: Option<Vec<u8>>,
}

impl fmt::Debug for ChangeUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeUser")
            .field("user", &String::from_utf8_lossy(&self.user))
            .finish_non_exhaustive()
    }
}

impl ChangeUser {
    /// Reads a payload, command byte included, of a client with `capabilities`.
    ///
    /// # Errors
    /// [`WireError`] if it is another command or cut short.
    pub fn parse(payload: &[u8], capabilities: Capabilities) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != COM_CHANGE_USER {
            return Err(WireError::Malformed("command"));
        }
        let user = reader.nul_bytes()?.to_vec();
        let auth_response = if capabilities.contains(Capabilities::SECURE_CONNECTION) {
            let len = reader.u8()?;
            reader.bytes(usize::from(len))?.to_vec()
        } else {
            reader.nul_bytes()?.to_vec()
        };
        let database = reader.nul_bytes()?.to_vec();
        let charset = if reader.is_empty() {
            None
        } else {
            Some(reader.u16()?)
        };
        let plugin = (capabilities.contains(Capabilities::PLUGIN_AUTH) && !reader.is_empty())
            .then(|| reader.nul_or_rest().to_vec());
        let attributes = if capabilities.contains(Capabilities::CONNECT_ATTRS) && !reader.is_empty()
        {
            Some(reader.lenenc_bytes()?.to_vec())
        } else {
            None
        };
        Ok(Self {
            user,
            auth_response,
            database,
            charset,
            plugin,
            attributes,
        })
    }

    /// Appends the payload, for a connection with [`Capabilities::SECURE_CONNECTION`]. A part
    /// that is missing leaves out the ones behind it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(COM_CHANGE_USER);
        put_nul_bytes(out, &self.user);
        let auth_response = &self.auth_response[..self.auth_response.len().min(255)];
        out.push(auth_response.len() as u8);
        out.extend_from_slice(auth_response);
        put_nul_bytes(out, &self.database);
        let Some(charset) = self.charset else { return };
        out.extend_from_slice(&charset.to_le_bytes());
        let Some(plugin) = &self.plugin else { return };
        put_nul_bytes(out, plugin);
        let Some(attributes) = &self.attributes else {
            return;
        };
        put_lenenc_bytes(out, attributes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_clients_end_it_early() {
        let parsed =
            ChangeUser::parse(b"\x11app\0\x03abcshop\0", Capabilities::SECURE_CONNECTION).unwrap();
        assert_eq!(parsed.database, b"shop");
        assert_eq!((parsed.charset, parsed.plugin), (None, None));
        let parsed = ChangeUser::parse(b"\x11app\0abc\0shop\0!\0", Capabilities::NONE).unwrap();
        assert_eq!(parsed.auth_response, b"abc");
        assert_eq!(parsed.charset, Some(33));
    }

    #[test]
    fn a_short_packet_is_refused() {
        for payload in [&b"\x11no"[..], b"\x11u\0\x05abc", b"\x03u\0\0\0", b""] {
            assert!(ChangeUser::parse(payload, Capabilities::SECURE_CONNECTION).is_err());
        }
    }
}
