//! DescribeInstances and DescribeInstanceInfo (API document 7.4 and 7.5).

use openpeta_rpc_api::Action;
use openpeta_rpc_api::instances::{
    DatabaseSummary, DescribeInstanceInfoRequest, DescribeInstanceInfoResponse,
    DescribeInstancesRequest, DescribeInstancesResponse, InstanceItem, NetworkInfoItem,
};
use openpeta_store::{Database, Endpoint, InstanceDetail, InstanceFilter};
use openpeta_types::{EndpointType, InstanceId};

use crate::{Caller, Control, ControlError};

impl Control {
    /// DescribeInstances: a page of the tenant's instances, newest first. A RAM user sees
    /// those that its policies allow.
    ///
    /// # Errors
    /// `Forbidden.RAM` when no policy allows the action on anything.
    pub fn describe_instances(
        &self,
        caller: &Caller,
        request: &DescribeInstancesRequest,
    ) -> Result<DescribeInstancesResponse, ControlError> {
        let permission = self.permission(caller, Action::DescribeInstances)?;
        let visible = permission.for_instances()?;
        let mut page = DescribeInstancesResponse {
            page_number: request.page_number,
            page_size: request.page_size,
            total_count: 0,
            instances: Vec::new(),
        };
        let instance_id = match request.instance_id.as_deref().map(InstanceId::parse) {
            // A filter that no instance can match gives an empty page.
            Some(Err(_)) => return Ok(page),
            Some(Ok(id)) => Some(id),
            None => None,
        };
        let filter = InstanceFilter {
            instance_id: instance_id.as_ref(),
            status: request.instance_status,
            charge_type: request.charge_type,
            tags: &request.tags,
            visible,
            ..InstanceFilter::default()
        };
        let offset = u64::from(request.page_number - 1) * u64::from(request.page_size);
        let limit = request.page_size as usize;
        let (total, instances) =
            self.parts
                .store
                .instance_page(caller.account_id, &filter, offset, limit);
        page.total_count = u32::try_from(total).unwrap_or(u32::MAX);
        page.instances = instances.iter().map(|detail| item(detail)).collect();
        Ok(page)
    }

    /// DescribeInstanceInfo: an instance with its endpoints and databases.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `Forbidden.RAM`.
    pub fn describe_instance_info(
        &self,
        caller: &Caller,
        request: &DescribeInstanceInfoRequest,
    ) -> Result<DescribeInstanceInfoResponse, ControlError> {
        let action = Action::DescribeInstanceInfo;
        let detail = self.detail(caller, action, &request.instance_id)?;
        Ok(info(&detail))
    }
}

/// What is told of an instance.
pub(super) fn info(detail: &InstanceDetail) -> DescribeInstanceInfoResponse {
    let instance = &detail.instance;
    DescribeInstanceInfoResponse {
        instance_id: instance.instance_id.clone(),
        instance_name: instance.name.clone(),
        region_id: instance.region_id.clone(),
        zone_id: instance.zone_id.clone(),
        instance_status: instance.status,
        network_info_items: detail.endpoints.iter().map(network_info).collect(),
        databases: detail.databases.iter().map(database).collect(),
        release_time: detail.replaced.as_ref().map(|it| it.release_at),
    }
}

fn item(detail: &InstanceDetail) -> InstanceItem {
    let instance = &detail.instance;
    let endpoint = detail.default_endpoint();
    InstanceItem {
        instance_id: instance.instance_id.clone(),
        instance_name: instance.name.clone(),
        connection_string: endpoint.map(|endpoint| endpoint.connection_string.clone()),
        port: endpoint.map(|endpoint| endpoint.port),
        instance_status: instance.status,
        region_id: instance.region_id.clone(),
        zone_id: instance.zone_id.clone(),
        create_time: instance.created_at,
        expire_time: instance.expires_at,
        network_type: instance.network_type,
        vpc_id: instance.vpc_id.clone(),
        vswitch_id: instance.vswitch_id.clone(),
        private_ip_address: endpoint.and_then(private_ip_address),
        databases: detail.databases.iter().map(database).collect(),
    }
}

fn network_info(endpoint: &Endpoint) -> NetworkInfoItem {
    NetworkInfoItem {
        network_type: endpoint.endpoint_type,
        private_ip_address: private_ip_address(endpoint),
        connection_string: endpoint.connection_string.clone(),
        port: endpoint.port,
        vpc_id: endpoint.vpc_id.clone(),
        vswitch_id: endpoint.vswitch_id.clone(),
        expired_time: endpoint.expires_at,
    }
}

fn database(database: &Database) -> DatabaseSummary {
    DatabaseSummary {
        db_name: database.db_name.clone(),
        charge_type: database.charge_type,
    }
}

/// Only VPC endpoints have one.
fn private_ip_address(endpoint: &Endpoint) -> Option<std::net::IpAddr> {
    (endpoint.endpoint_type == EndpointType::Vpc).then_some(endpoint.address)
}
