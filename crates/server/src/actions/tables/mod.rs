//! Tables and indexes.

pub(super) mod create_index;
pub(super) mod create_table;
pub(super) mod delete_index;
pub(super) mod delete_table;
pub(super) mod describe_table_info;
pub(super) mod describe_tables;
pub(super) mod modify_table;
pub(super) mod truncate_table;
