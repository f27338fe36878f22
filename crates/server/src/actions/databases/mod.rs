//! Databases of an instance.

pub(super) mod create_database;
pub(super) mod delete_database;
pub(super) mod describe_database_list;
pub(super) mod describe_database_partitions;
pub(super) mod describe_databases;
pub(super) mod modify_database_nodes_number;
pub(super) mod modify_database_nodes_spec;
