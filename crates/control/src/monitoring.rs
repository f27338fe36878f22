//! Metrics and disk space (API document 10).
//!
//! Disk space is measured when it is asked for. Histories are empty: no samples are kept yet.

use openpeta_rpc_api::monitoring::{
    DescribeDatabasePerformanceRequest, DescribeDatabaseResourceUsageRequest,
    DescribeInstancePerformanceRequest, DescribeInstanceResourceUsageRequest,
    DescribeMonitorItemsRequest, DescribeMonitorItemsResponse, MonitorItems, PerformanceResponse,
    ResourceSample, ResourceUsageResponse, Sizes,
};
use openpeta_rpc_api::{Action, ApiError};
use openpeta_store::{Database, Instance, InstanceDetail};
use openpeta_types::DbName;

use crate::{Caller, Control, ControlError};

impl Control {
    /// DescribeMonitorItems: the metrics there are.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `Forbidden.RAM`.
    pub fn describe_monitor_items(
        &self,
        caller: &Caller,
        request: &DescribeMonitorItemsRequest,
    ) -> Result<DescribeMonitorItemsResponse, ControlError> {
        self.detail(caller, Action::DescribeMonitorItems, &request.instance_id)?;
        Ok(DescribeMonitorItemsResponse {
            items: MonitorItems::of(request.item_level, request.grouped),
        })
    }

    /// DescribeInstancePerformance: a series for each metric.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `Forbidden.RAM`.
    pub fn describe_instance_performance(
        &self,
        caller: &Caller,
        request: &DescribeInstancePerformanceRequest,
    ) -> Result<PerformanceResponse, ControlError> {
        let action = Action::DescribeInstancePerformance;
        self.detail(caller, action, &request.instance_id)?;
        Ok(PerformanceResponse {
            keys: request.keys.clone(),
        })
    }

    /// DescribeDatabasePerformance: a series for each metric.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `InvalidDBName.NotFound`, `Forbidden.RAM`.
    pub fn describe_database_performance(
        &self,
        caller: &Caller,
        request: &DescribeDatabasePerformanceRequest,
    ) -> Result<PerformanceResponse, ControlError> {
        let action = Action::DescribeDatabasePerformance;
        let detail = self.detail(caller, action, &request.instance_id)?;
        database(&detail, &request.db_name)?;
        Ok(PerformanceResponse {
            keys: request.keys.clone(),
        })
    }

    /// DescribeInstanceResourceUsage: what the node takes of its disk quota, now.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `Forbidden.RAM`.
    pub async fn describe_instance_resource_usage(
        &self,
        caller: &Caller,
        request: &DescribeInstanceResourceUsageRequest,
    ) -> Result<ResourceUsageResponse, ControlError> {
        let action = Action::DescribeInstanceResourceUsage;
        let detail = self.detail(caller, action, &request.instance_id)?;
        let samples = match request.window {
            Some(_) => Vec::new(),
            None => vec![ResourceSample {
                sizes: self.instance_sizes(&detail.instance).await?,
                at: caller.now,
            }],
        };
        Ok(ResourceUsageResponse { samples })
    }

    /// DescribeDatabaseResourceUsage: what the database's files take, now.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `InvalidDBName.NotFound`, `Forbidden.RAM`.
    pub async fn describe_database_resource_usage(
        &self,
        caller: &Caller,
        request: &DescribeDatabaseResourceUsageRequest,
    ) -> Result<ResourceUsageResponse, ControlError> {
        let action = Action::DescribeDatabaseResourceUsage;
        let detail = self.detail(caller, action, &request.instance_id)?;
        let database = database(&detail, &request.db_name)?;
        let samples = match request.window {
            Some(_) => Vec::new(),
            None => vec![ResourceSample {
                sizes: self.database_sizes(&detail.instance, database).await,
                at: caller.now,
            }],
        };
        Ok(ResourceUsageResponse { samples })
    }

