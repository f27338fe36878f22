//! Has the metrics sent, time after time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use openpeta_store::StoreError;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::Telemetry;
use crate::metrics::FamilyPoints;

/// Where metrics come from.
pub(super) type Source = dyn Fn() -> Result<Vec<FamilyPoints>, StoreError> + Send + Sync;

/// The task that reads metrics and queues them. It keeps what they come from alive.
pub(crate) struct Pusher {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Pusher {
    pub(super) fn start(telemetry: Arc<Telemetry>, source: Arc<Source>, every: Duration) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self {
            stop,
            task: tokio::spawn(push(telemetry, source, every, stopped)),
        }
    }

    /// Has them read once more and lets go of what they come from.
    pub(crate) async fn stop(self, patience: Duration) {
        let Self { stop, mut task } = self;
        let _ = stop.send(());
        if tokio::time::timeout(patience, &mut task).await.is_err() {
            task.abort();
        }
    }
}

async fn push(
    telemetry: Arc<Telemetry>,
    source: Arc<Source>,
    every: Duration,
    mut stopped: oneshot::Receiver<()>,
) {
    let began = Timestamp::now();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            _ = &mut stopped => true,
        };
        let its = Arc::clone(&source);
        let read = tokio::task::spawn_blocking(move || its()).await;
        match read {
            Ok(Ok(families)) => telemetry.send_metrics(families, began),
            Ok(Err(error)) => tracing::error!(%error, "metrics could not be read to be sent"),
            Err(error) => tracing::error!(%error, "metrics could not be read to be sent"),
        }
        if is_last {
            return;
        }
    }
}
