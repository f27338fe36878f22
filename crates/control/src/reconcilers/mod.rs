//! Reconcilers make the world as the store says it should be. They take no input: each looks
//! at the store and at the world, and does what is missing. They run on a timer and when
//! something wakes them, by one code path, and may be stopped at any moment.

mod accounts;
mod backups;
mod billing;
mod binary_logs;
mod control_plane;
mod disk_quota;
mod endpoints;
mod expiry;
mod history;
mod nodes;
mod recovery;
mod retiring;
mod spares;
mod sweep;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::parts::Parts;
use crate::{ControlError, alerts, events, sampling, webhooks};

/// Time between two looks at endpoints, expiry and leftovers.
const SLOW: Duration = Duration::from_secs(60);

/// Time between two looks at what binary logs have that is not archived: what a host that is lost
/// takes with it, were the archive elsewhere.
const ARCHIVE: Duration = Duration::from_secs(1);

/// Does what must be done before tasks go on and the service is ready: endpoints listen, and
/// instances whose data is lost are not called ACTIVE.
///
/// # Errors
/// [`ControlError`] when the store fails.
pub(crate) fn first_round(parts: &Parts) -> Result<(), ControlError> {
    nodes::note_all_lost(parts)?;
    endpoints::reopen(parts)
}

/// One round of the reconciler of old endpoints; tells when the next one is due.
#[cfg(test)]
pub(crate) fn retire_endpoints(parts: &Parts) -> Result<Option<jiff::Timestamp>, ControlError> {
    retiring::reconcile(parts)
}

/// One round of the disk quota's reconciler.
#[cfg(test)]
pub(crate) async fn check_disk_quota(parts: &Arc<Parts>) -> Result<(), ControlError> {
    disk_quota::reconcile(Arc::clone(parts)).await
}

pub(crate) use backups::Backups;
pub(crate) use billing::Billing;
pub(crate) use spares::settings as spare_settings;

/// Starts all reconcilers; they stop when the set is dropped.
pub(crate) fn start(parts: &Arc<Parts>) -> JoinSet<()> {
    let mut running = JoinSet::new();
    let seconds = |seconds: u64| Duration::from_secs(seconds.max(1));
    let often = seconds(parts.config.nodes.reconcile_seconds);
    let disk = seconds(parts.config.nodes.disk_check_seconds);
    let supervisors = Arc::new(nodes::Supervisors::default());
    let supervise = move |parts| Arc::clone(&supervisors).reconcile(parts);
    repeat(&mut running, parts, "nodes", often, supervise);
    repeat(&mut running, parts, "spare nodes", often, spares::reconcile);
    repeat(&mut running, parts, "endpoints", SLOW, endpoints::reconcile);
    running.spawn(retiring::run(Arc::clone(parts)));
    repeat(&mut running, parts, "accounts", SLOW, accounts::reconcile);
    let billing = Arc::new(Billing::default());
    let bill = move |parts| Arc::clone(&billing).reconcile(parts);
    repeat(&mut running, parts, "billing", SLOW, bill);
    let backups = Arc::new(Backups::default());
    let back_up = move |parts| Arc::clone(&backups).reconcile(parts);
    repeat(&mut running, parts, "backups", SLOW, back_up);
    repeat(
        &mut running,
        parts,
        "control plane backups",
        SLOW,
        control_plane::reconcile,
    );
    let logs = Arc::new(binary_logs::BinaryLogs::default());
    let archive = move |parts| Arc::clone(&logs).reconcile(parts);
    repeat(&mut running, parts, "binary logs", ARCHIVE, archive);
    let moments = seconds(parts.config.backup.moment_seconds);
    repeat(
        &mut running,
        parts,
        "moments",
        moments,
        binary_logs::note_moments,
    );
    let stores = seconds(parts.config.backup.log_upload_seconds);
    repeat(
        &mut running,
        parts,
        "stored logs",
        stores,
        binary_logs::ship,
    );
    repeat(
        &mut running,
        parts,
        "waiting backups",
        SLOW,
        Parts::send_waiting,
    );
    repeat(&mut running, parts, "recovery", SLOW, recovery::reconcile);
    repeat(&mut running, parts, "expiry", SLOW, expiry::reconcile);
    let history = Arc::new(history::History::default());
    let prune = move |parts| Arc::clone(&history).reconcile(parts);
    repeat(&mut running, parts, "history", SLOW, prune);
    repeat(
        &mut running,
        parts,
        "disk quota",
        disk,
        disk_quota::reconcile,
    );
    running.spawn(sampling::sample(Arc::clone(parts)));
    let measuring = Arc::new(sampling::Measuring::new(&parts.samples));
    let measure = move |parts| Arc::clone(&measuring).reconcile(parts);
    repeat(&mut running, parts, "measurements", often, measure);
    let looks = seconds(parts.config.alerts.evaluate_seconds);
    repeat(&mut running, parts, "alerts", looks, alerts::reconcile);
    running.spawn(webhooks::run(Arc::clone(parts)));
    running.spawn(events::write(Arc::clone(parts)));
    repeat(&mut running, parts, "events", SLOW, events::reconcile);
    repeat(&mut running, parts, "leftovers", SLOW, sweep::reconcile);
    running
}

/// Runs a reconciler on a timer, and whenever the set of nodes changed.
fn repeat<F, R>(
    running: &mut JoinSet<()>,
    parts: &Arc<Parts>,
    name: &'static str,
    period: Duration,
    reconcile: F,
) where
    F: Fn(Arc<Parts>) -> R + Send + 'static,
    R: Future<Output = Result<(), ControlError>> + Send,
{
    let parts = Arc::clone(parts);
    running.spawn(async move {
        let mut wake = parts.nodes_changed.subscribe();
        let mut timer = interval(period);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = timer.tick() => {}
                changed = wake.changed(), if period < SLOW => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
            if let Err(error) = reconcile(Arc::clone(&parts)).await {
                tracing::error!(reconciler = name, code = %error.api.code, context = error.context, "reconciler failed; it tries again");
            }
        }
    });
}
