//! ResetAccountPassword.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ResetAccountPassword,
    name: "ResetAccountPassword",
    aliases: &[],
    section: Section::Accounts,
    description: "Sets a new password for an account without the old one.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::CarriesSecret,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("AccountName", "Account.").required(),
        ParameterSpec::text("NewPassword", "New password.")
            .required()
            .secret()
            .constraints(
                "8-32 characters; at least three of the four classes upper-case, \
                lower-case, digit, special; special characters are ! @ # $ % ^ & * ( ) _ + - =",
            ),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        ErrorSpec::new("InvalidAccountName.NotFound", 404, "no such account"),
        ErrorSpec::new(
            "InvalidNewPassword.Malformed",
            400,
            "new password breaks the rules",
        ),
        ErrorSpec::new("OperationDenied.AccountStatus", 403, "account not ACTIVE"),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("AccountName", "{AccountName}"),
        ("NewPassword", "Passw0rd!"),
    ],
    availability: Availability::Planned,
};
