//! Reads SQL statements as MariaDB does, as far as it must be known what a statement is and what
//! it is about: a lexer, and on top of it the classes of statements and what table and index
//! definitions are about.
//!
//! The lexer follows the server's own (`sql_lex.cc` of MariaDB 10.6 to 11) token by token, because
//! whoever judges a statement must not see another one than the server runs. It takes any bytes,
//! never panics and allocates nothing.
//!
//! Pure: nothing here reads a clock, a socket, a disk or a random source.

mod bytes;
mod ddl;
mod dialect;
mod digest;
mod lexer;
mod mask;
mod partition;
mod pieces;
mod route;
mod scan;
mod statement;
mod tables;
mod template;
mod token;
mod untold;

pub use bytes::with_bytes_as_numbers;
pub use ddl::{Ddl, DdlError, DdlKind, Distribution, DistributionClause, parse_ddl};
pub use dialect::{Dialect, Encoding};
pub use digest::{DIGEST_TEXT, DigestReader};
pub use lexer::Lexer;
pub use mask::mask_passwords;
pub use partition::{Folding, PARTITIONS_PER_NODE, Partitions};
pub use pieces::PieceLexer;
pub use route::{
    Insert, InsertError, InsertRow, KeyColumn, KeyType, KeyValue, parse_insert, pinned_by,
};
pub use statement::{DatabaseChange, Results, Statement, StatementClass, StatementReader};
pub use tables::table_databases;
pub use template::Templates;
pub use token::{Token, TokenKind};
pub use untold::{Answer, Untold};
