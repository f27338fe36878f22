//! A set as a tar archive whose every byte can be told without making it: whoever comes back for
//! the rest gets the rest.

use std::ops::Range;

use bytes::Bytes;
use tar::Header;

/// Bytes of a block of tar.
const BLOCK: u64 = 512;
/// What an archive ends with, at least.
const END: u64 = 2 * BLOCK;

/// The parts of an archive of a manifest and a file of data.
#[derive(Debug)]
pub(super) struct Layout {
    /// Everything before the data.
    head: Bytes,
    data: u64,
    /// Zeros behind it.
    tail: u64,
}

/// What a range of the archive consists of, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pieces {
    /// Bytes before the data.
    pub(super) head: Bytes,
    /// Of the data.
    pub(super) data: Range<u64>,
    /// Zeros.
    pub(super) zeros: usize,
}

impl Layout {
    /// Of a set in a directory of that name, last changed at that second.
    pub(super) fn new(
        directory: &str,
        (manifest_name, manifest): (&str, &[u8]),
        (data_name, data): (&str, u64),
        second: u64,
    ) -> Self {
        let mut head = Vec::with_capacity(manifest.len() + 4 * BLOCK as usize);
        let header = |name: &str, bytes| header(&format!("{directory}/{name}"), bytes, second);
        head.extend_from_slice(&header(manifest_name, manifest.len() as u64));
        head.extend_from_slice(manifest);
        head.resize(head.len().next_multiple_of(BLOCK as usize), 0);
        head.extend_from_slice(&header(data_name, data));
        Self {
            head: head.into(),
            data,
            tail: data.next_multiple_of(BLOCK) - data + END,
        }
    }

    /// Its length.
    pub(super) fn total(&self) -> u64 {
        self.head.len() as u64 + self.data + self.tail
    }

    /// What a range consists of that does not go past the end.
    pub(super) fn pieces(&self, range: &Range<u64>) -> Pieces {
        let within = |begin: u64, length: u64| {
            let from = range.start.clamp(begin, begin + length) - begin;
            let to = range.end.clamp(begin, begin + length) - begin;
            from..to.max(from)
        };
        let head = self.head.len() as u64;
        let of_head = within(0, head);
        let tail = within(head + self.data, self.tail);
        Pieces {
            // No longer than what is in memory.
            head: self
                .head
                .slice(of_head.start as usize..of_head.end as usize),
            data: within(head, self.data),
            zeros: (tail.end - tail.start) as usize,
        }
    }
}

fn header(path: &str, bytes: u64, second: u64) -> [u8; BLOCK as usize] {
    let mut header = Header::new_gnu();
    header
        .set_path(path)
        .expect("numbers and names of ours are short");
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(second);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    *header.as_bytes()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const MANIFEST: &[u8] = b"{\"dump\": 1}";

    fn layout(data: u64) -> Layout {
        Layout::new(
            "100001",
            ("manifest.json", MANIFEST),
            ("dump.sql.zst", data),
            1_700_000_000,
        )
    }

    /// The bytes of a range.
    fn bytes(layout: &Layout, data: &[u8], range: Range<u64>) -> Vec<u8> {
        let pieces = layout.pieces(&range);
        let mut all = pieces.head.to_vec();
        all.extend(&data[pieces.data.start as usize..pieces.data.end as usize]);
        all.resize(all.len() + pieces.zeros, 0);
        all
    }

    #[test]
    fn it_is_an_archive_and_any_two_parts_of_it_are_the_whole() {
        for length in [0, 1, 511, 512, 700] {
            let data: Vec<u8> = (0..length).map(|number| number as u8).collect();
            let layout = layout(length);
            let whole = bytes(&layout, &data, 0..layout.total());
            assert_eq!(whole.len() as u64, layout.total());
            let mut archive = tar::Archive::new(whole.as_slice());
            let mut files = Vec::new();
            for entry in archive.entries().expect("an archive") {
                let mut entry = entry.expect("whole");
                let mut content = Vec::new();
                entry.read_to_end(&mut content).expect("whole");
                let path = entry.path().expect("a path").display().to_string();
                files.push((path, content));
            }
            let expected = [
                ("100001/manifest.json".to_owned(), MANIFEST.to_vec()),
                ("100001/dump.sql.zst".to_owned(), data.clone()),
            ];
            assert_eq!(files, expected);
            for cut in 0..=layout.total() {
                let mut joined = bytes(&layout, &data, 0..cut);
                joined.extend(bytes(&layout, &data, cut..layout.total()));
                assert_eq!(joined, whole, "{length} bytes, cut at {cut}");
            }
        }
    }

    #[test]
    fn more_than_octal_digits_can_tell_is_told() {
        let bytes = 1 << 40;
        let layout = layout(bytes);
        assert!(layout.total() > bytes);
        let header = Header::from_byte_slice(&layout.head[layout.head.len() - 512..]);
        assert_eq!(header.entry_size().expect("a size"), bytes);
    }
}
