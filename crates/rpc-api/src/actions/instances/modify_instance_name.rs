//! ModifyInstanceName.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ModifyInstanceName,
    name: "ModifyInstanceName",
    aliases: &[],
    section: Section::Instances,
    description: "Changes the display name of an instance. The identifier never changes.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[
        "instance status is ACTIVE (from the state rule of 12.4; not repeated in 7.3)",
    ],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("NewInstanceName", "New display name.")
            .required()
            .constraints("<= 256 characters"),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        ErrorSpec::new(
            "InvalidNewInstanceName.Malformed",
            400,
            "longer than 256 characters",
        ),
        FORBIDDEN_RAM,
    ],
    availability: Availability::Available,
};
