//! What can be wrong with bytes.

/// Why bytes are not the packet they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The packet ends before what it should hold.
    #[error("the packet ends early")]
    Truncated,
    /// A field has a value that the protocol does not allow; the text names it.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// The client speaks the protocol from before MySQL 4.1.
    #[error("the client does not speak protocol 4.1")]
    OldProtocol,
    /// The packet announces more bytes than are accepted at this point.
    #[error("a packet of {len} bytes where {limit} are allowed")]
    TooLarge {
        /// The announced length of the payload, in bytes.
        len: usize,
        /// The largest payload accepted, in bytes.
        limit: usize,
    },
    /// The packet's sequence id is not the next one.
    #[error("packet {got} where packet {expected} was due")]
    OutOfOrder {
        /// The sequence id that was due.
        expected: u8,
        /// The sequence id that came.
        got: u8,
    },
}
