//! CreateIndex.

use openpeta_types::{DbName, InstanceId};

use crate::actions::common::{
    DB_NOT_FOUND, DB_STATUS, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND,
    INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::actions::tables::{INDEX_DDL, UNAVAILABLE};
use crate::checks::{check_required, db_name};
use crate::spec::{ActionSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::CreateIndex,
    name: "CreateIndex",
    aliases: &[],
    section: Section::Tables,
    description: "Creates an index from a DDL text. A task does it: the call waits up to 5 seconds for its end, DescribeTasks tells of a longer one.",
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
        ParameterSpec::text("IndexDDL", "The SQL statement.")
            .required()
            .constraints(
                "one CREATE INDEX statement about a table of DBName, named alone or with DBName before \
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
        INDEX_DDL,
        UNAVAILABLE,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("DBName", "{DBName}"),
        ("IndexDDL", "CREATE INDEX by_total ON orders (total)"),
    ],
};

/// A checked CreateIndex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateIndexRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// The statement.
    pub index_ddl: String,
}

impl ApiRequest for CreateIndexRequest {
    const ACTION: Action = Action::CreateIndex;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: db_name(params, "DBName")?,
            index_ddl: params.required("IndexDDL")?.to_owned(),
        })
    }
}
