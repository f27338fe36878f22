//! What the gateway counts per instance and per database.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use openpeta_sql_route::{DigestReader, StatementClass};

use crate::accounts::Accounts;
use crate::digests::{DigestPlace, Digests, Outcome, StatementDigest};
use crate::sessions::{LiveSession, SessionInfo, Sessions};
use crate::slow_log::SlowTap;
use crate::times::{Times, TimesTaken};

/// Databases of one instance that are counted for themselves; the sessions in any further one
/// count for the instance alone.
const MOST_DATABASES: usize = 1000;
/// Digests of a meter that nobody reads.
const DETACHED_DIGESTS: usize = 10;
/// No database has a longer name, in bytes.
const LONGEST_NAME: usize = 256;

/// Totals of one instance since it was first published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstanceCounters {
    /// Sessions open now.
    pub sessions: u64,
    /// Sessions that a process before this one still has.
    pub elsewhere: u64,
    /// Connections to the node that wait for a client now.
    pub warm: u64,
    /// Connections that passed the whitelist and the limits.
    pub accepted: u64,
    /// Connections refused because the whitelist does not admit their address.
    pub refused_whitelist: u64,
    /// Connections refused because of a limit on sessions.
    pub refused_limit: u64,
    /// Logins under way that made way for a client of another address.
    pub displaced: u64,
    /// Connections from load balancers that sent no PROXY header, or a wrong one.
    pub refused_proxy_header: u64,
    /// Logins with an unknown account or a wrong password.
    pub failed_logins: u64,
    /// Logins that were not finished in time.
    pub login_timeouts: u64,
    /// Connections for which the node could not be reached.
    pub node_failures: u64,
    /// Logins on a connection to the node that was waiting.
    pub warm_used: u64,
    /// Connections that found none waiting.
    pub warm_missed: u64,
    /// Waiting connections that turned out to be of no use to the client they were given to.
    pub warm_unfit: u64,
    /// Sessions that went on over another connection when the node went down, each time.
    pub revived: u64,
    /// Commands of any kind begun.
    pub commands: u64,
    /// Replies that were, or ended in, errors.
    pub errors: u64,
    /// Bytes received from clients, as they came over the network.
    pub bytes_in: u64,
    /// Bytes received from the node for clients.
    pub bytes_out: u64,
    /// Statements.
    pub statements: StatementCounters,
}

/// Totals of one database of an instance. What a session does counts for the database that it
/// is in at the time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseCounters {
    /// The database.
    pub name: String,
    /// Sessions that are in it now.
    pub sessions: u64,
    /// Times that a session entered it, by its login or later.
    pub entered: u64,
    /// Commands of any kind begun.
    pub commands: u64,
    /// Replies that were, or ended in, errors.
    pub errors: u64,
    /// Bytes received from clients, as they came over the network.
    pub bytes_in: u64,
    /// Bytes received from the node for clients.
    pub bytes_out: u64,
    /// Statements.
    pub statements: StatementCounters,
}

/// What was counted of an instance, for whoever looks at it regularly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenCounters {
    /// Another number means that counting began anew, from zero.
    pub counted_as: u64,
    /// The instance.
    pub instance: InstanceCounters,
    /// Its databases that a session has been in, by name.
    pub databases: Vec<DatabaseCounters>,
}

/// Statements, each counted when its reply, or its part of one, is complete: those of COM_QUERY,
/// every one where there are several, and executions of prepared ones. The classes together are
/// all of them, failed ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatementCounters {
    /// Statements that succeeded.
    pub finished: u64,
    /// Statements that failed.
    pub failed: u64,
    /// `SET`.
    pub set: u64,
    /// Reads of one partition; in a database that is not sharded, all.
    pub single_reads: u64,
    /// Reads of several partitions.
    pub multi_reads: u64,
    /// Writes to one partition; in a database that is not sharded, all.
    pub single_writes: u64,
    /// Writes to several partitions.
    pub multi_writes: u64,
    /// `BEGIN`, `START TRANSACTION`.
    pub begins: u64,
    /// `COMMIT`.
    pub commits: u64,
    /// `ROLLBACK`.
    pub rollbacks: u64,
    /// Savepoints and XA.
    pub other_transaction: u64,
    /// All else.
    pub other: u64,
    /// Time from the command to the end of the reply, of all reads.
    pub read_time: Duration,
    /// The longest of these since they were last taken.
    pub longest_read: Duration,
    /// Time from the command to the end of the reply, of all writes.
    pub write_time: Duration,
    /// The longest of these since they were last taken.
    pub longest_write: Duration,
    /// How long reads took.
    pub reads_by_time: TimesTaken,
    /// How long writes took.
    pub writes_by_time: TimesTaken,
}

