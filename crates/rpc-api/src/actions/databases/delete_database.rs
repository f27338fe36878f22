//! DeleteDatabase.

use openpeta_types::{DbName, InstanceId};

use crate::actions::common::{
    CLIENT_TOKEN, DB_NOT_FOUND, DB_STATUS, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED,
    INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID, TOKEN_MISMATCH,
};
use crate::checks::{check_required, db_name};
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ClientToken, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DeleteDatabase,
    name: "DeleteDatabase",
    aliases: &[],
    section: Section::Databases,
    description: "Drops a database and its data.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[
        "instance status is ACTIVE",
        "instance is a primary instance",
        "it is not the only database of the instance",
    ],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        CLIENT_TOKEN,
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        DB_NOT_FOUND,
        DB_STATUS,
        ErrorSpec::new(
            "OperationDenied.NoDatabase",
            403,
            "it is the only database, or the others are still being made",
        ),
        ErrorSpec::new(
            "OperationDenied.DBInstanceStorageReduce",
            403,
            "the other databases take more on disk than they may without it",
        ),
        ErrorSpec::new(
            "OperationDenied.DBInstanceType",
            400,
            "not a primary instance",
        ),
        ErrorSpec::new("InvalidClientToken.Malformed", 400, "bad ClientToken"),
        TOKEN_MISMATCH,
        FORBIDDEN_RAM,
    ],
    example: &[("InstanceId", "{InstanceId}"), ("DBName", "{DBName}")],
};

/// A checked DeleteDatabase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteDatabaseRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// Idempotency key.
    pub client_token: Option<ClientToken>,
}

impl ApiRequest for DeleteDatabaseRequest {
    const ACTION: Action = Action::DeleteDatabase;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: db_name(params, "DBName")?,
            client_token: params.client_token()?,
        })
    }
}
