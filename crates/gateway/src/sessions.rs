//! The open sessions of an instance, for whoever asks which there are.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::counters::Counter;

/// A session past its login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The node's number for it, as in `SHOW PROCESSLIST`; 0 while its connection to the node is
    /// gone.
    pub thread_id: u32,
    /// The number that its client was greeted with.
    pub told_id: u32,
    /// The account.
    pub account: String,
    /// Where the client is.
    pub client: SocketAddr,
    /// The database that the session is in; empty for none.
    pub database: String,
    /// Whether the client's connection uses TLS.
    pub encrypted: bool,
    /// Commands of any kind begun.
    pub commands: u64,
}

/// No node has a thread of this number.
pub(crate) const NOBODY: u32 = u32::MAX;

/// The sessions of one instance.
#[derive(Default)]
pub(crate) struct Sessions {
    all: Mutex<HashMap<usize, Arc<LiveSession>>>,
    /// Those whose clients were told another number than the node's, by that number.
    strayed: Mutex<HashMap<u32, Arc<LiveSession>>>,
}

/// One of them. Only its event loop changes it.
pub(crate) struct LiveSession {
    pub(crate) commands: Counter,
    about: Mutex<SessionInfo>,
}

impl Sessions {
    pub(crate) fn add(&self, about: SessionInfo) -> Arc<LiveSession> {
        let session = Arc::new(LiveSession {
            commands: Counter::default(),
            about: Mutex::new(about),
        });
        lock(&self.all).insert(key(&session), Arc::clone(&session));
        self.follow(&session);
        session
    }

    pub(crate) fn remove(&self, session: &Arc<LiveSession>) {
        lock(&self.all).remove(&key(session));
        self.forget(session, session.ids().1);
    }

    /// The node's number for the session is another from now on; 0 if it has none.
    pub(crate) fn moved(&self, session: &Arc<LiveSession>, thread_id: u32) {
        session.change(|about| about.thread_id = thread_id);
        self.follow(session);
    }

    /// The node's number for the session that a client means by `id`, where that is another:
    /// [`NOBODY`] if the session has no connection to the node, or if another one goes by that
    /// number as well.
    pub(crate) fn kill_target(&self, id: u32) -> Option<u32> {
        let meant = lock(&self.strayed).get(&id).map(Arc::clone)?;
        let thread_id = meant.ids().0;
        let is_another = |live: &Arc<LiveSession>| !Arc::ptr_eq(live, &meant) && live.ids().0 == id;
        let all = lock(&self.all);
        let ambiguous = all.values().any(is_another);
        Some(if ambiguous || thread_id == 0 {
            NOBODY
        } else {
            thread_id
        })
    }

    /// Whether this number was told to the client of a session, besides `but`, for which it is not
    /// the node's.
    pub(crate) fn is_told(&self, id: u32, but: Option<&Arc<LiveSession>>) -> bool {
        let strayed = lock(&self.strayed);
        let its = strayed.get(&id);
        its.is_some_and(|its| !but.is_some_and(|but| Arc::ptr_eq(its, but)))
    }

    fn follow(&self, session: &Arc<LiveSession>) {
        let (thread_id, told_id) = session.ids();
        if thread_id == told_id {
            return self.forget(session, told_id);
        }
        lock(&self.strayed).insert(told_id, Arc::clone(session));
    }

    fn forget(&self, session: &Arc<LiveSession>, told_id: u32) {
        let mut strayed = lock(&self.strayed);
        if strayed
            .get(&told_id)
            .is_some_and(|its| Arc::ptr_eq(its, session))
        {
            strayed.remove(&told_id);
        }
    }

    /// All of them, by their numbers.
    pub(crate) fn all(&self) -> Vec<SessionInfo> {
        let mut all: Vec<_> = lock(&self.all).values().map(|live| live.told()).collect();
        all.sort_by_key(|session| session.thread_id);
        all
    }
}

impl LiveSession {
    pub(crate) fn change(&self, change: impl FnOnce(&mut SessionInfo)) {
        change(&mut lock(&self.about));
    }

    /// The node's number, and the one told.
    fn ids(&self) -> (u32, u32) {
        let about = lock(&self.about);
        (about.thread_id, about.told_id)
    }

    fn told(&self) -> SessionInfo {
        SessionInfo {
            commands: self.commands.get(),
            ..lock(&self.about).clone()
        }
    }
}

/// Where it lies in memory: no other does while it is there.
fn key(session: &Arc<LiveSession>) -> usize {
    Arc::as_ptr(session).addr()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(told_id: u32, thread_id: u32) -> SessionInfo {
        SessionInfo {
            thread_id,
            told_id,
            account: "app".to_owned(),
            client: SocketAddr::from(([127, 0, 0, 1], 4000)),
            database: String::new(),
            encrypted: false,
            commands: 0,
        }
    }

    #[test]
    fn numbers_lead_to_the_sessions_that_were_told_them() {
        let sessions = Sessions::default();
        let plain = sessions.add(session(5, 5));
        let strayed = sessions.add(session(6, 9));
        assert_eq!(sessions.kill_target(5), None);
        assert_eq!(sessions.kill_target(9), None);
        assert_eq!(sessions.kill_target(6), Some(9));
        assert!(sessions.is_told(6, None) && sessions.is_told(6, Some(&plain)));
        assert!(!sessions.is_told(6, Some(&strayed)) && !sessions.is_told(5, None));
        sessions.moved(&plain, 0);
        assert_eq!(sessions.kill_target(5), Some(NOBODY));
        sessions.moved(&plain, 11);
        assert_eq!(sessions.kill_target(5), Some(11));
        // If a number should mean two sessions, neither is hit.
        let twin = sessions.add(session(5, 5));
        assert_eq!(sessions.kill_target(5), Some(NOBODY));
        sessions.remove(&twin);
        assert_eq!(sessions.kill_target(5), Some(11));
        sessions.moved(&plain, 5);
        assert_eq!(sessions.kill_target(5), None);
        sessions.remove(&strayed);
        assert_eq!(sessions.kill_target(6), None);
        assert!(lock(&sessions.strayed).is_empty());
    }
}
