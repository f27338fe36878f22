//! How other threads reach a loop.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use crate::api::Accepted;
use crate::local::Notices;
use crate::sys::Listener;

/// What a loop is told from outside.
pub(crate) enum Message<C> {
    /// For the handler.
    Command(C),
    /// Another loop accepted this connection and found this loop the least busy.
    Adopt(OwnedFd, Accepted),
    /// Accept connections from this listener, under this token.
    Listen(Listener, u64),
    /// Close the listener of this token, then drop the sender.
    Unlisten(u64, mpsc::Sender<()>),
    /// Leave.
    Stop,
}

/// The mailbox of one loop.
pub(crate) struct Mailbox<C> {
    waiting: Mutex<Vec<Message<C>>>,
    pub(crate) wake: Arc<OwnedFd>,
    /// What the futures that the loop polls have for it.
    pub(crate) notices: Arc<Notices>,
    /// Accepted streams that the loop serves or is about to adopt.
    live: AtomicUsize,
}

/// What all loops share.
pub(crate) struct Shared<C> {
    pub(crate) mailboxes: Vec<Mailbox<C>>,
    /// Accepted streams over all loops.
    live: AtomicUsize,
}

impl<C> Mailbox<C> {
    fn new() -> io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        Ok(Self {
            waiting: Mutex::new(Vec::new()),
            notices: Arc::new(Notices::new(Arc::clone(&wake))),
            wake,
            live: AtomicUsize::new(0),
        })
    }

    pub(crate) fn post(&self, message: Message<C>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(message);
        let first = waiting.len() == 1;
        drop(waiting);
        // Whoever posted the first of several has woken the loop, or is about to.
        if first {
            // Fails only when the counter is full, and then the loop is awake anyway.
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }

    pub(crate) fn take(&self) -> Vec<Message<C>> {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.wake, &mut count);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut waiting)
    }
}

impl<C> Shared<C> {
    pub(crate) fn new(loops: usize) -> io::Result<Self> {
        let mailboxes = (0..loops).map(|_| Mailbox::new());
        Ok(Self {
            mailboxes: mailboxes.collect::<io::Result<_>>()?,
            live: AtomicUsize::new(0),
        })
    }

    /// Finds the loop with the fewest accepted streams, `own` when several have as few, and counts
    /// one more for it.
    pub(crate) fn assign(&self, own: usize) -> usize {
        let load = |index: usize| self.mailboxes[index].live.load(Ordering::Relaxed);
        let mut best = own;
        for index in 0..self.mailboxes.len() {
            if load(index) < load(best) {
                best = index;
            }
        }
        self.mailboxes[best].live.fetch_add(1, Ordering::Relaxed);
        self.live.fetch_add(1, Ordering::Relaxed);
        best
    }

    /// Takes back what [`Self::assign`] counted.
    pub(crate) fn leave(&self, index: usize) {
        self.mailboxes[index].live.fetch_sub(1, Ordering::Relaxed);
        self.live.fetch_sub(1, Ordering::Relaxed);
    }

    /// Accepted streams over all loops.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }
}
