//! Arbitrary bytes never panic, what is written can be read, and pieces make no difference.
//!
//! `OPENPETA_SEED` replays one case of the corpus test at the end.

use openpeta_mysql_wire::{
    AuthSwitch, Capabilities, ChangeUser, ClientStep, CommandTracker, ErrPacket, Greeting, Login,
    LoginPacket, OkPacket, PacketBuffer, Reader, ReplyTracker, Status, put_packet,
};
use proptest::prelude::*;

fn parse_everything(data: &[u8], flags: u64) {
    let capabilities = Capabilities(flags);
    let _ = Greeting::parse(data);
    let _ = Login::parse(data, flags & 1 != 0);
    let _ = ChangeUser::parse(data, capabilities);
    let _ = OkPacket::parse(data);
    let _ = ErrPacket::parse(data);
    let _ = AuthSwitch::parse(data);
    let mut reader = Reader::new(data);
    while reader.lenenc_bytes().is_ok() && !reader.is_empty() {}
    let mut buffer = PacketBuffer::new(4096);
    buffer.push(data);
    while let Ok(Some(_)) = buffer.next_packet() {}
}

/// Everything a tracker tells about `data` handed in as pieces of the given sizes.
fn follow_reply(command: u8, flags: u64, data: &[u8], sizes: &[usize]) -> Vec<(usize, String)> {
    let mut tracker = ReplyTracker::new(Capabilities(flags), Status::default());
    tracker.begin(command);
    let mut told = Vec::new();
    let mut position = 0;
    for piece in pieces(data, sizes) {
        let mut rest = piece;
        while !rest.is_empty() {
            let (used, event) = tracker.feed(rest);
            position += used;
            rest = &rest[used..];
            if let Some(event) = event {
                told.push((position, format!("{event:?} {:?}", tracker.status())));
                if tracker.is_idle() {
                    tracker.begin(command);
                }
            } else {
                assert!(rest.is_empty());
            }
        }
    }
    told
}

fn follow_commands(data: &[u8], sizes: &[usize]) -> Vec<(u8, usize, bool)> {
    let mut tracker = CommandTracker::new(&[]);
    let mut found = Vec::new();
    let mut held = Vec::new();
    for piece in pieces(data, sizes) {
        held.extend_from_slice(piece);
        let mut at = 0;
        while at < held.len() {
            let (used, step) = tracker.step(&held[at..]);
            at += used;
            match step {
                ClientStep::Command {
                    command,
                    len,
                    in_sequence,
                } => found.push((command, len, in_sequence)),
                ClientStep::Incomplete => break,
                _ => {}
            }
        }
        held.drain(..at);
    }
    found
}

fn pieces<'a>(data: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = data;
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let size = sizes
            .next()
            .map_or(rest.len(), |&size| size.min(rest.len()));
        let (piece, after) = rest.split_at(size);
        rest = after;
        Some(piece)
    })
}

