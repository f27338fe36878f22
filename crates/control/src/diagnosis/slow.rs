//! The end of an instance's slow log.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::Value;

/// Bytes that are read of it.
const END: u64 = 256 << 10;

/// The last statements of the file, the newest first; none if there is no such file.
pub(super) fn last(file: &Path, count: usize) -> Vec<Value> {
    let read = || {
        let mut file = File::open(file)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
        let mut bytes = Vec::new();
        file.take(END).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    // The first line may be cut: then it is no JSON.
    let lines = text.lines().rev();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .take(count)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_file_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("slow.jsonl");
        assert_eq!(last(&file, 5), [Value::Null; 0]);
        let lines: String = (0..50_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        std::fs::write(&file, format!("{lines}{{\"n\":")).expect("written");
        let numbers: Vec<_> = last(&file, 3)
            .iter()
            .map(|line| line["n"].as_u64())
            .collect();
        assert_eq!(numbers, [Some(49_999), Some(49_998), Some(49_997)]);
    }
}
