//! Whole replies of every kind, as servers send them: the end is found exactly, however the
//! bytes are cut.

use openpeta_mysql_wire::command::*;
use openpeta_mysql_wire::{
    Capabilities, ErrPacket, MAX_PAYLOAD, OkPacket, ReplyEvent, ReplyTracker, Status,
    put_lenenc_bytes, put_packet,
};
use proptest::prelude::*;

const DEPRECATE_EOF: Capabilities = Capabilities::DEPRECATE_EOF;
const IN_TRANS: Status = Status::IN_TRANS;
const MORE: Status = Status::MORE_RESULTS_EXISTS;
const DEFINITION: &[u8] = b"\x03def\0\0\0\x011\0\x0c?\0\x01\0\0\0\x03\x81\0\0\0\0";

/// Builds the bytes of a server.
struct Server {
    capabilities: Capabilities,
    bytes: Vec<u8>,
    sequence: u8,
}

impl Server {
    fn new(capabilities: Capabilities) -> Self {
        Self {
            capabilities,
            bytes: Vec::new(),
            sequence: 1,
        }
    }

    fn packet(mut self, payload: &[u8]) -> Self {
        self.sequence = put_packet(&mut self.bytes, self.sequence, payload);
        self
    }

    fn ok(self, status: Status) -> Self {
        let mut payload = Vec::new();
        let ok = OkPacket {
            affected_rows: 300,
            last_insert_id: 1 << 40,
            status,
            warnings: 1,
        };
        ok.encode(&mut payload);
        payload.extend_from_slice(b"Records: 1");
        self.packet(&payload)
    }

    fn err(self, code: u16) -> Self {
        let mut payload = Vec::new();
        ErrPacket::new(code, b"HY000", "no").encode(&mut payload);
        self.packet(&payload)
    }

    /// What ends rows: an EOF packet, or an OK packet with the same first byte.
    fn end(self, status: Status) -> Self {
        let [low, high] = status.0.to_le_bytes();
        if self.capabilities.contains(DEPRECATE_EOF) {
            self.packet(&[0xFE, 0, 0, low, high, 0, 0])
        } else {
            self.packet(&[0xFE, 0, 0, low, high])
        }
    }

    fn definitions(mut self, count: usize, status: Status) -> Self {
        for _ in 0..count {
            self = self.packet(DEFINITION);
        }
        if self.capabilities.contains(DEPRECATE_EOF) {
            self
        } else {
            self.end(status)
        }
    }

    fn head(self, columns: u8) -> Self {
        if self
            .capabilities
            .contains(Capabilities::MARIADB_CACHE_METADATA)
        {
            self.packet(&[columns, 1])
        } else {
            self.packet(&[columns])
        }
    }

    fn result_set(mut self, columns: u8, rows: &[&[u8]], status: Status) -> Self {
        self = self.head(columns).definitions(columns.into(), status);
        for row in rows {
            self = self.packet(row);
        }
        self.end(status)
    }

