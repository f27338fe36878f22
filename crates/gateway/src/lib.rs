//! The gateway: lets clients in, logs them in to their instance's node and relays between them.
//! It holds no metadata of its own; the control plane tells it the routes.
//!
//! Two halves: [`session`] is a pure state machine over bytes, and the shell around it (private)
//! owns sockets, TLS, whitelists, limits and deadlines on the event loops of `relay-io`.
//! [`Gateway`] is what the rest of the process talks to.

mod accounts;
mod config;
mod counters;
mod digests;
mod error;
mod gateway;
mod logins;
mod refusals;
mod registry;
pub mod session;
mod sessions;
mod shell;
mod slow_log;
mod times;

pub use config::{GatewayConfig, LocalNodes, LocalService, LoopKind};
pub use counters::{DatabaseCounters, InstanceCounters, StatementCounters, TakenCounters};
pub use digests::StatementDigest;
pub use error::GatewayError;
pub use gateway::{Endpoint, EndpointSocket, Gateway};
pub use openpeta_relay_io::Listener;
pub use refusals::{Refusal, RefusalReason};
pub use sessions::SessionInfo;
pub use slow_log::SlowLogConfig;
pub use times::TimesTaken;
