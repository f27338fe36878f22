//! What the server says about the session after each statement.

/// Status flags of OK and EOF packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Status(pub u16);

impl Status {
    /// A transaction is open.
    pub const IN_TRANS: Self = Self(1);
    /// Autocommit is on.
    pub const AUTOCOMMIT: Self = Self(1 << 1);
    /// Another result follows in the same reply.
    pub const MORE_RESULTS_EXISTS: Self = Self(1 << 3);
    /// The statement opened a cursor: its rows come with COM_STMT_FETCH.
    pub const CURSOR_EXISTS: Self = Self(1 << 6);
    /// The cursor has given its last row.
    pub const LAST_ROW_SENT: Self = Self(1 << 7);
    /// `sql_mode` has NO_BACKSLASH_ESCAPES.
    pub const NO_BACKSLASH_ESCAPES: Self = Self(1 << 9);
    /// The result set holds the output parameters of a procedure.
    pub const PS_OUT_PARAMS: Self = Self(1 << 12);
    /// The transaction is read-only.
    pub const IN_TRANS_READONLY: Self = Self(1 << 13);
    /// The OK packet tells of changed session state.
    pub const SESSION_STATE_CHANGED: Self = Self(1 << 14);
    /// MariaDB: `sql_mode` has ANSI_QUOTES.
    pub const ANSI_QUOTES: Self = Self(1 << 15);

    /// Whether all flags of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
