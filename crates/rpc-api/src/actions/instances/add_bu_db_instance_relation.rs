//! AddBuDBInstanceRelation.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

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
    preconditions: &[],
    parameters: &[
        ParameterSpec::text("BusinessUnit", "Business unit.").required(),
        INSTANCE_ID,
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("BusinessUnit", "Business unit."),
        FieldSpec::text("DBInstanceName", "Instance."),
    ],
    errors: &[MISSING_PARAMETER, INSTANCE_NOT_FOUND, FORBIDDEN_RAM],
    example: &[("BusinessUnit", "retail"), ("InstanceId", "{InstanceId}")],
    availability: Availability::Planned,
};
