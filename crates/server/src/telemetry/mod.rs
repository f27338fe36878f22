//! Traces and metrics for a collector, by OTLP over HTTP. Nothing here holds up the service: what
//! cannot be queued is dropped and counted, and a collector that does not answer is only waited for
//! by the tasks that send.

mod client;
mod config;
mod encode;
mod exporter;
mod push;
mod tracer;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use openpeta_control::outgoing::{Address, tls_config};
use openpeta_control::{NoObserver, TaskObserver};
use openpeta_store::StoreError;
use openpeta_types::SamplingRatio;
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::client::Client;
use self::exporter::{Counts, Exporter, MetricsRequest};
use crate::ServeError;
use crate::metrics::{Exposition, FamilyPoints};
pub use config::{TelemetryConfig, TelemetryHeaders};
pub(crate) use push::Pusher;
pub(crate) use tracer::{CallSpan, Tracer};

/// How long what waits may take to be sent when the service ends.
const FLUSH: Duration = Duration::from_secs(3);
/// Readings of the metrics that wait; an older one is worth little.
const WAITING_METRICS: usize = 2;

/// What is sent, and what sends it.
pub(crate) struct Telemetry {
    tracer: Option<Arc<Tracer>>,
    metrics: Option<MetricsQueue>,
    stop: watch::Sender<bool>,
    exporters: Mutex<Vec<JoinHandle<()>>>,
}

struct MetricsQueue {
    resource: Resource,
    requests: mpsc::Sender<Vec<MetricsRequest>>,
    counts: Arc<Counts>,
    every: Duration,
}

impl Telemetry {
    /// Begins to send, if a collector is configured.
    ///
    /// # Errors
    /// [`ServeError::Setting`] for what cannot be used.
    pub(crate) fn start(config: &TelemetryConfig, dir: &Path) -> Result<Arc<Self>, ServeError> {
        let mut its = Self {
            tracer: None,
            metrics: None,
            stop: watch::Sender::new(false),
            exporters: Mutex::default(),
        };
        let addresses = config.addresses().map_err(ServeError::Setting)?;
        let Some([traces, metrics]) = addresses else {
            return Ok(Arc::new(its));
        };
        let tls = traces
            .is_https()
            .then(|| tls_config(config.ca_file.as_deref()))
            .transpose()
            .map_err(|error| ServeError::Setting(format!("[telemetry] ca_file: {error}")))?;
        let headers = config.headers.read().map_err(ServeError::Setting)?;
        let resource = resource(config, dir);
        let exporter = |signal, address: Address, counts: &Arc<Counts>| Exporter {
            signal,
            client: Client {
                address,
                tls: tls.clone(),
                headers: headers.clone(),
                timeout: Duration::from_secs(config.timeout_seconds),
            },
            counts: Arc::clone(counts),
            stop: its.stop.subscribe(),
            is_failing: false,
        };
        let mut exporters = Vec::new();
        if let Some(ratio) = SamplingRatio::new(config.sampling_ratio).filter(|_| config.traces) {
            let (spans, waiting) = mpsc::channel(config.max_waiting_spans);
            let counts = Arc::default();
            let sends = exporter("traces", traces, &counts).send_spans(resource.clone(), waiting);
            exporters.push(tokio::spawn(sends));
            its.tracer = Some(Arc::new(Tracer {
                ratio,
                spans,
                counts,
            }));
        }
        if config.metrics {
            let (requests, waiting) = mpsc::channel(WAITING_METRICS);
            let counts = Arc::default();
            exporters.push(tokio::spawn(
                exporter("metrics", metrics, &counts).send_metrics(waiting),
            ));
            its.metrics = Some(MetricsQueue {
                resource,
                requests,
                counts,
                every: Duration::from_secs(config.metrics_interval_seconds),
            });
        }
        its.exporters = Mutex::new(exporters);
        Ok(Arc::new(its))
    }

    /// What makes spans of calls, if traces are sent.
    pub(crate) fn tracer(&self) -> Option<Arc<Tracer>> {
        self.tracer.clone()
    }

    /// What is told of tasks.
    pub(crate) fn observer(&self) -> Arc<dyn TaskObserver> {
        match &self.tracer {
            Some(tracer) => Arc::clone(tracer) as _,
            None => Arc::new(NoObserver),
        }
    }

    /// Has metrics from there sent from now on, if they are to be.
    pub(crate) fn push(
        self: &Arc<Self>,
        source: impl Fn() -> Result<Vec<FamilyPoints>, StoreError> + Send + Sync + 'static,
    ) -> Option<Pusher> {
        let every = self.metrics.as_ref()?.every;
        Some(Pusher::start(Arc::clone(self), Arc::new(source), every))
    }

    fn send_metrics(&self, families: Vec<FamilyPoints>, began: Timestamp) {
        let Some(queue) = &self.metrics else { return };
        let requests = encode::metrics(&queue.resource, families, began, Timestamp::now());
        let points = requests.iter().map(|request| request.points).sum();
        if queue.requests.try_send(requests).is_err() {
            queue.counts.drop_some(points);
        }
    }

    /// Tells the metrics how it goes.
    pub(crate) fn add_to(&self, out: &mut Exposition) {
        let traces = self.tracer.as_ref().map(|tracer| &tracer.counts);
        let metrics = self.metrics.as_ref().map(|queue| &queue.counts);
        for (signal, counts) in [("traces", traces), ("metrics", metrics)] {
            let Some(counts) = counts else { continue };
            for (outcome, count) in [("ok", &counts.delivered), ("failed", &counts.failed)] {
                let count = count.load(Ordering::Relaxed);
                out.add("openpeta_telemetry_exports", &[signal, outcome], count);
            }
            let dropped = counts.dropped.load(Ordering::Relaxed);
            out.add("openpeta_telemetry_dropped", &[signal], dropped);
        }
        if let Some(tracer) = &self.tracer {
            let waiting = tracer.spans.max_capacity() - tracer.spans.capacity();
            out.add("openpeta_telemetry_waiting_spans", &[], waiting as u64);
        }
    }

    /// Sends what waits, as far as that does not take long, and ends.
    pub(crate) async fn shutdown(&self) {
        self.stop.send_replace(true);
        let exporters = {
            let exporters = self.exporters.lock();
            std::mem::take(&mut *exporters.unwrap_or_else(PoisonError::into_inner))
        };
        let end = tokio::time::Instant::now() + FLUSH;
        for mut exporter in exporters {
            if tokio::time::timeout_at(end, &mut exporter).await.is_err() {
                tracing::warn!("telemetry was not sent in time at the end");
                exporter.abort();
            }
        }
    }
}

/// Who sends.
fn resource(config: &TelemetryConfig, dir: &Path) -> Resource {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let id = match &config.instance_id {
        Some(id) => id.clone(),
        None => format!("{host}:{}", dir.display()),
    };
    let own = [
        ("service.name", config.service_name.clone()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", id),
        ("host.name", host.into_owned()),
    ];
    let own = own
        .into_iter()
        .filter(|(name, _)| !config.attributes.contains_key(*name));
    let mut attributes: Vec<_> = own.map(|(name, value)| encode::text(name, value)).collect();
    let pid = std::process::id().into();
    attributes.push(encode::number("process.pid", pid));
    let more = config.attributes.iter();
    attributes.extend(more.map(|(name, value)| encode::text(name, value)));
    Resource {
        attributes,
        ..Resource::default()
    }
}
