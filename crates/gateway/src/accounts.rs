//! How many sessions each account of an instance has and how many statements it runs, against what
//! it may.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openpeta_types::route::AccountLimits;

/// The accounts of an instance that have limits, or have had sessions.
#[derive(Default)]
pub(crate) struct Accounts(Mutex<HashMap<String, Arc<Load>>>);

/// What an account does, over all event loops, and its limits; 0 is none.
#[derive(Default)]
struct Load {
    sessions: AtomicU32,
    most_sessions: AtomicU32,
    most_queries: AtomicU32,
    /// The second in the upper half, and how many statements began in it.
    queries: AtomicU64,
}

/// A session that counts for its account until this is dropped.
pub(crate) struct Admission(Arc<Load>);

impl Accounts {
    /// From now on these limits hold, and no others.
    pub(crate) fn set_limits(&self, limits: &HashMap<String, AccountLimits>) {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for name in limits.keys() {
            accounts.entry(name.clone()).or_default();
        }
        for (name, load) in accounts.iter() {
            let its = limits.get(name).copied().unwrap_or_default();
            load.most_sessions.store(its.connections, Ordering::Relaxed);
            load.most_queries
                .store(its.queries_per_second, Ordering::Relaxed);
        }
    }

    /// Counts one more session of an account.
    ///
    /// # Errors
    /// The limit that forbids it.
    pub(crate) fn admit(&self, name: &str) -> Result<Admission, u32> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let load = match accounts.get(name) {
            Some(load) => load,
            None => accounts.entry(name.to_owned()).or_default(),
        };
        let limit = load.most_sessions.load(Ordering::Relaxed);
        // Only here it grows, under the lock.
        if limit != 0 && load.sessions.load(Ordering::Relaxed) >= limit {
            return Err(limit);
        }
        load.sessions.fetch_add(1, Ordering::Relaxed);
        Ok(Admission(Arc::clone(load)))
    }
}

impl Admission {
    /// Whether the account's statements are limited.
    #[inline]
    pub(crate) fn limits_queries(&self) -> bool {
        self.0.most_queries.load(Ordering::Relaxed) != 0
    }

    /// Counts a statement that begins at `now`.
    ///
    /// # Errors
    /// The limit that forbids it.
    pub(crate) fn begin_query(&self, now: Duration) -> Result<(), u32> {
        let limit = self.0.most_queries.load(Ordering::Relaxed);
        let second = now.as_secs() & u64::from(u32::MAX);
        let next = |window: u64| {
            // Another event loop may be a moment ahead.
            let count = match second > window >> 32 {
                true => return Some(second << 32 | 1),
                false => window & u64::from(u32::MAX),
            };
            (count < u64::from(limit)).then_some(window + 1)
        };
        let (queries, order) = (&self.0.queries, Ordering::Relaxed);
        match limit == 0 || queries.fetch_update(order, order, next).is_ok() {
            true => Ok(()),
            false => Err(limit),
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn limited(connections: u32, queries_per_second: u32) -> Accounts {
        let accounts = Accounts::default();
        set(&accounts, connections, queries_per_second);
        accounts
    }

    fn set(accounts: &Accounts, connections: u32, queries_per_second: u32) {
        let limits = AccountLimits {
            connections,
            queries_per_second,
        };
        accounts.set_limits(&HashMap::from([("app".to_owned(), limits)]));
    }

    #[test]
    fn sessions_are_counted_exactly() {
        let accounts = limited(10, 0);
        let admissions: Vec<_> = thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..8).map(|_| accounts.admit("app")).collect::<Vec<_>>()))
                .collect();
            let joined = clients.into_iter().map(|client| client.join());
            joined.flat_map(|its| its.expect("no panic")).collect()
        });
        assert_eq!(admissions.iter().filter(|one| one.is_ok()).count(), 10);
        assert!(accounts.admit("other").is_ok());
        drop(admissions);
        let all: Vec<_> = (0..10).map(|_| accounts.admit("app")).collect();
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(accounts.admit("app").err(), Some(10));
        // A lower limit ends nobody; a higher one and none hold at once.
        set(&accounts, 5, 0);
        assert_eq!(accounts.admit("app").err(), Some(5));
        set(&accounts, 11, 0);
        let eleventh = accounts.admit("app");
        assert!(eleventh.is_ok() && accounts.admit("app").is_err());
        accounts.set_limits(&HashMap::new());
        assert!(accounts.admit("app").is_ok());
    }

    #[test]
    fn statements_are_counted_exactly_in_each_second() {
        let accounts = limited(0, 100);
        let begun = |now: Duration| -> usize {
            thread::scope(|scope| {
                let clients: Vec<_> = (0..4)
                    .map(|_| {
                        let admission = accounts.admit("app").expect("no limit");
                        scope.spawn(move || {
                            let begun = (0..200).filter(|_| admission.begin_query(now).is_ok());
                            begun.count()
                        })
                    })
                    .collect();
                let joined = clients.into_iter().map(|client| client.join());
                joined.map(|its| its.expect("no panic")).sum()
            })
        };
        assert_eq!(begun(Duration::from_millis(7_000)), 100);
        assert_eq!(begun(Duration::from_millis(7_999)), 0);
        assert_eq!(begun(Duration::from_millis(8_000)), 100);
        // A loop that is behind.
        assert_eq!(begun(Duration::from_millis(7_999)), 0);
        set(&accounts, 0, 0);
        let admission = accounts.admit("app").expect("no limit");
        assert!(!admission.limits_queries());
        assert_eq!(begun(Duration::from_millis(8_000)), 800);
    }
}
