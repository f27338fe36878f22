//! Instances, their tasks and whitelists.

pub(super) mod add_bu_db_instance_relation;
pub(super) mod allocate_instance_public_connection;
pub(super) mod create_instance;
pub(super) mod delete_instance;
pub(super) mod describe_instance_info;
pub(super) mod describe_instance_info_by_connection;
pub(super) mod describe_instances;
pub(super) mod describe_security_ips;
pub(super) mod describe_task_status;
pub(super) mod describe_tasks;
pub(super) mod modify_instance_name;
pub(super) mod modify_security_ips;
pub(super) mod release_instance_public_connection;
pub(super) mod switch_instance_net_type;
