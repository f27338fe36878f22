//! ModifyDatabaseNodesNumber.

use openpeta_types::{DbName, InstanceId};

use crate::actions::common::{
    CLIENT_TOKEN, DB_NOT_FOUND, DB_STATUS, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED,
    INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID, TOKEN_MISMATCH,
};
use crate::checks::{check_required, db_name};
use crate::params::decimal;
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ClientToken, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ModifyDatabaseNodesNumber,
    name: "ModifyDatabaseNodesNumber",
    aliases: &[],
    section: Section::Databases,
    description: "Scales a database out or in.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "instance is not locked"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::integer(
            "ActionType",
            "Direction of the change; the target tells it.",
        ),
        ParameterSpec::text("Parameter", "Target number of nodes."),
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
            "InvalidParameter.Malformed",
            400,
            "Parameter is not 1 to 128",
        ),
        ErrorSpec::new(
            "InvalidNodeNumber.ValueNotSupported",
            400,
            "1 for a database over several nodes, more nodes than it has partitions, or any for one \
             that is on a single node",
        ),
        ErrorSpec::new(
            "InvalidActionType.Malformed",
            400,
            "ActionType is no number",
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
        ("Parameter", "1"),
    ],
};

/// A checked ModifyDatabaseNodesNumber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModifyDatabaseNodesNumberRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// The number of nodes that it shall have, 1 to 128.
    pub node_number: u32,
    /// Idempotency key.
    pub client_token: Option<ClientToken>,
}

impl ApiRequest for ModifyDatabaseNodesNumberRequest {
    const ACTION: Action = Action::ModifyDatabaseNodesNumber;
    type Response = EmptyResponse;

    /// No document says what ActionType and Parameter mean. Parameter is taken as the target
    /// number, which tells the direction, so that ActionType need only be a number.
    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        let instance_id = params.instance_id()?;
        let db_name = db_name(params, "DBName")?;
        let is_number = |text: &str| text.parse::<i64>().is_ok();
        if !params.get("ActionType").is_none_or(is_number) {
            return Err(ApiError::malformed("ActionType"));
        }
        let node_number = decimal(params.required("Parameter")?)
            .filter(|number| (1..=128).contains(number))
            .ok_or_else(|| ApiError::malformed("Parameter"))?;
        params.boolean("AutoPay")?;
        Ok(Self {
            instance_id,
            db_name,
            node_number,
            client_token: params.client_token()?,
        })
    }
}
