//! Who uses a distributed table, who keeps others from writing it, and who has it alone: the nodes know
//! that each for itself only.
//!
//! Everything that is wanted at once is given at once, so that who waits holds nothing of it. Who holds
//! nothing yet waits behind those who came before; who holds something waits for holders alone, for the
//! others may be waiting for it.
//!
//! Who uses one table for the time of a statement, and holds nothing else, goes through one of the table's
//! turnstiles instead. Readers' is shut as long as somebody has the table alone or waits for that; writers' also
//! as long as somebody keeps others from writing it, or waits for that.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openpeta_mysql_wire::ErrPacket;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::turnstile::{Shut, Turnstile};

/// How long somebody waits for somebody else's table.
const PATIENCE: Duration = Duration::from_secs(50);

type Name = (String, String);

/// What is done with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is read.
    Read,
    /// It is written, or its rows are locked.
    Write,
    /// It is read, and nobody may write it.
    Share,
    /// Nobody else may do anything with it.
    Alone,
}

impl Mode {
    fn goes_with(self, other: Self) -> bool {
        !matches!(
            (self, other),
            (Self::Alone, _)
                | (_, Self::Alone)
                | (Self::Write, Self::Share)
                | (Self::Share, Self::Write)
        )
    }
}

/// A lock for each table, by database and name.
#[derive(Debug, Default)]
pub struct TableLocks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Somebody has let go of something, or waits no more.
    released: Arc<Notify>,
    owners: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    held: HashMap<Name, Vec<(Owner, Mode)>>,
    /// What each owner holds, in number.
    holders: HashMap<Owner, usize>,
    waiting: BTreeMap<u64, Vec<(Name, Mode)>>,
    tickets: u64,
    turnstiles: HashMap<Name, Turnstiles>,
}

/// Where those go through who use a table for the time of a statement.
#[derive(Clone, Debug)]
pub struct Turnstiles {
    /// Those who read it.
    pub read: Arc<Turnstile>,
    /// Those who write it, or lock its rows.
    pub write: Arc<Turnstile>,
}

impl Turnstiles {
    fn new(released: &Arc<Notify>) -> Self {
        Self {
            read: Turnstile::new(released),
            write: Turnstile::new(released),
        }
    }

    /// Whether nobody else knows them.
    fn is_last(&self) -> bool {
        [&self.read, &self.write]
            .into_iter()
            .all(|it| Arc::strong_count(it) == 1)
    }
}

/// A session, or somebody else who uses tables. What it holds is not in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(u64);

/// Tables that are held as long as this is.
#[derive(Debug)]
pub struct Held {
    shared: Arc<Shared>,
    owner: Owner,
    tables: Vec<(Name, Mode)>,
    /// The turnstiles through which nobody goes meanwhile.
    shut: Vec<Shut>,
}

impl Held {
    /// Whether a table may be read with this.
    #[must_use]
    pub fn lets_read(&self, schema: &str, name: &str) -> bool {
        let mode = self.mode_of(schema, name);
        matches!(mode, Some(Mode::Read | Mode::Write))
    }

    /// Whether a table may be written with this.
    #[must_use]
    pub fn lets_write(&self, schema: &str, name: &str) -> bool {
        self.mode_of(schema, name) == Some(Mode::Write)
    }

    /// How a table is held by this.
    #[must_use]
    pub fn mode(&self, (schema, name): &Name) -> Option<Mode> {
        self.mode_of(schema, name)
    }

    fn mode_of(&self, schema: &str, name: &str) -> Option<Mode> {
        let mut tables = self.tables.iter();
        let found = tables.find(|((its, held), _)| its == schema && held == name)?;
        Some(found.1)
    }
}

