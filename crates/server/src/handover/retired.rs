//! A process that has handed over, with the sessions that it still has.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use openpeta_gateway::Gateway;
use openpeta_types::InstanceId;
use openpeta_types::route::InstanceRoute;
use tokio::time::{Instant, interval, sleep_until};
use tracing::{info, warn};

use super::message::{Answer, Order};
use super::{Link, Predecessor};
use crate::coordination::Coordination;
use crate::telemetry::Telemetry;

/// How often it is looked whether sessions are left.
const LOOK: Duration = Duration::from_millis(50);

/// A process that has handed over. Its sessions go on as before; what holds for them it is told
/// by the new process.
pub struct Retired {
    pub(crate) link: Link,
    pub(crate) gateway: Arc<Gateway>,
    /// Sessions of instances with several nodes go through this process's coordinators.
    pub(crate) coordination: Arc<Coordination>,
    /// The process before this one, if that has sessions too.
    pub(crate) predecessor: Arc<Predecessor>,
    /// How long sessions may go on.
    pub(crate) patience: Duration,
    /// How long transactions may take after that.
    pub(crate) drain: Duration,
    /// What this process has yet to tell of its time as the service.
    pub(crate) telemetry: Arc<Telemetry>,
}

impl Retired {
    /// Returns when no session is left: after the configured time, or when told to `stop`, they
    /// are ended as at the end of the service.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let telemetry = Arc::clone(&self.telemetry);
        tokio::join!(telemetry.shutdown(), self.keep_sessions(stop));
    }

    async fn keep_sessions(mut self, stop: impl Future<Output = ()>) {
        let mut looks = interval(LOOK);
        let end = sleep_until(Instant::now() + self.patience);
        tokio::pin!(stop, end);
        let mut draining: Option<Drain> = None;
        let mut told = false;
        loop {
            tokio::select! {
                order = self.link.receive() => match order {
                    Ok(order) => {
                        if matches!(order, Order::Stop) && !std::mem::replace(&mut told, true) {
                            draining = Some(begin_drain(&self.gateway, self.drain));
                        }
                        let answer = self.obey(order);
                        if self.link.send(&answer, &[]).await.is_err() {
                            return self.abandon();
                        }
                    }
                    Err(_) => return self.abandon(),
                },
                () = &mut stop, if !told => {
                    told = true;
                    self.predecessor.begin_stop();
                    draining = Some(begin_drain(&self.gateway, self.drain));
                }
                () = &mut end, if !told => {
                    told = true;
                    info!(sessions = self.gateway.open_sessions(), "sessions have had their time");
                    draining = Some(begin_drain(&self.gateway, self.drain));
                }
                () = finished(&mut draining) => draining = None,
                _ = looks.tick() => {
                    if self.gateway.open_sessions() == 0 && self.predecessor.is_gone() {
                        info!("no session is left of those before the hand-over");
                        return;
                    }
                }
            }
        }
    }

    fn obey(&self, order: Order) -> Answer {
        match order {
            Order::Publish(route) => {
                let route = InstanceRoute::from(*route);
                self.predecessor.publish(&route);
                self.coordination.update(&route);
                self.gateway.publish(route);
            }
            Order::Withdraw(instance) => {
                self.predecessor.withdraw(&instance);
                self.gateway.withdraw(&instance);
            }
            Order::CloseEndpoint(endpoint, grace) => {
                let grace = Duration::from_millis(grace);
                self.predecessor.close_endpoint(&endpoint, grace);
                self.gateway.close_endpoint(&endpoint, grace);
            }
            Order::Stop => self.predecessor.begin_stop(),
            Order::Take | Order::Yield | Order::Ready | Order::Serving | Order::Report => {}
        }
        Answer {
            sessions: all_sessions(&self.gateway, &self.predecessor),
            ..Answer::default()
        }
    }

    /// Nobody tells anymore which sessions may be: they end as with a killed service.
    fn abandon(&self) {
        let sessions = self.gateway.open_sessions();
        if sessions > 0 {
            warn!(
                sessions,
                "the process that took over has ended; so do the sessions from before"
            );
        }
    }
}

/// The sessions of this process and of those before it.
pub(crate) fn all_sessions(
    gateway: &Gateway,
    predecessor: &Predecessor,
) -> HashMap<InstanceId, usize> {
    let mut sessions = gateway.sessions_by_instance();
    for (instance, count) in predecessor.sessions() {
        *sessions.entry(instance).or_default() += count;
    }
    sessions
}

type Drain = tokio::task::JoinHandle<usize>;

fn begin_drain(gateway: &Arc<Gateway>, patience: Duration) -> Drain {
    let gateway = Arc::clone(gateway);
    tokio::task::spawn_blocking(move || gateway.drain(patience))
}

async fn finished(draining: &mut Option<Drain>) {
    let Some(drain) = draining else {
        return std::future::pending().await;
    };
    if let Ok(cut @ 1..) = drain.await {
        warn!(
            sessions = cut,
            "database sessions in a transaction were cut off"
        );
    }
}
