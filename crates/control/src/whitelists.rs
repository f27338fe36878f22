//! IP whitelists of an instance (API document 7.8 and 7.9).

use openpeta_rpc_api::instances::{
    DescribeSecurityIPsRequest, DescribeSecurityIPsResponse, ModifyMode, ModifySecurityIPsRequest,
    ModifySecurityIPsResponse,
};
use openpeta_rpc_api::{Action, ApiError};
use openpeta_store::Writer;
use openpeta_types::{
    DEFAULT_GROUP, MAX_ENTRIES_PER_GROUP, MAX_GROUPS_PER_INSTANCE, WhitelistEntry, WhitelistGroup,
};

use crate::authorize::require_unlocked;
use crate::{Caller, Control, ControlError, MutatingCall, audit};

impl Control {
    /// DescribeSecurityIPs: the whitelist groups of an instance.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `Forbidden.RAM`.
    pub fn describe_security_ips(
        &self,
        caller: &Caller,
        request: &DescribeSecurityIPsRequest,
    ) -> Result<DescribeSecurityIPsResponse, ControlError> {
        let id = &request.instance_id;
        let groups = self.parts.store.read(|reader| {
            self.instance(reader, caller, Action::DescribeSecurityIPs, id)?;
            Ok::<_, ControlError>(reader.whitelist_groups(id)?)
        })?;
        Ok(DescribeSecurityIPsResponse {
            instance_id: id.clone(),
            groups,
        })
    }

    /// ModifySecurityIPs: changes one whitelist group. When it returns, the gateway admits by
    /// the new list, and sessions from addresses that are no longer on it are closed.
    ///
    /// # Errors
    /// Those of the action's table; the list is unchanged then.
    pub fn modify_security_ips(
        &self,
        call: &MutatingCall,
        request: &ModifySecurityIPsRequest,
    ) -> Result<ModifySecurityIPsResponse, ControlError> {
        let id = &request.instance_id;
        let entries = self.parts.store.write(|writer| {
            let instance = self.active_instance(writer, &call.caller, call.action, id)?;
            require_unlocked(&instance)?;
            let entries = change_group(writer, request)?;
            audit::record(writer, call, Some(id), None)?;
            Ok::<_, ControlError>(entries)
        })?;
        self.parts.publish(id).map_err(ControlError::after_commit)?;
        Ok(ModifySecurityIPsResponse {
            instance_id: id.clone(),
            security_ip_list: entries,
        })
    }
}

/// Makes the change; returns the group's entries after it.
fn change_group(
    writer: &Writer<'_>,
    request: &ModifySecurityIPsRequest,
) -> Result<String, ControlError> {
    let id = &request.instance_id;
    let groups = writer.whitelist_groups(id)?;
    let current = groups
        .iter()
        .find(|group| group.name == request.group)
        .cloned();
    if current.is_none()
        && request.mode != ModifyMode::Delete
        && groups.len() >= MAX_GROUPS_PER_INSTANCE
    {
        return Err(ApiError::security_ip_group_quota().into());
    }
    let mut group = current.unwrap_or_else(|| WhitelistGroup {
        name: request.group.clone(),
        attribute: String::new(),
        entries: Vec::new(),
    });
    if let Some(attribute) = &request.attribute {
        group.attribute.clone_from(attribute);
    }
    match request.mode {
        ModifyMode::Overwrite => group.entries.clone_from(&request.entries),
        ModifyMode::Append => append(&mut group.entries, &request.entries)?,
        ModifyMode::Delete if request.entries.is_empty() => group.entries.clear(),
        ModifyMode::Delete => group
            .entries
            .retain(|entry| !contains(&request.entries, entry)),
    }
    // The default group cannot vanish: left without an entry it admits this machine alone.
    if group.entries.is_empty() && group.name == DEFAULT_GROUP {
        group
            .entries
            .push(WhitelistEntry::parse("127.0.0.1").expect("an address"));
    }
    if group.entries.is_empty() {
        writer.delete_whitelist_group(id, &group.name)?;
    } else {
        writer.put_whitelist_group(id, &group)?;
    }
    Ok(group.entries_text())
}

