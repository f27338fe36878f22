//! Instances: order, describe, change, release; their tasks, whitelists and endpoints.

pub(crate) mod add_bu_db_instance_relation;
pub(crate) mod allocate_instance_public_connection;
pub(crate) mod create_instance;
pub(crate) mod delete_instance;
pub(crate) mod describe_instance_info;
pub(crate) mod describe_instance_info_by_connection;
pub(crate) mod describe_instances;
pub(crate) mod describe_security_ips;
pub(crate) mod describe_task_status;
pub(crate) mod describe_tasks;
pub(crate) mod modify_instance_name;
pub(crate) mod modify_security_ips;
pub(crate) mod release_instance_public_connection;
pub(crate) mod switch_instance_net_type;

pub use add_bu_db_instance_relation::{
    AddBuDBInstanceRelationRequest, AddBuDBInstanceRelationResponse,
};
pub use allocate_instance_public_connection::AllocateInstancePublicConnectionRequest;
pub use create_instance::{CreateInstanceRequest, CreateInstanceResponse, NetworkPlacement};
pub use delete_instance::DeleteInstanceRequest;
pub use describe_instance_info::{
    DescribeInstanceInfoRequest, DescribeInstanceInfoResponse, NetworkInfoItem,
};
pub use describe_instance_info_by_connection::{
    DescribeInstanceInfoByConnectionRequest, DescribeInstanceInfoByConnectionResponse,
};
pub use describe_instances::{
    DatabaseSummary, DescribeInstancesRequest, DescribeInstancesResponse, InstanceItem,
};
pub use describe_security_ips::{DescribeSecurityIPsRequest, DescribeSecurityIPsResponse};
pub use describe_task_status::{DescribeTaskStatusRequest, DescribeTaskStatusResponse};
pub use describe_tasks::{DescribeTasksRequest, DescribeTasksResponse, TaskItem};
pub use modify_instance_name::ModifyInstanceNameRequest;
pub use modify_security_ips::{ModifyMode, ModifySecurityIPsRequest, ModifySecurityIPsResponse};
pub use release_instance_public_connection::ReleaseInstancePublicConnectionRequest;
pub use switch_instance_net_type::SwitchInstanceNetTypeRequest;
