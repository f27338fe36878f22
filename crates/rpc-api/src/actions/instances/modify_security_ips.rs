//! ModifySecurityIPs.

use openpeta_types::{DEFAULT_GROUP, InstanceId, WhitelistEntry};

use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::whitelist_entries;
use crate::spec::{
    ActionSpec, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

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
    preconditions: &[
        "instance status is ACTIVE",
        "instance is not locked",
        "at most 50 groups per instance",
        "at most 1000 entries per group",
    ],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("ModifyMode", "0 overwrite, 1 append, 2 delete.")
            .default("0")
            .allowed(&["0", "1", "2"]),
        ParameterSpec::text(
            "SecurityIPList",
            "Entries, comma-separated; must be given in modes 0 and 1.",
        )
        .aliases(&["SecurityIps"])
        .constraints(
            "at most 1000 entries; each an IPv4 address or IPv4/prefix with prefix in \
            [1,32], or the literal 0.0.0.0/0; host bits may be set, as in 10.23.12.24/24",
        ),
        ParameterSpec::text("SecurityIPListName", "Group to change.")
            .constraints("at most 64 letters, digits, underscores and hyphens")
            .pattern("^[A-Za-z0-9_-]{1,64}$")
            .default("default"),
        ParameterSpec::text(
            "SecurityIPListAttribute",
            "Group label; hidden hides the group in a console.",
        )
        .length(1, 64),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::text(
            "SecurityIPList",
            "Content of the changed group after the change.",
        ),
    ],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        ErrorSpec::new(
            "InvalidModifyMode.ValueNotSupported",
            400,
            "mode not 0, 1 or 2",
        ),
        ErrorSpec::new(
            "InvalidSecurityIPList.Malformed",
            400,
            "an entry is not an address or CIDR block",
        ),
        ErrorSpec::new(
            "InvalidSecurityIPList.Duplicate",
            400,
            "an appended or listed entry occurs twice",
        ),
        ErrorSpec::new(
            "InvalidSecurityIPListLength.Malformed",
            400,
            "more than 1000 entries",
        ),
        ErrorSpec::new("InvalidSecurityIps.Duplicate", 400, "more than 50 groups"),
        ErrorSpec::new("InvalidSecurityIPListName.Malformed", 400, "bad group name"),
        ErrorSpec::new(
            "InvalidSecurityIPListAttribute.Malformed",
            400,
            "bad group label",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("ModifyMode", "0"),
        ("SecurityIPList", "127.0.0.1,10.0.0.0/8"),
    ],
};

/// A checked ModifySecurityIPs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModifySecurityIPsRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// What to do with the entries.
    pub mode: ModifyMode,
    /// The entries; empty only with [`ModifyMode::Delete`], which then removes the group.
    pub entries: Vec<WhitelistEntry>,
    /// The group to change.
    pub group: String,
    /// The group's new label; none when the call does not mention it.
    pub attribute: Option<String>,
}

/// What ModifySecurityIPs does with its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModifyMode {
    /// They replace those of the group.
    Overwrite,
    /// They come in addition.
    Append,
    /// They are removed from the group.
    Delete,
}

impl ModifyMode {
    /// Reads the digit that stands for a mode.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "0" => Some(Self::Overwrite),
            "1" => Some(Self::Append),
            "2" => Some(Self::Delete),
            _ => None,
        }
    }
}

impl ApiRequest for ModifySecurityIPsRequest {
    const ACTION: Action = Action::ModifySecurityIPs;
    type Response = ModifySecurityIPsResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        let instance_id = params.instance_id()?;
        let mode = params.choice("ModifyMode", ModifyMode::parse)?;
        let mode = mode.unwrap_or(ModifyMode::Overwrite);
        let entries = match params.any_of("SecurityIPList", &["SecurityIps"])? {
            Some(text) => whitelist_entries(text)?,
            None if mode == ModifyMode::Delete => Vec::new(),
            // An empty whitelist by omission would lock everybody out, or let everybody in.
            None => return Err(ApiError::missing_parameter("SecurityIPList")),
        };
        Ok(Self {
            instance_id,
            mode,
            entries,
            group: group_name(params.get("SecurityIPListName"))?,
            attribute: params
                .get("SecurityIPListAttribute")
                .map(attribute)
                .transpose()?,
        })
    }
}

/// The name of a group: 1 to 64 letters, digits, underscores and hyphens. The default group
/// is meant in any case.
fn group_name(text: Option<&str>) -> Result<String, ApiError> {
    let text = text.unwrap_or(DEFAULT_GROUP);
    if text.eq_ignore_ascii_case(DEFAULT_GROUP) {
        return Ok(DEFAULT_GROUP.to_owned());
    }
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if text.len() <= 64 && text.bytes().all(valid) {
        Ok(text.to_owned())
    } else {
        Err(ApiError::malformed("SecurityIPListName"))
    }
}

/// The label of a group: at most 64 characters, no controls.
fn attribute(text: &str) -> Result<String, ApiError> {
    if text.chars().count() <= 64 && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(ApiError::malformed("SecurityIPListAttribute"))
    }
}

/// The answer to ModifySecurityIPs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModifySecurityIPsResponse {
    /// The instance.
    pub instance_id: InstanceId,
    /// Entries of the changed group after the change, comma-separated.
    pub security_ip_list: String,
}

impl ApiResponse for ModifySecurityIPsResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.text("InstanceId", self.instance_id.as_str());
        writer.text("SecurityIPList", &self.security_ip_list);
    }
}
