//! Sets that lie somewhere, whoever put them there.

use std::path::Path;

use ring::digest::{Context, SHA256};

use super::{TakenSet, set_dir};
use crate::engine::Engine;
use crate::error::{AtPath, Result};

/// The manifest's name in the directory of a set.
const MANIFEST: &str = "manifest.json";

impl Engine {
    /// What a directory holds by its own word: a set, or `None` where there is no manifest. Its
    /// data is not looked at.
    ///
    /// # Errors
    /// [`EngineError::DamagedSet`](crate::EngineError::DamagedSet) for a manifest that cannot be
    /// understood; a file error.
    pub fn look_at_set(&self, set: &Path) -> Result<Option<TakenSet>> {
        let path = set.join(MANIFEST);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            result => result.at("read", &path)?,
        };
        let mut digest = Context::new(&SHA256);
        digest.update(&text);
        let manifest_sha256 = set_dir::hex(digest);
        let manifest = set_dir::read_manifest(set, &manifest_sha256, self.backup_keys())?;
        Ok(Some(TakenSet {
            bytes: text.len() as u64 + manifest.dump.bytes,
            manifest,
            manifest_sha256,
        }))
    }
}
