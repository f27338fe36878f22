//! Tables and indexes.

pub(crate) mod create_index;
pub(crate) mod create_table;
pub(crate) mod delete_index;
pub(crate) mod delete_table;
pub(crate) mod describe_table_info;
pub(crate) mod describe_tables;
pub(crate) mod modify_table;
pub(crate) mod truncate_table;
