//! Tables and indexes.

pub(crate) mod create_index;
pub(crate) mod create_table;
pub(crate) mod delete_index;
pub(crate) mod delete_table;
pub(crate) mod describe_table_info;
pub(crate) mod describe_tables;
pub(crate) mod modify_table;
pub(crate) mod truncate_table;

pub use create_index::CreateIndexRequest;
pub use create_table::CreateTableRequest;
pub use delete_index::DeleteIndexRequest;
pub use delete_table::DeleteTableRequest;
pub use describe_table_info::{
    ColumnItem, DescribeTableInfoRequest, DescribeTableInfoResponse, IndexItem,
};
pub use describe_tables::{DescribeTablesRequest, DescribeTablesResponse, TableItem};
pub use modify_table::ModifyTableRequest;
use openpeta_types::TableName;
pub use truncate_table::TruncateTableRequest;

use crate::spec::ErrorSpec;
use crate::{ApiError, Params};

const TABLE_NOT_FOUND: ErrorSpec = ErrorSpec::new(
    "InvalidTableName.NotFound",
    404,
    "no such table in the database; views and sequences are no tables",
);

const TABLE_REFUSED: ErrorSpec = ErrorSpec::new(
    "InvalidTableName.Malformed",
    400,
    "MariaDB refuses to do that to the table, for example because a foreign key refers to it; the \
     message says why",
);

const TABLE_DDL: ErrorSpec = ErrorSpec::new(
    "InvalidTableDDL.Malformed",
    400,
    "not one such statement about a table of the database, or MariaDB refuses it; the message says \
     why",
);

const INDEX_DDL: ErrorSpec = ErrorSpec::new(
    "InvalidIndexDDL.Malformed",
    400,
    "not one such statement about a table of the database, or MariaDB refuses it; the message says \
     why",
);

const UNAVAILABLE: ErrorSpec = ErrorSpec::new(
    "ServiceUnavailable",
    503,
    "the database's node does not answer",
);

/// The table that a call is about.
fn table_name(params: &Params) -> Result<TableName, ApiError> {
    TableName::parse(params.required("TableName")?).map_err(|_| ApiError::table_not_found())
}
