use super::*;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// "hello, sealed world", by the Python program in docs/backup.md turned round.
const FOREIGN: &[u8] = include_bytes!("testdata/foreign.enc");

fn keys(lines: &[&str]) -> BackupKeys {
    BackupKeys::parse(&lines.join("\n")).expect("keys")
}

fn sealed(plain: &[u8]) -> Vec<u8> {
    let keys = keys(&[KEY]);
    seal(plain, keys.current().expect("a key")).expect("memory")
}

fn opened(sealed: &[u8]) -> io::Result<Vec<u8>> {
    let mut reader = match OpeningReader::open(sealed, &keys(&[OTHER, KEY])) {
        Ok(reader) => reader,
        Err(failure) => return Err(io::Error::other(format!("{failure:?}"))),
    };
    let mut plain = Vec::new();
    reader.read_to_end(&mut plain)?;
    Ok(plain)
}

/// Bytes that differ from chunk to chunk.
fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 251 + at) as u8).collect()
}

#[test]
fn what_was_sealed_opens() {
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7] {
        let plain = text(length);
        let file = sealed(&plain);
        let chunks = length.div_ceil(CHUNK).max(1);
        assert_eq!(file.len(), HEADER + length + chunks * (4 + TAG));
        assert!(opened(&file).expect("whole") == plain, "{length}");
        assert!(file != sealed(&plain), "each file has a salt of its own");
    }
}

#[test]
fn a_file_of_another_program_opens() {
    assert_eq!(opened(FOREIGN).expect("whole"), b"hello, sealed world");
}

#[test]
fn every_change_is_noticed() {
    let file = sealed(&text(CHUNK + 100));
    let first = HEADER + 4 + CHUNK + TAG;
    // The header, the lengths, both chunks with their tags.
    let places = (0..HEADER + 20).chain(first - 20..first + 24);
    for at in places.chain(file.len() - 20..file.len()) {
        for bit in [1, 0x80] {
            let mut changed = file.clone();
            changed[at] ^= bit;
            assert!(opened(&changed).is_err(), "{at} {bit}");
        }
    }
    for end in (0..HEADER + 30).chain(first - 2..file.len()) {
        assert!(opened(&file[..end]).is_err(), "{end}");
    }
    for more in [&b"x"[..], &file[first..], &file] {
        assert!(opened(&[&file, more].concat()).is_err());
    }
}

#[test]
fn chunks_have_their_places() {
    let file = sealed(&text(3 * CHUNK));
    let (header, chunks) = file.split_at(HEADER);
    let chunks: Vec<_> = chunks.chunks(4 + CHUNK + TAG).collect();
    let of = |order: &[usize]| {
        let chunks = order.iter().map(|at| chunks[*at]);
        std::iter::once(header)
            .chain(chunks)
            .collect::<Vec<_>>()
            .concat()
    };
    assert!(opened(&of(&[0, 1, 2])).is_ok());
    for order in [&[1, 0, 2][..], &[0, 2], &[0, 0, 2], &[1, 2], &[0, 1], &[2]] {
        assert!(opened(&of(order)).is_err(), "{order:?}");
    }
    // Those of another file with the same key do not fit.
    let other = sealed(&text(3 * CHUNK));
    let mixed = [&other[..HEADER], &file[HEADER..]].concat();
    assert!(opened(&mixed).is_err());
    // Nor is the last chunk but one taken for the last.
    let mut early = of(&[0, 1]);
    early[HEADER + 4 + CHUNK + TAG] |= 0x80;
    assert!(opened(&early).is_err());
}

#[test]
fn a_missing_key_is_named() {
    let file = sealed(b"x");
    let id = keys(&[KEY]).current_id().expect("a key");
    for keys in [keys(&[OTHER]), BackupKeys::default()] {
        let error = open(&file, &keys, Path::new("/f")).expect_err("no key");
        assert!(
            matches!(&error, EngineError::NoKey { key_id, .. } if *key_id == id),
            "{error}"
        );
    }
    let error = open(b"x", &keys(&[KEY]), Path::new("/f")).expect_err("not sealed");
    assert!(matches!(error, EngineError::NotEncrypted { .. }), "{error}");
}
