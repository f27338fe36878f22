//! The compressed protocol: whatever is sent comes out again, and nothing else is taken.

use openpeta_mysql_wire::{Capabilities, Codecs, CompressedStream, Compression, WireError};
use proptest::prelude::*;

const ALL: [Compression; 3] = [
    Compression::Zlib,
    Compression::Zstd { level: 3 },
    Compression::Zstd { level: 22 },
];

fn sent(compression: Compression, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    CompressedStream::new(compression).send(&mut Codecs::default(), plain, &mut out);
    out
}

fn received(compression: Compression, wire: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut plain = Vec::new();
    let mut stream = CompressedStream::new(compression);
    stream.receive(&mut Codecs::default(), wire, &mut plain)?;
    Ok(plain)
}

/// Bytes that can be packed, and some that cannot.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 0..200_000_usize).prop_map(|(byte, len)| vec![byte; len]),
        proptest::collection::vec("[a-c ]{0,40}", 0..500).prop_map(|words| words.concat().into()),
    ]
}

proptest! {
    #[test]
    fn what_is_sent_comes_out_however_it_is_cut(
        which in 0..ALL.len(),
        contents in proptest::collection::vec(content(), 0..5),
        piece in 1..5000_usize,
    ) {
        let (mut codecs, mut sender) = (Codecs::default(), CompressedStream::new(ALL[which]));
        let mut wire = Vec::new();
        for content in &contents {
            sender.send(&mut codecs, content, &mut wire);
        }
        let (mut plain, mut receiver) = (Vec::new(), CompressedStream::new(ALL[which]));
        for piece in wire.chunks(piece) {
            receiver.receive(&mut codecs, piece, &mut plain).unwrap();
        }
        prop_assert_eq!(plain, contents.concat());
    }

    #[test]
    fn garbage_is_refused_and_never_more_than_it_says(
        which in 0..ALL.len(),
        content in content(),
        change in any::<prop::sample::Index>(),
        to in any::<u8>(),
    ) {
        let mut wire = sent(ALL[which], &content);
        if !wire.is_empty() {
            let at = change.index(wire.len());
            wire[at] = to;
        }
        if let Ok(plain) = received(ALL[which], &wire) {
            prop_assert!(plain.len() <= content.len().max(1 << 24));
        }
        let _ = received(ALL[which], &content);
    }
}

#[test]
fn a_reply_goes_on_with_the_number_of_its_command() {
    for compression in ALL {
        let (mut codecs, mut stream) = (Codecs::default(), CompressedStream::new(compression));
        let mut plain = Vec::new();
        // Not packed, number 7.
        let command = [5, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 14];
        stream.receive(&mut codecs, &command, &mut plain).unwrap();
        assert_eq!(plain, [1, 0, 0, 0, 14]);
        let mut wire = Vec::new();
        stream.send(&mut codecs, b"short", &mut wire);
        assert_eq!(wire, *b"\x05\0\0\x08\0\0\0short");
        wire.clear();
        stream.send(&mut codecs, &[b'x'; 1000], &mut wire);
        assert_eq!((wire[3], &wire[4..7]), (9, &[0xE8, 3, 0][..]));
        assert!(wire.len() < 100);
    }
}

#[test]
fn content_has_to_unpack_to_what_its_header_says() {
    for compression in ALL {
        let good = sent(compression, &[b'x'; 1000]);
        assert_eq!(received(compression, &good), Ok(vec![b'x'; 1000]));
        for wrong in [999_u32, 1001, 1 << 23] {
            let mut wire = good.clone();
            wire[4..7].copy_from_slice(&wrong.to_le_bytes()[..3]);
            let error = Err(WireError::Malformed("compressed content"));
            assert_eq!(received(compression, &wire), error);
        }
        // Bytes behind the packed ones.
        let mut wire = good.clone();
        wire[0] += 1;
        wire.push(0);
        assert!(received(compression, &wire).is_err());
        // The packed ones end early.
        let mut wire = good;
        wire[0] -= 1;
        wire.pop();
        assert!(received(compression, &wire).is_err());
    }
}

#[test]
fn a_packet_of_the_largest_size_is_cut() {
    let plain = vec![b'x'; (1 << 24) + 5];
    let wire = sent(Compression::Zlib, &plain);
    assert_eq!(received(Compression::Zlib, &wire), Ok(plain));
}

#[test]
fn the_login_tells_the_compression() {
    let zstd = Capabilities::ZSTD_COMPRESS;
    for (capabilities, level, expected) in [
        (Capabilities::NONE, Some(3), None),
        (Capabilities::COMPRESS, None, Some(Compression::Zlib)),
        (
            Capabilities::COMPRESS | zstd,
            Some(9),
            Some(Compression::Zlib),
        ),
        (zstd, Some(9), Some(Compression::Zstd { level: 9 })),
        (zstd, Some(0), Some(Compression::Zstd { level: 3 })),
        (zstd, Some(23), Some(Compression::Zstd { level: 3 })),
        (zstd, None, Some(Compression::Zstd { level: 3 })),
    ] {
        assert_eq!(Compression::asked_for(capabilities, level), expected);
    }
}
