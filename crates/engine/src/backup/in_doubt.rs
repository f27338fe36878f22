//! Transactions over nodes that may be half carried out on a node at a place in its log.

use mysql_async::Row;

use super::manifest::BinlogPosition;
use super::session::bytes;

/// Asks for what is in a log file from a position on.
pub(crate) fn events_since(begun: &BinlogPosition) -> String {
    // The server takes nothing but a plain text there.
    let file = begun.file.replace(['\'', '\\'], "");
    format!("SHOW BINLOG EVENTS IN '{file}' FROM {}", begun.position)
}

/// Whether a transaction that may have been prepared before has come to its end among these: what is restored
/// from there on could not go on with it.
pub(crate) fn have_end(events: &[Row]) -> bool {
    let is_end = |event: &Row| {
        let info = String::from_utf8_lossy(bytes(event, 5).unwrap_or_default());
        match bytes(event, 2).unwrap_or_default() {
            b"Query" => info.contains("XA COMMIT") || info.contains("XA ROLLBACK"),
            // What goes on in the next file is not looked at.
            kind => kind == b"Rotate",
        }
    };
    events.iter().any(is_end)
}
