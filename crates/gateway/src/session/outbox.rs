//! What a session asks its shell to do.

use openpeta_mysql_wire::Compression;

/// What one call of a [`Session`](super::Session) asks for. The shell owns it, carries it out
/// after the call, and hands the same one in again so that its buffers are reused.
///
/// Order: first [`to_client`](Self::to_client) and [`to_node`](Self::to_node), after what is
/// already queued for the same peer; then the range which the call returned; then
/// [`start_tls`](Self::start_tls) or [`close`](Self::close).
#[derive(Debug, Default)]
pub struct Outbox {
    /// Bytes to send to the client (through TLS where that is established).
    pub to_client: Vec<u8>,
    /// Bytes to send to the node.
    pub to_node: Vec<u8>,
    /// The client asked for TLS: start the server side of a TLS handshake. The bytes of this
    /// call's input from this offset on belong to it, as does everything that follows.
    pub start_tls: Option<usize>,
    /// The client's login is complete and it asked for compression: all that is sent to it and
    /// comes from it behind this call's bytes is compressed.
    pub start_compression: Option<Compression>,
    /// The node's connection is of no use: close it, once what is queued for it is out, and open
    /// another, as at the session's beginning. What the node has not read yet does not count.
    pub reconnect: bool,
    /// The session goes on over another connection to the node than the one that went down.
    pub revived: bool,
    /// [`Session::deadline`](super::Session::deadline) may have changed within the command phase.
    pub deadline: bool,
    /// The session is over: send what is queued, then close both connections, except the node's
    /// if [`Session::take_warm`](super::Session::take_warm) gives it back. The session ignores
    /// every later call.
    pub close: Option<CloseReason>,
}

impl Outbox {
    /// Empties it, keeping the buffers.
    pub fn clear(&mut self) {
        self.to_client.clear();
        self.to_node.clear();
        self.start_tls = None;
        self.start_compression = None;
        self.reconnect = false;
        self.revived = false;
        self.deadline = false;
        self.close = None;
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to_client.is_empty()
            && self.to_node.is_empty()
            && self.start_tls.is_none()
            && self.start_compression.is_none()
            && !self.reconnect
            && !self.revived
            && !self.deadline
            && self.close.is_none()
    }
}

/// Why a session ended, for counters and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client closed its connection or never finished its login.
    ClientGone,
    /// The node closed its connection: after COM_QUIT, KILL, `wait_timeout`, a shutdown or a crash.
    NodeGone,
    /// The node could not be reached, or answered a new connection with an error.
    NodeRefused,
    /// The node spoke a protocol that the gateway does not understand.
    NodeProtocol,
    /// The client did not prove to be an account of the instance.
    AccessDenied,
    /// The client's account has all the sessions that it may have.
    AccountLimit,
    /// The client did not finish its login in time.
    LoginTimeout,
    /// [`Session::displace`](super::Session::displace): another client has its place.
    Displaced,
    /// The client broke the protocol.
    Malformed,
    /// [`Session::drain`](super::Session::drain) found the session between transactions.
    Drained,
    /// [`Session::kick`](super::Session::kick), or the account was dropped or has a new password.
    Kicked,
}
