//! DescribeTables.

use openpeta_types::{DbName, InstanceId, ObjectStatus};

use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::actions::tables::UNAVAILABLE;
use crate::checks::{check_required, db_name};
use crate::spec::{ActionSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeTables,
    name: "DescribeTables",
    aliases: &[],
    section: Section::Tables,
    description: "Lists the tables of a database by name, without views and sequences.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::text("DBName", "Database name."),
        FieldSpec::list(
            "Tables",
            "Table",
            &[
                FieldSpec::text("TableName", "Table name."),
                FieldSpec::text(
                    "PartitionKey",
                    "Column that distributes the rows over nodes; empty if none does.",
                ),
                FieldSpec::text("PrimaryKey", "Columns of the primary key, comma-separated."),
                FieldSpec::text(
                    "TableStatus",
                    "CREATE, MODIFY or DELETE while a task of CreateTable, DeleteTable or another \
                     table action about it is not finished, else ACTIVE.",
                )
                .allowed(&[
                    "CREATE", "ACTIVE", "MODIFY", "DELETE", "MIGRATE", "APPEND", "INACTIVE",
                ]),
            ],
            "Tables.",
        ),
    ],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        DB_NOT_FOUND,
        UNAVAILABLE,
        FORBIDDEN_RAM,
    ],
    example: &[("InstanceId", "{InstanceId}"), ("DBName", "{DBName}")],
};

/// A checked DescribeTables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTablesRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
}

impl ApiRequest for DescribeTablesRequest {
    const ACTION: Action = Action::DescribeTables;
    type Response = DescribeTablesResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: db_name(params, "DBName")?,
        })
    }
}

/// The answer to DescribeTables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTablesResponse {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// Its tables, by name.
    pub tables: Vec<TableItem>,
}

/// A table in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableItem {
    /// Its name.
    pub table_name: String,
    /// The column that distributes its rows; empty if none does.
    pub partition_key: String,
    /// The columns of its primary key.
    pub primary_key: Vec<String>,
    /// Its status.
    pub table_status: ObjectStatus,
}

impl ApiResponse for DescribeTablesResponse {
    fn size_hint(&self) -> usize {
        256 + 192 * self.tables.len()
    }

    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.text("InstanceId", self.instance_id.as_str());
        writer.text("DBName", self.db_name.as_str());
        writer.list("Tables", "Table", &self.tables, |writer, table| {
            writer.text("TableName", &table.table_name);
            writer.text("PartitionKey", &table.partition_key);
            writer.text("PrimaryKey", &table.primary_key.join(","));
            writer.text("TableStatus", table.table_status.as_str());
        });
    }
}
