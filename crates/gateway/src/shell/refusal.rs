//! Errors in place of a greeting. As MariaDB's own at this point they carry no SQLSTATE, since
//! the client has not told yet whether it would understand one.

use std::net::IpAddr;

use openpeta_mysql_wire::{ErrPacket, put_packet};

const HOST_NOT_PRIVILEGED: u16 = 1130;
const CON_COUNT_ERROR: u16 = 1040;

/// For a client whose address may not connect.
pub(super) fn host_not_allowed(client: IpAddr) -> Vec<u8> {
    let message = format!("Host '{client}' is not allowed to connect to this MariaDB server");
    packet(HOST_NOT_PRIVILEGED, message)
}

/// For a client that is one too many.
pub(super) fn too_many_connections() -> Vec<u8> {
    packet(CON_COUNT_ERROR, "Too many connections".to_owned())
}

fn packet(code: u16, message: String) -> Vec<u8> {
    let error = ErrPacket::without_sqlstate(code, message);
    let mut payload = Vec::new();
    error.encode(&mut payload);
    let mut packet = Vec::new();
    put_packet(&mut packet, 0, &payload);
    packet
}
