//! The control plane's own backup: store, key, certificates and configuration in one file, and a
//! data directory made out of such a file on an empty machine.
//!
//! A data directory that was restored knows that it was: until the operator says that all is well,
//! nothing is removed of what the restored state does not know, or no longer wants.

mod archive;
mod fetching;
mod recover;
mod recovering;
mod restore;
mod schedule;
mod take;
#[cfg(test)]
mod tests;

pub use archive::{ArchiveError, ArchiveManifest, Member, check};
pub use fetching::fetch_backup;
pub(crate) use recover::RecoveryOrder;
pub use restore::{Restored, restore};
