//! Instances (API document 7): ordering, showing, renaming, releasing.

mod create;
mod delete;
mod describe;
mod rename;

pub(crate) use create::account_login;
