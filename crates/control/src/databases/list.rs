//! DescribeDatabaseList.

use openpeta_rpc_api::Action;
use openpeta_rpc_api::databases::{
    DescribeDatabaseListRequest, DescribeDatabaseListResponse, ListedDatabase,
};
use openpeta_store::{InstanceDetail, InstanceFilter};
use openpeta_types::InstanceId;

use crate::{Caller, Control, ControlError};

impl Control {
    /// DescribeDatabaseList: a page of the databases of all of the tenant's instances, those of
    /// the newest first. A RAM user sees those of the instances that its policies allow.
    ///
    /// # Errors
    /// `Forbidden.RAM` when no policy allows the action on anything.
    pub fn describe_database_list(
        &self,
        caller: &Caller,
        request: &DescribeDatabaseListRequest,
    ) -> Result<DescribeDatabaseListResponse, ControlError> {
        let permission = self.permission(caller, Action::DescribeDatabaseList)?;
        let visible = permission.for_instances()?;
        let mut page = DescribeDatabaseListResponse {
            page_number: request.page_number,
            page_size: request.page_size,
            total_count: 0,
            databases: Vec::new(),
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
        let (total, databases) =
            self.parts
                .store
                .database_page(caller.account_id, &filter, offset, limit);
        page.total_count = u32::try_from(total).unwrap_or(u32::MAX);
        page.databases = databases
            .iter()
            .map(|(detail, place)| listed(detail, *place))
            .collect();
        Ok(page)
    }
}

fn listed(detail: &InstanceDetail, place: usize) -> ListedDatabase {
    let instance = &detail.instance;
    let database = &detail.databases[place];
    ListedDatabase {
        instance_id: instance.instance_id.clone(),
        instance_name: instance.name.clone(),
        region_id: instance.region_id.clone(),
        zone_id: instance.zone_id.clone(),
        instance_status: instance.status,
        db_name: database.db_name.clone(),
        node_spec: database.node_spec.clone(),
        node_number: database.node_number,
        charge_type: database.charge_type,
        create_time: database.created_at,
        end_time: database.expires_at,
        network_type: instance.network_type,
        vpc_id: instance.vpc_id.clone(),
        vswitch_id: instance.vswitch_id.clone(),
    }
}