    /// Checks that the reply to `command` is complete with the last byte and not before, for
    /// pieces of every size up to 40 bytes, in both ways of feeding; returns the error and the
    /// last status.
    fn check(&self, command: u8) -> (Option<u16>, Status) {
        let sizes = (1..40).chain([self.bytes.len()]);
        let outcomes: Vec<_> = sizes
            .flat_map(|size| {
                [
                    self.run(command, size, false),
                    self.run(command, size, true),
                ]
            })
            .collect();
        assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]));
        outcomes[0]
    }

    fn run(&self, command: u8, size: usize, to_error: bool) -> (Option<u16>, Status) {
        let mut tracker = ReplyTracker::new(self.capabilities, Status::AUTOCOMMIT);
        tracker.begin(command);
        let mut held = Vec::new();
        let mut consumed = 0;
        for piece in self.bytes.chunks(size) {
            held.extend_from_slice(piece);
            let mut at = 0;
            loop {
                let (used, event) = if to_error {
                    tracker.feed_to_error(&held[at..])
                } else {
                    tracker.feed(&held[at..])
                };
                at += used;
                match event {
                    None if to_error => break,
                    None => {
                        assert_eq!(at, held.len());
                        break;
                    }
                    Some(ReplyEvent::ErrorAhead { len }) => {
                        let Some(packet) = held[at..].get(..len) else {
                            break;
                        };
                        assert_eq!(packet[4], 0xFF);
                        let (used, event) = tracker.feed(packet);
                        assert_eq!(used, len);
                        at += used;
                        let Some(ReplyEvent::Complete { error }) = event else {
                            panic!("an error ends a reply, not {event:?}");
                        };
                        assert_eq!(consumed + at, self.bytes.len());
                        return (error, tracker.status());
                    }
                    Some(ReplyEvent::Complete { error }) => {
                        assert_eq!(consumed + at, self.bytes.len(), "pieces of {size}");
                        assert!(tracker.is_idle());
                        return (error, tracker.status());
                    }
                    Some(ReplyEvent::LocalInfile | ReplyEvent::Result { .. }) => {}
                }
            }
            consumed += at;
            held.drain(..at);
        }
        panic!("the reply never ended");
    }

    /// Whether each result but the last had columns, and the rows sent and changed in all, which
    /// have to be the same for pieces of every size.
    fn count(&self, command: u8) -> (Vec<bool>, u64, u64) {
        let sizes = (1..40).chain([self.bytes.len()]);
        let counts: Vec<_> = sizes.map(|size| self.count_pieces(command, size)).collect();
        assert!(counts.windows(2).all(|pair| pair[0] == pair[1]));
        counts.into_iter().next().expect("one at least")
    }

    fn count_pieces(&self, command: u8, size: usize) -> (Vec<bool>, u64, u64) {
        let mut tracker = ReplyTracker::new(self.capabilities, Status::AUTOCOMMIT);
        tracker.begin(command);
        let mut results = Vec::new();
        for piece in self.bytes.chunks(size) {
            let mut rest = piece;
            while !rest.is_empty() {
                let (used, event) = tracker.feed(rest);
                rest = &rest[used..];
                if let Some(ReplyEvent::Result { columns }) = event {
                    results.push(columns);
                }
            }
        }
        assert!(tracker.is_idle());
        (results, tracker.rows(), tracker.affected_rows())
    }
}

fn both(check: impl Fn(Capabilities)) {
    check(Capabilities::NONE);
    check(DEPRECATE_EOF);
}

#[test]
fn simple_replies() {
    both(|capabilities| {
        let server = || Server::new(capabilities);
        assert_eq!(server().ok(IN_TRANS).check(COM_QUERY), (None, IN_TRANS));
        assert_eq!(
            server().err(1064).check(COM_QUERY),
            (Some(1064), Status::AUTOCOMMIT)
        );
        for command in [
            COM_PING,
            COM_INIT_DB,
            COM_STMT_RESET,
            COM_RESET_CONNECTION,
            COM_REGISTER_SLAVE,
            COM_PROCESS_KILL,
        ] {
            assert_eq!(server().ok(IN_TRANS).check(command), (None, IN_TRANS));
        }
        assert_eq!(
            server().end(IN_TRANS).check(COM_SET_OPTION),
            (None, IN_TRANS)
        );
        assert_eq!(server().end(IN_TRANS).check(COM_DEBUG), (None, IN_TRANS));
        assert_eq!(server().err(1047).check(0x7B).0, Some(1047));
        assert_eq!(server().packet(b"Uptime: 39").check(COM_STATISTICS).0, None);
    });
}

