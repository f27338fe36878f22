//! ModifyDatabaseNodesSpec.

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
    action: Action::ModifyDatabaseNodesSpec,
    name: "ModifyDatabaseNodesSpec",
    aliases: &[],
    section: Section::Databases,
    description: "Changes the node class of a database.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "instance is not locked"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::text("NewNodeSpec", "New node class.").required(),
        ParameterSpec::boolean("AutoPay", "Pay the order at once, as is always done."),
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
            "InvalidNewNodeSpec.ValueNotSupported",
            400,
            "unknown node class",
        ),
        ErrorSpec::new(
            "InvalidDBInstanceClassInRegion.NotAvailable",
            403,
            "node class not on offer",
        ),
        ErrorSpec::new(
            "OperationDenied.DBInstanceStorageReduce",
            403,
            "the databases of the instance take more on disk than they may then",
        ),
        ErrorSpec::new(
            "Forbidden.Authentication",
            403,
            "the account lacks real-name verification",
        ),
        ErrorSpec::new(
            "InsufficientBalance",
            400,
            "the balance is too low to order",
        ),
        ErrorSpec::new(
            "InvalidAutoPay.ValueNotSupported",
            400,
            "AutoPay is neither true nor false",
        ),
        ErrorSpec::new("InvalidClientToken.Malformed", 400, "bad ClientToken"),
        TOKEN_MISMATCH,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("DBName", "{DBName}"),
        ("NewNodeSpec", "petadata.s2.2xlarge"),
    ],
};

/// A checked ModifyDatabaseNodesSpec. Orders are paid at once whatever AutoPay says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModifyDatabaseNodesSpecRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// Node spec as sent; whether it is on offer is the configuration's matter.
    pub new_node_spec: String,
    /// Idempotency key.
    pub client_token: Option<ClientToken>,
}

impl ApiRequest for ModifyDatabaseNodesSpecRequest {
    const ACTION: Action = Action::ModifyDatabaseNodesSpec;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        params.boolean("AutoPay")?;
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: db_name(params, "DBName")?,
            new_node_spec: params.required("NewNodeSpec")?.to_owned(),
            client_token: params.client_token()?,
        })
    }
}
