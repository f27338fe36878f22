//! The futures that a loop polls.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use crate::api::StreamId;
use crate::local::{LocalFuture, Notice, Notices};
use crate::slots::Slots;

/// Futures under numbers that are never used twice.
pub(crate) struct Tasks {
    slots: Slots<Task>,
    notices: Arc<Notices>,
}

struct Task {
    /// `None` while it is polled, or when it panicked.
    future: Option<LocalFuture>,
    waker: Waker,
    ring: Arc<Ring>,
}

/// What wakes a future.
struct Ring {
    task: std::sync::OnceLock<StreamId>,
    /// It was woken and not polled since.
    rung: AtomicBool,
    notices: Arc<Notices>,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Some(task) = self.task.get()
        {
            self.notices.post(Notice::Wake(*task));
        }
    }
}

impl Tasks {
    pub(crate) fn new(notices: Arc<Notices>) -> Self {
        Self {
            slots: Slots::new(),
            notices,
        }
    }

    /// Takes a future over, to be polled soon.
    pub(crate) fn spawn(&mut self, future: LocalFuture) {
        let ring = Arc::new(Ring {
            task: std::sync::OnceLock::new(),
            rung: AtomicBool::new(false),
            notices: Arc::clone(&self.notices),
        });
        let waker = Waker::from(Arc::clone(&ring));
        let task = self.slots.insert(Task {
            future: Some(future),
            waker,
            ring: Arc::clone(&ring),
        });
        // Set once, right here.
        let _ = ring.task.set(task);
        ring.wake_by_ref();
    }

    /// Polls a future that was woken. One that panics is gone, and nothing else is.
    pub(crate) fn poll(&mut self, id: StreamId) {
        let Some(task) = self.slots.get_mut(id) else {
            return;
        };
        task.ring.rung.store(false, Ordering::Release);
        let Some(mut future) = task.future.take() else {
            return;
        };
        let waker = task.waker.clone();
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let is_done = future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready();
            (!is_done).then_some(future)
        }));
        match polled {
            Ok(Some(future)) => {
                if let Some(task) = self.slots.get_mut(id) {
                    task.future = Some(future);
                }
            }
            Ok(None) => drop(self.slots.remove(id)),
            Err(_) => {
                tracing::error!("what serves a local stream panicked; the stream ends");
                drop(self.slots.remove(id));
            }
        }
    }

    /// Lets go of all futures, as the loop ends.
    pub(crate) fn clear(&mut self) {
        for id in self.slots.ids() {
            let task = self.slots.remove(id);
            if catch_unwind(AssertUnwindSafe(|| drop(task))).is_err() {
                tracing::error!("a future panicked as it was dropped");
            }
        }
    }
}
