//! Which action is carried out by which file. The compiler sees to it that none is missing.

use openpeta_rpc_api::Action;

use super::Handler::{self, Change, Read, SlowChange, SlowRead};
use super::{accounts, backups, databases, instances, monitoring, orders, regions, tables, tags};

/// How an action is carried out.
pub(super) fn handler(action: Action) -> Handler {
    match action {
        Action::CreateInstance => Change(instances::create_instance::handle),
        Action::DeleteInstance => Change(instances::delete_instance::handle),
        Action::ModifyInstanceName => Change(instances::modify_instance_name::handle),
        Action::DescribeInstances => Read(instances::describe_instances::handle),
        Action::DescribeInstanceInfo => Read(instances::describe_instance_info::handle),
        Action::DescribeTasks => Read(instances::describe_tasks::handle),
        Action::DescribeTaskStatus => Read(instances::describe_task_status::handle),
        Action::DescribeSecurityIPs => Read(instances::describe_security_ips::handle),
        Action::ModifySecurityIPs => Change(instances::modify_security_ips::handle),
        Action::DeleteDatabase => SlowChange(databases::delete_database::handle),
        Action::ModifyDatabaseNodesSpec => {
            SlowChange(databases::modify_database_nodes_spec::handle)
        }
        Action::DescribeDatabaseList => Read(databases::describe_database_list::handle),
        Action::CreateDatabase => SlowChange(databases::create_database::handle),
        Action::ModifyDatabaseNodesNumber => {
            Change(databases::modify_database_nodes_number::handle)
        }
        Action::DescribeDatabasePartitions => {
            SlowRead(databases::describe_database_partitions::handle)
        }
        Action::SwitchInstanceNetType => Change(instances::switch_instance_net_type::handle),
        Action::AllocateInstancePublicConnection => {
            Change(instances::allocate_instance_public_connection::handle)
        }
        Action::ReleaseInstancePublicConnection => {
            Change(instances::release_instance_public_connection::handle)
        }
        Action::AddBuDBInstanceRelation => Change(instances::add_bu_db_instance_relation::handle),
        Action::DescribeInstanceInfoByConnection => {
            Read(instances::describe_instance_info_by_connection::handle)
        }
        Action::DescribeDatabases => Read(databases::describe_databases::handle),
        Action::CreateAccount => SlowChange(accounts::create_account::handle),
        Action::DeleteAccount => SlowChange(accounts::delete_account::handle),
        Action::DescribeAccounts => SlowRead(accounts::describe_accounts::handle),
        Action::CreateDatabaseBackup => Change(backups::create_database_backup::handle),
        Action::DescribeDatabaseBackup => Read(backups::describe_database_backup::handle),
        Action::RestoreDatabase => SlowChange(backups::restore_database::handle),
        Action::ModifyBackupPolicy => Change(backups::modify_backup_policy::handle),
        Action::DescribeBackupPolicy => Read(backups::describe_backup_policy::handle),
        Action::ModifyAccountPassword => Change(accounts::modify_account_password::handle),
        Action::ResetAccountPassword => Change(accounts::reset_account_password::handle),
        Action::GrantAccountPrivilege => SlowChange(accounts::grant_account_privilege::handle),
        Action::RevokeAccountPrivilege => SlowChange(accounts::revoke_account_privilege::handle),
        Action::ModifyAccountDescription => Change(accounts::modify_account_description::handle),
        Action::DescribeUserInfo => Read(accounts::describe_user_info::handle),
        Action::DescribePrice => Read(orders::describe_price::handle),
        Action::DescribeCommodity => Read(orders::describe_commodity::handle),
        Action::ListTagResources => Read(tags::list_tag_resources::handle),
        Action::TagResources => Change(tags::tag_resources::handle),
        Action::UntagResources => Change(tags::untag_resources::handle),
        Action::DescribeTables => SlowRead(tables::describe_tables::handle),
        Action::DescribeTableInfo => SlowRead(tables::describe_table_info::handle),
        Action::CreateTable => SlowChange(tables::create_table::handle),
        Action::ModifyTable => SlowChange(tables::modify_table::handle),
        Action::DeleteTable => SlowChange(tables::delete_table::handle),
        Action::TruncateTable => SlowChange(tables::truncate_table::handle),
        Action::CreateIndex => SlowChange(tables::create_index::handle),
        Action::DeleteIndex => SlowChange(tables::delete_index::handle),
        Action::DescribeDatabasePerformance => {
            Read(monitoring::describe_database_performance::handle)
        }
        Action::DescribeDatabaseResourceUsage => {
            SlowRead(monitoring::describe_database_resource_usage::handle)
        }
        Action::DescribeInstancePerformance => {
            Read(monitoring::describe_instance_performance::handle)
        }
        Action::DescribeInstanceResourceUsage => {
            SlowRead(monitoring::describe_instance_resource_usage::handle)
        }
        Action::DescribeMonitorItems => Read(monitoring::describe_monitor_items::handle),
        Action::DescribeRegions => Read(regions::describe_regions::handle),
        Action::SwitchBackupDatabase => Change(backups::switch_backup_database::handle),
    }
}
