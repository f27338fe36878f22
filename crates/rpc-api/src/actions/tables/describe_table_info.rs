//! DescribeTableInfo.

use openpeta_types::{DbName, InstanceId, TableName};

use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::actions::tables::{TABLE_NOT_FOUND, UNAVAILABLE, table_name};
use crate::checks::{check_required, db_name};
use crate::spec::{ActionSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeTableInfo,
    name: "DescribeTableInfo",
    aliases: &[],
    section: Section::Tables,
    description: "Shows the columns, keys and size of one table.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::text("TableName", "Table name.")
            .required()
            .constraints("1-64 characters, upper and lower case told apart; not a view"),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::text("DBName", "Database name."),
        FieldSpec::text("TableName", "Table name."),
        FieldSpec::text(
            "PartitionKey",
            "Column that distributes the rows over nodes; empty if none does.",
        ),
        FieldSpec::text("PrimaryKey", "Columns of the primary key, comma-separated."),
        FieldSpec::list(
            "Columns",
            "Column",
            &[
                FieldSpec::text("ColumnName", "Column name."),
                FieldSpec::text(
                    "ColumnDataType",
                    "Type name in upper case, for example INT.",
                ),
                FieldSpec::integer(
                    "ColumnDataLength",
                    "The most characters of a text, the most bytes of a binary value, the digits \
                     of a DECIMAL, the bits of a BIT; of every other type the bytes that a value \
                     takes: 4 for INT, 8 for BIGINT and DOUBLE. 0 where that varies.",
                ),
                FieldSpec::boolean("IsNull", "Whether the column may be NULL."),
            ],
            "Columns, in order.",
        ),
        FieldSpec::text("Engine", "Storage engine."),
        FieldSpec::integer(
            "TableRows",
            "Rows by the storage engine's statistics: in InnoDB an estimate that can be off by \
             half.",
        ),
        FieldSpec::integer("DataBytes", "Bytes of the rows, by the same statistics."),
        FieldSpec::integer(
            "IndexBytes",
            "Bytes of the secondary indexes, by the same statistics.",
        ),
        FieldSpec::list(
            "Indexes",
            "Index",
            &[
                FieldSpec::text(
                    "IndexName",
                    "Name of the index; PRIMARY is the primary key.",
                ),
                FieldSpec::text("IndexColumns", "Columns, comma-separated."),
                FieldSpec::boolean("IsUnique", "Whether no two rows may agree in it."),
            ],
            "Indexes, the primary key first.",
        ),
    ],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        DB_NOT_FOUND,
        TABLE_NOT_FOUND,
        UNAVAILABLE,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("DBName", "{DBName}"),
        ("TableName", "orders"),
    ],
};

/// A checked DescribeTableInfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTableInfoRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// The table.
    pub table_name: TableName,
}

impl ApiRequest for DescribeTableInfoRequest {
    const ACTION: Action = Action::DescribeTableInfo;
    type Response = DescribeTableInfoResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: db_name(params, "DBName")?,
            table_name: table_name(params)?,
        })
    }
}

/// The answer to DescribeTableInfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTableInfoResponse {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// The table.
    pub table_name: TableName,
    /// The column that distributes its rows; empty if none does.
    pub partition_key: String,
    /// The columns of its primary key.
    pub primary_key: Vec<String>,
    /// Its columns, in order.
    pub columns: Vec<ColumnItem>,
    /// Its storage engine.
    pub engine: String,
    /// Its rows, estimated.
    pub table_rows: u64,
    /// Bytes of its rows.
    pub data_bytes: u64,
    /// Bytes of its secondary indexes.
    pub index_bytes: u64,
    /// Its indexes.
    pub indexes: Vec<IndexItem>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnItem {
    /// Its name.
    pub column_name: String,
    /// Its type in upper case.
    pub column_data_type: String,
    /// Its length by the rule of the table of fields.
    pub column_data_length: u64,
    /// Whether it may be NULL.
    pub is_null: bool,
}

/// An index of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexItem {
    /// Its name.
    pub index_name: String,
    /// Its columns.
    pub index_columns: Vec<String>,
    /// Whether no two rows may agree in it.
    pub is_unique: bool,
}

impl ApiResponse for DescribeTableInfoResponse {
    fn size_hint(&self) -> usize {
        512 + 160 * (self.columns.len() + self.indexes.len())
    }

    fn write<W: FieldWriter>(&self, writer: &mut W) {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        writer.text("InstanceId", self.instance_id.as_str());
        writer.text("DBName", self.db_name.as_str());
        writer.text("TableName", self.table_name.as_str());
        writer.text("PartitionKey", &self.partition_key);
        writer.text("PrimaryKey", &self.primary_key.join(","));
        writer.list("Columns", "Column", &self.columns, |writer, column| {
            writer.text("ColumnName", &column.column_name);
            writer.text("ColumnDataType", &column.column_data_type);
            writer.integer("ColumnDataLength", number(column.column_data_length));
            writer.boolean("IsNull", column.is_null);
        });
        writer.text("Engine", &self.engine);
        writer.integer("TableRows", number(self.table_rows));
        writer.integer("DataBytes", number(self.data_bytes));
        writer.integer("IndexBytes", number(self.index_bytes));
        writer.list("Indexes", "Index", &self.indexes, |writer, index| {
            writer.text("IndexName", &index.index_name);
            writer.text("IndexColumns", &index.index_columns.join(","));
            writer.boolean("IsUnique", index.is_unique);
        });
    }
}