impl TableLocks {
    /// Somebody who may hold tables.
    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner(self.0.owners.fetch_add(1, Ordering::Relaxed))
    }

    /// Where those go through who use a table for the time of a statement.
    #[must_use]
    pub fn turnstiles(&self, name: &Name) -> Turnstiles {
        let mut state = self.0.lock();
        state.turnstiles(name, &self.0.released).clone()
    }

    /// Holds tables, all or none, if nobody is in the way.
    #[must_use]
    pub fn try_hold(&self, owner: Owner, wanted: &mut Vec<(Name, Mode)>) -> Option<Held> {
        wanted.sort_by(|one, other| one.0.cmp(&other.0));
        wanted.dedup();
        let mut state = self.0.lock();
        let shut = state.shut(wanted, &self.0.released);
        if !state.may(owner, u64::MAX, wanted) || !shut.iter().all(Shut::is_empty) {
            return None;
        }
        state.give(owner, wanted);
        Some(Held {
            shared: Arc::clone(&self.0),
            owner,
            tables: std::mem::take(wanted),
            shut,
        })
    }

    /// Holds tables, all or none.
    ///
    /// # Errors
    /// When somebody is in the way for too long.
    pub async fn hold(&self, owner: Owner, wanted: Vec<(Name, Mode)>) -> Result<Held, ErrPacket> {
        self.hold_within(owner, wanted, PATIENCE).await
    }

    /// Redefines tables, for somebody who holds none.
    ///
    /// # Errors
    /// When somebody uses one for too long.
    pub async fn redefine(&self, names: &[Name]) -> Result<Held, ErrPacket> {
        let wanted = names.iter().map(|name| (name.clone(), Mode::Alone));
        self.hold(self.owner(), wanted.collect()).await
    }

    async fn hold_within(
        &self,
        owner: Owner,
        mut wanted: Vec<(Name, Mode)>,
        patience: Duration,
    ) -> Result<Held, ErrPacket> {
        wanted.sort_by(|one, other| one.0.cmp(&other.0));
        wanted.dedup();
        let shared = &self.0;
        let deadline = Instant::now() + patience;
        let mut waiter: Option<Waiter<'_>> = None;
        let shut = shared.lock().shut(&wanted, &shared.released);
        loop {
            let released = shared.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            {
                let mut state = shared.lock();
                let ticket = waiter.as_ref().map_or(u64::MAX, |waiter| waiter.ticket);
                if state.may(owner, ticket, &wanted) && shut.iter().all(Shut::is_empty) {
                    state.give(owner, &wanted);
                    break;
                }
                if waiter.is_none() {
                    let ticket = state.tickets;
                    state.tickets += 1;
                    state.waiting.insert(ticket, wanted.clone());
                    waiter = Some(Waiter { shared, ticket });
                }
            }
            if tokio::time::timeout_at(deadline, released).await.is_err() {
                return Err(timeout());
            }
        }
        drop(waiter);
        Ok(Held {
            shared: Arc::clone(shared),
            owner,
            tables: wanted,
            shut,
        })
    }
}

impl State {
    fn turnstiles(&mut self, name: &Name, released: &Arc<Notify>) -> &Turnstiles {
        let known = self.turnstiles.entry(name.clone());
        known.or_insert_with(|| Turnstiles::new(released))
    }

    /// Lets nobody through to the tables who would be in the way of what is wanted.
    fn shut(&mut self, wanted: &[(Name, Mode)], released: &Arc<Notify>) -> Vec<Shut> {
        let mut shut = Vec::new();
        for (name, mode) in wanted {
            if matches!(mode, Mode::Share | Mode::Alone) {
                let turnstiles = self.turnstiles(name, released);
                shut.push(turnstiles.write.shut());
                if *mode == Mode::Alone {
                    shut.push(turnstiles.read.shut());
                }
            }
        }
        shut
    }

    fn may(&self, owner: Owner, ticket: u64, wanted: &[(Name, Mode)]) -> bool {
        let is_free = wanted.iter().all(|(name, mode)| {
            let mut held = self.held.get(name).into_iter().flatten();
            held.all(|(holder, held)| *holder == owner || mode.goes_with(*held))
        });
        if !is_free || self.holders.contains_key(&owner) {
            return is_free;
        }
        let mut before = self.waiting.range(..ticket).flat_map(|(_, all)| all);
        before.all(|(name, mode)| {
            let mut wanted = wanted.iter().filter(|(wanted, _)| wanted == name);
            wanted.all(|(_, wanted)| wanted.goes_with(*mode))
        })
    }

    fn give(&mut self, owner: Owner, wanted: &[(Name, Mode)]) {
        for (name, mode) in wanted {
            let held = self.held.entry(name.clone()).or_default();
            held.push((owner, *mode));
        }
        if !wanted.is_empty() {
            *self.holders.entry(owner).or_default() += wanted.len();
        }
    }

