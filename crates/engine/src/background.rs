//! Work that lets others go first: on threads of its own, of low priority, since a thread of a pool
//! could not be given its priority back.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tokio::sync::oneshot;

use crate::error::{EngineError, Result};

/// What such threads add to the niceness of the process: about a tenth of the weight of others.
/// With less than that, a backup of a busy machine would hardly go on.
const NICENESS: i32 = 10;

/// Runs work on such a thread. It goes on when nobody waits for it any more.
///
/// # Errors
/// Those of the work; [`EngineError::Io`] when there is no thread to be had.
pub(crate) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    begin(work)?.wait().await
}

/// Runs a future on such a thread, with a runtime of its own; it is dropped there when nobody
/// waits for it any more.
///
/// # Errors
/// As with [`in_background`].
pub(crate) async fn future_in_background<T, F>(
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>>,
{
    // Dropped with this future, which ends the other one.
    let (_wanted, unwanted) = oneshot::channel::<()>();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(no_thread)?;
        runtime.block_on(async {
            tokio::select! {
                done = work() => done,
                _ = unwanted => Err(no_thread(std::io::ErrorKind::Interrupted.into())),
            }
        })
    };
    in_background(run).await
}

/// Work under way.
#[derive(Debug)]
pub(crate) struct Work<T>(oneshot::Receiver<std::thread::Result<Result<T>>>);

impl<T> Work<T> {
    /// Waits until it is done. A panic goes on here.
    pub(crate) async fn wait(&mut self) -> Result<T> {
        match (&mut self.0).await {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => unreachable!("the thread always tells how it ended"),
        }
    }
}

/// Begins work on such a thread.
///
/// # Errors
/// [`EngineError::Io`] when there is no thread to be had.
pub(crate) fn begin<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<Work<T>> {
    let (sender, receiver) = oneshot::channel();
    // What is logged there belongs to the call or task that it is done for.
    let span = tracing::Span::current();
    let run = move || {
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::debug!(%error, "the thread keeps its priority");
        }
        let done = catch_unwind(AssertUnwindSafe(|| span.in_scope(work)));
        // Nobody may wait for it any more.
        let _ = sender.send(done);
    };
    std::thread::Builder::new()
        .name("background".into())
        .spawn(run)
        .map_err(no_thread)?;
    Ok(Work(receiver))
}

fn no_thread(source: std::io::Error) -> EngineError {
    EngineError::Io {
        action: "start a thread",
        path: "/".into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proc_pid_stat(5): field 19 is the niceness. The name may have blanks.
    fn niceness() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("it runs");
        let (_, rest) = stat.rsplit_once(')').expect("a name");
        let field = rest.split_ascii_whitespace().nth(16).expect("field 19");
        field.parse().expect("a number")
    }

    #[tokio::test]
    async fn such_threads_are_nicer_and_others_stay_as_they_are() {
        let before = niceness();
        let there = in_background(|| Ok(niceness())).await.expect("a thread");
        assert_eq!(there, (before + NICENESS).min(19));
        assert_eq!(niceness(), before);
        let there = future_in_background(|| async { Ok(niceness()) }).await;
        assert_eq!(there.expect("a thread"), (before + NICENESS).min(19));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_dropped() {
        let (alive, mut dropped) = oneshot::channel::<()>();
        let (begun_sender, begun) = oneshot::channel();
        let forever = future_in_background(move || async move {
            let _alive = alive;
            let _ = begun_sender.send(());
            std::future::pending::<Result<()>>().await
        });
        tokio::select! {
            _ = forever => unreachable!("it has no end"),
            _ = begun => {}
        }
        assert!((&mut dropped).await.is_err());
    }

    #[tokio::test]
    #[should_panic(expected = "as it should")]
    async fn a_panic_goes_on_where_it_is_waited_for() {
        let _ = in_background::<()>(|| panic!("as it should")).await;
    }
}
