//! What client and server agree upon in the handshake.

use std::fmt;
use std::ops::{BitAnd, BitOr, Not};

/// Capability flags: MySQL's 32 in the low half, MariaDB's extended ones in the high half.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// No flag at all.
    pub const NONE: Self = Self(0);
    /// Set by MySQL servers and clients (long ago named LONG_PASSWORD). A MariaDB server leaves
    /// it out, and a client that leaves it out too reads and sends the extended flags.
    pub const MYSQL: Self = Self(1);
    /// Count found rows instead of changed ones.
    pub const FOUND_ROWS: Self = Self(1 << 1);
    /// The login names a database.
    pub const CONNECT_WITH_DB: Self = Self(1 << 3);
    /// The zlib compressed protocol.
    pub const COMPRESS: Self = Self(1 << 5);
    /// LOAD DATA LOCAL is possible.
    pub const LOCAL_FILES: Self = Self(1 << 7);
    /// Spaces may stand between a function's name and its parenthesis.
    pub const IGNORE_SPACE: Self = Self(1 << 8);
    /// The protocol of MySQL 4.1 and later.
    pub const PROTOCOL_41: Self = Self(1 << 9);
    /// The client is interactive, so `interactive_timeout` applies.
    pub const INTERACTIVE: Self = Self(1 << 10);
    /// TLS.
    pub const SSL: Self = Self(1 << 11);
    /// Status flags tell about transactions.
    pub const TRANSACTIONS: Self = Self(1 << 13);
    /// Authentication by a 20-byte scramble, its length in front.
    pub const SECURE_CONNECTION: Self = Self(1 << 15);
    /// Several statements in one COM_QUERY.
    pub const MULTI_STATEMENTS: Self = Self(1 << 16);
    /// Several result sets in a reply to COM_QUERY.
    pub const MULTI_RESULTS: Self = Self(1 << 17);
    /// Several result sets in a reply to COM_STMT_EXECUTE.
    pub const PS_MULTI_RESULTS: Self = Self(1 << 18);
    /// Authentication plugins are named.
    pub const PLUGIN_AUTH: Self = Self(1 << 19);
    /// The login carries connection attributes.
    pub const CONNECT_ATTRS: Self = Self(1 << 20);
    /// The length of the login's authentication data is length-encoded.
    pub const PLUGIN_AUTH_LENENC: Self = Self(1 << 21);
    /// The client copes with expired passwords.
    pub const CAN_HANDLE_EXPIRED_PASSWORDS: Self = Self(1 << 22);
    /// OK packets tell of changed session state.
    pub const SESSION_TRACK: Self = Self(1 << 23);
    /// OK packets take the place of EOF packets.
    pub const DEPRECATE_EOF: Self = Self(1 << 24);
    /// MySQL only: result sets may come without metadata.
    pub const OPTIONAL_METADATA: Self = Self(1 << 25);
    /// MySQL only: the zstd compressed protocol.
    pub const ZSTD_COMPRESS: Self = Self(1 << 26);
    /// MySQL only: attributes of queries.
    pub const QUERY_ATTRIBUTES: Self = Self(1 << 27);
    /// MariaDB's flag for progress reports before there were extended ones.
    pub const PROGRESS_OBSOLETE: Self = Self(1 << 29);
    /// MariaDB: progress reports.
    pub const MARIADB_PROGRESS: Self = Self(1 << 32);
    /// MariaDB: COM_STMT_BULK_EXECUTE.
    pub const MARIADB_BULK_OPERATIONS: Self = Self(1 << 34);
    /// MariaDB: column definitions carry extended type information.
    pub const MARIADB_EXTENDED_METADATA: Self = Self(1 << 35);
    /// MariaDB: column definitions are left out where the client knows them.
    pub const MARIADB_CACHE_METADATA: Self = Self(1 << 36);
    /// MariaDB: one result per parameter set of a bulk execution.
    pub const MARIADB_BULK_UNIT_RESULTS: Self = Self(1 << 37);

    /// Whether all flags of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// MySQL's 32 flags.
    #[must_use]
    pub const fn low(self) -> u32 {
        self.0 as u32
    }

    /// MariaDB's extended 32 flags.
    #[must_use]
    pub const fn extended(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Both halves together.
    #[must_use]
    pub const fn from_halves(low: u32, extended: u32) -> Self {
        Self(low as u64 | (extended as u64) << 32)
    }
}

impl BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Capabilities {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Capabilities {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Capabilities({:#x})", self.0)
    }
}