    fn take_back(&mut self, owner: Owner, tables: &[(Name, Mode)]) {
        for (name, mode) in tables {
            let Some(held) = self.held.get_mut(name) else {
                continue;
            };
            if let Some(at) = held.iter().position(|it| *it == (owner, *mode)) {
                held.swap_remove(at);
            }
            if held.is_empty() {
                self.held.remove(name);
            }
        }
        if let Some(count) = self.holders.get_mut(&owner) {
            *count = count.saturating_sub(tables.len());
            if *count == 0 {
                self.holders.remove(&owner);
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.take_back(self.owner, &self.tables);
        if !self.shut.is_empty() {
            self.shut.clear();
            // Of a table that may be gone, and that nobody remembers.
            for (name, _) in &self.tables {
                if state.turnstiles.get(name).is_some_and(Turnstiles::is_last) {
                    state.turnstiles.remove(name);
                }
            }
        }
        let somebody_waits = !state.waiting.is_empty();
        drop(state);
        if somebody_waits {
            self.shared.released.notify_waiters();
        }
    }
}

/// Somebody in the queue, until it is its turn or it waits no more.
struct Waiter<'l> {
    shared: &'l Shared,
    ticket: u64,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.shared.lock().waiting.remove(&self.ticket);
        // Those behind it may be waiting for it alone.
        self.shared.released.notify_waiters();
    }
}

