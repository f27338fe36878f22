//! AddBuDBInstanceRelation.

use openpeta_types::{BusinessUnit, InstanceId};

use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::check_required;
use crate::spec::{
    ActionSpec, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::AddBuDBInstanceRelation,
    name: "AddBuDBInstanceRelation",
    aliases: &[],
    section: Section::Instances,
    description: "Links an instance to a business unit.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE (from the state rule of 12.4)"],
    parameters: &[
        ParameterSpec::text("BusinessUnit", "Business unit; replaces an earlier one.")
            .required()
            .constraints("1-64 characters of any kind but controls"),
        INSTANCE_ID,
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("BusinessUnit", "Business unit."),
        FieldSpec::text(
            "DBInstanceName",
            "Display name of the instance; its identifier when it has none.",
        ),
    ],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        ErrorSpec::new(
            "InvalidBusinessUnit.Malformed",
            400,
            "longer than 64 characters, or with control characters",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[("BusinessUnit", "retail"), ("InstanceId", "{InstanceId}")],
};

/// A checked AddBuDBInstanceRelation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddBuDBInstanceRelationRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The business unit that it belongs to from now on.
    pub business_unit: BusinessUnit,
}

impl ApiRequest for AddBuDBInstanceRelationRequest {
    const ACTION: Action = Action::AddBuDBInstanceRelation;
    type Response = AddBuDBInstanceRelationResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        let name = "BusinessUnit";
        check_required(Self::ACTION, params)?;
        Ok(Self {
            business_unit: BusinessUnit::parse(params.required(name)?)
                .map_err(|_| ApiError::malformed(name))?,
            instance_id: params.instance_id()?,
        })
    }
}

/// The answer to AddBuDBInstanceRelation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddBuDBInstanceRelationResponse {
    /// The business unit.
    pub business_unit: BusinessUnit,
    /// The instance's display name, or its id when it has none.
    pub db_instance_name: String,
}

impl ApiResponse for AddBuDBInstanceRelationResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.text("BusinessUnit", self.business_unit.as_str());
        writer.text("DBInstanceName", &self.db_instance_name);
    }
}
