//! The gateway as the control plane sees it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use openpeta_relay_io::{Commander, Listener, LoopConfig, Loops, raise_open_file_limit};
use openpeta_types::route::InstanceRoute;
use openpeta_types::{EndpointId, InstanceId};

use crate::config::GatewayConfig;
use crate::counters::{DatabaseCounters, InstanceCounters, TakenCounters};
use crate::digests::StatementDigest;
use crate::error::GatewayError;
use crate::refusals::Refusal;
use crate::registry::{Registry, Route};
use crate::sessions::SessionInfo;
use crate::shell::{Command, Worker};
use crate::slow_log::SlowLog;

/// Descriptors left to the rest of the process when the number of sessions follows from the limit
/// of open files.
const RESERVED_FILES: u64 = 512;
/// How long a call waits for the event loops to confirm. They do within a millisecond or so; a
/// loop that does not within this time is broken, and waiting longer would not mend it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a drain looks whether sessions are left.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// A running gateway. All calls may come from any thread. Those that change who may connect
/// return when the change is in force on all event loops, as a rule well within a millisecond; only
/// [`drain`](Self::drain) blocks for longer. Dropping it closes all sessions.
pub struct Gateway {
    registry: Arc<Registry>,
    loops: Loops<Command>,
    next_token: AtomicU64,
    /// Held while endpoints are opened or closed, so that two calls for one id do not cross.
    endpoint_changes: Mutex<()>,
    sockets: Mutex<Sockets>,
}

/// What becomes of the sockets of endpoints.
#[derive(Default)]
struct Sockets {
    /// Nothing is accepted: clients wait until something is, here or in another process.
    held: bool,
    /// Sockets of another process for endpoints to be opened, with the addresses that it asked for.
    inherited: HashMap<EndpointId, (SocketAddr, Listener)>,
}

/// An open endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Where it listens.
    pub address: SocketAddr,
    /// The instance it leads to.
    pub instance: InstanceId,
}

/// The socket of an endpoint, on its way from one process to another.
#[derive(Clone, Debug)]
pub struct EndpointSocket {
    /// The endpoint.
    pub id: EndpointId,
    /// The address that was asked for, which may have had port 0.
    pub asked: SocketAddr,
    /// The socket.
    pub listener: Listener,
}

impl Gateway {
    /// Starts the event loops. Raises the process's limit of open files as far as it may go.
    ///
    /// # Errors
    ///
    /// [`GatewayError::Start`].
    pub fn start(config: GatewayConfig) -> Result<Self, GatewayError> {
        let workers = match config.workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let files = raise_open_file_limit();
        // A session needs two descriptors.
        let affordable = files.saturating_sub(RESERVED_FILES).max(2) / 2;
        let max_sessions = config.max_sessions.unwrap_or(affordable as usize);
        let loop_config = LoopConfig {
            kind: config.io,
            busy_poll: config.busy_poll,
            ..LoopConfig::default()
        };
        let slow_log = config.slow_log.as_ref().map(SlowLog::start).transpose();
        let slow_log = slow_log.map_err(GatewayError::Start)?;
        let registry = Arc::new(Registry::new(config, slow_log, workers, max_sessions));
        let its = Arc::clone(&registry);
        let worker = move |index| Worker::new(index, Arc::clone(&its));
        let loops = Loops::start(workers, loop_config, worker).map_err(GatewayError::Start)?;
        registry.set_commander(loops.commander());
        Ok(Self {
            registry,
            loops,
            next_token: AtomicU64::new(0),
            endpoint_changes: Mutex::new(()),
            sockets: Mutex::default(),
        })
    }

    /// Offers TLS with this configuration to clients that connect from now on, or no TLS.
    pub fn reload_tls(&self, tls: Option<Arc<rustls::ServerConfig>>) {
        self.registry.set_tls(tls);
    }

    /// Lets clients of an instance in by this route, in place of any earlier one. When it returns,
    /// no session is left whose client address the whitelist does not admit, or whose account is
    /// gone or has another password, and no such connection gets in anymore.
    pub fn publish(&self, route: InstanceRoute) {
        if let Some(instance) = self.registry.publish(route) {
            self.ask_loops(|reply| Command::Recheck(Arc::clone(&instance), reply));
        }
    }

    /// Lets no client of the instance in anymore and closes its sessions. Its endpoints stay open,
    /// refusing everyone, until they are closed.
    pub fn withdraw(&self, id: &InstanceId) {
        if let Some(instance) = self.registry.withdraw(id) {
            self.ask_loops(|reply| Command::Recheck(Arc::clone(&instance), reply));
        }
    }

