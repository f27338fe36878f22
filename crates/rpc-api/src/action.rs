//! The list of all actions.

use crate::ActionSpec;
use crate::actions::{
    accounts, backups, databases, instances, monitoring, orders, regions, tables, tags,
};

/// Declares the actions with the module that describes each.
macro_rules! actions {
    ($($action:ident = $section:ident::$module:ident,)+) => {
        /// An action of the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $(
                #[doc = concat!("`", stringify!($action), "`")]
                $action,
            )+
        }

        impl Action {
            /// Every action, section by section.
            pub const ALL: &'static [Self] = &[$(Self::$action),+];

            /// What is known about the action.
            #[must_use]
            pub fn spec(self) -> &'static ActionSpec {
                match self {
                    $(Self::$action => {
                        static SPEC: ActionSpec = $section::$module::SPEC;
                        &SPEC
                    })+
                }
            }
        }
    };
}

actions! {
    CreateInstance = instances::create_instance,
    DeleteInstance = instances::delete_instance,
    ModifyInstanceName = instances::modify_instance_name,
    DescribeInstances = instances::describe_instances,
    DescribeInstanceInfo = instances::describe_instance_info,
    DescribeTasks = instances::describe_tasks,
    DescribeTaskStatus = instances::describe_task_status,
    DescribeSecurityIPs = instances::describe_security_ips,
    ModifySecurityIPs = instances::modify_security_ips,
    SwitchInstanceNetType = instances::switch_instance_net_type,
    AllocateInstancePublicConnection = instances::allocate_instance_public_connection,
    ReleaseInstancePublicConnection = instances::release_instance_public_connection,
    AddBuDBInstanceRelation = instances::add_bu_db_instance_relation,
    DescribeInstanceInfoByConnection = instances::describe_instance_info_by_connection,
    DeleteDatabase = databases::delete_database,
    DescribeDatabases = databases::describe_databases,
    DescribeDatabasePartitions = databases::describe_database_partitions,
    CreateDatabase = databases::create_database,
    ModifyDatabaseNodesNumber = databases::modify_database_nodes_number,
    ModifyDatabaseNodesSpec = databases::modify_database_nodes_spec,
    DescribeDatabaseList = databases::describe_database_list,
    CreateAccount = accounts::create_account,
    DeleteAccount = accounts::delete_account,
    DescribeAccounts = accounts::describe_accounts,
    ModifyAccountPassword = accounts::modify_account_password,
    ResetAccountPassword = accounts::reset_account_password,
    DescribeUserInfo = accounts::describe_user_info,
    GrantAccountPrivilege = accounts::grant_account_privilege,
    RevokeAccountPrivilege = accounts::revoke_account_privilege,
    ModifyAccountDescription = accounts::modify_account_description,
    DescribeMonitorItems = monitoring::describe_monitor_items,
    DescribeInstancePerformance = monitoring::describe_instance_performance,
    DescribeDatabasePerformance = monitoring::describe_database_performance,
    DescribeInstanceResourceUsage = monitoring::describe_instance_resource_usage,
    DescribeDatabaseResourceUsage = monitoring::describe_database_resource_usage,
    DescribeDatabaseBackup = backups::describe_database_backup,
    ModifyBackupPolicy = backups::modify_backup_policy,
    DescribeBackupPolicy = backups::describe_backup_policy,
    RestoreDatabase = backups::restore_database,
    CreateDatabaseBackup = backups::create_database_backup,
    SwitchBackupDatabase = backups::switch_backup_database,
    DescribeTables = tables::describe_tables,
    DescribeTableInfo = tables::describe_table_info,
    CreateTable = tables::create_table,
    ModifyTable = tables::modify_table,
    DeleteTable = tables::delete_table,
    TruncateTable = tables::truncate_table,
    CreateIndex = tables::create_index,
    DeleteIndex = tables::delete_index,
    ListTagResources = tags::list_tag_resources,
    TagResources = tags::tag_resources,
    UntagResources = tags::untag_resources,
    DescribeRegions = regions::describe_regions,
    DescribePrice = orders::describe_price,
    DescribeCommodity = orders::describe_commodity,
}

impl Action {
    /// Finds an action by a name that a client sent, an alias included; case matters.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::find_spelling(name).map(|(action, _)| action)
    }

    /// As [`find`](Self::find), with the spelling that was found: answers name the action as
    /// the client did.
    #[must_use]
    pub fn find_spelling(name: &str) -> Option<(Self, &'static str)> {
        Self::ALL.iter().find_map(|&action| {
            let spec = action.spec();
            let mut spellings = std::iter::once(&spec.name).chain(spec.aliases);
            spellings
                .find(|spelling| **spelling == name)
                .map(|spelling| (action, *spelling))
        })
    }

    /// The action's name, as policies spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_spelling_finds_its_action() {
        let mut seen = HashSet::new();
        for &action in Action::ALL {
            let spec = action.spec();
            assert_eq!(spec.action, action);
            for &spelling in std::iter::once(&spec.name).chain(spec.aliases) {
                assert!(seen.insert(spelling), "{spelling} means two actions");
                assert_eq!(Action::find_spelling(spelling), Some((action, spelling)));
            }
        }
    }

    #[test]
    fn case_matters() {
        assert_eq!(
            Action::find("ModifySecurityIps"),
            Some(Action::ModifySecurityIPs)
        );
        for unknown in ["", "createinstance", "CreateInstance ", "ModifySecurityips"] {
            assert_eq!(Action::find(unknown), None, "{unknown}");
        }
    }
}
