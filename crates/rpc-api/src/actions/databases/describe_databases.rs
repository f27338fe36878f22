//! DescribeDatabases.

use jiff::Timestamp;
use openpeta_types::{ChargeType, DbName, InstanceId, NodeSpec, ObjectStatus};

use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{ActionSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeDatabases,
    name: "DescribeDatabases",
    aliases: &[],
    section: Section::Databases,
    description: "Lists the databases of an instance.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[INSTANCE_ID, ParameterSpec::text("DBName", "Filter.")],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::list(
            "Databases",
            "Database",
            &[
                FieldSpec::text("InstanceId", "Instance identifier."),
                FieldSpec::text("DBName", "Database name."),
                FieldSpec::text("DBStatus", "Status of the database.").allowed(&[
                    "CREATE", "ACTIVE", "MODIFY", "DELETE", "MIGRATE", "APPEND", "INACTIVE",
                ]),
                FieldSpec::text("NodeSpec", "Node class."),
                FieldSpec::integer("NodeNumber", "Number of nodes."),
                FieldSpec::text("ChargeType", "Billing mode.").allowed(&["PrePaid", "PostPaid"]),
                FieldSpec::time("CreateTime", "Time of creation."),
                FieldSpec::time("EndTime", "Expiry, 2999-09-08T16:00:00Z for PostPaid."),
                FieldSpec::text("DBType", "Role of the database.").allowed(&["Primary"]),
                FieldSpec::text(
                    "SourceInstanceId",
                    "Empty text when the database was not restored from elsewhere.",
                ),
            ],
            "Databases.",
        ),
    ],
    errors: &[MISSING_PARAMETER, INSTANCE_NOT_FOUND, FORBIDDEN_RAM],
    example: &[("InstanceId", "{InstanceId}")],
};

/// A checked DescribeDatabases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeDatabasesRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// Only this database. As sent: a name that none can have gives an empty list.
    pub db_name: Option<String>,
}

impl ApiRequest for DescribeDatabasesRequest {
    const ACTION: Action = Action::DescribeDatabases;
    type Response = DescribeDatabasesResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: params.get("DBName").map(str::to_owned),
        })
    }
}

/// The answer to DescribeDatabases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeDatabasesResponse {
    /// The instance.
    pub instance_id: InstanceId,
    /// Its databases.
    pub databases: Vec<DatabaseItem>,
}

/// A database in a list. Its role is always Primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseItem {
    /// Its name.
    pub db_name: DbName,
    /// Its status.
    pub db_status: ObjectStatus,
    /// Its node spec.
    pub node_spec: NodeSpec,
    /// Its number of nodes.
    pub node_number: u32,
    /// Its billing mode.
    pub charge_type: ChargeType,
    /// When it was ordered.
    pub create_time: Timestamp,
    /// When it expires.
    pub end_time: Timestamp,
    /// The instance that it was restored from.
    pub source_instance_id: Option<InstanceId>,
}

impl ApiResponse for DescribeDatabasesResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.text("InstanceId", self.instance_id.as_str());
        writer.list(
            "Databases",
            "Database",
            &self.databases,
            |writer, database| {
                let source = database.source_instance_id.as_ref().map(InstanceId::as_str);
                writer.text("InstanceId", self.instance_id.as_str());
                writer.text("DBName", database.db_name.as_str());
                writer.text("DBStatus", database.db_status.as_str());
                writer.text("NodeSpec", database.node_spec.as_str());
                writer.integer("NodeNumber", database.node_number.into());
                writer.text("ChargeType", database.charge_type.as_str());
                writer.time("CreateTime", database.create_time);
                writer.time("EndTime", database.end_time);
                writer.text("DBType", "Primary");
                writer.text("SourceInstanceId", source.unwrap_or_default());
            },
        );
    }
}
