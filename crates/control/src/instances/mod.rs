//! Instances (API document 7): ordering, showing, renaming, releasing, and the endpoints that
//! they get and lose meanwhile.

mod business_unit;
mod by_connection;
mod create;
mod delete;
mod describe;
mod order;
mod public_connection;
mod rename;
mod switch_net_type;
#[cfg(test)]
mod tests;

pub(crate) use create::account_login;
pub(crate) use order::NewInstance;
