//! ModifySecurityIPs.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ModifySecurityIPs,
    name: "ModifySecurityIPs",
    aliases: &["ModifySecurityIps"],
    section: Section::Instances,
    description: "Replaces, extends or shrinks one whitelist group of an instance.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "instance is not locked", "at most 50 groups per instance", "at most 1000 entries per group"],
    parameters: &[INSTANCE_ID, ParameterSpec::text("ModifyMode", "0 overwrite, 1 append, 2 delete.").default("0").allowed(&["0", "1", "2"]), ParameterSpec::text("SecurityIPList", "Entries, comma-separated.").aliases(&["SecurityIps"]).constraints("at most 1000 entries; each an IPv4 address or IPv4/prefix with prefix in [1,32], or the literal 0.0.0.0/0; host bits may be set, as in 10.23.12.24/24"), ParameterSpec::text("SecurityIPListName", "Group to change.").default("default"), ParameterSpec::text("SecurityIPListAttribute", "Group label; hidden hides the group in a console.")],
    response: &[REQUEST_ID, FieldSpec::text("InstanceId", "Instance identifier."), FieldSpec::text("SecurityIPList", "Content of the changed group after the change.")],
    errors: &[MISSING_PARAMETER, INSTANCE_NOT_FOUND, INSTANCE_STATUS, INSTANCE_LOCKED, ErrorSpec::new("InvalidModifyMode.ValueNotSupported", 400, "mode not 0, 1 or 2"), ErrorSpec::new("InvalidSecurityIPList.Malformed", 400, "an entry is not an address or CIDR block"), ErrorSpec::new("InvalidSecurityIPList.Duplicate", 400, "an appended or listed entry occurs twice"), ErrorSpec::new("InvalidSecurityIPListLength.Malformed", 400, "more than 1000 entries"), ErrorSpec::new("InvalidSecurityIps.Duplicate", 400, "more than 50 groups"), FORBIDDEN_RAM],
    availability: Availability::Available,
};
