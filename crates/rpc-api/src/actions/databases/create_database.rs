//! CreateDatabase.

use openpeta_types::{DbName, InstanceId, OrderId};

use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID, TOKEN_MISMATCH,
};
use crate::checks::{check_required, new_db_name, node_number};
use crate::spec::{
    ActionSpec, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};
use crate::{Action, ApiError, ApiRequest, ApiResponse, ClientToken, FieldWriter, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::CreateDatabase,
    name: "CreateDatabase",
    aliases: &[],
    section: Section::Databases,
    description: "Adds a database to an instance.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "instance is not locked"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.")
            .required()
            .constraints(
                "1-64 characters; first a lower-case letter; then lower-case letters, digits, \
                 underscore; not a reserved keyword; unique in the instance, also among \
                 databases made by SQL",
            ),
        ParameterSpec::text("NodeSpec", "Node class.").required(),
        ParameterSpec::integer("NodeNumber", "Number of nodes.").required(),
        ParameterSpec::text("Token", "Idempotency key.")
            .aliases(&["ClientToken"])
            .constraints("<= 64 ASCII characters, case-sensitive"),
    ],
    response: &[REQUEST_ID, FieldSpec::text("OrderId", "Order identifier.")],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        ErrorSpec::new("InvalidDBName.Malformed", 400, "bad name"),
        ErrorSpec::new("InvalidParameter.Keyword", 400, "reserved keyword"),
        ErrorSpec::new("InvalidDBName.Duplicate", 400, "name taken"),
        ErrorSpec::new("QuotaExceeded.DBName", 400, "database quota used up"),
        ErrorSpec::new(
            "InvalidNodeSpec.ValueNotSupported",
            400,
            "unknown node class",
        ),
        ErrorSpec::new(
            "InvalidDBInstanceClassInRegion.NotAvailable",
            403,
            "node class not on offer",
        ),
        ErrorSpec::new("InvalidNodeNumber.Malformed", 400, "not 1 to 128"),
        ErrorSpec::new(
            "InvalidNodeNumber.ValueNotSupported",
            400,
            "more nodes than are on offer: 64 for PrePaid, 128 for PostPaid, or fewer by the \
             configuration",
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
        ErrorSpec::new("OperationDenied", 403, "no capacity is left for its nodes"),
        ErrorSpec::new("InvalidToken.Malformed", 400, "bad Token"),
        TOKEN_MISMATCH,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("DBName", "{NewDBName}"),
        ("NodeSpec", "petadata.s2.xlarge"),
        ("NodeNumber", "1"),
    ],
};

/// A checked CreateDatabase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateDatabaseRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The new database.
    pub db_name: DbName,
    /// Node spec as sent; whether it is on offer is the configuration's matter.
    pub node_spec: String,
    /// Number of nodes, 1 to 128.
    pub node_number: u32,
    /// Idempotency key.
    pub client_token: Option<ClientToken>,
}

impl ApiRequest for CreateDatabaseRequest {
    const ACTION: Action = Action::CreateDatabase;
    type Response = CreateDatabaseResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: new_db_name(params.required("DBName")?)?,
            node_spec: params.required("NodeSpec")?.to_owned(),
            node_number: node_number(params.required("NodeNumber")?)?,
            client_token: params.token()?,
        })
    }
}

/// The answer to CreateDatabase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateDatabaseResponse {
    /// The order.
    pub order_id: OrderId,
}

impl ApiResponse for CreateDatabaseResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.display("OrderId", &self.order_id);
    }
}