#[test]
fn result_sets() {
    both(|capabilities| {
        let server = || Server::new(capabilities);
        let rows: &[&[u8]] = &[b"\x011", b"\xfb", b"\xfc\xfb\0"];
        assert_eq!(
            server().result_set(3, rows, IN_TRANS).check(COM_QUERY),
            (None, IN_TRANS)
        );
        assert_eq!(
            server().result_set(1, &[], IN_TRANS).check(COM_QUERY).0,
            None
        );
        assert_eq!(
            server()
                .result_set(2, rows, MORE.with(IN_TRANS))
                .ok(MORE)
                .result_set(1, rows, IN_TRANS)
                .check(COM_QUERY),
            (None, IN_TRANS)
        );
        assert_eq!(
            server()
                .result_set(2, rows, MORE)
                .err(1146)
                .check(COM_QUERY)
                .0,
            Some(1146)
        );
        let broken = server().head(1).definitions(1, IN_TRANS).packet(b"\x011");
        assert_eq!(broken.err(1317).check(COM_QUERY).0, Some(1317));
        assert_eq!(
            server()
                .head(2)
                .packet(DEFINITION)
                .err(1317)
                .check(COM_QUERY)
                .0,
            Some(1317)
        );
        assert_eq!(
            server()
                .result_set(8, rows, IN_TRANS)
                .check(COM_PROCESS_INFO),
            (None, IN_TRANS)
        );
        // More columns than one byte can count.
        let many = server()
            .packet(&[0xFC, 0x2C, 0x01])
            .definitions(300, IN_TRANS)
            .end(IN_TRANS);
        assert_eq!(many.check(COM_QUERY).0, None);
    });
}

#[test]
fn progress_reports_end_nothing() {
    both(|capabilities| {
        let progress = b"\xff\xff\xff\x01\x01\x02\0\0\0\x04work";
        let reply = Server::new(capabilities).packet(progress).packet(progress);
        assert_eq!(reply.ok(IN_TRANS).check(COM_QUERY), (None, IN_TRANS));
    });
}

#[test]
fn prepared_statements() {
    both(|capabilities| {
        let prepared = |columns: u8, parameters: u8| {
            let head = [0, 1, 0, 0, 0, columns, 0, parameters, 0, 0, 0, 0];
            let mut server = Server::new(capabilities).packet(&head);
            for count in [parameters, columns] {
                if count > 0 {
                    server = server.definitions(count.into(), IN_TRANS);
                }
            }
            server.check(COM_STMT_PREPARE).0
        };
        for (columns, parameters) in [(0, 0), (2, 0), (0, 3), (2, 3)] {
            assert_eq!(prepared(columns, parameters), None);
        }
        let server = || Server::new(capabilities);
        assert_eq!(server().err(1064).check(COM_STMT_PREPARE).0, Some(1064));
        // Binary rows begin as OK packets do.
        let rows: &[&[u8]] = &[b"\0\0\x01\0\0\0", b"\0\x04"];
        assert_eq!(
            server()
                .result_set(1, rows, IN_TRANS)
                .check(COM_STMT_EXECUTE)
                .0,
            None
        );
        let fetched = server().packet(rows[0]).packet(rows[1]);
        let last = Status::CURSOR_EXISTS.with(Status::LAST_ROW_SENT);
        assert_eq!(fetched.end(last).check(COM_STMT_FETCH), (None, last));
        assert_eq!(server().err(1243).check(COM_STMT_FETCH).0, Some(1243));
        assert_eq!(server().ok(IN_TRANS).check(COM_STMT_BULK_EXECUTE).0, None);
    });
}

#[test]
fn a_cursor_has_no_rows_yet() {
    let cursor = Status::CURSOR_EXISTS;
    let eof = Server::new(Capabilities::NONE)
        .head(1)
        .definitions(1, cursor);
    assert_eq!(eof.check(COM_STMT_EXECUTE), (None, cursor));
    let ok = Server::new(DEPRECATE_EOF)
        .head(1)
        .definitions(1, cursor)
        .end(cursor);
    assert_eq!(ok.check(COM_STMT_EXECUTE), (None, cursor));
}

