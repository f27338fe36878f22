//! Metrics for Prometheus: what there is, who may read it, and where the numbers come from.

mod access;
mod bound;
mod calls;
mod endpoint;
mod exposition;
mod families;
mod process;
mod state;
mod traffic;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use openpeta_control::{Control, ServiceFigures};
use openpeta_gateway::{DatabaseCounters, Gateway};
use openpeta_store::StoreError;

use crate::config::MetricsConfig;
pub(crate) use access::{Access, Refused};
use bound::Bound;
pub(crate) use calls::CallMetrics;
pub(crate) use endpoint::MetricsEndpoint;
use exposition::Exposition;
pub(crate) use exposition::Format;
use families::FAMILIES;
use traffic::{DatabaseTraffic, InstanceTraffic};

/// Where all metrics come from.
pub(crate) struct Metrics {
    pub(crate) calls: CallMetrics,
    pub(crate) access: Arc<Access>,
    gateway: Arc<Gateway>,
    control: Control,
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
}

impl Metrics {
    pub(crate) fn new(
        config: &MetricsConfig,
        access: Arc<Access>,
        gateway: Arc<Gateway>,
        control: Control,
    ) -> Self {
        Self {
            calls: CallMetrics::new(),
            access,
            gateway,
            control,
            bounds: Mutex::new(Bounds {
                instances: Bound::new(config.instances),
                databases: Bound::new(config.databases),
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
        let scrapes = self.scrapes.fetch_add(1, Ordering::Relaxed) + 1;
        let figures = self.control.figures()?;
        let mut bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = Exposition::new(FAMILIES, format);
        out.add("openpeta_build", &[env!("CARGO_PKG_VERSION")], 1);
        out.add("openpeta_ready", &[], is_ready);
        out.add("openpeta_scrapes", &[], scrapes);
        let refused = self.refused.load(Ordering::Relaxed);
        out.add("openpeta_scrapes_refused", &[], refused);
        self.calls.add_to(&mut out);
        self.add_traffic(&mut out, &figures, &mut bounds);
        state::add(&mut out, &figures, &bounds, Timestamp::now());
        process::add(&mut out);
        Ok(out.text())
    }

    fn add_traffic(&self, out: &mut Exposition, figures: &ServiceFigures, bounds: &mut Bounds) {
        let endpoints = self.gateway.endpoints().len() as u64;
        out.add("openpeta_gateway_endpoints", &[], endpoints);
        let dropped = self.gateway.slow_log_dropped();
        out.add("openpeta_gateway_slow_log_dropped", &[], dropped);

        let (mut instances, mut databases) = (Vec::new(), Vec::new());
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
    }
}
