//! Replies that have come as a whole: found out where they lie, without a packet being taken out.

use openpeta_mysql_wire::{Capabilities, HEADER_LEN, MAX_PAYLOAD, OkPacket, Reader, Status};

use super::reply::end_of_rows;

/// What the bytes that have come begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whole {
    /// A reply of rows, or an OK, to its end.
    Reply(WholeReply),
    /// The begin of something, perhaps of that.
    Part,
    /// Something else.
    Other,
}

/// A reply, by where things are in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeReply {
    /// How many bytes it has.
    pub len: usize,
    /// How many rows it has, or says to have changed.
    pub rows: u64,
    /// The status behind them, which a node has of its own.
    pub status: Status,
    /// Where that stands: behind the definitions of the columns, where something ends these, and behind
    /// the rows, or in the OK.
    pub status_at: [Option<usize>; 2],
    /// How many warnings there were.
    pub warnings: u16,
}

impl WholeReply {
    /// Puts another status into the bytes.
    pub fn set_status(&self, reply: &mut [u8], status: Status) {
        for at in self.status_at.into_iter().flatten() {
            reply[at..at + 2].copy_from_slice(&status.0.to_le_bytes());
        }
    }
}

/// Looks at bytes that begin with a reply whose first packet has that number.
#[must_use]
pub fn whole(bytes: &[u8], capabilities: Capabilities, sequence: u8) -> Whole {
    look(bytes, capabilities, sequence).unwrap_or(Whole::Other)
}

/// Packets in their order.
struct Packets<'b> {
    bytes: &'b [u8],
    at: usize,
    sequence: u8,
}

impl<'b> Packets<'b> {
    /// The next payload, and where it begins; `None` if it has not come. Fails where it is none that can be
    /// passed on as it is.
    fn next(&mut self) -> Result<Option<(usize, &'b [u8])>, ()> {
        let rest = &self.bytes[self.at..];
        let Some((&[a, b, c, sequence], rest)) = rest.split_first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let len = u32::from_le_bytes([a, b, c, 0]) as usize;
        if len >= MAX_PAYLOAD || sequence != self.sequence {
            return Err(());
        }
        let Some(payload) = rest.get(..len) else {
            return Ok(None);
        };
        let begin = self.at + HEADER_LEN;
        self.at = begin + len;
        self.sequence = sequence.wrapping_add(1);
        Ok(Some((begin, payload)))
    }
}

fn look(bytes: &[u8], capabilities: Capabilities, sequence: u8) -> Result<Whole, ()> {
    let mut packets = Packets {
        bytes,
        at: 0,
        sequence,
    };
    let Some((begin, head)) = packets.next()? else {
        return Ok(Whole::Part);
    };
    if OkPacket::is(head) {
        return done(begin, head, packets.at);
    }
    if matches!(head.first(), None | Some(0xFB | 0xFF)) {
        return Ok(Whole::Other);
    }
    let mut reader = Reader::new(head);
    let columns = reader.lenenc_int().map_err(drop)?;
    let caches = capabilities.contains(Capabilities::MARIADB_CACHE_METADATA);
    let follow = !caches || reader.u8().map_err(drop)? != 0;
    for _ in 0..if follow { columns } else { 0 } {
        if packets.next()?.is_none() {
            return Ok(Whole::Part);
        }
    }
    let deprecates = capabilities.contains(Capabilities::DEPRECATE_EOF);
    let mut status_at = [None; 2];
    if !deprecates {
        let Some((begin, eof)) = packets.next()? else {
            return Ok(Whole::Part);
        };
        end_of_rows(eof, capabilities).map_err(drop)?.ok_or(())?;
        status_at[0] = Some(begin + 3);
    }
    let mut rows = 0;
    loop {
        let Some((begin, payload)) = packets.next()? else {
            return Ok(Whole::Part);
        };
        if payload.first() == Some(&0xFF) {
            return Ok(Whole::Other);
        }
        let Some((status, warnings)) = end_of_rows(payload, capabilities).map_err(drop)? else {
            rows += 1;
            continue;
        };
        if status.contains(Status::MORE_RESULTS_EXISTS) {
            return Ok(Whole::Other);
        }
        let at = match deprecates {
            true => begin + ok_status_at(payload).ok_or(())?,
            false => begin + 3,
        };
        status_at[1] = Some(at);
        return Ok(Whole::Reply(WholeReply {
            len: packets.at,
            rows,
            status,
            status_at,
            warnings,
        }));
    }
}

/// An OK whose payload begins there.
fn done(begin: usize, payload: &[u8], len: usize) -> Result<Whole, ()> {
    let ok = OkPacket::parse(payload).map_err(drop)?;
    if ok.status.contains(Status::MORE_RESULTS_EXISTS) {
        return Ok(Whole::Other);
    }
    Ok(Whole::Reply(WholeReply {
        len,
        rows: ok.affected_rows,
        status: ok.status,
        status_at: [None, Some(begin + ok_status_at(payload).ok_or(())?)],
        warnings: ok.warnings,
    }))
}

