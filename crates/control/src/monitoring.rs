//! Metrics and disk space (API document 10).
//!
//! Histories come out of the samples. A step in which nothing was sampled has no value. Disk space
//! without a window is measured when it is asked for.

use openpeta_engine::NodeDisk;
use openpeta_rpc_api::monitoring::{
    DescribeDatabasePerformanceRequest, DescribeDatabaseResourceUsageRequest,
    DescribeInstancePerformanceRequest, DescribeInstanceResourceUsageRequest,
    DescribeMonitorItemsRequest, DescribeMonitorItemsResponse, MonitorItems, MonitorKey,
    PerformanceResponse, ResourceSample, ResourceUsageResponse, Series, Sizes, Window,
};
use openpeta_rpc_api::{Action, ApiError};
use openpeta_store::{Database, Instance, InstanceDetail};
use openpeta_types::DbName;

use crate::instance_nodes::is_on;
use crate::sampling::{Column, Figure, Steps, of_database, of_instance};
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
        let source = of_instance(&request.instance_id);
        Ok(self.performance(&source, &request.keys, &request.window))
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
        let source = of_database(database(&detail, &request.db_name)?);
        Ok(self.performance(&source, &request.keys, &request.window))
    }

    /// DescribeInstanceResourceUsage: what the nodes take of their disk quotas, now or over time.
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
            Some(window) => self.usage(&of_instance(&request.instance_id), &window),
            None => vec![ResourceSample {
                sizes: self.instance_sizes(&detail.instance).await?,
                at: caller.now,
            }],
        };
        Ok(ResourceUsageResponse { samples })
    }

    /// DescribeDatabaseResourceUsage: what the database's files take, now or over time.
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
            Some(window) => self.usage(&of_database(database), &window),
            None => vec![ResourceSample {
                sizes: self.database_sizes(&detail.instance, database).await,
                at: caller.now,
            }],
        };
        Ok(ResourceUsageResponse { samples })
    }

    /// A series for each key.
    fn performance(
        &self,
        source: &str,
        keys: &[MonitorKey],
        window: &Window,
    ) -> PerformanceResponse {
        let steps = steps(window);
        let figures: Vec<_> = keys.iter().map(|key| (key.key, Figure::of(*key))).collect();
        // Each column once, whatever the number of keys that need it.
        let mut columns: Vec<Column> = Vec::new();
        for column in figures
            .iter()
            .flat_map(|(_, figure)| figure.iter())
            .flat_map(|f| f.columns())
        {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let answer = self.parts.samples.query(source, &columns, &steps);
        let series = |(key, figure): (&'static str, Option<Figure>)| {
            let needed = figure.map(|figure| (figure, figure.columns()));
            let values = needed.into_iter().flat_map(|(figure, needed)| {
                let places: Vec<_> = needed
                    .iter()
                    .filter_map(|column| columns.iter().position(|held| held == column))
                    .collect();
                let count = answer.columns.first().map_or(0, Vec::len);
                let value = |step: usize| {
                    let row: Vec<_> = places
                        .iter()
                        .map(|place| answer.columns[*place][step])
                        .collect();
                    Some((steps.begin(step), figure.value(&row)?))
                };
                (0..count).filter_map(value).collect::<Vec<_>>()
            });
            Series {
                key,
                values: values.collect(),
            }
        };
        PerformanceResponse {
            series: figures.into_iter().map(series).collect(),
        }
    }

    /// The last sizes that were measured in each step.
    fn usage(&self, source: &str, window: &Window) -> Vec<ResourceSample> {
        let steps = steps(window);
        let columns = [Column::Data, Column::Binlog, Column::Quota];
        let answer = self.parts.samples.query(source, &columns, &steps);
        let [data, binlog, total] = &answer.columns[..] else {
            return Vec::new();
        };
        let sample = |step: usize| {
            let sizes = Sizes {
                data: size(data[step]?),
                // A database has none of its own.
                binlog: size(binlog[step].unwrap_or(0)),
                total: size(total[step]?),
            };
            Some(ResourceSample {
                sizes: Some(sizes),
                at: steps.begin(step),
            })
        };
        (0..data.len()).filter_map(sample).collect()
    }

    /// `None` when there is no node, or its files cannot be measured.
    async fn instance_sizes(&self, instance: &Instance) -> Result<Option<Sizes>, ControlError> {
        let nodes = self
            .parts
            .store
            .read(|reader| reader.serving_nodes(instance))?;
        let mut sizes = None;
        for node in nodes {
            let Ok(NodeDisk { usage, .. }) = self.parts.engine.disk(&node.node_id).await else {
                return Ok(None);
            };
            let sum = sizes.get_or_insert(Sizes {
                data: 0,
                binlog: 0,
                total: 0,
            });
            sum.data += usage.data_bytes;
            sum.binlog += usage.binlog_bytes;
            sum.total += node.settings.disk_quota_bytes;
        }
        Ok(sizes)
    }

    /// As above, also `None` when the database is not there. Binary logs are those of the node
    /// and count for the instance; the total is the database's share of the quota.
    async fn database_sizes(&self, instance: &Instance, database: &Database) -> Option<Sizes> {
        let nodes = self
            .parts
            .store
            .read(|reader| reader.serving_nodes(instance));
        let mut sizes = None;
        for node in nodes.ok()? {
            if !is_on(database, node.number) {
                continue;
            }
            let disk = self.parts.engine.disk(&node.node_id).await.ok()?;
            let sum = sizes.get_or_insert(Sizes {
                data: 0,
                binlog: 0,
                total: 0,
            });
            sum.data += disk.databases.get(database.db_name.as_str())?;
            sum.total += database.settings.disk_quota_bytes;
        }
        sizes
    }
}

fn steps(window: &Window) -> Steps {
    Steps {
        start: window.start.as_second(),
        end: window.end.as_second(),
        step: i64::from(window.interval_minutes) * 60,
    }
}

fn size(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
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
