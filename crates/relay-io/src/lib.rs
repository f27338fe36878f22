//! Byte streams driven by one event loop per core: accepting, connecting, receiving, sending,
//! queueing, back-pressure, half-close and timers.
//!
//! The other side of a stream may also be a future that the loop's own thread polls ([`Io::serve`]): its
//! bytes need no socket and no other thread. Such a future may open sockets which the loop serves as it
//! serves its streams.
//!
//! The crate knows nothing of what the bytes mean: no MySQL, no TLS, no routing. A program
//! implements [`Handler`] and talks back through [`Io`]. Both are written in completion style (the
//! handler gets bytes that have already been received, and never reads or writes a socket itself),
//! so
//! the loop runs over io_uring or epoll without a difference to any handler.

mod api;
mod backend;
mod batch;
mod epoll;
mod event_loop;
mod local;
mod mailbox;
mod pool;
mod queue;
mod slots;
mod sys;
mod tasks;
mod timers;
#[allow(unsafe_code, reason = "memory shared with the kernel")]
mod uring;

pub use api::{Accepted, CloseReason, Disposition, Handler, Io, LoopConfig, LoopKind, StreamId};
pub use local::{LocalFuture, LocalService, LocalSockets, LocalStream};
pub use pool::{Commander, Loops};
pub use sys::{KEEPALIVE, Kernel, Listener, Received, Transport, raise_open_file_limit};
pub use uring::{Faults, NoFaults};