    /// `None` when there is no node, or its files cannot be measured.
    async fn instance_sizes(&self, instance: &Instance) -> Result<Option<Sizes>, ControlError> {
        let Some(total) = self.disk_quota(instance)? else {
            return Ok(None);
        };
        let Some(node) = &instance.node_id else {
            return Ok(None);
        };
        let usage = self.parts.engine.usage(node).await.ok();
        Ok(usage.map(|usage| Sizes {
            data: usage.data_bytes,
            binlog: usage.binlog_bytes,
            total,
        }))
    }

    /// As above, also `None` when the database is not there. Binary logs are those of the node
    /// and count for the instance; the total is the database's share of the quota.
    async fn database_sizes(&self, instance: &Instance, database: &Database) -> Option<Sizes> {
        let node = instance.node_id.as_ref()?;
        let sizes = self.parts.engine.database_sizes(node).await.ok();
        let data = sizes.and_then(|sizes| sizes.get(database.db_name.as_str()).copied());
        data.map(|data| Sizes {
            data,
            binlog: 0,
            total: database.settings.disk_quota_bytes,
        })
    }

    fn disk_quota(&self, instance: &Instance) -> Result<Option<u64>, ControlError> {
        let Some(node_id) = &instance.node_id else {
            return Ok(None);
        };
        let node = self.parts.store.read(|reader| reader.node(node_id))?;
        Ok(node.map(|node| node.settings.disk_quota_bytes))
    }
}

fn database<'d>(detail: &'d InstanceDetail, name: &DbName) -> Result<&'d Database, ApiError> {
    let mut databases = detail.databases.iter();
    databases
        .find(|database| database.db_name == *name)
        .ok_or_else(ApiError::db_not_found)
}

#[cfg(test)]
mod tests {
    use openpeta_rpc_api::{ApiRequest, Params};
    use openpeta_types::InstanceId;

    use crate::testing::{TestEngine, World};

    fn request<R: ApiRequest>(id: &InstanceId, others: &[(&str, &str)]) -> R {
        let pairs = [&[("InstanceId", id.as_str())], others].concat();
        R::from_params(&Params::from_pairs(pairs).expect("unique")).expect("well formed")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn disk_space_is_measured_when_it_is_asked_for() {
        let engine = TestEngine::new().await;
        let world = World::new(&engine);
        let id = world.order();
        let (control, caller) = (&world.control, world.caller());
        // Nothing is there to be measured yet.
        let of_instance = request(&id, &[]);
        let before = control
            .describe_instance_resource_usage(&caller, &of_instance)
            .await;
        assert_eq!(before.expect("reads are allowed").samples[0].sizes, None);

        world.run_tasks().await;
        let now = control
            .describe_instance_resource_usage(&caller, &of_instance)
            .await;
        let sizes = now.expect("ours").samples[0].sizes.expect("measured");
        let node = world
            .parts
            .store
            .read(|reader| reader.nodes())
            .expect("works");
        assert_eq!(sizes.total, node[0].settings.disk_quota_bytes);
        assert!(sizes.data > 0 && sizes.binlog > 0, "{sizes:?}");
        let of_database = request(&id, &[("DBName", "shop")]);
        let now = control
            .describe_database_resource_usage(&caller, &of_database)
            .await;
        let shop = now.expect("ours").samples[0].sizes.expect("measured");
        assert!(shop.data > 0 && shop.data < sizes.data, "{shop:?}");
        assert_eq!((shop.binlog, shop.total), (0, sizes.total));

        let window = [
            ("StartTime", "2026-01-01T00:00:00Z"),
            ("EndTime", "2026-01-01T01:00:00Z"),
            ("Interval", "5"),
        ];
        let history = request(&id, &window);
        let history = control
            .describe_instance_resource_usage(&caller, &history)
            .await;
        assert_eq!(history.expect("ours").samples, []);
        let unknown = request(&id, &[("DBName", "none")]);
        let error = control
            .describe_database_resource_usage(&caller, &unknown)
            .await;
        let error = error.expect_err("there is none");
        assert_eq!(error.api.code, "InvalidDBName.NotFound");
    }
}
