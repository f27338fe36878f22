//! The loops of a process: their threads, and how the rest of the process talks to them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::api::{Handler, LoopConfig, LoopKind};
use crate::batch;
use crate::epoll::Epoll;
use crate::event_loop::{EventLoop, watch_mailbox};
use crate::mailbox::{Message, Shared};
use crate::sys::{Kernel, Listener, Transport};
use crate::uring::{self, Faults, NoFaults, Uring};

/// How long [`Loops::unlisten`] waits for a loop that does not answer.
const UNLISTEN_PATIENCE: Duration = Duration::from_secs(5);

/// Event loops, one thread each. Dropping it stops them and closes every stream.
pub struct Loops<C: Send + 'static> {
    shared: Arc<Shared<C>>,
    threads: Vec<JoinHandle<()>>,
}

/// Sends commands to the handlers. Cheap to clone.
pub struct Commander<C: Send + 'static> {
    shared: Arc<Shared<C>>,
}

impl<C: Send + 'static> Clone for Commander<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<C: Send + 'static> Commander<C> {
    /// How many loops there are.
    pub fn loops(&self) -> usize {
        self.shared.mailboxes.len()
    }

    /// Has the handler of loop `index` called with `command`, soon and in the order of sending.
    ///
    /// # Panics
    ///
    /// When there is no such loop.
    pub fn send(&self, index: usize, command: C) {
        self.shared.mailboxes[index].post(Message::Command(command));
    }

    /// Sends every loop its own command.
    pub fn broadcast(&self, mut command: impl FnMut() -> C) {
        for mailbox in &self.shared.mailboxes {
            mailbox.post(Message::Command(command()));
        }
    }
}

impl<C: Send + 'static> Loops<C> {
    /// Starts `count` loops (at least one); `handler` makes the handler of each on its own thread,
    /// given its index.
    ///
    /// # Errors
    ///
    /// When descriptors or threads cannot be had.
    pub fn start<H: Handler<Command = C>>(
        count: usize,
        config: LoopConfig,
        handler: impl Fn(usize) -> H + Send + Clone + 'static,
    ) -> io::Result<Self> {
        let use_uring = match config.kind {
            LoopKind::Epoll => false,
            LoopKind::IoUring => true,
            LoopKind::Auto => match uring::probe() {
                Ok(()) => true,
                Err(error) => {
                    tracing::info!(%error, "no io_uring here; sessions are served over epoll");
                    false
                }
            },
        };
        if use_uring {
            Self::start_completions(count, config, handler, |_| NoFaults)
        } else {
            Self::start_over(count, config, handler, |_| Kernel)
        }
    }

    /// As [`Self::start`], over io_uring, with `faults` in between.
    ///
    /// # Errors
    ///
    /// As [`Self::start`]; also when there is no io_uring.
    pub fn start_completions<H: Handler<Command = C>, F: Faults>(
        count: usize,
        config: LoopConfig,
        handler: impl Fn(usize) -> H + Send + Clone + 'static,
        faults: impl Fn(usize) -> F,
    ) -> io::Result<Self> {
        Self::start_loops(count, |loops, index| {
            let (handler, faults, config) = (handler.clone(), faults(index), config.clone());
            loops.spawn(index, move |shared| {
                let epoll = watch_mailbox(&shared, index)?;
                let (backend, memory) = Uring::new(Arc::clone(&epoll), faults)?;
                let event_loop = EventLoop::new(index, config, shared, epoll, backend, memory);
                Ok(move || event_loop.run(handler(index)))
            })
        })
    }

    /// As [`Self::start`], over epoll, with something else than the kernel's own receive and send
    /// calls.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_over<H: Handler<Command = C>, T: Transport>(
        count: usize,
        config: LoopConfig,
        handler: impl Fn(usize) -> H + Send + Clone + 'static,
        transport: impl Fn(usize) -> T,
    ) -> io::Result<Self> {
        Self::start_loops(count, |loops, index| {
            let (handler, transport, config) = (handler.clone(), transport(index), config.clone());
            loops.spawn(index, move |shared| {
                let epoll = watch_mailbox(&shared, index)?;
                let backend = Epoll::new(Arc::clone(&epoll), transport);
                let buffer = vec![0; config.receive_buffer.max(1)];
                let event_loop = EventLoop::new(index, config, shared, epoll, backend, buffer);
                Ok(move || event_loop.run(handler(index)))
            })
        })
    }

    fn start_loops(
        count: usize,
        start: impl Fn(&mut Self, usize) -> io::Result<()>,
    ) -> io::Result<Self> {
        let count = count.max(1);
        // Made before the threads, so that dropping it on an error stops those already started.
        let mut loops = Self {
            shared: Arc::new(Shared::new(count)?),
            threads: Vec::new(),
        };
        for index in 0..count {
            start(&mut loops, index)?;
        }
        Ok(loops)
    }

    /// Starts the thread of a loop; `make` makes what it runs, on the thread.
    fn spawn<R: FnOnce()>(
        &mut self,
        index: usize,
        make: impl FnOnce(Arc<Shared<C>>) -> io::Result<R> + Send + 'static,
    ) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let (started, outcome) = mpsc::channel();
        let body = move || match make(shared) {
            Ok(run) => {
                if let Err(error) = batch::prefer_throughput() {
                    tracing::debug!(%error, "the loop keeps the scheduling class it has");
                }
                let _ = started.send(Ok(()));
                run();
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name(format!("relay-{index}"));
        self.threads.push(thread.spawn(body)?);
        let gone = || Err(io::Error::other("the loop's thread ended as it began"));
        outcome.recv().unwrap_or_else(|_| gone())
    }

    /// A handle for sending commands.
    pub fn commander(&self) -> Commander<C> {
        Commander {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Starts accepting. Connections go to the loop with the fewest, wherever they are accepted.
    /// `token` is what [`Handler::accepted`] is told, and must not be in use.
    pub fn listen(&self, listener: Listener, token: u64) {
        self.acceptor(token).post(Message::Listen(listener, token));
    }

    /// Stops accepting from the listener of `token` and closes it, if that is the last clone; its
    /// address is free when the call returns. Every connection that was accepted has been handed to
    /// its loop by then. Must not be called from a loop's own thread.
    pub fn unlisten(&self, token: u64) {
        let (done, closed) = mpsc::channel();
        self.acceptor(token).post(Message::Unlisten(token, done));
        let _ = closed.recv_timeout(UNLISTEN_PATIENCE);
    }

    /// How many accepted streams are open.
    pub fn live(&self) -> usize {
        self.shared.live()
    }

    /// Stops the loops and closes every stream. Returns when all threads have ended.
    pub fn stop(mut self) {
        self.end();
    }

    fn acceptor(&self, token: u64) -> &crate::mailbox::Mailbox<C> {
        let count = self.shared.mailboxes.len() as u64;
        &self.shared.mailboxes[(token % count) as usize]
    }

    fn end(&mut self) {
        for mailbox in &self.shared.mailboxes {
            mailbox.post(Message::Stop);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl<C: Send + 'static> Drop for Loops<C> {
    fn drop(&mut self) {
        self.end();
    }
}
