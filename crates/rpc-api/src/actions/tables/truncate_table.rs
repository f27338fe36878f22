//! TruncateTable.

use openpeta_types::{DbName, InstanceId, TableName};

use crate::actions::common::{
    DB_NOT_FOUND, DB_STATUS, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND,
    INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::actions::tables::{TABLE_NOT_FOUND, TABLE_REFUSED, UNAVAILABLE, table_name};
use crate::checks::{check_required, db_name};
use crate::spec::{ActionSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::TruncateTable,
    name: "TruncateTable",
    aliases: &[],
    section: Section::Tables,
    description: "Empties a table. A task does it: the call waits up to 5 seconds for its end, DescribeTasks tells of a longer one.",
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
        ParameterSpec::text("TableName", "Table name.")
            .required()
            .constraints("1-64 characters, upper and lower case told apart; not a view"),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        DB_NOT_FOUND,
        DB_STATUS,
        TABLE_NOT_FOUND,
        TABLE_REFUSED,
        UNAVAILABLE,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("DBName", "{DBName}"),
        ("TableName", "orders"),
    ],
};

/// A checked TruncateTable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruncateTableRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// The table.
    pub table_name: TableName,
}

impl ApiRequest for TruncateTableRequest {
    const ACTION: Action = Action::TruncateTable;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: db_name(params, "DBName")?,
            table_name: table_name(params)?,
        })
    }
}
