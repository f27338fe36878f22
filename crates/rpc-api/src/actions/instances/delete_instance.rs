//! DeleteInstance.

use crate::Action;
use crate::actions::common::{
    CLIENT_TOKEN, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID, TOKEN_MISMATCH,
};
use crate::spec::{ActionSpec, Availability, HttpsRule, RamResource, Section};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DeleteInstance,
    name: "DeleteInstance",
    aliases: &[],
    section: Section::Instances,
    description: "Releases an instance and destroys the data of all its databases.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "instance is not locked"],
    parameters: &[INSTANCE_ID, CLIENT_TOKEN],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        TOKEN_MISMATCH,
        FORBIDDEN_RAM,
    ],
    availability: Availability::Available,
};
