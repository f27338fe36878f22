//! The client's first packets: SSLRequest and the login.

use std::fmt;

use crate::{Capabilities, Reader, WireError, put_lenenc_bytes, put_nul_bytes};

const FILLER: usize = 19;

/// What the client's first packet can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginPacket {
    /// The client starts TLS now and logs in afterwards.
    SslRequest,
    /// The login itself.
    Login(Box<Login>),
}

/// The login ("HandshakeResponse41").
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// What the client wants; MariaDB's extended flags only from clients that leave out
    /// [`Capabilities::MYSQL`].
    pub capabilities: Capabilities,
    /// The longest packet the client accepts, in bytes.
    pub max_packet_size: u32,
    /// The client's collation (the low byte of its id).
    pub charset: u8,
    /// Bytes without a meaning so far, kept as they came.
    pub filler: [u8; FILLER],
    /// The account's name.
    pub user: Vec<u8>,
    /// What the authentication plugin made of password and nonce.
    pub auth_response: Vec<u8>,
    /// The database to use, with [`Capabilities::CONNECT_WITH_DB`].
    pub database: Option<Vec<u8>>,
    /// The authentication plugin, with [`Capabilities::PLUGIN_AUTH`].
    pub plugin: Option<Vec<u8>>,
    /// The connection attributes as they stand in the packet, without their total length; with
    /// [`Capabilities::CONNECT_ATTRS`].
    pub attributes: Option<Vec<u8>>,
    /// The wanted level of zstd compression, with [`Capabilities::ZSTD_COMPRESS`].
    pub zstd_level: Option<u8>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &String::from_utf8_lossy(&self.user))
            .field("capabilities", &self.capabilities)
            .finish_non_exhaustive()
    }
}

impl Login {
    /// Reads a payload. `encrypted` tells whether TLS is on already; without it a packet with
    /// [`Capabilities::SSL`] asks for TLS, whatever else it holds.
    ///
    /// # Errors
    /// [`WireError::OldProtocol`] for clients from before MySQL 4.1, otherwise what is wrong.
    pub fn parse(payload: &[u8], encrypted: bool) -> Result<LoginPacket, WireError> {
        let mut reader = Reader::new(payload);
        // The old protocol's flags have two bytes, and its packets may be short.
        let first = Capabilities(u64::from(reader.clone().u16()?));
        if !first.contains(Capabilities::PROTOCOL_41) {
            return Err(WireError::OldProtocol);
        }
        let low = reader.u32()?;
        let max_packet_size = reader.u32()?;
        let charset = reader.u8()?;
        let filler = reader.array()?;
        let extended = reader.u32()?;
        let mut capabilities = Capabilities::from_halves(low, 0);
        if !capabilities.contains(Capabilities::MYSQL) {
            capabilities = Capabilities::from_halves(low, extended);
        }
        if capabilities.contains(Capabilities::SSL) && !encrypted {
            return Ok(LoginPacket::SslRequest);
        }
        let user = reader.nul_bytes()?.to_vec();
        let auth_response = if capabilities.contains(Capabilities::PLUGIN_AUTH_LENENC) {
            reader.lenenc_bytes()?.to_vec()
        } else if capabilities.contains(Capabilities::SECURE_CONNECTION) {
            let len = reader.u8()?;
            reader.bytes(usize::from(len))?.to_vec()
        } else {
            reader.nul_bytes()?.to_vec()
        };
        let mut text = |flag| {
            capabilities
                .contains(flag)
                .then(|| reader.nul_or_rest().to_vec())
        };
        let database = text(Capabilities::CONNECT_WITH_DB);
        let plugin = text(Capabilities::PLUGIN_AUTH);
        let attributes = if capabilities.contains(Capabilities::CONNECT_ATTRS) && !reader.is_empty()
        {
            Some(reader.lenenc_bytes()?.to_vec())
        } else {
            None
        };
        let zstd_level = if capabilities.contains(Capabilities::ZSTD_COMPRESS) && !reader.is_empty()
        {
            Some(reader.u8()?)
        } else {
            None
        };
        Ok(LoginPacket::Login(Box::new(Self {
            capabilities,
            max_packet_size,
            charset,
            filler,
            user,
            auth_response,
            database,
            plugin,
            attributes,
            zstd_level,
        })))
    }

