//! The errors that the gateway itself sends, with MariaDB's numbers and texts.

use std::net::IpAddr;

use openpeta_mysql_wire::{ErrPacket, WireError, put_packet};

use super::{CloseReason, Outbox};

const UNREACHABLE: &str =
    "The database node of this instance cannot be reached; try again in a moment";

/// Names longer than any account's are cut to this many characters in errors.
const NAME_CHARS: usize = 128;

/// The packet for a client whose address the whitelist does not let in: error 1130, in the place
/// of the greeting.
#[must_use]
pub fn host_not_allowed(client: IpAddr) -> Vec<u8> {
    let client = client.to_canonical();
    instead_of_greeting(
        1130,
        format!("Host '{client}' is not allowed to connect to this MariaDB server"),
    )
}

/// The packet for a client above the instance's number of connections: error 1040, in the place
/// of the greeting.
#[must_use]
pub fn too_many_connections() -> Vec<u8> {
    instead_of_greeting(1040, "Too many connections".into())
}

/// The packet for a client that comes while the gateway stops: error 1053, in the place of the
/// greeting.
#[must_use]
pub fn shutting_down() -> Vec<u8> {
    instead_of_greeting(1053, "Server shutdown in progress".into())
}

/// The packet for a client whose instance's node cannot be reached. The number is that of a
/// server shutdown, because clients and pools know it as one to try again after.
pub(super) fn node_unreachable() -> Vec<u8> {
    instead_of_greeting(1053, UNREACHABLE.into())
}

/// The same for a client that has been greeted.
pub(super) fn node_lost() -> ErrPacket {
    ErrPacket::new(1053, b"08S01", UNREACHABLE)
}

/// For a client whose session cannot go on after the node's restart.
pub(super) fn session_lost() -> ErrPacket {
    ErrPacket::new(
        1053,
        b"08S01",
        "The database node of this instance was restarted, and the session ended with it",
    )
}

/// For a client whose session alone the node has ended.
pub(super) fn killed() -> ErrPacket {
    ErrPacket::new(1927, b"70100", "Connection was killed")
}

/// The packet for a client whose instance's node does not greet in time.
pub(super) fn node_too_slow() -> Vec<u8> {
    instead_of_greeting(
        1053,
        "The database node of this instance does not answer; try again in a moment".into(),
    )
}

/// Before the login, servers send errors without a SQLSTATE.
fn instead_of_greeting(code: u16, message: String) -> Vec<u8> {
    let error = ErrPacket::without_sqlstate(code, message);
    let mut packet = Vec::new();
    put_error(&mut packet, 0, &error);
    packet
}

pub(super) fn access_denied(user: &[u8], client: IpAddr, with_password: bool) -> ErrPacket {
    let user: String = String::from_utf8_lossy(user)
        .chars()
        .take(NAME_CHARS)
        .collect();
    let client = client.to_canonical();
    let password = if with_password { "YES" } else { "NO" };
    ErrPacket::new(
        1045,
        b"28000",
        format!("Access denied for user '{user}'@'{client}' (using password: {password})"),
    )
}

/// For an account that does more than it may; `resource` is what MariaDB would call it.
pub(super) fn user_limit(user: &str, resource: &str, limit: u32) -> ErrPacket {
    ErrPacket::new(
        1226,
        b"42000",
        format!("User '{user}' has exceeded the '{resource}' resource (current value: {limit})"),
    )
}

/// For clients from before MySQL 4.1, which know no SQLSTATE.
pub(super) fn old_client() -> ErrPacket {
    ErrPacket::without_sqlstate(
        1251,
        "Client does not support authentication protocol requested by server; consider upgrading \
         MariaDB client",
    )
}

pub(super) fn bad_handshake() -> ErrPacket {
    ErrPacket::new(1043, b"08S01", "Bad handshake")
}

pub(super) fn unknown_command() -> ErrPacket {
    ErrPacket::new(1047, b"08S01", "Unknown command")
}

pub(super) fn out_of_order() -> ErrPacket {
    ErrPacket::new(1156, b"08S01", "Got packets out of order")
}

pub(super) fn read_timeout() -> ErrPacket {
    ErrPacket::new(1159, b"08S01", "Got timeout reading communication packets")
}

/// The same as [`too_many_connections`] for a client that has been greeted.
pub(super) fn displaced() -> ErrPacket {
    ErrPacket::new(1040, b"08004", "Too many connections")
}

pub(super) fn shutdown() -> ErrPacket {
    ErrPacket::new(1053, b"08S01", "Server shutdown in progress")
}

pub(super) fn node_misbehaves() -> ErrPacket {
    ErrPacket::new(
        1105,
        b"HY000",
        "The database node of this instance answered the login in a way that the gateway does \
         not understand",
    )
}

fn packet_too_large() -> ErrPacket {
    ErrPacket::new(
        1153,
        b"08S01",
        "Got a packet bigger than 'max_allowed_packet' bytes",
    )
}

/// The error for a packet that is not what it should be.
pub(super) fn wire_error(error: WireError) -> ErrPacket {
    match error {
        WireError::OldProtocol => old_client(),
        WireError::TooLarge { .. } => packet_too_large(),
        WireError::OutOfOrder { .. } => out_of_order(),
        WireError::Truncated | WireError::Malformed(_) => bad_handshake(),
    }
}

/// Tells the client an error and gives back the reason to close.
pub(super) fn refuse(
    out: &mut Outbox,
    sequence: u8,
    error: &ErrPacket,
    reason: CloseReason,
) -> CloseReason {
    put_error(&mut out.to_client, sequence, error);
    reason
}

pub(super) fn put_error(to: &mut Vec<u8>, sequence: u8, error: &ErrPacket) {
    let mut payload = Vec::with_capacity(16 + error.message.len());
    error.encode(&mut payload);
    put_packet(to, sequence, &payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_the_place_of_the_greeting_look_like_mariadbs() {
        assert_eq!(
            too_many_connections(),
            b"\x17\0\0\0\xff\x10\x04Too many connections"
        );
        let refused = host_not_allowed("::ffff:10.1.2.3".parse().unwrap());
        assert!(refused.ends_with(
            b"\xff\x6a\x04Host '10.1.2.3' is not allowed to connect to this MariaDB server"
        ));
    }

    #[test]
    fn denied_as_mariadb_denies() {
        let error = access_denied(b"u", "10.1.2.3".parse().unwrap(), true);
        let mut payload = Vec::new();
        error.encode(&mut payload);
        assert_eq!(
            payload,
            b"\xff\x15\x04#28000Access denied for user 'u'@'10.1.2.3' (using password: YES)"
        );
    }
}
