//! Which partitions a statement can touch, told from its text with all doubts against it: a
//! statement that is not understood may touch all of them.
//!
//! What is understood is little, and read off the tokens: rows of `INSERT` and `REPLACE` whose key
//! is a literal, and conditions that a row must meet for its key to matter. A parser of all of SQL
//! would refuse statements that the server takes; here, what is not understood only costs a
//! question to more nodes.

mod condition;
mod insert;
mod key;
mod tokens;

pub use condition::pinned_by;
pub use insert::{Insert, InsertError, InsertRow, parse_insert};
pub use key::{KeyColumn, KeyType, KeyValue};
