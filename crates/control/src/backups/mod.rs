//! Backups of databases (API document 11): one file per verb; what the policy asks for besides.

mod automatic;
mod bases;
mod create;
mod describe;
mod download;
mod expire;
mod files;
mod logs;
mod moments;
mod policy;
mod remote;
mod replaced;
mod restore;
mod schedule;
mod snapshots;
mod switch;
#[cfg(test)]
pub(crate) mod tests;
mod verify;
mod waiting;

pub use download::{FetchableSet, Fetcher, LinkError, SetLink};
pub(crate) use expire::sets_in_use;
pub(crate) use files::cancel_backups;
pub use logs::LogArchiveFigures;
pub(crate) use logs::LogArchives;
pub(crate) use moments::{LastMoments, Moment};
pub use remote::S3Config;
pub(crate) use remote::{
    Bucket, LocalSet, RemoteLogs, RemoteSets, Told, control_planes, fetch_control_plane,
    free_bytes, is_of_storage,
};
pub(crate) use snapshots::Placement;