/// Where the status stands in an OK packet.
#[must_use]
pub fn ok_status_at(payload: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(payload);
    reader.u8().ok()?;
    reader.lenenc_int().ok()?;
    reader.lenenc_int().ok()?;
    let at = payload.len() - reader.clone().rest().len();
    reader.u32().ok()?;
    Some(at)
}

#[cfg(test)]
mod tests {
    use openpeta_mysql_wire::{put_packet, put_text_result_set};
    use proptest::prelude::*;

    use super::*;

    fn dialects() -> [Capabilities; 3] {
        let old = Capabilities::default();
        let new = Capabilities::DEPRECATE_EOF;
        [old, new, new | Capabilities::MARIADB_CACHE_METADATA]
    }

    fn reply(capabilities: Capabilities, status: Status, rows: usize) -> Vec<u8> {
        let caches = capabilities.contains(Capabilities::MARIADB_CACHE_METADATA);
        let mut out = Vec::new();
        if caches {
            // One whose columns are known already.
            let mut sequence = put_packet(&mut out, 1, &[1, 0]);
            for _ in 0..rows {
                sequence = put_packet(&mut out, sequence, b"\x01a");
            }
            let [low, high] = status.0.to_le_bytes();
            put_packet(&mut out, sequence, &[0xFE, 0, 0, low, high, 3, 0]);
            return out;
        }
        let rows = vec![vec![Some("a".to_owned())]; rows];
        put_text_result_set(&mut out, 1, capabilities, status, &["c"], &rows);
        out
    }

    #[test]
    fn a_reply_is_found_once_it_is_whole() {
        for capabilities in dialects() {
            for rows in [0, 1, 2, 300] {
                let status = Status::AUTOCOMMIT.with(Status::IN_TRANS);
                let bytes = reply(capabilities, status, rows);
                for len in 0..bytes.len() {
                    assert_eq!(whole(&bytes[..len], capabilities, 1), Whole::Part, "{len}");
                }
                let behind = [&bytes[..], b"more"].concat();
                let Whole::Reply(found) = whole(&behind, capabilities, 1) else {
                    panic!("{capabilities:?} {rows}");
                };
                assert_eq!((found.len, found.rows), (bytes.len(), rows as u64));
                assert_eq!(found.status, status);
                let caches = capabilities.contains(Capabilities::MARIADB_CACHE_METADATA);
                assert_eq!(found.warnings, if caches { 3 } else { 0 });
                let mut changed = bytes.clone();
                found.set_status(&mut changed, Status(0));
                assert_eq!(changed, reply(capabilities, Status(0), rows));
                assert_eq!(whole(&bytes, capabilities, 2), Whole::Other);
            }
        }
    }

    #[test]
    fn an_ok_is_a_reply() {
        for (rows, info) in [(1, &b""[..]), (300, b"\x08Rows: 1!"), (1 << 40, b"")] {
            let payload = |status| {
                let mut payload = Vec::new();
                let head = OkPacket {
                    affected_rows: rows,
                    last_insert_id: 70_000,
                    status,
                    warnings: 2,
                };
                head.encode(&mut payload);
                payload.extend_from_slice(info);
                let mut bytes = Vec::new();
                put_packet(&mut bytes, 1, &payload);
                bytes
            };
            let bytes = payload(Status::AUTOCOMMIT);
            for len in 0..bytes.len() {
                let found = whole(&bytes[..len], Capabilities::default(), 1);
                assert_eq!(found, Whole::Part, "{len}");
            }
            let Whole::Reply(found) = whole(&bytes, Capabilities::default(), 1) else {
                panic!("{rows}");
            };
            let told = (found.len, found.rows, found.status, found.warnings);
            assert_eq!(told, (bytes.len(), rows, Status::AUTOCOMMIT, 2));
            let mut changed = bytes.clone();
            found.set_status(&mut changed, Status::IN_TRANS);
            assert_eq!(changed, payload(Status::IN_TRANS));
            let follows = payload(Status::MORE_RESULTS_EXISTS);
            assert_eq!(whole(&follows, Capabilities::default(), 1), Whole::Other);
        }
    }

    #[test]
    fn anything_else_is_not_taken_for_one() {
        for capabilities in dialects() {
            let follows = Status::MORE_RESULTS_EXISTS;
            let bytes = reply(capabilities, follows, 1);
            assert_eq!(whole(&bytes, capabilities, 1), Whole::Other);
            for first in [0xFB, 0xFF] {
                let mut bytes = Vec::new();
                put_packet(&mut bytes, 1, &[first, 0, 0, 2, 0, 0, 0]);
                assert_eq!(whole(&bytes, capabilities, 1), Whole::Other);
            }
        }
        // A row that turns out to be an error.
        let capabilities = Capabilities::DEPRECATE_EOF;
        let mut bytes = Vec::new();
        let sequence = put_packet(&mut bytes, 1, &[0]);
        put_packet(&mut bytes, sequence, &[0xFF, 1, 2]);
        assert_eq!(whole(&bytes, capabilities, 1), Whole::Other);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), which in 0..3_usize) {
            let capabilities = dialects()[which];
            if let Whole::Reply(found) = whole(&bytes, capabilities, 1) {
                prop_assert!(found.len <= bytes.len());
                found.set_status(&mut bytes.clone(), Status(0));
            }
        }
    }
}
