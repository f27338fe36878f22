//! Backups of databases (API document 11): one file per verb.

mod create;
mod describe;
mod files;
mod policy;
mod restore;
mod switch;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use files::cancel_backups;
