//! Databases of an instance.

pub(super) mod describe_databases;
