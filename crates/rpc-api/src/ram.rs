//! The words that RAM policies use.

use openpeta_types::{AccountId, InstanceId};

use crate::{Action, PRODUCT};

/// The action as policies spell it: `petadata:<Action>`.
#[must_use]
pub fn ram_action(action: Action) -> String {
    format!("{PRODUCT}:{}", action.name())
}

/// The resource as policies spell it:
/// `acs:petadata:<region>:<account>:dbinstance/<instance>`, with `*` when no instance is meant.
#[must_use]
pub fn ram_resource(
    region_id: &str,
    account_id: AccountId,
    instance_id: Option<&InstanceId>,
) -> String {
    let instance = instance_id.map_or("*", InstanceId::as_str);
    format!("acs:{PRODUCT}:{region_id}:{account_id}:dbinstance/{instance}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_find_their_words() {
        let account = AccountId::parse("1234567890123456").expect("valid");
        let instance = InstanceId::parse("pd-abcdefg62469a").expect("valid");
        assert_eq!(
            ram_action(Action::ModifySecurityIPs),
            "petadata:ModifySecurityIPs"
        );
        assert_eq!(
            ram_resource("cn-hangzhou", account, Some(&instance)),
            "acs:petadata:cn-hangzhou:1234567890123456:dbinstance/pd-abcdefg62469a"
        );
        assert_eq!(
            ram_resource("cn-hangzhou", account, None),
            "acs:petadata:cn-hangzhou:1234567890123456:dbinstance/*"
        );
    }
}
