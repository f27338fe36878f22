//! Instances (API document 7): ordering, showing, renaming, releasing.

mod create;
mod delete;
mod describe;
mod rename;
#[cfg(test)]
mod tests;

pub(crate) use create::account_login;
pub(crate) use delete::release;
