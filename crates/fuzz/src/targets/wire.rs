//! Packets of clients and of nodes.

use openpeta_mysql_wire::command::{COM_CHANGE_USER, COM_QUIT};
use openpeta_mysql_wire::proxy::{self, ProxyHeader};
use openpeta_mysql_wire::{
    AuthSwitch, Capabilities, ChangeUser, ClientStep, Codecs, CommandTracker, CompressedStream,
    Compression, ErrPacket, Greeting, Login, LoginPacket, OkPacket, PacketBuffer, Reader,
    ReplyTracker, Status, put_packet,
};

use super::{byte, number, pieces};

const GREETING: &[u8] = b"\n5.5.5-10.11.19-MariaDB-0+deb12u1-log\0\x06\0\0\0<Rh3e$~p\0\
    \xfe\xf7\x08\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0:l5`dTYAzb\\'\0mysql_native_password\0";
const LOGIN: &[u8] = b"\x8d\xa6\xff\x81\0\0\0\x01\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0app\0\x1401234567890123456789shop\0mysql_native_password\0\x0d\x04_pid\x0242\x03_os\x01L";
const CHANGE: &[u8] = b"\x11app\0\x1401234567890123456789shop\0\x2d\0mysql_native_password\0\
    \x0d\x04_pid\x0242\x03_os\x01L";
const RESULT: &[u8] = b"\x01\0\0\x01\x01\x05\0\0\x02\x03def\0\x05\0\0\x03\xfe\0\0\x02\0\
    \x02\0\0\x04\x011\x05\0\0\x05\xfe\0\0\x0a\0\x07\0\0\x06\0\0\0\x02\0\0\0";
const CHANGED_DATABASE: &[u8] = b"\x12\0\0\x01\0\0\0\x02\x40\0\0\0\x08\x01\x06\x05other";

/// The login, COM_CHANGE_USER, and packets as such: what is read can be written and read again.
pub(crate) fn client_packets(bytes: &[u8]) {
    let (flags, payload) = number(bytes);
    if let Ok(LoginPacket::Login(login)) = Login::parse(payload, flags & 1 != 0) {
        let mut written = Vec::new();
        login.encode(&mut written);
        let Ok(LoginPacket::Login(again)) = Login::parse(&written, true) else {
            panic!("{login:?} cannot be read again");
        };
        let mut rewritten = Vec::new();
        again.encode(&mut rewritten);
        assert_eq!(rewritten, written, "{login:?}");
    }
    let _ = ChangeUser::parse(payload, Capabilities(flags));
    let mut buffer = PacketBuffer::new(4096);
    for piece in pieces(payload, flags as u8) {
        buffer.push(piece);
        while let Ok(Some(packet)) = buffer.next_packet() {
            assert!(packet.payload.len() <= 4096);
        }
    }
    let mut reader = Reader::new(payload);
    while reader.lenenc_bytes().is_ok() && !reader.is_empty() {}
}

pub(crate) fn client_seeds() -> Vec<Vec<u8>> {
    let flags = u64::MAX.to_le_bytes();
    [LOGIN, CHANGE]
        .map(|payload| [&flags[..], payload].concat())
        .into()
}

/// What a node answers to a login.
pub(crate) fn server_packets(bytes: &[u8]) {
    if let Ok(greeting) = Greeting::parse(bytes) {
        let mut written = Vec::new();
        greeting.encode(&mut written);
        assert!(Greeting::parse(&written).is_ok(), "{greeting:?}");
    }
    if let Ok(error) = ErrPacket::parse(bytes) {
        let mut written = Vec::new();
        error.encode(&mut written);
        assert_eq!(ErrPacket::parse(&written), Ok(error));
    }
    if let Ok(ok) = OkPacket::parse(bytes) {
        let mut written = Vec::new();
        ok.encode(&mut written);
        assert_eq!(OkPacket::parse(&written), Ok(ok));
    }
    let _ = AuthSwitch::parse(bytes);
}

pub(crate) fn server_seeds() -> Vec<Vec<u8>> {
    let others: [&[u8]; 4] = [
        b"\xff\x15\x04#28000Access denied",
        b"\0\x01\x02\x02\0\0\0",
        b"\xfemysql_native_password\x0001234567890123456789\0",
        b"\xfe",
    ];
    others
        .into_iter()
        .chain([GREETING])
        .map(<[u8]>::to_vec)
        .collect()
}

/// Where commands begin does not depend on the pieces that they come in.
pub(crate) fn commands(bytes: &[u8]) {
    let (how, wire) = byte(bytes);
    let whole = follow_commands(std::iter::once(wire));
    assert_eq!(follow_commands(pieces(wire, how)), whole);
}

fn follow_commands<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<(u8, usize, bool)> {
    let mut tracker = CommandTracker::new(&[COM_CHANGE_USER, COM_QUIT]);
    let (mut found, mut held) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        let mut at = 0;
        while at < held.len() {
            let (used, step) = tracker.step(&held[at..]);
            at += used;
            assert!(at <= held.len());
            match step {
                ClientStep::Command {
                    command,
                    len,
                    in_sequence,
                } => found.push((command, len, in_sequence)),
                ClientStep::Held { .. } => tracker.pass_held(),
                ClientStep::Incomplete => break,
                ClientStep::Payload | ClientStep::FileEnd | ClientStep::Header => {}
            }
        }
        held.drain(..at);
    }
    found
}