/// Bytes that look like packets often enough to get far.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        Just(0_u8),
        Just(1),
        Just(0xFB),
        Just(0xFE),
        Just(0xFF),
        any::<u8>()
    ];
    let payload = (
        first,
        prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..40),
    );
    prop::collection::vec(payload, 0..30).prop_map(|payloads| {
        let mut wire = Vec::new();
        for (i, (first, rest)) in payloads.into_iter().enumerate() {
            let payload: Vec<u8> = std::iter::once(first).chain(rest).collect();
            let payload = if i % 7 == 6 { &[] } else { &payload[..] };
            put_packet(&mut wire, i as u8, payload);
        }
        wire
    })
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1_u8..=255, 0..40)
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        data in prop::collection::vec(any::<u8>(), 0..400),
        flags in any::<u64>(),
        command in any::<u8>(),
    ) {
        parse_everything(&data, flags);
        follow_reply(command, flags, &data, &[data.len().max(1)]);
        follow_commands(&data, &[data.len().max(1)]);
    }

    #[test]
    fn pieces_make_no_difference_to_a_reply(
        data in packets(),
        sizes in prop::collection::vec(1_usize..50, 1..20),
        flags in any::<u64>(),
        command in 0_u8..0x20,
    ) {
        let whole = follow_reply(command, flags, &data, &[data.len().max(1)]);
        prop_assert_eq!(follow_reply(command, flags, &data, &sizes), whole);
    }

    #[test]
    fn pieces_make_no_difference_to_commands(
        data in packets(),
        sizes in prop::collection::vec(1_usize..50, 1..20),
    ) {
        let whole = follow_commands(&data, &[data.len().max(1)]);
        prop_assert_eq!(follow_commands(&data, &sizes), whole);
    }

    #[test]
    fn logins_round_trip(
        flags in any::<u64>(), user in text(), database in prop::option::of(text()),
        auth_response in prop::collection::vec(any::<u8>(), 0..300),
        plugin in prop::option::of(text()),
        attributes in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
        zstd_level in prop::option::of(any::<u8>()),
        charset in any::<u8>(),
    ) {
        let sent = Login {
            capabilities: Capabilities(flags), max_packet_size: 7, charset, filler: [3; 19],
            user, auth_response, database, plugin, attributes, zstd_level,
        };
        let mut payload = Vec::new();
        sent.encode(&mut payload);
        let LoginPacket::Login(got) = Login::parse(&payload, true).unwrap() else {
            panic!("a login");
        };
        let mut again = Vec::new();
        got.encode(&mut again);
        prop_assert_eq!(again, payload);
        prop_assert_eq!(
            (got.user, got.auth_response, got.database, got.plugin, got.attributes, got.zstd_level),
            (sent.user, sent.auth_response, sent.database, sent.plugin, sent.attributes,
                sent.zstd_level)
        );
    }

    #[test]
    fn greetings_round_trip(
        version in text(), nonce in any::<[u8; 20]>(), flags in any::<u64>(),
        connection_id in any::<u32>(), charset in any::<u8>(), status in any::<u16>(),
        plugin in text(),
    ) {
        let mut capabilities = Capabilities(flags) | Capabilities::PROTOCOL_41
            | Capabilities::SECURE_CONNECTION | Capabilities::PLUGIN_AUTH;
        if capabilities.contains(Capabilities::MYSQL) {
            capabilities = Capabilities::from_halves(capabilities.low(), 0);
        }
        let sent = Greeting {
            server_version: version, connection_id, nonce, capabilities, charset,
            status: Status(status), plugin,
        };
        let mut payload = Vec::new();
        sent.encode(&mut payload);
        prop_assert_eq!(Greeting::parse(&payload), Ok(sent));
    }

    #[test]
    fn change_users_round_trip(
        user in text(), auth_response in prop::collection::vec(any::<u8>(), 0..255),
        database in text(), charset in any::<u16>(), plugin in text(),
        attributes in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
    ) {
        let sent = ChangeUser {
            user, auth_response, database, charset: Some(charset), plugin: Some(plugin), attributes,
        };
        let mut payload = Vec::new();
        sent.encode(&mut payload);
        let capabilities = Capabilities::SECURE_CONNECTION | Capabilities::PLUGIN_AUTH
            | Capabilities::CONNECT_ATTRS;
        prop_assert_eq!(ChangeUser::parse(&payload, capabilities), Ok(sent));
    }

    #[test]
    fn small_packets_round_trip(
        numbers in any::<(u64, u64, u16, u16)>(), code in any::<u16>(),
        sqlstate in prop::option::of(any::<[u8; 5]>()), message in "[a-z ]{0,40}",
        plugin in text(), data in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let ok = OkPacket {
            affected_rows: numbers.0, last_insert_id: numbers.1, status: Status(numbers.2),
            warnings: numbers.3,
        };
        let mut out = Vec::new();
        ok.encode(&mut out);
        prop_assert_eq!(OkPacket::parse(&out), Ok(ok));
        let err = ErrPacket { code, sqlstate, message: message.into_bytes() };
        out.clear();
        err.encode(&mut out);
        prop_assert_eq!(ErrPacket::parse(&out), Ok(err));
        let switch = AuthSwitch { plugin, data };
        // The old method's switch has neither plugin nor data.
        out.clear();
        switch.encode(&mut out);
        prop_assert_eq!(AuthSwitch::parse(&out), Ok(switch));
    }
}

/// Real packets with a few bytes changed get further into the parsers than random ones.
#[test]
fn damaged_packets_never_panic() {
    const GREETING: &[u8] = b"\n5.5.5-10.11.19-MariaDB-0+deb12u1-log\0\x06\0\0\0<Rh3e$~p\0\
        \xfe\xf7\x08\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0:l5`dTYAzb\\'\0mysql_native_password\0";
    const LOGIN: &[u8] = b"\x8d\xa6\xff\x81\0\0\0\x01\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \0\0\0\0app\0\x1401234567890123456789shop\0mysql_native_password\0\x0d\x04_pid\x0242\x03_os\x01L";
    const CHANGE: &[u8] = b"\x11app\0\x1401234567890123456789shop\0\x2d\0mysql_native_password\0\
        \x0d\x04_pid\x0242\x03_os\x01L";
    const REPLY: &[u8] = b"\x01\0\0\x01\x01\x05\0\0\x02\x03def\0\x05\0\0\x03\xfe\0\0\x02\0\
        \x02\0\0\x04\x011\x05\0\0\x05\xfe\0\0\x0a\0\x07\0\0\x06\0\0\0\x02\0\0\0";
    let seeds = match std::env::var("OPENPETA_SEED") {
        Ok(seed) => vec![seed.parse().expect("OPENPETA_SEED is a number")],
        Err(_) => (0..5_000).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        let mut random = SplitMix(seed);
        for packet in [GREETING, LOGIN, CHANGE, REPLY] {
            let mut damaged = packet.to_vec();
            for _ in 0..random.below(4) {
                let at = random.below(damaged.len());
                match random.below(3) {
                    0 => damaged[at] = random.next() as u8,
                    1 => damaged.truncate(at.max(1)),
                    _ => damaged.insert(at, random.next() as u8),
                }
            }
            let result = std::panic::catch_unwind(|| {
                parse_everything(&damaged, SplitMix(seed).next());
                follow_reply(3, seed << 24, &damaged, &[1, 7]);
                follow_commands(&damaged, &[3, 1]);
            });
            assert!(result.is_ok(), "OPENPETA_SEED={seed}");
        }
    }
}

/// A small generator whose whole state is its seed.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
