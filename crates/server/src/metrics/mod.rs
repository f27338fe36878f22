//! Metrics for Prometheus: what there is, who may read it, and where the numbers come from.

mod access;
mod bound;
mod calls;
mod endpoint;
mod exposition;
mod families;
mod partitions;
mod points;
mod process;
mod state;
mod told;
mod traffic;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use openpeta_control::{Control, ServiceFigures};
use openpeta_gateway::{DatabaseCounters, Gateway};
use openpeta_store::StoreError;

use crate::config::MetricsConfig;
use crate::telemetry::Telemetry;
pub(crate) use access::{Access, Refused};
use bound::Bound;
pub(crate) use calls::CallMetrics;
pub(crate) use endpoint::MetricsEndpoint;
pub(crate) use exposition::{Exposition, Family, Format, Kind, Number};
use families::FAMILIES;
use partitions::UsedPartitions;
pub(crate) use points::{FamilyPoints, Point, PointValue};
use traffic::{DatabaseTraffic, InstanceTraffic};

/// Where all metrics come from.
pub(crate) struct Metrics {
    pub(crate) calls: CallMetrics,
    pub(crate) access: Arc<Access>,
    gateway: Arc<Gateway>,
    control: Control,
    telemetry: Arc<Telemetry>,
    /// Held while metrics are written: the totals of those without a place of their own are kept
    /// up to date by writing.
    bounds: Mutex<Bounds>,
    scrapes: AtomicU64,
    refused: AtomicU64,
}

/// Which instances and databases have series of their own.
struct Bounds {
    instances: Bound,
    databases: Bound,
    partitions: Bound,
    webhooks: Bound,
}

/// Webhooks that have series of their own: more than an operator will have.
const WEBHOOKS: usize = 100;
/// Partitions that have series of their own, four each.
const PARTITIONS: usize = 1024;

impl Metrics {
    pub(crate) fn new(
        config: &MetricsConfig,
        access: Arc<Access>,
        gateway: Arc<Gateway>,
        control: Control,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Self {
            calls: CallMetrics::new(),
            access,
            gateway,
            control,
            telemetry,
            bounds: Mutex::new(Bounds {
                instances: Bound::new(config.instances),
                databases: Bound::new(config.databases),
                partitions: Bound::new(PARTITIONS),
                webhooks: Bound::new(WEBHOOKS),
            }),
            scrapes: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Counts somebody who was not let read them.
    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// All metrics as text. Looks at the process of every node, so not for async threads.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub(crate) fn render(&self, format: Format, is_ready: bool) -> Result<String, StoreError> {
        self.scrapes.fetch_add(1, Ordering::Relaxed);
        let mut out = Exposition::new(FAMILIES, format);
        self.gather(&mut out, is_ready)?;
        Ok(out.text())
    }

    /// All metrics as numbers. Not for async threads either.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub(crate) fn points(&self, is_ready: bool) -> Result<Vec<FamilyPoints>, StoreError> {
        let mut out = Exposition::of_points(FAMILIES);
        self.gather(&mut out, is_ready)?;
        Ok(out.points())
    }

    fn gather(&self, out: &mut Exposition, is_ready: bool) -> Result<(), StoreError> {
        let figures = self.control.figures()?;
        let mut bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        out.add("openpeta_build", &[env!("CARGO_PKG_VERSION")], 1);
        out.add("openpeta_ready", &[], is_ready);
        let scrapes = self.scrapes.load(Ordering::Relaxed);
        out.add("openpeta_scrapes", &[], scrapes);
        let refused = self.refused.load(Ordering::Relaxed);
        out.add("openpeta_scrapes_refused", &[], refused);
        self.telemetry.add_to(out);
        self.calls.add_to(out);
        self.add_traffic(out, &figures, &mut bounds);
        let now = Timestamp::now();
        state::add(out, &figures, &bounds, now);
        told::add(out, &figures, &mut bounds.webhooks, now);
        process::add(out);
        Ok(())
    }

    fn add_traffic(&self, out: &mut Exposition, figures: &ServiceFigures, bounds: &mut Bounds) {
        let endpoints = self.gateway.endpoints().len() as u64;
        out.add("openpeta_gateway_endpoints", &[], endpoints);
        let dropped = self.gateway.slow_log_dropped();
        out.add("openpeta_gateway_slow_log_dropped", &[], dropped);

        let (mut instances, mut databases) = (Vec::new(), Vec::new());
        let mut used = Vec::new();
        for its in &figures.instances {
            let id = &its.detail.instance.instance_id;
            if let Some(counters) = self.gateway.counters(id) {
                instances.push(InstanceTraffic {
                    instance: id.as_str(),
                    counters,
                    limit: its.most_sessions.unwrap_or(0),
                });
            }
            let counted = self.gateway.database_counters(id).unwrap_or_default();
            let mut counted: HashMap<_, _> = counted
                .into_iter()
                .map(|counters| (counters.name.clone(), counters))
                .collect();
            for database in &its.detail.databases {
                let name = database.db_name.as_str();
                if let Some(partitions) = self.control.partition_use(id, &database.db_name) {
                    used.push(UsedPartitions {
                        instance: id.as_str(),
                        database: name,
                        key: state::key(database),
                        partitions,
                    });
                }
                databases.push(DatabaseTraffic {
                    instance: id.as_str(),
                    database: name,
                    key: state::key(database),
                    counters: counted
                        .remove(name)
                        .unwrap_or_else(DatabaseCounters::default),
                });
            }
        }
        let all = figures.instances.iter();
        let ids = all.map(|its| its.detail.instance.instance_id.as_str());
        bounds.instances.present(ids);
        bounds
            .databases
            .present(databases.iter().map(|its| &*its.key));
        traffic::add_instances(out, &mut bounds.instances, &instances);
        traffic::add_databases(out, &mut bounds.databases, &databases);
        partitions::add(out, &mut bounds.partitions, &used);
    }
}