#[test]
fn cached_metadata_is_left_out() {
    let cached = Capabilities::MARIADB_CACHE_METADATA;
    let eof = Server::new(cached)
        .packet(&[1, 0])
        .end(IN_TRANS)
        .packet(b"\0\0\x01\0\0\0")
        .end(IN_TRANS);
    assert_eq!(eof.check(COM_STMT_EXECUTE).0, None);
    let ok = Server::new(cached | DEPRECATE_EOF)
        .packet(&[1, 0])
        .packet(b"\0\0\x01\0\0\0")
        .end(IN_TRANS);
    assert_eq!(ok.check(COM_STMT_EXECUTE).0, None);
    let sent = Server::new(cached | DEPRECATE_EOF).result_set(2, &[b"\0\0"], IN_TRANS);
    assert_eq!(sent.check(COM_STMT_EXECUTE).0, None);
}

#[test]
fn field_lists_are_rows() {
    both(|capabilities| {
        let fields = Server::new(capabilities)
            .packet(DEFINITION)
            .packet(DEFINITION)
            .end(IN_TRANS);
        assert_eq!(fields.check(COM_FIELD_LIST), (None, IN_TRANS));
        let none = Server::new(capabilities).err(1146);
        assert_eq!(none.check(COM_FIELD_LIST).0, Some(1146));
    });
}

#[test]
fn binlog_events_end_with_an_error_or_an_eof() {
    let events = || {
        Server::new(DEPRECATE_EOF)
            .packet(b"\0\x01event")
            .packet(b"\0\xfe\xff")
    };
    assert_eq!(events().err(1236).check(COM_BINLOG_DUMP).0, Some(1236));
    let eof = events().packet(&[0xFE, 0, 0, 2, 0]);
    assert_eq!(eof.check(COM_BINLOG_DUMP_GTID).0, None);
}

#[test]
fn commands_without_a_reply() {
    let mut tracker = ReplyTracker::new(Capabilities::NONE, Status::AUTOCOMMIT);
    for command in [COM_STMT_CLOSE, COM_STMT_SEND_LONG_DATA, COM_QUIT] {
        tracker.begin(command);
        assert!(tracker.is_idle());
    }
}

#[test]
fn a_local_file_is_asked_for_and_the_reply_goes_on() {
    let wire = Server::new(Capabilities::NONE).packet(b"\xfb/etc/motd");
    let mut tracker = ReplyTracker::new(Capabilities::NONE, Status::AUTOCOMMIT);
    tracker.begin(COM_QUERY);
    assert_eq!(
        tracker.feed(&wire.bytes),
        (wire.bytes.len(), Some(ReplyEvent::LocalInfile))
    );
    assert!(!tracker.is_idle());
    let more = Server::new(Capabilities::NONE)
        .ok(MORE)
        .result_set(1, &[b"\x017"], IN_TRANS);
    let (ok, event) = tracker.feed(&more.bytes);
    assert_eq!(event, Some(ReplyEvent::Result { columns: false }));
    let (used, event) = tracker.feed(&more.bytes[ok..]);
    assert_eq!(ok + used, more.bytes.len());
    assert_eq!(event, Some(ReplyEvent::Complete { error: None }));
}

