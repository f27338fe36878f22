//! Which parts of an upload are done, noted on this host, so that it goes on after a restart.
//!
//! Each line of the file is JSON: the first one names the upload, each further one is a part, in
//! their order. A line that was cut off does not count.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::Upload;

/// What parts are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Whole {
    #[serde(flatten)]
    pub(super) upload: Upload,
    /// Bytes of the file.
    pub(super) length: u64,
    /// Bytes of each part but the last.
    pub(super) part_bytes: u64,
}

/// A part that the bucket has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SentPart {
    /// What the bucket calls it.
    pub(super) e_tag: String,
    pub(super) sha256: String,
}

/// The file with the parts of one upload at a time.
#[derive(Clone, Debug)]
pub(super) struct PartNotes(pub(super) PathBuf);

impl PartNotes {
    /// The parts of an upload that are done; `None` if the notes are not of that one.
    pub(super) fn read(&self, whole: &Whole) -> io::Result<Option<Vec<SentPart>>> {
        let text = match fs::read(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        // What stands behind the last end of line is not whole.
        let mut lines = text
            .split_inclusive(|byte| *byte == b'\n')
            .map_while(|line| line.strip_suffix(b"\n"));
        let first = lines.next().map(serde_json::from_slice::<Whole>);
        match first {
            Some(Ok(noted)) if noted == *whole => Ok(Some(
                lines
                    .map_while(|line| serde_json::from_slice(line).ok())
                    .collect(),
            )),
            _ => Ok(None),
        }
    }

    /// Begins to note parts, after those that are done.
    pub(super) fn begin(&self, whole: &Whole, done: &[SentPart]) -> io::Result<()> {
        let dir = self.dir();
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut text = line(whole)?;
        for part in done {
            text.extend(line(part)?);
        }
        let mut name = self.0.as_os_str().to_owned();
        name.push(".new");
        let new = Path::new(&name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(new, &self.0)?;
        File::open(dir)?.sync_all()
    }

    /// Notes a part.
    pub(super) fn add(&self, part: &SentPart) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(&self.0)?;
        file.write_all(&line(part)?)?;
        file.sync_data()
    }

    /// Forgets them.
    pub(super) fn clear(&self) -> io::Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn dir(&self) -> &Path {
        self.0.parent().unwrap_or(Path::new("."))
    }
}

fn line(what: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_or_is_of_another_upload_does_not_count() {
        let dir = tempfile::tempdir().expect("a directory");
        let notes = PartNotes(dir.path().join("new").join("parts"));
        let whole = |id: &str| Whole {
            upload: Upload {
                object: "o".into(),
                id: id.into(),
            },
            length: 40,
            part_bytes: 16,
        };
        let part = |number: u64| SentPart {
            e_tag: format!("\"{number}\""),
            sha256: number.to_string(),
        };
        assert_eq!(notes.read(&whole("a")).expect("ours"), None);
        notes.begin(&whole("a"), &[]).expect("ours");
        assert_eq!(notes.read(&whole("a")).expect("ours"), Some(vec![]));
        for number in 0..3 {
            notes.add(&part(number)).expect("ours");
        }
        let all: Vec<_> = (0..3).map(part).collect();
        assert_eq!(notes.read(&whole("a")).expect("ours"), Some(all.clone()));
        assert_eq!(notes.read(&whole("b")).expect("ours"), None);
        let longer = Whole {
            length: 41,
            ..whole("a")
        };
        assert_eq!(notes.read(&longer).expect("ours"), None);

        let text = fs::read(&notes.0).expect("ours");
        let last = line(&part(2)).expect("text").len();
        for cut in 1..=last {
            fs::write(&notes.0, &text[..text.len() - cut]).expect("ours");
            let read = notes.read(&whole("a")).expect("ours");
            assert_eq!(read.as_deref(), Some(&all[..2]), "{cut} bytes less");
        }
        // It goes on behind what is whole.
        notes.begin(&whole("a"), &all[..2]).expect("ours");
        notes.add(&part(2)).expect("ours");
        assert_eq!(notes.read(&whole("a")).expect("ours"), Some(all));
        notes.clear().expect("ours");
        notes.clear().expect("nothing to do");
        assert_eq!(notes.read(&whole("a")).expect("ours"), None);
    }
}