impl StatementCounters {
    /// All statements.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.finished + self.failed
    }
}

/// Declares the counters of one event loop and how they are summed up.
macro_rules! shares {
    ($(#[$doc:meta])* $share:ident adds to $total:ty { $($name:ident),* $(,)? }) => {
        $(#[$doc])*
        /// Only the loop's thread writes, so plain additions do, and it has cache lines of its own,
        /// so counting costs no traffic between processors.
        #[derive(Default)]
        #[repr(align(128))]
        pub(crate) struct $share {
            $(pub(crate) $name: Counter,)*
        }

        impl $share {
            pub(crate) fn add_to(&self, total: &mut $total) {
                $(total.$name += self.$name.get();)*
            }
        }
    };
}

shares!(
    /// What one event loop counts of an instance besides its sessions' traffic.
    LoopCounters adds to InstanceCounters {
        accepted,
        refused_whitelist,
        refused_limit,
        displaced,
        refused_proxy_header,
        failed_logins,
        login_timeouts,
        node_failures,
        warm_used,
        warm_missed,
        warm_unfit,
        revived,
    }
);

shares!(
    /// What one event loop counts of the sessions in a database.
    Statements adds to StatementCounters {
        finished,
        failed,
        set,
        single_reads,
        multi_reads,
        single_writes,
        multi_writes,
        begins,
        commits,
        rollbacks,
        other_transaction,
        other,
    }
);

/// A number that one thread adds to and any thread reads.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(count), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one event loop counts of the sessions in a database, or in none.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Share {
    statements: Statements,
    reads: Times,
    writes: Times,
    entered: Counter,
    left: Counter,
    commands: Counter,
    errors: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
}

/// What is counted of the sessions in one database, or in none: a share per event loop.
struct Place {
    name: Vec<u8>,
    shares: Box<[Share]>,
}

impl Place {
    fn new(name: &[u8], loops: usize) -> Self {
        Self {
            name: name.to_vec(),
            shares: (0..loops).map(|_| Share::default()).collect(),
        }
    }

    /// What was counted; begins new maxima when these are taken.
    fn total(&self, take: bool) -> DatabaseCounters {
        let mut total = DatabaseCounters {
            name: String::from_utf8_lossy(&self.name).into_owned(),
            ..DatabaseCounters::default()
        };
        let mut left = 0;
        for share in &self.shares {
            let statements = &mut total.statements;
            share.statements.add_to(statements);
            share.reads.add_to(
                &mut statements.read_time,
                &mut statements.longest_read,
                &mut statements.reads_by_time,
                take,
            );
            share.writes.add_to(
                &mut statements.write_time,
                &mut statements.longest_write,
                &mut statements.writes_by_time,
                take,
            );
            total.entered += share.entered.get();
            left += share.left.get();
            total.commands += share.commands.get();
            total.errors += share.errors.get();
            total.bytes_in += share.bytes_in.get();
            total.bytes_out += share.bytes_out.get();
        }
        total.sessions = total.entered.saturating_sub(left);
        total
    }
}

/// The traffic of an instance's sessions, by database.
pub(crate) struct Traffic {
    /// No other traffic of this process has this number.
    pub(crate) number: u64,
    loops: usize,
    /// Of sessions in no database, or in one too many.
    nowhere: Arc<Place>,
    databases: RwLock<HashMap<Vec<u8>, Arc<Place>>>,
    digests: Digests,
    pub(crate) slow: SlowTap,
    pub(crate) accounts: Accounts,
    pub(crate) sessions: Sessions,
}

impl Traffic {
    /// Keeps at most so many digests of statements.
    pub(crate) fn new(slow: SlowTap, digests: usize, loops: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            slow,
            accounts: Accounts::default(),
            sessions: Sessions::default(),
            digests: Digests::new(digests, loops),
            loops,
            nowhere: Arc::new(Place::new(b"", loops)),
            databases: RwLock::default(),
        }
    }

    pub(crate) fn add_to(&self, total: &mut InstanceCounters) {
        for place in self.places() {
            add_place(total, &place.total(false));
        }
    }

    /// What all sessions did, and those in each database, by name. Begins new maxima.
    pub(crate) fn take(&self, total: &mut InstanceCounters) -> Vec<DatabaseCounters> {
        let places = self.places();
        let mut databases: Vec<_> = places.iter().map(|place| place.total(true)).collect();
        databases.iter().for_each(|its| add_place(total, its));
        databases.retain(|database| !database.name.is_empty());
        databases.sort_by(|a, b| a.name.cmp(&b.name));
        databases
    }

    /// Each database that a session has been in, by name.
    pub(crate) fn databases(&self) -> Vec<DatabaseCounters> {
        let places = self.places();
        let named = places.iter().filter(|place| !place.name.is_empty());
        let mut databases: Vec<_> = named.map(|place| place.total(false)).collect();
        databases.sort_by(|a, b| a.name.cmp(&b.name));
        databases
    }

    /// Each kind of statement that ran.
    pub(crate) fn digests(&self) -> Vec<StatementDigest> {
        self.digests.all()
    }

    fn places(&self) -> Vec<Arc<Place>> {
        let databases = self
            .databases
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let named = databases.values();
        named.chain([&self.nowhere]).map(Arc::clone).collect()
    }

    fn place(&self, database: &[u8]) -> Arc<Place> {
        if database.is_empty() || database.len() > LONGEST_NAME {
            return Arc::clone(&self.nowhere);
        }
        let databases = self
            .databases
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = databases.get(database) {
            return Arc::clone(place);
        }
        drop(databases);
        let mut databases = self
            .databases
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if databases.len() >= MOST_DATABASES && !databases.contains_key(database) {
            return Arc::clone(&self.nowhere);
        }
        let new = || Arc::new(Place::new(database, self.loops));
        Arc::clone(databases.entry(database.to_vec()).or_insert_with(new))
    }
}