/// A row of 16 MiB and more may begin with the byte of an EOF, and the packets that continue it
/// with any byte at all.
#[test]
fn rows_of_16_mib_and_more() {
    for capabilities in [Capabilities::NONE, DEPRECATE_EOF] {
        for len in [MAX_PAYLOAD, 2 * MAX_PAYLOAD + 5] {
            let mut row = vec![0xFF; len];
            row[0] = 0xFE;
            let server = Server::new(capabilities).result_set(1, &[&row, b"\x011"], IN_TRANS);
            for size in [65_536, MAX_PAYLOAD + 3, server.bytes.len()] {
                for to_error in [false, true] {
                    assert_eq!(server.run(COM_QUERY, size, to_error), (None, IN_TRANS));
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Part {
    Ok,
    Set(u8, Vec<Vec<u8>>),
}

fn part() -> impl Strategy<Value = Part> {
    // Rows as the text protocol has them: a first byte that begins a length-encoded string.
    let row = (0_u8..=0xFB, prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(first, rest)| {
        let mut row = vec![first];
        row.extend(rest);
        row
    });
    prop_oneof![
        Just(Part::Ok),
        (1_u8..20, prop::collection::vec(row, 0..8)).prop_map(|(n, rows)| Part::Set(n, rows)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any sequence of results, ended by a success or an error, is as long as it was made.
    #[test]
    fn any_sequence_of_results(
        parts in prop::collection::vec(part(), 1..5),
        flags in 0_u8..4,
        fails in any::<bool>(),
        binary in any::<bool>(),
    ) {
        let mut capabilities = Capabilities::NONE;
        if flags & 1 != 0 { capabilities = capabilities | DEPRECATE_EOF; }
        if flags & 2 != 0 { capabilities = capabilities | Capabilities::MARIADB_CACHE_METADATA; }
        let mut server = Server::new(capabilities);
        for (i, part) in parts.iter().enumerate() {
            let last = i + 1 == parts.len() && !fails;
            let status = if last { IN_TRANS } else { MORE };
            server = match part {
                Part::Ok => server.ok(status),
                Part::Set(columns, rows) => {
                    let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
                    server.result_set(*columns, &rows, status)
                }
            };
        }
        if fails { server = server.err(1205); }
        let command = if binary { COM_STMT_EXECUTE } else { COM_QUERY };
        prop_assert_eq!(server.check(command).0, fails.then_some(1205));
        let ended = parts.len() - usize::from(!fails);
        let columns = parts[..ended].iter().map(|part| matches!(part, Part::Set(..)));
        let rows = parts.iter().map(|part| match part {
            Part::Ok => 0,
            Part::Set(_, rows) => rows.len() as u64,
        });
        let (results, rows_counted, _) = server.count(command);
        prop_assert_eq!(results, columns.collect::<Vec<_>>());
        prop_assert_eq!(rows_counted, rows.sum::<u64>());
    }
}

/// An OK packet with two changes of the session's state, the database among them.
fn ok_with_changes(schema: &[u8]) -> Vec<u8> {
    let status = Status::AUTOCOMMIT.with(Status::SESSION_STATE_CHANGED);
    let mut ok = Vec::new();
    OkPacket {
        affected_rows: 300,
        last_insert_id: 0,
        status,
        warnings: 0,
    }
    .encode(&mut ok);
    put_lenenc_bytes(&mut ok, b"Rows matched: 300");
    let mut changes = vec![0];
    put_lenenc_bytes(&mut changes, b"\x0aautocommit\x02ON");
    let mut name = Vec::new();
    put_lenenc_bytes(&mut name, schema);
    changes.push(1);
    put_lenenc_bytes(&mut changes, &name);
    put_lenenc_bytes(&mut ok, &changes);
    ok
}

#[test]
fn a_new_database_is_told_to_clients_that_track_the_session() {
    let name = vec![b'd'; 300];
    for (schema, size) in [&b"shop"[..], b"", &name]
        .into_iter()
        .flat_map(|schema| (1..50).chain([1000]).map(move |size| (schema, size)))
    {
        let wire = Server::new(DEPRECATE_EOF)
            .packet(&ok_with_changes(schema))
            .bytes;
        for capabilities in [DEPRECATE_EOF, DEPRECATE_EOF | Capabilities::SESSION_TRACK] {
            let mut tracker = ReplyTracker::new(capabilities, Status::AUTOCOMMIT);
            tracker.begin(COM_QUERY);
            for piece in wire.chunks(size) {
                assert_eq!(tracker.take_schema(), None);
                tracker.feed(piece);
            }
            assert!(tracker.is_idle());
            assert_eq!(tracker.affected_rows(), 300);
            let told = capabilities.contains(Capabilities::SESSION_TRACK);
            assert_eq!(tracker.take_schema(), told.then(|| schema.to_vec()));
            assert_eq!(tracker.take_schema(), None);
        }
    }
}
