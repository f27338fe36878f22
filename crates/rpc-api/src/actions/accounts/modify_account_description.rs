//! ModifyAccountDescription.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ModifyAccountDescription,
    name: "ModifyAccountDescription",
    aliases: &[],
    section: Section::Accounts,
    description: "Changes the remark of an account.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE"],
    parameters: &[
        ParameterSpec::text(
            "DBInstanceId",
            "Instance identifier (these newer actions use the name DBInstanceId).",
        )
        .required()
        .aliases(&["InstanceId"]),
        ParameterSpec::text("AccountName", "Account.").required(),
        ParameterSpec::text("AccountDescription", "New remark.")
            .required()
            .constraints("as in CreateAccount"),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        ErrorSpec::new("InvalidAccountName.NotFound", 404, "no such account"),
        ErrorSpec::new("InvalidAccountDescription.Malformed", 400, "bad remark"),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("DBInstanceId", "{InstanceId}"),
        ("AccountName", "{AccountName}"),
        ("AccountDescription", "Orders-team"),
    ],
    availability: Availability::Planned,
};
