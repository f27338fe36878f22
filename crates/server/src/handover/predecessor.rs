//! The process before this one, as long as it has sessions.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openpeta_gateway::Gateway;
use openpeta_types::route::InstanceRoute;
use openpeta_types::{EndpointId, InstanceId};
use tracing::{info, warn};

use super::Link;
use super::link::BlockingLink;
use super::message::{Answer, Order, Route};

/// How long it may take to do what it is told. It does within milliseconds; one that does not is
/// broken, and is ended, since its sessions may be ones that must not be.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked how many sessions are left.
const REPORT: Duration = Duration::from_millis(500);

/// Tells the process before this one what holds for its sessions. Does nothing if there is none.
/// Calls block for as long as that process takes.
pub(crate) struct Predecessor {
    gateway: Arc<Gateway>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    link: Option<BlockingLink>,
    /// It gets no new ones: an instance that is not in here never will be again.
    sessions: HashMap<InstanceId, usize>,
}

impl Predecessor {
    /// None, until one is attached.
    pub(crate) fn none(gateway: Arc<Gateway>) -> Self {
        Self {
            gateway,
            state: Mutex::default(),
        }
    }

    /// It has handed over.
    ///
    /// # Errors
    /// What the operating system reports.
    pub(super) fn attach(&self, link: Link) -> io::Result<()> {
        self.lock().link = Some(link.into_blocking(PATIENCE)?);
        Ok(())
    }

    /// It has so many sessions.
    pub(crate) fn count(&self, sessions: HashMap<InstanceId, usize>) {
        self.gateway.set_elsewhere(&sessions);
        self.lock().sessions = sessions;
    }

    /// How many sessions it had of each instance when it was last asked.
    pub(crate) fn sessions(&self) -> HashMap<InstanceId, usize> {
        self.lock().sessions.clone()
    }

    /// Whether it has ended, or there never was one.
    pub(crate) fn is_gone(&self) -> bool {
        self.lock().link.is_none()
    }

    /// Has its sessions go by this route. When this returns, none is left that the route does not
    /// admit.
    pub(crate) fn publish(&self, route: &InstanceRoute) {
        if self.serves(&route.instance_id) {
            self.tell(&Order::Publish(Box::new(Route::from(route))));
        }
    }

    /// Ends its sessions of the instance.
    pub(crate) fn withdraw(&self, instance: &InstanceId) {
        if self.serves(instance) {
            self.tell(&Order::Withdraw(instance.clone()));
        }
    }

    /// Ends its sessions that came through the endpoint, after the grace.
    pub(crate) fn close_endpoint(&self, endpoint: &EndpointId, grace: Duration) {
        let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.tell(&Order::CloseEndpoint(endpoint.clone(), grace));
    }

    /// Asks how many sessions it has, as long as there are any.
    pub(crate) async fn watch(self: Arc<Self>) {
        while !self.is_gone() {
            tokio::time::sleep(REPORT).await;
            let its = Arc::clone(&self);
            let _ = tokio::task::spawn_blocking(move || its.tell(&Order::Report)).await;
        }
    }

    /// Has it end its sessions as the service does when it stops.
    pub(crate) fn begin_stop(&self) {
        self.tell(&Order::Stop);
    }

    /// As above, and waits until it has ended itself, at most so long.
    pub(crate) fn stop(&self, patience: Duration) {
        let end = Instant::now() + patience;
        self.begin_stop();
        while !self.is_gone() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
            self.tell(&Order::Report);
        }
        if let Some(mut link) = self.lock().link.take() {
            link.end_peer();
        }
    }

    fn serves(&self, instance: &InstanceId) -> bool {
        self.lock().sessions.contains_key(instance)
    }

    fn tell(&self, order: &Order) {
        let mut state = self.lock();
        let Some(link) = &mut state.link else { return };
        state.sessions = match link.ask::<Answer>(order) {
            Ok(answer) => answer.sessions,
            Err(error) => {
                let ended = matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof
                        | io::ErrorKind::BrokenPipe
                        | io::ErrorKind::ConnectionReset
                );
                if ended {
                    info!("the process before this one has no sessions anymore");
                } else {
                    warn!(%error, "the process before this one does not answer; it is ended with its sessions");
                    link.end_peer();
                }
                state.link = None;
                HashMap::new()
            }
        };
        self.gateway.set_elsewhere(&state.sessions);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
