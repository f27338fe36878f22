//! What can go wrong.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The archive could not do what it was asked to. Nothing acknowledged is lost by it.
#[derive(Debug, Error)]
#[error("cannot {action} {path}: {source}")]
pub struct ArchiveError {
    pub(crate) action: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

pub(crate) type Result<T> = std::result::Result<T, ArchiveError>;

/// Says what was done to which file when it failed.
pub(crate) trait AtPath<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| ArchiveError {
            action,
            path: path.to_owned(),
            source,
        })
    }
}

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;