    /// Listens on an address for an instance and returns the address, with the port chosen when
    /// port 0 was asked for. Does nothing when the endpoint is open there already.
    ///
    /// # Errors
    ///
    /// Any but [`GatewayError::Start`].
    pub fn open_endpoint(
        &self,
        id: EndpointId,
        address: SocketAddr,
        instance: InstanceId,
    ) -> Result<SocketAddr, GatewayError> {
        let _changing = self.change_endpoints();
        if self.registry.is_draining() {
            return Err(GatewayError::Draining);
        }
        if let Some((_, open)) = self.find_endpoint(&id) {
            let same =
                open.instance == instance && (open.asked == address || open.address == address);
            return match same {
                true => Ok(open.address),
                false => Err(GatewayError::EndpointOpen {
                    id,
                    address: open.address,
                }),
            };
        }
        let inherited = self.sockets().inherited.remove(&id);
        let listener = match inherited {
            Some((asked, listener)) if asked == address || listener.local() == address => listener,
            _ => Listener::bind_with(address, self.registry.config.keepalive)
                .map_err(|error| GatewayError::listen(address, error))?,
        };
        let local = listener.local();
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        let route = Route {
            id,
            asked: address,
            address: local,
            instance,
            listener: Some(listener.clone()),
        };
        // Before the first connection can come in.
        self.registry.endpoints_mut().insert(token, route);
        if !self.sockets().held {
            self.loops.listen(listener, token);
        }
        Ok(local)
    }

    /// Stops listening; the address is free when the call returns. Sessions that came through this
    /// endpoint may stay for `grace`, then are closed. Tells whether the endpoint was open.
    pub fn close_endpoint(&self, id: &EndpointId, grace: Duration) -> bool {
        let _changing = self.change_endpoints();
        let Some((token, _)) = self.find_endpoint(id) else {
            return false;
        };
        self.registry.endpoints_mut().remove(&token);
        self.loops.unlisten(token);
        let commander = self.loops.commander();
        commander.broadcast(|| Command::CloseEndpoint { token, grace });
        true
    }

    /// Accepts nothing until [`release`](Self::release) is called: clients wait in the queues of
    /// the sockets. Those that were accepted are served. Connections to nodes are not kept for
    /// clients to come.
    pub fn hold(&self) {
        let _changing = self.change_endpoints();
        if std::mem::replace(&mut self.sockets().held, true) {
            return;
        }
        let open: Vec<u64> = self.registry.endpoints().keys().copied().collect();
        for token in open {
            self.loops.unlisten(token);
        }
        self.registry.retire(true);
        self.ask_loops(Command::DropWarm);
    }

    /// Accepts what waits, and closes the sockets that were inherited and that no endpoint wanted.
    pub fn release(&self) {
        let _changing = self.change_endpoints();
        let mut sockets = self.sockets();
        sockets.inherited.clear();
        if std::mem::replace(&mut sockets.held, false) {
            self.registry.retire(false);
            for (token, route) in &*self.registry.endpoints() {
                if let Some(listener) = &route.listener {
                    self.loops.listen(listener.clone(), *token);
                }
            }
        }
    }

    /// Closes the sockets that it [`hold`](Self::hold)s: another process has them. What came through
    /// them stays, and the endpoints can still be closed.
    pub fn surrender(&self) {
        let _changing = self.change_endpoints();
        for route in self.registry.endpoints_mut().values_mut() {
            route.listener = None;
        }
    }

    /// Opens endpoints on these sockets, which another process has bound, rather than to bind the
    /// addresses anew.
    pub fn inherit(&self, sockets: Vec<EndpointSocket>) {
        let inherited = &mut self.sockets().inherited;
        inherited.extend(
            sockets
                .into_iter()
                .map(|its| (its.id, (its.asked, its.listener))),
        );
    }

    /// The sockets of all open endpoints, for another process.
    pub fn endpoint_sockets(&self) -> Vec<EndpointSocket> {
        let _changing = self.change_endpoints();
        let endpoints = self.registry.endpoints();
        let socket = |route: &Route| {
            Some(EndpointSocket {
                id: route.id.clone(),
                asked: route.asked,
                listener: route.listener.clone()?,
            })
        };
        endpoints.values().filter_map(socket).collect()
    }

    /// Sessions that are open now, over all instances that are published and others.
    pub fn open_sessions(&self) -> usize {
        self.registry.sessions()
    }

    /// How many sessions each instance has that has any.
    pub fn sessions_by_instance(&self) -> HashMap<InstanceId, usize> {
        let instances = self.registry.instances().into_iter();
        instances
            .map(|(id, instance)| (id, instance.sessions()))
            .filter(|(_, sessions)| *sessions > 0)
            .collect()
    }

    /// How many sessions another process still has of each instance; they count against its limit.
    pub fn set_elsewhere(&self, sessions: &HashMap<InstanceId, usize>) {
        for (id, instance) in self.registry.instances() {
            instance.set_elsewhere(sessions.get(&id).copied().unwrap_or_default());
        }
    }

