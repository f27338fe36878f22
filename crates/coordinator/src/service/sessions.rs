//! The sessions of an instance: which connections each has, so that what they run can be ended from
//! outside, and that it can be told whose locks another one waits for.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use openpeta_mysql_wire::ErrPacket;
use tokio::sync::Notify;

use super::Instance;
use crate::node::{NodeConnection, NodeError};
use crate::topology::Topology;

/// How long it may take to end what a connection runs.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether a session has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// `ER_QUERY_INTERRUPTED`.
const INTERRUPTED: u16 = 1317;

/// The sessions of an instance, by home's numbers of them, which are those that clients know.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<u32, Arc<Running>>>);

/// What others may know of a session.
#[derive(Debug)]
pub struct Running {
    home: u32,
    state: Mutex<State>,
    /// It ends as soon as it does nothing.
    ended: Event,
    /// It ends at once: what it waits for does not come.
    forsaken: Event,
    /// Its statement is ended.
    interrupt: Notify,
    /// Held while its connections are told to end what they run.
    interrupting: tokio::sync::Mutex<()>,
}

/// Something that happens once, if at all.
#[derive(Debug, Default)]
struct Event {
    has_happened: AtomicBool,
    happens: Notify,
}

impl Event {
    fn happen(&self) {
        self.has_happened.store(true, Ordering::Release);
        self.happens.notify_waiters();
    }

    fn has_happened(&self) -> bool {
        self.has_happened.load(Ordering::Acquire)
    }

    async fn wait(&self) {
        let happens = self.happens.notified();
        tokio::pin!(happens);
        happens.as_mut().enable();
        if !self.has_happened() {
            happens.await;
        }
    }
}

#[derive(Debug, Default)]
struct State {
    branches: BTreeMap<u16, u32>,
    /// Since when a statement runs.
    since: Option<Instant>,
    /// The number of its transaction over nodes, of which a later one has a greater.
    transaction: Option<u64>,
    /// Its transaction is being carried out, which is not to be interrupted.
    committing: bool,
    /// The statement was ended because of a deadlock.
    is_victim: bool,
    /// How many want to end what its connections run, or do.
    interrupting: usize,
    /// It distributes a table.
    redistributes: bool,
    /// It waits until tables are distributed, before it has looked at any.
    waits: bool,
}

/// A connection: the node's number, and the node's number of it.
pub(super) type Connection = (u16, u32);

/// A session that is known as long as this is there.
#[derive(Debug)]
pub struct Entry {
    instance: Arc<Instance>,
    running: Arc<Running>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<Running>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all of them, as soon as they do nothing.
    pub(super) fn end_all(&self) {
        for running in self.lock().values() {
            running.end_session();
        }
    }

    /// Whether one runs a statement that began before, unless that waits for tables to be distributed, or
    /// distributes one.
    pub(super) fn runs_since_before(&self, moment: Instant) -> bool {
        self.lock().values().any(|running| {
            let state = running.lock();
            !state.redistributes && !state.waits && state.since.is_some_and(|since| since <= moment)
        })
    }

    /// Those that are in a transaction over nodes, and whose statement has run for so long.
    pub(super) fn waiting(&self, time: Duration) -> Vec<Arc<Running>> {
        let is_waiting = |running: &&Arc<Running>| {
            let state = running.lock();
            let is_long = state.since.is_some_and(|since| since.elapsed() >= time);
            is_long && state.transaction.is_some() && !state.committing
        };
        self.lock().values().filter(is_waiting).cloned().collect()
    }
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Home's number of it.
    pub(super) fn home(&self) -> u32 {
        self.home
    }

    /// All its connections, home's among them.
    pub(super) fn connections(&self) -> Vec<Connection> {
        let branches = self.lock().branches.clone();
        [(Topology::HOME, self.home)]
            .into_iter()
            .chain(branches)
            .collect()
    }

    /// The number of its transaction over nodes.
    pub(super) fn transaction(&self) -> Option<u64> {
        self.lock().transaction
    }

    /// A statement begins, which may be interrupted.
    pub async fn begin(&self) {
        if self.lock().begin_unless_interrupting() {
            return;
        }
        // What was meant for the one before must not hit this one.
        let _over = self.interrupting.lock().await;
        self.lock().begin();
    }