fn add_place(total: &mut InstanceCounters, its: &DatabaseCounters) {
    total.commands += its.commands;
    total.errors += its.errors;
    total.bytes_in += its.bytes_in;
    total.bytes_out += its.bytes_out;
    add(&mut total.statements, &its.statements);
}

fn add(total: &mut StatementCounters, its: &StatementCounters) {
    total.finished += its.finished;
    total.failed += its.failed;
    total.set += its.set;
    total.single_reads += its.single_reads;
    total.multi_reads += its.multi_reads;
    total.single_writes += its.single_writes;
    total.multi_writes += its.multi_writes;
    total.begins += its.begins;
    total.commits += its.commits;
    total.rollbacks += its.rollbacks;
    total.other_transaction += its.other_transaction;
    total.other += its.other;
    total.read_time += its.read_time;
    total.write_time += its.write_time;
    total.reads_by_time.add(&its.reads_by_time);
    total.writes_by_time.add(&its.writes_by_time);
    total.longest_read = total.longest_read.max(its.longest_read);
    total.longest_write = total.longest_write.max(its.longest_write);
}

/// Counts for one session: into the share that its event loop has of the database that the
/// session is in. Belongs to the loop's thread.
pub struct Meter {
    traffic: Arc<Traffic>,
    index: usize,
    place: Arc<Place>,
    /// How the session is told to who asks, once it is logged in.
    live: Option<Arc<LiveSession>>,
}

impl Meter {
    /// A meter that nobody reads.
    #[must_use]
    pub fn detached() -> Self {
        let slow = SlowTap::detached();
        Self::new(Arc::new(Traffic::new(slow, DETACHED_DIGESTS, 1)), 0)
    }

    /// A meter of another session of the same instance.
    #[cfg(test)]
    pub(crate) fn beside(other: &Self) -> Self {
        Self::new(Arc::clone(&other.traffic), other.index)
    }

    /// Counts for event loop `index`.
    pub(crate) fn new(traffic: Arc<Traffic>, index: usize) -> Self {
        let place = Arc::clone(&traffic.nowhere);
        let meter = Self {
            traffic,
            index,
            place,
            live: None,
        };
        meter.share().entered.add(1);
        meter
    }

    /// The database that the session is in; empty for none.
    pub(crate) fn database(&self) -> &[u8] {
        &self.place.name
    }

    /// The session goes to another database; empty for none.
    pub(crate) fn enter(&mut self, database: &[u8]) {
        if database != self.database() {
            self.share().left.add(1);
            self.place = self.traffic.place(database);
            self.share().entered.add(1);
            self.told(|session| session.database = String::from_utf8_lossy(database).into_owned());
        }
    }

