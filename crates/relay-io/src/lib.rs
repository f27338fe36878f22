//! Byte streams driven by one event loop per core: accepting, connecting, receiving, sending,
//! queueing, back-pressure, half-close and timers.
//!
//! The crate knows nothing of what the bytes mean: no MySQL, no TLS, no routing. A program
//! implements [`Handler`] and talks back through [`Io`]. Both are written in completion style (the
//! handler gets bytes that have already been received, and never reads or writes a socket itself),
//! so a loop over io_uring can stand in for the epoll loop without a change to any handler.

mod api;
mod backend;
mod epoll;
mod event_loop;
mod mailbox;
mod pool;
mod queue;
mod slots;
mod sys;
mod timers;

pub use api::{Accepted, CloseReason, Disposition, Handler, Io, LoopConfig, StreamId};
pub use pool::{Commander, Loops};
pub use sys::{Kernel, Listener, Received, Transport, raise_open_file_limit};