    /// From here on the statement is not interrupted any more: it is over, or what it did is tidied up.
    pub async fn settle(&self) {
        {
            let mut state = self.lock();
            state.since = None;
            if state.interrupting == 0 {
                // Whoever comes now finds nothing to interrupt.
                return;
            }
        }
        let _over = self.interrupting.lock().await;
    }

    /// It has a connection to another node, or one that it had is no more.
    pub fn set_branch(&self, node: u16, thread: Option<u32>) {
        let branches = &mut self.lock().branches;
        match thread {
            Some(thread) => branches.insert(node, thread),
            None => branches.remove(&node),
        };
    }

    /// Its statement distributes a table, or has.
    pub fn set_redistributes(&self, redistributes: bool) {
        self.lock().redistributes = redistributes;
    }

    /// Its statement waits for tables to be distributed until this is let go of. Whoever does that looks again
    /// then whether there is something to wait for.
    pub(crate) fn waits(&self) -> Waits<'_> {
        self.lock().waits = true;
        Waits(self)
    }

    /// Its transaction over nodes begins, or is over.
    pub fn set_transaction(&self, number: Option<u64>) {
        self.lock().transaction = number;
    }

    /// Its transaction is being carried out, or was.
    pub fn set_committing(&self, committing: bool) {
        self.lock().committing = committing;
    }

    fn may_be_interrupted(&self) -> bool {
        let state = self.lock();
        state.since.is_some() && !state.committing
    }

    /// Makes it the victim of a deadlock, if its statement still runs in that transaction.
    pub(super) fn choose(&self, transaction: u64) -> bool {
        let mut state = self.lock();
        let is_still =
            state.transaction == Some(transaction) && state.since.is_some() && !state.committing;
        state.is_victim |= is_still;
        is_still
    }

    /// What is told of an error: that there was a deadlock, where a statement was ended for that.
    #[must_use]
    pub fn told(&self, error: ErrPacket) -> ErrPacket {
        if error.code != INTERRUPTED || !self.lock().is_victim {
            return error;
        }
        ErrPacket::new(
            1213,
            b"40001",
            "Deadlock found when trying to get lock; try restarting transaction",
        )
    }

    fn end_session(&self) {
        self.ended.happen();
        self.interrupt.notify_waiters();
    }

    /// Whether it was ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended.has_happened()
    }

    /// Waits until it is ended.
    pub async fn ended(&self) {
        self.ended.wait().await;
    }

    /// Waits until it has to end as if its process were killed: it was ended, and goes on waiting for a
    /// node that does not take note of that. Not while its transaction is carried out.
    pub async fn forsaken(&self) {
        self.forsaken.wait().await;
        if self.lock().committing {
            std::future::pending::<()>().await;
        }
    }

    /// Has it end in that way if it still runs its statement after a while.
    async fn forsake_after(&self, time: Duration) {
        let end = Instant::now() + time;
        while self.may_be_interrupted() {
            if Instant::now() >= end {
                return self.forsaken.happen();
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Does something that waits for others alone, unless the statement is interrupted.
    ///
    /// # Errors
    /// What it fails with, or that it was interrupted.
    pub async fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, ErrPacket>>,
    ) -> Result<T, ErrPacket> {
        tokio::select! {
            done = work => done,
            () = self.interrupt.notified() => {
                Err(ErrPacket::new(INTERRUPTED, b"70100", "Query execution was interrupted"))
            }
        }
    }
}

impl State {
    fn begin(&mut self) {
        self.since = Some(Instant::now());
        self.is_victim = false;
    }

    fn begin_unless_interrupting(&mut self) -> bool {
        let is_quiet = self.interrupting == 0;
        if is_quiet {
            self.begin();
        }
        is_quiet
    }
}

/// Somebody ends what a session's connections run.
struct Interrupting<'r>(&'r Running);

impl<'r> Interrupting<'r> {
    fn of(running: &'r Running) -> Self {
        running.lock().interrupting += 1;
        Self(running)
    }
}

impl Drop for Interrupting<'_> {
    fn drop(&mut self) {
        self.0.lock().interrupting -= 1;
    }
}

