//! What the public calls and the event loops share: instances, endpoints, limits.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use openpeta_relay_io::{Commander, Listener};
use openpeta_types::route::InstanceRoute;
use openpeta_types::{EndpointId, InstanceId};

use crate::config::GatewayConfig;
use crate::counters::{InstanceCounters, LoopCounters, Meter, TakenCounters, Traffic};
use crate::logins::Logins;
use crate::refusals::Refusals;
use crate::shell::Command;
use crate::slow_log::{SlowLog, SlowTap};

/// One published instance. Sessions hold it, so it outlives its withdrawal until they are gone.
pub(crate) struct Instance {
    /// The present route; `None` once withdrawn.
    route: RwLock<Option<Arc<InstanceRoute>>>,
    /// Sessions open now.
    sessions: AtomicUsize,
    /// Sessions that an earlier process still has.
    elsewhere: AtomicUsize,
    /// Those of `sessions` that have not logged in yet.
    logins: Logins,
    /// Connections to the node that no client has.
    warm: AtomicUsize,
    /// Those of them that are clean and wait for one.
    ready: AtomicUsize,
    /// One share per event loop.
    counters: Box<[LoopCounters]>,
    /// What its sessions do.
    traffic: Arc<Traffic>,
}

impl Instance {
    fn new(route: Arc<InstanceRoute>, slow: SlowTap, digests: usize, loops: usize) -> Self {
        Self {
            route: RwLock::new(Some(route)),
            sessions: AtomicUsize::new(0),
            elsewhere: AtomicUsize::new(0),
            logins: Logins::default(),
            warm: AtomicUsize::new(0),
            ready: AtomicUsize::new(0),
            counters: (0..loops).map(|_| LoopCounters::default()).collect(),
            traffic: Arc::new(Traffic::new(slow, digests, loops)),
        }
    }

    /// What of a route holds for open sessions without their looking at it.
    fn apply(&self, route: &InstanceRoute) {
        self.traffic.accounts.set_limits(&route.limits);
        self.traffic.slow.follow(route.slow_threshold);
    }

    pub(crate) fn route(&self) -> Option<Arc<InstanceRoute>> {
        read(&self.route).clone()
    }

    /// The share of event loop `index`, for its thread alone to add to.
    pub(crate) fn counters(&self, index: usize) -> &LoopCounters {
        &self.counters[index]
    }

    /// A meter for a session of event loop `index`.
    pub(crate) fn meter(&self, index: usize) -> Meter {
        Meter::new(Arc::clone(&self.traffic), index)
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(crate) fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Sessions that an earlier process still has. They count against the limit.
    pub(crate) fn set_elsewhere(&self, sessions: usize) {
        self.elsewhere.store(sessions, Ordering::Relaxed);
    }

    /// How many sessions there may be here when there may be `limit` in all.
    fn share_of(&self, limit: u32) -> usize {
        (limit as usize).saturating_sub(self.elsewhere.load(Ordering::Relaxed))
    }

    pub(crate) fn logins(&self) -> &Logins {
        &self.logins
    }

    /// Counts a connection that waits for a client now.
    pub(crate) fn offered(&self) {
        self.ready.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes back what [`Self::offered`] counted.
    pub(crate) fn taken(&self) {
        self.ready.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> InstanceCounters {
        let mut total = self.connections();
        self.traffic.add_to(&mut total);
        total
    }

    /// As above, with each database's; begins new maxima.
    pub(crate) fn take(&self) -> TakenCounters {
        let mut instance = self.connections();
        let databases = self.traffic.take(&mut instance);
        TakenCounters {
            counted_as: self.traffic.number,
            instance,
            databases,
        }
    }

    fn connections(&self) -> InstanceCounters {
        let mut total = InstanceCounters {
            sessions: self.sessions() as u64,
            elsewhere: self.elsewhere.load(Ordering::Relaxed) as u64,
            warm: self.ready.load(Ordering::Relaxed) as u64,
            ..InstanceCounters::default()
        };
        for share in &self.counters {
            share.add_to(&mut total);
        }
        total
    }
}

/// A listener and what it leads to.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) id: EndpointId,
    /// The address asked for, which may have had port 0.
    pub(crate) asked: SocketAddr,
    pub(crate) address: SocketAddr,
    pub(crate) instance: InstanceId,
    /// The socket, which the loops close only with this one; `None` once another process has it.
    pub(crate) listener: Option<Listener>,
}

/// The shared tables. All locks are held for a look-up only.
pub(crate) struct Registry {
    pub(crate) config: GatewayConfig,
    /// From when on all event loops count the time.
    pub(crate) start: Instant,
    pub(crate) slow_log: Option<SlowLog>,
    pub(crate) refusals: Refusals,
    loops: usize,
    max_sessions: usize,
    sessions: AtomicUsize,
    /// Connections to nodes that no client has.
    warm: AtomicUsize,
    /// Reaches the event loops once they run.
    commander: OnceLock<Commander<Command>>,
    draining: AtomicBool,
    /// Whether another process is to take the clients that come.
    retired: AtomicBool,
    tls: RwLock<Option<Arc<rustls::ServerConfig>>>,
    instances: RwLock<HashMap<InstanceId, Arc<Instance>>>,
    /// By the token of the listener.
    endpoints: RwLock<HashMap<u64, Route>>,
}

impl Registry {
    pub(crate) fn new(
        config: GatewayConfig,
        slow_log: Option<SlowLog>,
        loops: usize,
        max_sessions: usize,
    ) -> Self {
        Self {
            tls: RwLock::new(config.tls.clone()),
            config,
            start: Instant::now(),
            slow_log,
            refusals: Refusals::default(),
            loops,
            max_sessions,
            sessions: AtomicUsize::new(0),
            warm: AtomicUsize::new(0),
            commander: OnceLock::new(),
            draining: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            instances: RwLock::default(),
            endpoints: RwLock::default(),
        }
    }

    /// Stores the route. Returns the instance if it was published before, so that its sessions
    /// can be looked at.
    pub(crate) fn publish(&self, route: InstanceRoute) -> Option<Arc<Instance>> {
        let id = route.instance_id.clone();
        let route = Arc::new(route);
        let mut instances = write(&self.instances);
        if let Some(instance) = instances.get(&id) {
            instance.apply(&route);
            *write(&instance.route) = Some(route);
            return Some(Arc::clone(instance));
        }
        let slow = SlowTap::new(id.clone(), self.slow_log.clone());
        let instance = Instance::new(Arc::clone(&route), slow, self.config.digests, self.loops);
        instance.apply(&route);
        instances.insert(id, Arc::new(instance));
        None
    }

    pub(crate) fn withdraw(&self, id: &InstanceId) -> Option<Arc<Instance>> {
        let instance = write(&self.instances).remove(id)?;
        *write(&instance.route) = None;
        Some(instance)
    }

    /// All instances that are published.
    pub(crate) fn instances(&self) -> Vec<(InstanceId, Arc<Instance>)> {
        let instances = read(&self.instances);
        let pairs = instances.iter();
        pairs
            .map(|(id, instance)| (id.clone(), Arc::clone(instance)))
            .collect()
    }

    pub(crate) fn instance(&self, id: &InstanceId) -> Option<Arc<Instance>> {
        read(&self.instances).get(id).cloned()
    }

    /// The instance behind a listener, if both are there.
    pub(crate) fn instance_of(&self, token: u64) -> Option<Arc<Instance>> {
        let endpoints = read(&self.endpoints);
        let instances = read(&self.instances);
        instances.get(&endpoints.get(&token)?.instance).cloned()
    }

    pub(crate) fn endpoints(&self) -> RwLockReadGuard<'_, HashMap<u64, Route>> {
        read(&self.endpoints)
    }

    pub(crate) fn endpoints_mut(&self) -> RwLockWriteGuard<'_, HashMap<u64, Route>> {
        write(&self.endpoints)
    }

