//! What the meaning of a text depends on besides the text: the server and the session.

/// How a server reads the statements of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The server's version as executable comments give it: 101119 is 10.11.19.
    pub server_version: u32,
    /// `sql_mode` has `ANSI_QUOTES`: `"` quotes names instead of strings.
    pub ansi_quotes: bool,
    /// `sql_mode` has `NO_BACKSLASH_ESCAPES`: a backslash in a string is a character like others.
    pub no_backslash_escapes: bool,
    /// The session's `character_set_client`.
    pub encoding: Encoding,
}

impl Dialect {
    /// A session in the server's default mode that sends UTF-8 or another encoding in which
    /// ASCII bytes are ASCII characters.
    #[must_use]
    pub const fn new(server_version: u32) -> Self {
        Self {
            server_version,
            ansi_quotes: false,
            no_backslash_escapes: false,
            encoding: Encoding::AsciiCompatible,
        }
    }
}

/// Whether the second byte of a character can be taken for a backslash or a quote.
///
/// The server refuses `ucs2`, `utf16` and `utf32` from clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// It cannot: utf8mb3, utf8mb4, latin1, gb2312, euckr, ujis, ascii, binary …
    AsciiCompatible,
    /// gbk.
    Gbk,
    /// big5.
    Big5,
    /// sjis and cp932.
    Sjis,
}

impl Encoding {
    /// The encoding of a collation's characters, by the collation's number.
    #[must_use]
    pub const fn of_collation(collation: u16) -> Self {
        // Collations without padding have the numbers of the others and 1024.
        match collation & 1023 {
            28 | 87 => Self::Gbk,
            1 | 84 => Self::Big5,
            13 | 88 | 95 | 96 => Self::Sjis,
            _ => Self::AsciiCompatible,
        }
    }

    /// How many bytes the first character of `bytes`, which are not empty, has. A byte that
    /// begins no character stands for itself.
    pub(crate) fn char_len(self, bytes: &[u8]) -> usize {
        let (lead, trail) = match (self, bytes) {
            (Self::AsciiCompatible, _) | (_, [] | [_]) => return 1,
            (_, [lead, trail, ..]) => (*lead, *trail),
        };
        let is_pair = match self {
            Self::AsciiCompatible => false,
            Self::Gbk => matches!(lead, 0x81..=0xfe) && matches!(trail, 0x40..=0x7e | 0x80..=0xfe),
            Self::Big5 => matches!(lead, 0xa1..=0xf9) && matches!(trail, 0x40..=0x7e | 0xa1..=0xfe),
            Self::Sjis => {
                matches!(lead, 0x81..=0x9f | 0xe0..=0xfc)
                    && matches!(trail, 0x40..=0x7e | 0x80..=0xfc)
            }
        };
        if is_pair { 2 } else { 1 }
    }
}