/// A statement that waits for tables to be distributed.
pub(crate) struct Waits<'r>(&'r Running);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.lock().waits = false;
    }
}

impl Entry {
    /// What others may know of it.
    #[must_use]
    pub fn running(&self) -> &Arc<Running> {
        &self.running
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut all = self.instance.sessions().lock();
        // Where home has begun anew, another one may have the number.
        if let Some(found) = all.get(&self.running.home)
            && Arc::ptr_eq(found, &self.running)
        {
            all.remove(&self.running.home);
        }
    }
}

impl Instance {
    /// A session begins, to which home has given that number.
    #[must_use]
    pub fn enter(self: &Arc<Self>, home: u32) -> Entry {
        let running = Arc::new(Running {
            home,
            state: Mutex::default(),
            ended: Event::default(),
            forsaken: Event::default(),
            interrupt: Notify::new(),
            interrupting: tokio::sync::Mutex::default(),
        });
        let mut all = self.sessions().lock();
        all.insert(home, Arc::clone(&running));
        drop(all);
        Entry {
            instance: Arc::clone(self),
            running,
        }
    }

    /// Home has ended a session, or its statement alone: so does all that other nodes run for it.
    pub async fn end_session(&self, home: u32, statement_alone: bool) {
        let found = self.sessions().lock().get(&home).cloned();
        let Some(running) = found else {
            return;
        };
        if !statement_alone {
            running.end_session();
        }
        let mut connections = running.connections();
        connections.retain(|connection| *connection != (Topology::HOME, home));
        self.interrupt(&running, connections).await;
        if !statement_alone {
            running.forsake_after(PATIENCE).await;
        }
    }

    /// Ends the statements that connections of a session run.
    pub(super) async fn interrupt(&self, running: &Running, connections: Vec<Connection>) {
        let _counted = Interrupting::of(running);
        let _interrupting = running.interrupting.lock().await;
        running.interrupt.notify_waiters();
        for (node, thread) in connections {
            if !running.may_be_interrupted() {
                return;
            }
            let ended = tokio::time::timeout(PATIENCE, self.interrupt_one(node, thread)).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::warn!(node, thread, "a statement could not be ended");
            }
        }
    }

    async fn interrupt_one(&self, node: u16, thread: u32) -> Result<(), NodeError> {
        let mut connection: NodeConnection = self.connect(node).await?;
        // It may be over, and then there is nothing to end.
        connection.query(format!("KILL QUERY {thread}")).await?;
        connection.quit().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Running {
        Running {
            home: 1,
            state: Mutex::default(),
            ended: Event::default(),
            forsaken: Event::default(),
            interrupt: Notify::new(),
            interrupting: tokio::sync::Mutex::default(),
        }
    }

    #[tokio::test]
    async fn a_statement_begins_when_what_was_meant_for_the_one_before_is_over() {
        let running = Arc::new(running());
        running.begin().await;
        assert!(running.may_be_interrupted());
        running.settle().await;
        assert!(!running.may_be_interrupted());
        let counted = Interrupting::of(&running);
        let interrupting = running.interrupting.lock().await;
        let next = {
            let running = Arc::clone(&running);
            tokio::spawn(async move {
                running.settle().await;
                running.begin().await;
            })
        };
        tokio::task::yield_now().await;
        assert!(!next.is_finished() && !running.may_be_interrupted());
        drop((interrupting, counted));
        next.await.expect("it begins");
        assert!(running.may_be_interrupted());
        assert_eq!(running.lock().interrupting, 0);
    }

    #[tokio::test]
    async fn who_distributes_tables_does_not_wait_for_those_who_wait_for_that() {
        let (sessions, running) = (Sessions::default(), Arc::new(running()));
        sessions.lock().insert(1, Arc::clone(&running));
        let before = Instant::now();
        assert!(!sessions.runs_since_before(before));
        running.begin().await;
        let now = Instant::now();
        assert!(sessions.runs_since_before(now));
        let waits = running.waits();
        assert!(!sessions.runs_since_before(now));
        drop(waits);
        // It has begun, and goes on with what it has read before.
        assert!(sessions.runs_since_before(now));
        running.settle().await;
        assert!(!sessions.runs_since_before(now));
    }
}
