//! Where tests have a definition stop, to end the process or a node there: nobody else sets one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Stops that are set.
#[derive(Debug, Default)]
pub struct Stops {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    at: Option<&'static str>,
    is_reached: bool,
}

impl Stops {
    /// The next definition that comes to this step stays there until it is let go.
    pub fn set(&self, step: &'static str) {
        *self.lock() = State {
            at: Some(step),
            is_reached: false,
        };
    }

    /// Waits until one is there.
    pub async fn reached(&self) {
        loop {
            let changed = self.changed.notified();
            if self.lock().is_reached {
                return;
            }
            changed.await;
        }
    }

    /// Lets it go on.
    pub fn let_go(&self) {
        *self.lock() = State::default();
        self.changed.notify_waiters();
    }

    /// A definition comes to a step.
    pub(crate) async fn come(&self, step: &str) {
        {
            let mut state = self.lock();
            if state.at != Some(step) {
                return;
            }
            state.is_reached = true;
        }
        self.changed.notify_waiters();
        loop {
            let changed = self.changed.notified();
            if self.lock().at != Some(step) {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
