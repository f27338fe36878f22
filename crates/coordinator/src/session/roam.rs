//! Where a session runs: on the thread of the gateway's loop that its client is served by, or, while it does
//! what takes long, as a task of the runtime, so that the loop's other sessions are not held up.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use openpeta_relay_io::LocalFuture;
use tokio::runtime::Handle;

/// Where a session wants to run. One that no loop has always runs where it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roam(Option<Arc<AtomicBool>>);

impl Roam {
    /// Goes on as a task of the runtime. To be awaited by the session itself, beside nothing else.
    pub(super) async fn away(&self) {
        self.go(true).await;
    }

    /// Goes on on the loop.
    pub(super) async fn home(&self) {
        self.go(false).await;
    }

    async fn go(&self, away: bool) {
        let Some(wish) = &self.0 else { return };
        if wish.swap(away, Ordering::Relaxed) == away {
            return;
        }
        // Whoever polls it looks at the wish now, and it is polled again elsewhere.
        let mut is_there = false;
        poll_fn(|_| match std::mem::replace(&mut is_there, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

/// A session on a loop.
pub(crate) struct Roaming {
    runtime: Handle,
    wish: Arc<AtomicBool>,
    /// The session while it is here.
    session: Option<LocalFuture>,
    way: Arc<Mutex<Way>>,
}

/// The way back of a session that is away.
#[derive(Default)]
struct Way {
    /// The session when it has come back.
    back: Option<LocalFuture>,
    /// It has ended elsewhere.
    ended: bool,
    waker: Option<Waker>,
}

impl Roaming {
    /// A session, made with what it says by where it wants to run.
    pub(crate) fn new<F>(runtime: Handle, session: impl FnOnce(Roam) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let wish = Arc::new(AtomicBool::new(false));
        let roam = Roam(Some(Arc::clone(&wish)));
        Self {
            runtime,
            wish,
            session: Some(Box::pin(session(roam))),
            way: Arc::default(),
        }
    }
}

impl Future for Roaming {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let session = this.session.take();
        let mut session = match session {
            Some(session) => session,
            None => {
                let mut way = lock(&this.way);
                if way.ended {
                    return Poll::Ready(());
                }
                let Some(session) = way.back.take() else {
                    way.waker = Some(context.waker().clone());
                    return Poll::Pending;
                };
                session
            }
        };
        let _entered = this.runtime.enter();
        if session.as_mut().poll(context).is_ready() {
            lock(&this.way).ended = true;
            return Poll::Ready(());
        }
        if this.wish.load(Ordering::Relaxed) {
            lock(&this.way).waker = Some(context.waker().clone());
            this.runtime.spawn(Away {
                session: Some(session),
                wish: Arc::clone(&this.wish),
                way: Arc::clone(&this.way),
            });
        } else {
            this.session = Some(session);
        }
        Poll::Pending
    }
}

/// A session while it is away.
struct Away {
    session: Option<LocalFuture>,
    wish: Arc<AtomicBool>,
    way: Arc<Mutex<Way>>,
}

impl Future for Away {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(session) = &mut self.session else {
            return Poll::Ready(());
        };
        if session.as_mut().poll(context).is_pending() {
            if self.wish.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            let this = &mut *self;
            let mut way = lock(&this.way);
            way.back = this.session.take();
            if let Some(waker) = way.waker.take() {
                waker.wake();
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Away {
    /// However it ended: nobody waits for it any more.
    fn drop(&mut self) {
        let session = self.session.take();
        let mut way = lock(&self.way);
        if session.is_some() {
            way.ended = true;
            if let Some(waker) = way.waker.take() {
                waker.wake();
            }
        }
    }
}

fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread::{self, ThreadId};

    use super::*;

    struct Unpark(thread::Thread, AtomicUsize);

    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.unpark();
        }
    }

    /// Polls a session on this thread until it ends.
    fn run(mut roaming: Roaming) {
        let waker = Waker::from(Arc::new(Unpark(thread::current(), AtomicUsize::new(0))));
        let mut context = Context::from_waker(&waker);
        while Pin::new(&mut roaming).poll(&mut context).is_pending() {
            thread::park();
        }
    }

    #[test]
    fn a_session_goes_away_and_comes_back() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let threads: Arc<Mutex<Vec<ThreadId>>> = Arc::default();
        let its = Arc::clone(&threads);
        run(Roaming::new(runtime.handle().clone(), |roam| async move {
            let note = || its.lock().expect("threads").push(thread::current().id());
            for _ in 0..3 {
                note();
                // What needs a runtime works in both places.
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                roam.home().await;
                note();
                roam.away().await;
                note();
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                roam.away().await;
                note();
                roam.home().await;
            }
        }));
        let here = thread::current().id();
        let threads = threads.lock().expect("threads");
        assert_eq!(threads.len(), 12);
        for four in threads.chunks(4) {
            assert_eq!([four[0], four[1]], [here, here]);
            assert_ne!(four[2], here);
            assert_ne!(four[3], here);
        }
    }

    #[test]
    fn one_that_ends_or_panics_elsewhere_has_ended_here() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .expect("a runtime");
        run(Roaming::new(runtime.handle().clone(), |roam| async move {
            roam.away().await;
        }));
        run(Roaming::new(runtime.handle().clone(), |roam| async move {
            roam.away().await;
            panic!("told to");
        }));
    }

    #[tokio::test]
    async fn where_there_is_no_loop_it_stays() {
        let roam = Roam::default();
        roam.away().await;
        roam.home().await;
    }
}