    pub(crate) fn tls(&self) -> Option<Arc<rustls::ServerConfig>> {
        read(&self.tls).clone()
    }

    pub(crate) fn set_tls(&self, tls: Option<Arc<rustls::ServerConfig>>) {
        *write(&self.tls) = tls;
    }

    /// Counts one more session of the instance, unless a limit forbids it.
    pub(crate) fn enter(&self, instance: &Instance, limit: u32) -> bool {
        if !add_below(&self.sessions, self.max_sessions) {
            return false;
        }
        let entered = add_below(&instance.sessions, instance.share_of(limit));
        if !entered {
            self.sessions.fetch_sub(1, Ordering::Relaxed);
        }
        entered
    }

    /// Counts one more session of the instance, in whose place another one goes.
    pub(crate) fn enter_in_place(&self, instance: &Instance) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        instance.sessions.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes back what [`Self::enter`] counted.
    pub(crate) fn leave(&self, instance: &Instance) {
        instance.sessions.fetch_sub(1, Ordering::Relaxed);
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a connection that is to wait for a client of the instance, unless there is no room
    /// for it: the node admits `limit` sessions, which come first.
    pub(crate) fn park(&self, instance: &Instance, limit: u32) -> bool {
        let limit = instance.share_of(limit);
        let free = limit.saturating_sub(instance.sessions());
        let bound = self.config.warm_connections.min(limit / 2).min(free);
        if !add_below(&instance.warm, bound) {
            return false;
        }
        let free = self.max_sessions.saturating_sub(self.sessions());
        let entered = add_below(&self.warm, free);
        if !entered {
            instance.warm.fetch_sub(1, Ordering::Relaxed);
        }
        entered
    }

    /// Takes back what [`Self::park`] counted.
    pub(crate) fn unpark(&self, instance: &Instance) {
        instance.warm.fetch_sub(1, Ordering::Relaxed);
        self.warm.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether waiting connections stand in the way of sessions: the instance's own (`true`) or
    /// all together.
    pub(crate) fn crowded(&self, instance: &Instance, limit: u32) -> Option<bool> {
        let (own, all) = (
            instance.warm.load(Ordering::Relaxed),
            self.warm.load(Ordering::Relaxed),
        );
        if own > 0 && instance.sessions() + own > instance.share_of(limit) {
            Some(true)
        } else if all > 0 && self.sessions() + all > self.max_sessions {
            Some(false)
        } else {
            None
        }
    }

    /// Lets event loops reach each other.
    pub(crate) fn set_commander(&self, commander: Commander<Command>) {
        // Set once, by the only one who starts them.
        let _ = self.commander.set(commander);
    }

    /// Sends one event loop a command.
    pub(crate) fn tell(&self, event_loop: usize, command: Command) {
        if let Some(commander) = self.commander.get() {
            commander.send(event_loop, command);
        }
    }

    /// Sends every event loop its own command.
    pub(crate) fn broadcast(&self, command: impl FnMut() -> Command) {
        if let Some(commander) = self.commander.get() {
            commander.broadcast(command);
        }
    }

    pub(crate) fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn retire(&self, retired: bool) {
        self.retired.store(retired, Ordering::Relaxed);
    }

    /// Whether connections to nodes may be kept for clients to come.
    pub(crate) fn keeps_warm(&self) -> bool {
        !self.is_draining() && !self.retired.load(Ordering::Relaxed)
    }
}

fn add_below(count: &AtomicUsize, limit: usize) -> bool {
    let next = |count| (count < limit).then_some(count + 1);
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
        .is_ok()
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
