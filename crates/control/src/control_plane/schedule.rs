//! Backups of the control plane are taken now and then, and the oldest go.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use openpeta_store::NewEvent;
use openpeta_types::EventKind;
use serde_json::json;

use super::archive::ArchiveError;
use crate::parts::Parts;
use crate::{ControlError, DataDir};

const PREFIX: &str = "control-plane-";
const ENDING: &str = ".tar";

/// The usual name of a backup that is taken at that time; names are in the order of times.
pub(super) fn file_name(at: Timestamp) -> String {
    format!("{PREFIX}{}{ENDING}", at.strftime("%Y%m%dT%H%M%SZ"))
}

/// The time in such a name.
fn time_of(name: &str) -> Option<Timestamp> {
    let text = name.strip_prefix(PREFIX)?.strip_suffix(ENDING)?;
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(time).ok()
}

impl Parts {
    /// Takes a backup of the control plane if one is due, and removes those beyond the number
    /// that is kept. Returns whether one was taken.
    ///
    /// # Errors
    /// [`ControlError`] when the store or the disk fails; an event tells of it.
    pub(crate) async fn back_up_control_plane_if_due(
        &self,
        now: Timestamp,
    ) -> Result<bool, ControlError> {
        let config = &self.config.backup;
        if config.control_plane_hours == 0 {
            return Ok(false);
        }
        let every = SignedDuration::from_hours(i64::from(config.control_plane_hours));
        let directory = DataDir::new(self.store.data_dir()).control_plane_backups();
        let taken = list(&directory)?;
        if !is_due(taken.iter().map(|(at, _)| *at), every, now) {
            self.store_control_planes().await;
            return Ok(false);
        }
        match self.back_up_control_plane(None, now).await {
            Ok(taken) => {
                tracing::info!(file = %taken.path.display(), bytes = taken.bytes, "a backup of the control plane is taken");
            }
            Err(error) => {
                let text = format!("the control plane cannot be backed up: {error}");
                // One an hour, however often it is tried.
                let hour = now.as_second().div_euclid(3_600);
                let event = NewEvent::new(now, EventKind::ControlPlaneBackupFailed, text)
                    .once(format!("control-plane-backup:{hour}"))
                    .with(&json!({ "error": error.to_string() }));
                self.events.record(event);
                return Err(error.into());
            }
        }
        self.store_control_planes().await;
        let kept = usize::try_from(config.control_plane_keep.max(1)).unwrap_or(usize::MAX);
        let mut taken = list(&directory)?;
        taken.truncate(taken.len().saturating_sub(kept));
        for (_, path) in taken {
            if let Err(error) = self.remote_sets.remove_control_plane(&path).await {
                tracing::warn!(file = %path.display(), %error, "an old backup of the control plane is not removed from the backup storage; it is tried again");
                continue;
            }
            let _ = fs::remove_file(stored(&path));
            fs::remove_file(&path).map_err(ArchiveError::io(&path))?;
            tracing::info!(file = %path.display(), "an old backup of the control plane is removed");
        }
        Ok(true)
    }
}

impl Parts {
    /// Puts the newest backup into the bucket if it is not there: encrypted, since it has all
    /// secrets; without a key it stays here.
    pub(crate) async fn store_control_planes(&self) {
        let directory = DataDir::new(self.store.data_dir()).control_plane_backups();
        let newest = list(&directory).ok().and_then(|mut taken| taken.pop());
        let Some((_, path)) = newest else { return };
        let keys = self.config.backup.keys().unwrap_or_default();
        if !self.remote_sets.is_used() || !keys.encrypts() || stored(&path).exists() {
            return;
        }
        let put = self.remote_sets.put_control_plane(&path, &keys).await;
        let noted = put.map_err(|error| error.to_string()).and_then(|()| {
            let file = fs::File::create(stored(&path));
            file.map(drop).map_err(|error| error.to_string())
        });
        match noted {
            Ok(()) => {
                tracing::info!(file = %path.display(), "a backup of the control plane is in the backup storage");
            }
            Err(error) => {
                tracing::error!(file = %path.display(), error, "a backup of the control plane cannot be brought to the backup storage; it is tried again");
            }
        }
    }
}

/// The file that says that a backup is in the bucket.
fn stored(path: &Path) -> PathBuf {
    path.with_extension("stored")
}

/// Whether none was taken within the interval. What a clock that was ahead left does not count.
fn is_due(taken: impl Iterator<Item = Timestamp>, every: SignedDuration, now: Timestamp) -> bool {
    let newest = taken.filter(|at| *at <= now).max();
    newest.is_none_or(|newest| now.duration_since(newest) >= every)
}

/// The backups of usual names in a directory, oldest first.
fn list(directory: &Path) -> Result<Vec<(Timestamp, PathBuf)>, ArchiveError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.map_err(ArchiveError::io(directory))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(ArchiveError::io(directory))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(at) = name.and_then(time_of) {
            found.push((at, path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn names_tell_the_time() {
        let time = at("2026-11-29T17:05:09Z");
        assert_eq!(file_name(time), "control-plane-20261129T170509Z.tar");
        assert_eq!(time_of(&file_name(time)), Some(time));
        for other in [
            "store.copy",
            "control-plane-20261129T170509Z.tar.new",
            "control-plane-x.tar",
        ] {
            assert_eq!(time_of(other), None, "{other}");
        }
    }

    #[test]
    fn one_is_due_when_the_newest_is_old() {
        let every = SignedDuration::from_hours(24);
        let now = at("2026-11-29T17:00:00Z");
        let is_due = |taken: &[&str]| is_due(taken.iter().map(|text| at(text)), every, now);
        assert!(is_due(&[]));
        assert!(is_due(&["2026-11-28T17:00:00Z"]));
        assert!(!is_due(&["2026-11-27T17:00:00Z", "2026-11-28T17:00:01Z"]));
        // A clock that was a year ahead must not stop them for a year.
        assert!(is_due(&["2026-11-28T16:00:00Z", "2027-11-29T17:00:00Z"]));
    }
}