fn timeout() -> ErrPacket {
    ErrPacket::new(
        1205,
        b"HY000",
        "Lock wait timeout exceeded; try restarting transaction",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    fn name(name: &str) -> Name {
        ("s".into(), name.into())
    }

    async fn try_hold(locks: &TableLocks, owner: Owner, wanted: &[(&str, Mode)]) -> Option<Held> {
        let wanted: Vec<_> = wanted.iter().map(|(it, mode)| (name(it), *mode)).collect();
        let at_once = locks.try_hold(owner, &mut wanted.clone()).is_some();
        let held = locks.hold_within(owner, wanted, SHORT).await.ok();
        assert_eq!(at_once, held.is_some());
        held
    }

    #[tokio::test]
    async fn who_goes_with_whom() {
        use Mode::{Alone, Read, Share, Write};
        let goes = [
            (Read, Read, true),
            (Read, Write, true),
            (Write, Write, true),
            (Read, Share, true),
            (Share, Share, true),
            (Write, Share, false),
            (Read, Alone, false),
            (Write, Alone, false),
            (Share, Alone, false),
            (Alone, Alone, false),
        ];
        for (one, other, goes) in goes {
            for (one, other) in [(one, other), (other, one)] {
                let locks = TableLocks::default();
                let (a, b) = (locks.owner(), locks.owner());
                let held = try_hold(&locks, a, &[("t", one)]).await;
                assert!(held.is_some());
                let second = try_hold(&locks, b, &[("t", other)]).await;
                assert_eq!(second.is_some(), goes, "{one:?} {other:?}");
                // One's own are never in the way, nor are other tables.
                assert!(try_hold(&locks, a, &[("u", Alone)]).await.is_some());
                drop(second);
                assert!(try_hold(&locks, a, &[("t", Alone)]).await.is_some());
                drop(held);
                assert!(try_hold(&locks, b, &[("t", Alone)]).await.is_some());
                assert!(locks.0.lock().held.is_empty() && locks.0.lock().holders.is_empty());
                assert!(locks.0.lock().turnstiles.is_empty());
            }
        }
    }

    #[tokio::test]
    async fn who_writes_for_a_moment_is_in_the_way_of_those_who_keep_others_from_that() {
        let locks = Arc::new(TableLocks::default());
        let (one, other) = (locks.owner(), locks.owner());
        let turnstile = locks.turnstiles(&name("t")).write;
        for mode in [Mode::Read, Mode::Write] {
            let inside = turnstile.enter();
            let held = try_hold(&locks, one, &[("t", mode)]).await;
            assert!(inside.is_some() && held.is_some() && turnstile.enter().is_some());
        }
        for mode in [Mode::Share, Mode::Alone] {
            let inside = turnstile.enter();
            assert!(inside.is_some(), "who had it before has left it open");
            assert!(try_hold(&locks, one, &[("t", mode)]).await.is_none());
            // Who has waited in vain leaves it open.
            assert!(turnstile.enter().is_some());
            let waiting = {
                let locks = Arc::clone(&locks);
                tokio::spawn(async move { locks.hold(one, vec![(name("t"), mode)]).await })
            };
            tokio::task::yield_now().await;
            // From when it is wanted nobody gets in; who is inside is waited for.
            assert!(turnstile.enter().is_none() && !waiting.is_finished());
            drop(inside);
            let held = waiting.await.expect("it ends").expect("it is its turn");
            assert!(turnstile.enter().is_none());
            let read = locks.turnstiles(&name("t")).read.enter();
            assert_eq!(read.is_some(), mode == Mode::Share);
            drop(read);
            assert!(locks.turnstiles(&name("u")).write.enter().is_some());
            // Two may keep others from writing it.
            let second = try_hold(&locks, other, &[("t", Mode::Share)]).await;
            assert_eq!(second.is_some(), mode == Mode::Share);
            drop(held);
            assert_eq!(turnstile.enter().is_some(), mode == Mode::Alone);
        }
        assert!(turnstile.enter().is_some());
    }

    #[tokio::test]
    async fn who_reads_for_a_moment_is_in_the_way_of_one_alone_only() {
        let locks = Arc::new(TableLocks::default());
        let (one, other) = (locks.owner(), locks.owner());
        let turnstile = locks.turnstiles(&name("t")).read;
        for mode in [Mode::Read, Mode::Write, Mode::Share] {
            let inside = turnstile.enter();
            let held = try_hold(&locks, one, &[("t", mode)]).await;
            assert!(inside.is_some() && held.is_some() && turnstile.enter().is_some());
        }
        let inside = turnstile.enter();
        assert!(try_hold(&locks, one, &[("t", Mode::Alone)]).await.is_none());
        // Who has waited in vain leaves it open.
        assert!(turnstile.enter().is_some());
        let waiting = {
            let locks = Arc::clone(&locks);
            tokio::spawn(async move { locks.redefine(&[name("u"), name("t")]).await })
        };
        tokio::task::yield_now().await;
        assert!(turnstile.enter().is_none());
        assert!(
            try_hold(&locks, other, &[("t", Mode::Read)])
                .await
                .is_none()
        );
        drop(inside);
        let held = waiting.await.expect("it ends").expect("it is its turn");
        assert!(turnstile.enter().is_none());
        assert!(locks.turnstiles(&name("u")).read.enter().is_none());
        drop(held);
        assert!(turnstile.enter().is_some());
        assert_eq!(locks.0.lock().turnstiles.len(), 1);
    }

    #[tokio::test]
    async fn who_waits_is_not_overtaken_but_by_those_it_may_wait_for() {
        let locks = Arc::new(TableLocks::default());
        let (writer, locker, late) = (locks.owner(), locks.owner(), locks.owner());
        let held = try_hold(&locks, writer, &[("b", Mode::Write)]).await;
        let waiting = {
            let locks = Arc::clone(&locks);
            tokio::spawn(async move {
                let wanted = vec![(name("a"), Mode::Alone), (name("b"), Mode::Alone)];
                locks.hold(locker, wanted).await
            })
        };
        tokio::task::yield_now().await;
        // Somebody new waits behind the one who waits for both,
        assert!(try_hold(&locks, late, &[("a", Mode::Read)]).await.is_none());
        // but not the one whom that one waits for.
        let second = try_hold(&locks, writer, &[("a", Mode::Write)]).await;
        assert!(second.is_some());
        drop((held, second));
        let got = waiting.await.expect("it ends").expect("it is its turn");
        assert_eq!(got.mode(&name("a")), Some(Mode::Alone));
        assert_eq!(got.mode(&name("c")), None);
        assert!(try_hold(&locks, late, &[("a", Mode::Read)]).await.is_none());
        drop(got);
        assert!(try_hold(&locks, late, &[("a", Mode::Read)]).await.is_some());
        assert!(locks.0.lock().waiting.is_empty());
    }
}
