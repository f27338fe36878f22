//! What sends: it takes what waits, in pieces, and has it delivered or gives it up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::client::Client;
use super::encode;

/// Spans of one request.
const BATCH: usize = 512;
/// How long spans gather.
const GATHER: Duration = Duration::from_millis(500);
/// How often a request is sent before it is given up.
const ATTEMPTS: u32 = 5;
/// The pause after the first attempt; it doubles with each.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What became of what was to be sent.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) delivered: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Spans, or points of metrics.
    pub(super) dropped: AtomicU64,
}

impl Counts {
    pub(super) fn drop_some(&self, number: u64) {
        self.dropped.fetch_add(number, Ordering::Relaxed);
    }
}

/// Metrics as they are sent.
pub(super) struct MetricsRequest {
    pub(super) request: ExportMetricsServiceRequest,
    pub(super) points: u64,
}

/// Sends one signal.
pub(super) struct Exporter {
    pub(super) signal: &'static str,
    pub(super) client: Client,
    pub(super) counts: Arc<Counts>,
    /// Whether all that waits is to be sent at once, and nothing is to be waited for.
    pub(super) stop: watch::Receiver<bool>,
    /// Whether the last request failed.
    pub(super) is_failing: bool,
}

impl Exporter {
    /// Sends spans until told to stop, and then those that wait.
    pub(super) async fn send_spans(mut self, resource: Resource, mut spans: mpsc::Receiver<Span>) {
        let mut batch = Vec::new();
        loop {
            let stopping = self.is_stopping();
            if !stopping {
                tokio::select! {
                    _ = spans.recv_many(&mut batch, BATCH) => {}
                    () = stopped(&mut self.stop) => {}
                }
                if batch.len() < BATCH {
                    let gathered = tokio::time::sleep(GATHER);
                    tokio::select! {
                        () = gathered => {}
                        () = stopped(&mut self.stop) => {}
                    }
                }
            }
            while batch.len() < BATCH
                && let Ok(span) = spans.try_recv()
            {
                batch.push(span);
            }
            let count = batch.len() as u64;
            if count > 0 {
                let request = encode::spans(resource.clone(), std::mem::take(&mut batch));
                let body = request.encode_to_vec().into();
                self.deliver(body, count, ATTEMPTS, rejected_spans).await;
            } else if stopping {
                return;
            }
        }
    }

    /// Sends metrics until told to stop, and then those that wait. What fails is not sent again:
    /// newer totals follow.
    pub(super) async fn send_metrics(mut self, mut requests: mpsc::Receiver<Vec<MetricsRequest>>) {
        loop {
            let next = tokio::select! {
                biased;
                next = requests.recv() => next,
                () = stopped(&mut self.stop) => None,
            };
            let Some(next) = next else { return };
            for MetricsRequest { request, points } in next {
                let body = request.encode_to_vec().into();
                self.deliver(body, points, 1, rejected_points).await;
            }
        }
    }

    /// Whether it is to stop; so too when nobody is left to tell.
    fn is_stopping(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    async fn deliver(
        &mut self,
        body: Bytes,
        items: u64,
        attempts: u32,
        rejected: fn(&[u8]) -> u64,
    ) {
        for attempt in 1.. {
            let failure = match self.client.post(body.clone()).await {
                Ok(answer) => {
                    self.counts.delivered.fetch_add(1, Ordering::Relaxed);
                    self.counts.drop_some(rejected(&answer).min(items));
                    if std::mem::take(&mut self.is_failing) {
                        info!(
                            signal = self.signal,
                            "the OTLP collector takes telemetry again"
                        );
                    }
                    return;
                }
                Err(failure) => failure,
            };
            self.counts.failed.fetch_add(1, Ordering::Relaxed);
            // Once, and not again until it has worked.
            if !std::mem::replace(&mut self.is_failing, true) {
                let (signal, reason) = (self.signal, failure.reason);
                warn!(signal, reason, "the OTLP collector does not take telemetry");
            }
            let wait = match failure.again {
                Some(wait) if attempt < attempts && !self.is_stopping() => wait,
                _ => return self.counts.drop_some(items),
            };
            let wait = wait.unwrap_or(PAUSE * 2_u32.saturating_pow(attempt - 1));
            tokio::select! {
                () = tokio::time::sleep(wait.min(LONGEST_PAUSE)) => {}
                () = stopped(&mut self.stop) => {}
            }
        }
    }
}

/// Waits until it is to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that nobody is left to tell.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn rejected_spans(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).ok();
    let partial = answer.and_then(|answer| answer.partial_success);
    partial.map_or(0, |partial| partial.rejected_spans.max(0).unsigned_abs())
}

fn rejected_points(answer: &[u8]) -> u64 {
    let answer = ExportMetricsServiceResponse::decode(answer).ok();
    let partial = answer.and_then(|answer| answer.partial_success);
    partial.map_or(0, |partial| {
        partial.rejected_data_points.max(0).unsigned_abs()
    })
}
