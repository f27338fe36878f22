//! Result sets as a server writes them.

use crate::{Capabilities, Status, put_lenenc_bytes, put_lenenc_int, put_packet};

/// utf8mb4_general_ci.
const COLLATION: u16 = 45;
/// MYSQL_TYPE_VAR_STRING.
const VAR_STRING: u8 = 0xFD;
/// As long as a value may be in characters, of four bytes each.
const LONGEST_VALUE: u32 = 4 * 1024;
const NULL: u8 = 0xFB;
const EOF: u8 = 0xFE;

/// Appends a result set of the text protocol whose columns are all text, from sequence id
/// `sequence` on, for a client with `capabilities`. Returns the sequence id after the last.
pub fn put_text_result_set(
    out: &mut Vec<u8>,
    sequence: u8,
    capabilities: Capabilities,
    status: Status,
    columns: &[&str],
    rows: &[Vec<Option<String>>],
) -> u8 {
    let mut payload = Vec::new();
    put_lenenc_int(&mut payload, columns.len() as u64);
    if capabilities.contains(Capabilities::MARIADB_CACHE_METADATA) {
        // The definitions do follow.
        payload.push(1);
    }
    let mut sequence = put_packet(out, sequence, &payload);
    for column in columns {
        payload.clear();
        put_definition(&mut payload, capabilities, column);
        sequence = put_packet(out, sequence, &payload);
    }
    let deprecates_eof = capabilities.contains(Capabilities::DEPRECATE_EOF);
    let [low, high] = status.0.to_le_bytes();
    if !deprecates_eof {
        sequence = put_packet(out, sequence, &[EOF, 0, 0, low, high]);
    }
    for row in rows {
        payload.clear();
        for value in row {
            match value {
                Some(value) => put_lenenc_bytes(&mut payload, value.as_bytes()),
                None => payload.push(NULL),
            }
        }
        sequence = put_packet(out, sequence, &payload);
    }
    if deprecates_eof {
        put_packet(out, sequence, &[EOF, 0, 0, low, high, 0, 0])
    } else {
        put_packet(out, sequence, &[EOF, 0, 0, low, high])
    }
}

fn put_definition(out: &mut Vec<u8>, capabilities: Capabilities, name: &str) {
    put_lenenc_bytes(out, b"def");
    // Neither schema nor table.
    for empty in [b"", b"", b""] {
        put_lenenc_bytes(out, empty);
    }
    put_lenenc_bytes(out, name.as_bytes());
    put_lenenc_bytes(out, b"");
    if capabilities.contains(Capabilities::MARIADB_EXTENDED_METADATA) {
        put_lenenc_bytes(out, b"");
    }
    out.push(0x0C);
    out.extend_from_slice(&COLLATION.to_le_bytes());
    out.extend_from_slice(&LONGEST_VALUE.to_le_bytes());
    out.push(VAR_STRING);
    // No flags, no decimals, two bytes of nothing.
    out.extend_from_slice(&[0; 5]);
}
