//! An archive of samples.
//!
//! A *source* (an instance, a database) is sampled as a *row*: a time and a value for each of its
//! *columns*, or none. All values are integers, and each column says how values are put together
//! ([`Fold`]): counts are added up, maxima compared, of sizes the last one holds. A row is a
//! contribution to its time: two rows of the same time are folded like any others, so that a clock
//! that was put back loses nothing. What was not sampled is a gap, never a zero.
//!
//! Rows are kept at three [`Resolution`]s. Those of five seconds are written to a log before
//! [`Archive::append`] returns; when a log is complete its rows are sealed into compressed blocks,
//! and folded into the rows of the next resolution. Queries fold what they find, whatever it lies
//! in, so roll-ups are exact and nothing waits for them.
//!
//! - [`Archive`]: appending, queries, retention.
//! - `tier`: one resolution: its log, its unsealed rows, its segments, and where blocks lie.
//! - `log`, `segment`: the files; `reading`: what queries take out of them. `block`, `column`, `row`, `varint`: what is in them; pure.
//!
//! After a crash: a log's torn end is cut off, it was not acknowledged. Blocks count from the moment
//! that the next log exists; earlier ones are cut off and sealed again out of their log. What of a
//! log went into the next resolution is one record there, which tells the log's number: so it is
//! there once. A block or record whose checksum is wrong is passed over and reported.

mod archive;
mod block;
mod column;
mod disk;
mod error;
mod fold;
mod log;
mod reading;
mod row;
mod segment;
mod tier;
mod varint;

#[cfg(test)]
mod tests;

pub use archive::{Answer, Archive, ArchiveConfig, Latest, Usage};
pub use error::ArchiveError;
pub use fold::Fold;
pub use row::Values;
pub use tier::Resolution;
