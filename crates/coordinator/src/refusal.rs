//! What is refused because it could not be answered exactly.

use std::fmt;

use openpeta_mysql_wire::ErrPacket;

/// `ER_NOT_SUPPORTED_YET`.
const NOT_SUPPORTED: u16 = 1235;

/// Why a statement is not run. Each code has a section in `docs/sharding.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    error: ErrPacket,
}

impl Refusal {
    /// Something that is not supported over several nodes.
    #[must_use]
    pub fn new(code: &'static str, what: impl fmt::Display) -> Self {
        Self {
            error: ErrPacket::new(NOT_SUPPORTED, b"42000", format!("OpenPeta: {code}: {what}")),
        }
    }

    /// An error that a server would give as well.
    #[must_use]
    pub fn error(code: u16, sqlstate: &[u8; 5], message: impl Into<String>) -> Self {
        Self {
            error: ErrPacket::new(code, sqlstate, message),
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn packet(&self) -> &ErrPacket {
        &self.error
    }
}

impl From<ErrPacket> for Refusal {
    fn from(error: ErrPacket) -> Self {
        Self { error }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.error.message))
    }
}
