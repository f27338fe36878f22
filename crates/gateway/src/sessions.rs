//! The open sessions of an instance, for whoever asks which there are.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::counters::Counter;

/// A session past its login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The node's number for it, as in `SHOW PROCESSLIST`.
    pub thread_id: u32,
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

/// The sessions of one instance.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<usize, Arc<LiveSession>>>);

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
        lock(&self.0).insert(key(&session), Arc::clone(&session));
        session
    }

    pub(crate) fn remove(&self, session: &Arc<LiveSession>) {
        lock(&self.0).remove(&key(session));
    }

    /// All of them, by their numbers.
    pub(crate) fn all(&self) -> Vec<SessionInfo> {
        let mut all: Vec<_> = lock(&self.0).values().map(|live| live.told()).collect();
        all.sort_by_key(|session| session.thread_id);
        all
    }
}

impl LiveSession {
    pub(crate) fn change(&self, change: impl FnOnce(&mut SessionInfo)) {
        change(&mut lock(&self.about));
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