    /// Appends the payload. Which of the optional parts it has is told by the parts themselves;
    /// their flags are set or cleared to match. A MySQL client has no extended flags.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let capabilities = self.announced();
        self.put_head(capabilities, out);
        put_nul_bytes(out, &self.user);
        put_lenenc_bytes(out, &self.auth_response);
        if let Some(database) = &self.database {
            put_nul_bytes(out, database);
        }
        if let Some(plugin) = &self.plugin {
            put_nul_bytes(out, plugin);
        }
        if let Some(attributes) = &self.attributes {
            put_lenenc_bytes(out, attributes);
        }
        if let Some(level) = self.zstd_level {
            out.push(level);
        }
    }

    /// The capabilities as [`Self::encode`] writes them: with the flags of what it holds.
    #[must_use]
    pub fn announced(&self) -> Capabilities {
        let optional = [
            (Capabilities::CONNECT_WITH_DB, self.database.is_some()),
            (Capabilities::PLUGIN_AUTH, self.plugin.is_some()),
            (Capabilities::CONNECT_ATTRS, self.attributes.is_some()),
            (Capabilities::ZSTD_COMPRESS, self.zstd_level.is_some()),
            // Only this way of writing it can hold any authentication data.
            (Capabilities::PLUGIN_AUTH_LENENC, true),
            (Capabilities::SECURE_CONNECTION, true),
            (Capabilities::PROTOCOL_41, true),
        ];
        optional
            .iter()
            .fold(self.capabilities, |flags, &(flag, set)| {
                if set {
                    flags | flag
                } else {
                    flags.without(flag)
                }
            })
    }

    /// Appends the payload of the SSLRequest that goes before this login.
    pub fn encode_ssl_request(&self, out: &mut Vec<u8>) {
        let capabilities = self.capabilities | Capabilities::SSL | Capabilities::PROTOCOL_41;
        self.put_head(capabilities, out);
    }

    fn put_head(&self, capabilities: Capabilities, out: &mut Vec<u8>) {
        let extended = if capabilities.contains(Capabilities::MYSQL) {
            0
        } else {
            capabilities.extended()
        };
        out.extend_from_slice(&capabilities.low().to_le_bytes());
        out.extend_from_slice(&self.max_packet_size.to_le_bytes());
        out.push(self.charset);
        out.extend_from_slice(&self.filler);
        out.extend_from_slice(&extended.to_le_bytes());
    }

    /// The connection attributes as pairs of name and value, up to the first malformed one.
    pub fn attribute_pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut reader = Reader::new(self.attributes.as_deref().unwrap_or_default());
        std::iter::from_fn(move || {
            let name = reader.lenenc_bytes().ok()?;
            Some((name, reader.lenenc_bytes().ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(capabilities: Capabilities) -> Login {
        Login {
            capabilities,
            max_packet_size: 1 << 24,
            charset: 45,
            filler: [0; FILLER],
            user: b"app".to_vec(),
            auth_response: vec![9; 20],
            database: Some(b"shop".to_vec()),
            plugin: Some(b"mysql_native_password".to_vec()),
            attributes: Some(b"\x04_pid\x0242\x03_os\x05Linux".to_vec()),
            zstd_level: None,
        }
    }

    #[test]
    fn a_login_survives_the_round_trip() {
        let sent = login(Capabilities::from_halves(0x2000, 5));
        let mut payload = Vec::new();
        sent.encode(&mut payload);
        let Ok(LoginPacket::Login(got)) = Login::parse(&payload, false) else {
            panic!("no login");
        };
        assert_eq!(got.capabilities.extended(), 5);
        assert_eq!(got.user, sent.user);
        assert_eq!(got.auth_response, sent.auth_response);
        assert_eq!(got.database, sent.database);
        assert_eq!(got.plugin, sent.plugin);
        assert_eq!(
            got.attribute_pairs().collect::<Vec<_>>(),
            [(&b"_pid"[..], &b"42"[..]), (b"_os", b"Linux")]
        );
    }

    #[test]
    fn extended_flags_need_a_mariadb_client() {
        let mut payload = Vec::new();
        login(Capabilities::MYSQL | Capabilities::from_halves(0, 5)).encode(&mut payload);
        let Ok(LoginPacket::Login(got)) = Login::parse(&payload, false) else {
            panic!("no login");
        };
        assert_eq!(got.capabilities.extended(), 0);
    }

    #[test]
    fn tls_is_asked_for_once() {
        let mut payload = Vec::new();
        login(Capabilities::MYSQL).encode_ssl_request(&mut payload);
        assert_eq!(payload.len(), 32);
        assert_eq!(Login::parse(&payload, false), Ok(LoginPacket::SslRequest));
        assert_eq!(Login::parse(&payload, true), Err(WireError::Truncated));
    }

    #[test]
    fn the_old_protocol_is_refused() {
        // Flags of two bytes, a 3-byte packet size, the name.
        assert_eq!(
            Login::parse(b"\x05\x04\0\0\0root\0", false),
            Err(WireError::OldProtocol)
        );
        assert_eq!(Login::parse(b"\x05", false), Err(WireError::Truncated));
    }

    #[test]
    fn last_strings_may_lack_their_nul() {
        let mut sent = login(Capabilities::MYSQL);
        sent.attributes = None;
        let mut payload = Vec::new();
        sent.encode(&mut payload);
        payload.pop();
        let Ok(LoginPacket::Login(got)) = Login::parse(&payload, false) else {
            panic!("no login");
        };
        assert_eq!(got.plugin, sent.plugin);
    }

    #[test]
    fn debug_keeps_the_scramble_to_itself() {
        let text = format!("{:?}", login(Capabilities::NONE));
        assert!(text.contains("app") && !text.contains("9, 9"), "{text}");
    }
}