fn append(entries: &mut Vec<WhitelistEntry>, added: &[WhitelistEntry]) -> Result<(), ControlError> {
    if added.iter().any(|entry| contains(entries, entry)) {
        return Err(ApiError::security_ip_duplicate().into());
    }
    if entries.len() + added.len() > MAX_ENTRIES_PER_GROUP {
        return Err(ApiError::security_ip_list_too_long().into());
    }
    entries.extend_from_slice(added);
    Ok(())
}

fn contains(entries: &[WhitelistEntry], wanted: &WhitelistEntry) -> bool {
    entries.iter().any(|entry| entry.same_block(wanted))
}

#[cfg(test)]
mod tests {
    use openpeta_rpc_api::{ApiRequest, Params};
    use openpeta_types::InstanceId;

    use super::*;
    use crate::testing::{TestEngine, World};

    /// Makes a change; the group's entries after it, or the code of the refusal.
    fn modify(world: &World, id: &InstanceId, changes: &[(&str, &str)]) -> String {
        let mut pairs = vec![("InstanceId", id.as_str())];
        pairs.extend_from_slice(changes);
        let params = Params::from_pairs(pairs).expect("unique names");
        let request = ModifySecurityIPsRequest::from_params(&params).expect("well formed");
        let call = world.call(Action::ModifySecurityIPs);
        match world.control.modify_security_ips(&call, &request) {
            Ok(response) => response.security_ip_list,
            Err(error) => error.api.code.into_owned(),
        }
    }

    fn admits(world: &World, id: &InstanceId, address: &str) -> bool {
        let route = world.gateway.route(id).expect("a route");
        route.whitelist.admits(address.parse().expect("an address"))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn groups_are_overwritten_extended_and_shrunk() {
        let engine = TestEngine::new().await;
        let world = World::new(&engine);
        let id = world.order();
        let list = |mode, entries| [("ModifyMode", mode), ("SecurityIPList", entries)];
        assert_eq!(
            modify(&world, &id, &list("0", "10.0.0.1")),
            "OperationDenied.DBInstanceStatus",
            "it is being created"
        );
        world.run_tasks().await;
        assert_eq!(modify(&world, &id, &list("0", "10.0.0.1")), "10.0.0.1");
        assert!(admits(&world, &id, "10.0.0.1") && !admits(&world, &id, "127.0.0.1"));
        let extended = modify(&world, &id, &list("1", "10.0.1.0/24"));
        assert_eq!(extended, "10.0.0.1,10.0.1.0/24");
        assert_eq!(
            modify(&world, &id, &list("1", "10.0.1.9/24")),
            "InvalidSecurityIPList.Duplicate"
        );
        assert_eq!(modify(&world, &id, &list("2", "10.0.0.1")), "10.0.1.0/24");
        // The default group falls back to this machine; another one goes.
        assert_eq!(modify(&world, &id, &[("ModifyMode", "2")]), "127.0.0.1");
        let named = |mode| {
            [
                ("ModifyMode", mode),
                ("SecurityIPListName", "office"),
                ("SecurityIPList", "10.9.0.0/16"),
            ]
        };
        assert_eq!(modify(&world, &id, &named("0")), "10.9.0.0/16");
        assert!(admits(&world, &id, "10.9.8.7") && admits(&world, &id, "127.0.0.1"));
        assert_eq!(modify(&world, &id, &named("2")), "");
        let groups = world
            .parts
            .store
            .read(|reader| reader.whitelist_groups(&id));
        assert_eq!(groups.expect("the store works").len(), 1);
        assert!(!admits(&world, &id, "10.9.8.7"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_instance_has_fifty_groups_at_most() {
        let engine = TestEngine::new().await;
        let world = World::new(&engine);
        let id = world.order();
        world.run_tasks().await;
        for number in 1..MAX_GROUPS_PER_INSTANCE {
            let name = format!("group{number}");
            let added = [
                ("SecurityIPListName", &*name),
                ("SecurityIPList", "10.0.0.1"),
            ];
            assert_eq!(modify(&world, &id, &added), "10.0.0.1");
        }
        let beyond = [
            ("SecurityIPListName", "more"),
            ("SecurityIPList", "10.0.0.1"),
        ];
        assert_eq!(modify(&world, &id, &beyond), "InvalidSecurityIps.Duplicate");
    }
}
