//! A turnstile: who is inside for a moment only goes through it without waiting and without being written
//! down. Who wants nobody inside shuts it and waits until those have left who are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// One that shuts it. Below that, those inside are counted.
const SHUT: u64 = 1 << 32;

/// A turnstile. Those who have shut it are told through `left` when the last one inside has left.
#[derive(Debug)]
pub struct Turnstile {
    state: AtomicU64,
    left: Arc<Notify>,
}

/// Somebody inside.
#[derive(Debug)]
pub struct Inside(Arc<Turnstile>);

/// Nobody gets in as long as this is there.
#[derive(Debug)]
pub(super) struct Shut(Arc<Turnstile>);

impl Turnstile {
    pub(super) fn new(left: &Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU64::new(0),
            left: Arc::clone(left),
        })
    }

    /// Lets somebody in, unless it is shut.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Option<Inside> {
        if self.state.load(Ordering::Relaxed) >= SHUT {
            return None;
        }
        let before = self.state.fetch_add(1, Ordering::AcqRel);
        let inside = Inside(Arc::clone(self));
        // Else it was shut in this moment, and whoever did may have counted us.
        (before < SHUT).then_some(inside)
    }

    pub(super) fn shut(self: &Arc<Self>) -> Shut {
        self.state.fetch_add(SHUT, Ordering::AcqRel);
        Shut(Arc::clone(self))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let before = self.0.state.fetch_sub(1, Ordering::AcqRel);
        if before >= SHUT && before % SHUT == 1 {
            self.0.left.notify_waiters();
        }
    }
}

impl Shut {
    /// Whether nobody is inside.
    pub(super) fn is_empty(&self) -> bool {
        self.0.state.load(Ordering::Acquire).is_multiple_of(SHUT)
    }

    /// Waits until nobody is inside.
    pub(super) async fn emptied(&self) {
        loop {
            let left = self.0.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if self.is_empty() {
                return;
            }
            left.await;
        }
    }
}

impl Drop for Shut {
    fn drop(&mut self) {
        self.0.state.fetch_sub(SHUT, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[tokio::test]
    async fn nobody_gets_in_while_it_is_shut() {
        let turnstile = Turnstile::new(&Arc::default());
        let (one, two) = (turnstile.enter(), turnstile.enter());
        assert!(one.is_some() && two.is_some());
        let shut = turnstile.shut();
        assert!(!shut.is_empty());
        assert!(turnstile.enter().is_none());
        let again = turnstile.shut();
        let waiting = tokio::spawn(async move {
            again.emptied().await;
            again
        });
        tokio::task::yield_now().await;
        drop(one);
        tokio::task::yield_now().await;
        assert!(!shut.is_empty() && !waiting.is_finished());
        drop(two);
        let again = waiting.await.expect("it is emptied");
        assert!(shut.is_empty());
        drop(shut);
        assert!(turnstile.enter().is_none());
        drop(again);
        assert!(turnstile.enter().is_some());
        assert_eq!(turnstile.state.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_is_inside_is_never_beside_one_who_has_emptied_it() {
        let turnstile = Turnstile::new(&Arc::default());
        let (alone, done) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        if let Some(_inside) = turnstile.enter() {
                            assert!(!alone.load(Ordering::Relaxed));
                        }
                        std::thread::yield_now();
                    }
                });
            }
            for _ in 0..2_000 {
                let shut = turnstile.shut();
                while !shut.is_empty() {
                    std::thread::yield_now();
                }
                alone.store(true, Ordering::Relaxed);
                std::hint::black_box(&alone);
                alone.store(false, Ordering::Relaxed);
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(turnstile.state.load(Ordering::Relaxed), 0);
    }
}
