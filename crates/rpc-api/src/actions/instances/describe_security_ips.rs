//! DescribeSecurityIPs.

use openpeta_types::{DEFAULT_GROUP, InstanceId, WhitelistGroup};

use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{ActionSpec, FieldSpec, HttpsRule, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeSecurityIPs,
    name: "DescribeSecurityIPs",
    aliases: &[],
    section: Section::Instances,
    description: "Lists the whitelist groups of an instance.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[INSTANCE_ID],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::text(
            "SecurityIPList",
            "Content of the default group, comma-separated.",
        ),
        FieldSpec::list(
            "SecurityIPs",
            "SecurityIpGroup",
            &[
                FieldSpec::text("SecurityIPListName", "Group name."),
                FieldSpec::text("SecurityIPListAttribute", "Group label, may be empty."),
                FieldSpec::text("SecurityIPList", "Comma-separated entries."),
            ],
            "Whitelist groups.",
        ),
    ],
    errors: &[MISSING_PARAMETER, INSTANCE_NOT_FOUND, FORBIDDEN_RAM],
    example: &[("InstanceId", "{InstanceId}")],
};

/// A checked DescribeSecurityIPs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeSecurityIPsRequest {
    /// The instance.
    pub instance_id: InstanceId,
}

impl ApiRequest for DescribeSecurityIPsRequest {
    const ACTION: Action = Action::DescribeSecurityIPs;
    type Response = DescribeSecurityIPsResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        Ok(Self {
            instance_id: params.instance_id()?,
        })
    }
}

/// The answer to DescribeSecurityIPs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeSecurityIPsResponse {
    /// The instance.
    pub instance_id: InstanceId,
    /// Its whitelist groups, the default one included.
    pub groups: Vec<WhitelistGroup>,
}

impl ApiResponse for DescribeSecurityIPsResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        let default = self.groups.iter().find(|group| group.name == DEFAULT_GROUP);
        let default = default
            .map(WhitelistGroup::entries_text)
            .unwrap_or_default();
        writer.text("InstanceId", self.instance_id.as_str());
        writer.text("SecurityIPList", &default);
        writer.list(
            "SecurityIPs",
            "SecurityIpGroup",
            &self.groups,
            |writer, group| {
                writer.text("SecurityIPListName", &group.name);
                writer.text("SecurityIPListAttribute", &group.attribute);
                writer.text("SecurityIPList", &group.entries_text());
            },
        );
    }
}
