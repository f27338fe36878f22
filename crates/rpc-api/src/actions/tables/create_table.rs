//! CreateTable.

use openpeta_types::{DbName, InstanceId};

use crate::actions::common::{
    DB_NOT_FOUND, DB_STATUS, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND,
    INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::actions::tables::{TABLE_DDL, UNAVAILABLE};
use crate::checks::{check_required, db_name};
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::CreateTable,
    name: "CreateTable",
    aliases: &[],
    section: Section::Tables,
    description: "Creates a table from a DDL text. A task does it: the call waits up to 5 seconds for its end, DescribeTasks tells of a longer one.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[
        "instance status is ACTIVE",
        "instance is not locked",
        "database is ACTIVE",
    ],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::text("PartitionKey", "Column that distributes the rows.")
            .constraints(
                "in a database over several nodes; the same as DISTRIBUTE BY HASH(column) at the end of the \
                 statement, which may name it instead",
            ),
        ParameterSpec::text("TableDDL", "The SQL statement.")
            .required()
            .constraints(
                "one CREATE TABLE statement about a table of DBName, named alone or with DBName before \
                 it; it reaches nothing outside of DBName; it waits up to 30 seconds for sessions \
                 that use the table and takes up to 10 minutes",
            ),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        DB_NOT_FOUND,
        DB_STATUS,
        TABLE_DDL,
        PARTITION_KEY,
        ErrorSpec::new(
            "UnsupportedParameter",
            400,
            "PartitionKey is given, and the database is on one node, which holds all rows",
        ),
        UNAVAILABLE,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("DBName", "{DBName}"),
        (
            "TableDDL",
            "CREATE TABLE orders (id INT PRIMARY KEY, total DECIMAL(10,2))",
        ),
    ],
};

const PARTITION_KEY: ErrorSpec = ErrorSpec::new(
    "InvalidPartitionKey.Malformed",
    400,
    "PartitionKey names no column, or the statement distributes its rows in another way",
);

/// A checked CreateTable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTableRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// The column that distributes the rows, if the statement does not name it.
    pub partition_key: Option<String>,
    /// The statement.
    pub table_ddl: String,
}

impl ApiRequest for CreateTableRequest {
    const ACTION: Action = Action::CreateTable;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: db_name(params, "DBName")?,
            partition_key: params.get("PartitionKey").map(str::to_owned),
            table_ddl: params.required("TableDDL")?.to_owned(),
        })
    }
}