pub(crate) fn command_seeds() -> Vec<Vec<u8>> {
    let payloads: [&[u8]; 6] = [
        b"\x03SELECT 1",
        b"\x01",
        CHANGE,
        b"\x17\x01\0\0\0\0\x01\0\0\0\0\x01\x08\0\x05\0\0\0\0\0\0\0",
        b"\x18\x01\0\0\0\0\0long",
        b"",
    ];
    let mut wire = vec![3];
    for payload in payloads {
        put_packet(&mut wire, 0, payload);
    }
    vec![wire]
}

/// Where replies end, and what they tell, does not depend on the pieces that they come in.
pub(crate) fn replies(bytes: &[u8]) {
    let (flags, rest) = number(bytes);
    let (command, rest) = byte(rest);
    let (how, wire) = byte(rest);
    let whole = follow_replies(flags, command, std::iter::once(wire));
    assert_eq!(follow_replies(flags, command, pieces(wire, how)), whole);
}

fn follow_replies<'a>(
    flags: u64,
    command: u8,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Vec<(usize, String)> {
    let mut tracker = ReplyTracker::new(Capabilities(flags), Status::default());
    tracker.begin(command);
    let (mut told, mut at) = (Vec::new(), 0);
    for mut piece in pieces {
        while !piece.is_empty() {
            let (used, event) = tracker.feed(piece);
            at += used;
            piece = &piece[used..];
            let Some(event) = event else {
                assert!(piece.is_empty(), "bytes were left and nothing was told");
                continue;
            };
            let about = (tracker.status(), tracker.rows(), tracker.affected_rows());
            told.push((at, format!("{event:?} {about:?}")));
            let schema = tracker.take_schema();
            told.push((at, format!("{schema:?} {}", tracker.prepared_id())));
            if tracker.is_idle() {
                tracker.begin(command);
            }
        }
    }
    told
}

pub(crate) fn reply_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for flags in [0x1D_81FF_FFFE_u64, 0x0000_A68D, u64::MAX] {
        for command in [3, 2, 4, 9, 14, 22, 23, 28] {
            for wire in [RESULT, CHANGED_DATABASE] {
                let head = [command, 5];
                seeds.push([&flags.to_le_bytes()[..], &head, wire].concat());
            }
        }
    }
    seeds
}

/// Compressed packets unpack to the same in pieces, and to no more than they say.
pub(crate) fn compressed(bytes: &[u8]) {
    let (how, wire) = byte(bytes);
    let compression = match how % 2 {
        0 => Compression::Zlib,
        _ => Compression::Zstd { level: 3 },
    };
    if claims(wire) > 1 << 20 {
        // Unpacks to much, rightly, which takes long.
        return;
    }
    let whole = unpack(compression, std::iter::once(wire));
    let pieced = unpack(compression, pieces(wire, how));
    assert_eq!(pieced, whole);
    assert!(whole.1.len() <= claims(wire), "more than was claimed");
}

fn unpack<'a>(compression: Compression, pieces: impl Iterator<Item = &'a [u8]>) -> (bool, Vec<u8>) {
    let (mut codecs, mut stream) = (Codecs::default(), CompressedStream::new(compression));
    let mut plain = Vec::new();
    for piece in pieces {
        if stream.receive(&mut codecs, piece, &mut plain).is_err() {
            return (false, plain);
        }
    }
    (true, plain)
}

/// How many bytes the headers say that there are.
fn claims(mut wire: &[u8]) -> usize {
    let mut sum = 0;
    while let Some((header, rest)) = wire.split_first_chunk::<7>() {
        let packed = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
        let unpacked = u32::from_le_bytes([header[4], header[5], header[6], 0]) as usize;
        sum += if unpacked == 0 { packed } else { unpacked };
        wire = rest.get(packed..).unwrap_or_default();
    }
    sum
}

pub(crate) fn compressed_seeds() -> Vec<Vec<u8>> {
    let kinds = [Compression::Zlib, Compression::Zstd { level: 3 }];
    let mut seeds = Vec::new();
    for (how, compression) in kinds.into_iter().enumerate() {
        let (mut codecs, mut stream) = (Codecs::default(), CompressedStream::new(compression));
        let mut wire = vec![how as u8];
        for plain in [&b"\x01\0\0\0\x0e"[..], &[b'a'; 300]] {
            stream.send(&mut codecs, plain, &mut wire);
        }
        seeds.push(wire);
    }
    seeds
}

/// A header is found at the same place however much has come, and can be told again.
pub(crate) fn proxy_header(bytes: &[u8]) {
    let Ok(Some((header, len))) = proxy::parse_header(bytes) else {
        return;
    };
    assert!(len <= bytes.len());
    for cut in 0..len {
        let early = proxy::parse_header(&bytes[..cut]);
        assert_eq!(early, Ok(None), "after {cut} of {len}");
    }
    assert_eq!(proxy::parse_header(&bytes[..len]), Ok(Some((header, len))));
    if let ProxyHeader::Client { client, server } = header
        && client.is_ipv4() == server.is_ipv4()
    {
        let mut written = Vec::new();
        proxy::put_header(&mut written, client, server);
        let (again, _) = proxy::parse_header(&written).unwrap().unwrap();
        assert_eq!(again, ProxyHeader::Client { client, server });
    }
}

pub(crate) fn proxy_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
        "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n",
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN ffff:f ffff:f 65535 65535\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    for (client, server) in [
        ("192.0.2.1:5", "192.0.2.2:6"),
        ("[2001:db8::1]:5", "[::1]:6"),
    ] {
        let mut header = Vec::new();
        proxy::put_header(
            &mut header,
            client.parse().expect("an address"),
            server.parse().expect("an address"),
        );
        seeds.push(header.clone());
        header[12] = 0x20;
        seeds.push(header);
    }
    seeds
}