    /// All open endpoints, by id.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let routes = self.registry.endpoints();
        let mut endpoints: Vec<_> = routes
            .values()
            .map(|route| Endpoint {
                id: route.id.clone(),
                address: route.address,
                instance: route.instance.clone(),
            })
            .collect();
        drop(routes);
        endpoints.sort_by(|a, b| a.id.cmp(&b.id));
        endpoints
    }

    /// Closes all endpoints, lets running commands and transactions finish, closes each session
    /// as soon as it has none, and the rest when `patience` is over. Returns how many had to be
    /// cut off. Blocks until then.
    pub fn drain(&self, patience: Duration) -> usize {
        let end = Instant::now() + patience;
        {
            let _changing = self.change_endpoints();
            self.registry.start_draining();
            let open: Vec<u64> = self.registry.endpoints_mut().drain().map(|e| e.0).collect();
            for token in open {
                self.loops.unlisten(token);
            }
        }
        self.ask_loops(Command::Drain);
        while self.registry.sessions() > 0 && Instant::now() < end {
            thread::sleep(DRAIN_POLL.min(end.saturating_duration_since(Instant::now())));
        }
        self.ask_loops(Command::KickAll)
    }

    /// Sessions of an instance that are open now, logins under way included.
    pub fn sessions(&self, id: &InstanceId) -> usize {
        let instance = self.registry.instance(id);
        instance.map_or(0, |instance| instance.sessions())
    }

    /// The sessions of an instance that are past their login, by the node's numbers for them.
    pub fn session_list(&self, id: &InstanceId) -> Vec<SessionInfo> {
        let instance = self.registry.instance(id);
        instance.map_or_else(Vec::new, |instance| instance.traffic().sessions.all())
    }

    /// What was counted for an instance, if it is published.
    pub fn counters(&self, id: &InstanceId) -> Option<InstanceCounters> {
        Some(self.registry.instance(id)?.total())
    }

    /// What was counted for each database of an instance that a session has been in, by name, if
    /// the instance is published. Sessions in no database count for the instance alone.
    pub fn database_counters(&self, id: &InstanceId) -> Option<Vec<DatabaseCounters>> {
        Some(self.registry.instance(id)?.traffic().databases())
    }

    /// Each kind of statement that an instance's sessions ran, by the time that it took in all, the
    /// longest first, if the instance is published.
    pub fn digests(&self, id: &InstanceId) -> Option<Vec<StatementDigest>> {
        Some(self.registry.instance(id)?.traffic().digests())
    }

    /// From now on statements of the instance that take this long go to its slow log; none with
    /// `None`. Without, the configured threshold holds. Tells whether the instance is published.
    pub fn set_slow_threshold(&self, id: &InstanceId, threshold: Option<Duration>) -> bool {
        let instance = self.registry.instance(id);
        let traffic = instance.as_ref().map(|instance| instance.traffic());
        traffic
            .inspect(|traffic| traffic.slow.set_threshold(threshold))
            .is_some()
    }

    /// Slow statements that could not be logged in time, or at all.
    pub fn slow_log_dropped(&self) -> u64 {
        self.registry.slow_log.as_ref().map_or(0, SlowLog::dropped)
    }

    /// What was counted for an instance and its databases, if it is published. Maxima of response
    /// times begin anew, so one caller does this regularly.
    pub fn take_counters(&self, id: &InstanceId) -> Option<TakenCounters> {
        Some(self.registry.instance(id)?.take())
    }

    /// Who was turned away since this was last called, those first that were so most often.
    pub fn take_refusals(&self) -> Vec<Refusal> {
        self.registry.refusals.take()
    }

    fn find_endpoint(&self, id: &EndpointId) -> Option<(u64, Route)> {
        let endpoints = self.registry.endpoints();
        let found = endpoints.iter().find(|(_, route)| route.id == *id);
        found.map(|(token, route)| (*token, route.clone()))
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_endpoints(&self) -> MutexGuard<'_, ()> {
        self.endpoint_changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a command to all loops, waits until they have done it, and adds up their answers.
    fn ask_loops(&self, mut command: impl FnMut(mpsc::Sender<usize>) -> Command) -> usize {
        let commander: Commander<Command> = self.loops.commander();
        let (reply, replies) = mpsc::channel();
        commander.broadcast(|| command(reply.clone()));
        drop(reply);
        let end = Instant::now() + PATIENCE;
        let mut sum = 0;
        for _ in 0..commander.loops() {
            let wait = end.saturating_duration_since(Instant::now());
            match replies.recv_timeout(wait) {
                Ok(count) => sum += count,
                Err(_) => {
                    tracing::error!("an event loop of the gateway does not answer");
                    break;
                }
            }
        }
        sum
    }
}
