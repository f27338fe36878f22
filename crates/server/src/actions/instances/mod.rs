//! Instances, their tasks and whitelists.

pub(super) mod create_instance;
pub(super) mod delete_instance;
pub(super) mod describe_instance_info;
pub(super) mod describe_instances;
pub(super) mod describe_security_ips;
pub(super) mod describe_task_status;
pub(super) mod describe_tasks;
pub(super) mod modify_instance_name;
pub(super) mod modify_security_ips;
