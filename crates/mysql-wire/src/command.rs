//! Command bytes and the shape of the reply to each.

#![expect(missing_docs, reason = "the names are the protocol's own")]

pub const COM_SLEEP: u8 = 0x00;
pub const COM_QUIT: u8 = 0x01;
pub const COM_INIT_DB: u8 = 0x02;
pub const COM_QUERY: u8 = 0x03;
pub const COM_FIELD_LIST: u8 = 0x04;
pub const COM_CREATE_DB: u8 = 0x05;
pub const COM_DROP_DB: u8 = 0x06;
pub const COM_REFRESH: u8 = 0x07;
pub const COM_SHUTDOWN: u8 = 0x08;
pub const COM_STATISTICS: u8 = 0x09;
pub const COM_PROCESS_INFO: u8 = 0x0A;
pub const COM_CONNECT: u8 = 0x0B;
pub const COM_PROCESS_KILL: u8 = 0x0C;
pub const COM_DEBUG: u8 = 0x0D;
pub const COM_PING: u8 = 0x0E;
pub const COM_CHANGE_USER: u8 = 0x11;
pub const COM_BINLOG_DUMP: u8 = 0x12;
pub const COM_TABLE_DUMP: u8 = 0x13;
pub const COM_REGISTER_SLAVE: u8 = 0x15;
pub const COM_STMT_PREPARE: u8 = 0x16;
pub const COM_STMT_EXECUTE: u8 = 0x17;
pub const COM_STMT_SEND_LONG_DATA: u8 = 0x18;
pub const COM_STMT_CLOSE: u8 = 0x19;
pub const COM_STMT_RESET: u8 = 0x1A;
pub const COM_SET_OPTION: u8 = 0x1B;
pub const COM_STMT_FETCH: u8 = 0x1C;
pub const COM_BINLOG_DUMP_GTID: u8 = 0x1E;
pub const COM_RESET_CONNECTION: u8 = 0x1F;
pub const COM_STMT_BULK_EXECUTE: u8 = 0xFA;

/// The shape of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyShape {
    /// The server says nothing.
    None,
    /// OK, ERR, EOF, a request for a local file, or result sets. All commands without a shape of
    /// their own are here, unknown ones included: the server answers those with an ERR.
    Result,
    /// As [`Result`](Self::Result), but a result set may be a cursor, whose rows come later.
    Execute,
    /// Rows (or column definitions) without anything before them.
    Rows,
    /// The head of a prepared statement, then its parameters and columns.
    Prepare,
    /// One packet of text.
    Text,
    /// Binlog events without end.
    Stream,
}

impl ReplyShape {
    /// The shape of the reply to `command`.
    #[must_use]
    pub const fn of(command: u8) -> Self {
        match command {
            COM_QUIT | COM_STMT_CLOSE | COM_STMT_SEND_LONG_DATA => Self::None,
            COM_STMT_EXECUTE | COM_STMT_BULK_EXECUTE => Self::Execute,
            COM_STMT_FETCH | COM_FIELD_LIST => Self::Rows,
            COM_STMT_PREPARE => Self::Prepare,
            COM_STATISTICS => Self::Text,
            COM_BINLOG_DUMP | COM_BINLOG_DUMP_GTID => Self::Stream,
            _ => Self::Result,
        }
    }
}