    /// The accounts of the instance.
    pub(crate) fn accounts(&self) -> &Accounts {
        &self.traffic.accounts
    }

    /// The session is past its login.
    pub(crate) fn logged_in(&mut self, about: SessionInfo) {
        self.live = Some(self.traffic.sessions.add(about));
    }

    /// What is told of the session has changed.
    pub(crate) fn told(&self, change: impl FnOnce(&mut SessionInfo)) {
        if let Some(live) = &self.live {
            live.change(change);
        }
    }

    /// The node's number for the session is another from now on; 0 if it has none.
    pub(crate) fn moved(&self, thread_id: u32) {
        if let Some(live) = &self.live {
            self.traffic.sessions.moved(live, thread_id);
        }
    }

    /// The node's number for what a client calls so, where that is another.
    pub(crate) fn kill_target(&self, id: u32) -> Option<u32> {
        self.traffic.sessions.kill_target(id)
    }

    /// Whether a client of another session was told this number, which is not the node's for it.
    pub(crate) fn is_told_to_another(&self, id: u32) -> bool {
        self.traffic.sessions.is_told(id, self.live.as_ref())
    }

    /// All sessions of the instance that are past their login.
    pub(crate) fn sessions(&self) -> Vec<SessionInfo> {
        self.traffic.sessions.all()
    }

    /// What the sessions of the instance did.
    pub(crate) fn total(&self) -> InstanceCounters {
        let mut total = InstanceCounters::default();
        self.traffic.add_to(&mut total);
        total
    }

    pub(crate) fn digests(&self) -> Vec<StatementDigest> {
        self.traffic.digests()
    }

    #[inline]
    pub(crate) fn command(&self) {
        self.share().commands.add(1);
        if let Some(live) = &self.live {
            live.commands.add(1);
        }
    }

    #[inline]
    pub(crate) fn error(&self) {
        self.share().errors.add(1);
    }

    #[inline]
    pub(crate) fn bytes_in(&self, bytes: usize) {
        self.share().bytes_in.add(bytes as u64);
    }

    #[inline]
    pub(crate) fn bytes_out(&self, bytes: usize) {
        self.share().bytes_out.add(bytes as u64);
    }

    /// The log of slow statements.
    #[inline]
    pub(crate) fn slow(&self) -> &SlowTap {
        &self.traffic.slow
    }

    /// What is behind a place: the digest and its text.
    pub(crate) fn digest_text(&self, place: DigestPlace) -> (u64, String) {
        self.traffic.digests.told(self.index, place)
    }

    /// Whether digests of statements are kept.
    #[inline]
    pub(crate) fn wants_digests(&self) -> bool {
        self.traffic.digests.are_on()
    }

    /// The place where a statement is counted that has been read.
    #[inline]
    pub(crate) fn digest(&self, read: &DigestReader) -> DigestPlace {
        let digests = &self.traffic.digests;
        if !digests.are_on() {
            return DigestPlace::REST;
        }
        let text = || String::from_utf8_lossy(read.text()).into_owned();
        digests.place(self.index, read.hash(), text)
    }

    /// A statement's reply, or its part of one, is complete.
    #[inline]
    pub(crate) fn statement(&self, class: StatementClass, digest: DigestPlace, outcome: &Outcome) {
        let share = self.share();
        let statements = &share.statements;
        let time = outcome.time;
        if self.wants_digests() {
            self.traffic.digests.add(self.index, digest, outcome);
        }
        if outcome.failed {
            statements.failed.add(1);
        } else {
            statements.finished.add(1);
        }
        match class {
            StatementClass::Read => {
                statements.single_reads.add(1);
                share.reads.add(time);
            }
            StatementClass::Write => {
                statements.single_writes.add(1);
                share.writes.add(time);
            }
            StatementClass::Set => statements.set.add(1),
            StatementClass::Begin => statements.begins.add(1),
            StatementClass::Commit => statements.commits.add(1),
            StatementClass::Rollback => statements.rollbacks.add(1),
            StatementClass::OtherTransaction => statements.other_transaction.add(1),
            StatementClass::Other => statements.other.add(1),
        }
    }

    #[cfg(test)]
    pub(crate) fn totals(&self) -> (InstanceCounters, Vec<DatabaseCounters>) {
        (self.total(), self.traffic.databases())
    }

    #[inline]
    fn share(&self) -> &Share {
        &self.place.shares[self.index]
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(live) = &self.live {
            self.traffic.sessions.remove(live);
        }
        self.share().left.add(1);
    }
}
