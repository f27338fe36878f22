//! Sessions over several nodes: everything between a client's session, which the gateway relays here,
//! and the MariaDB nodes that an instance's rows are spread over.
//!
//! A session's connection to the first node, *home*, is the session: its login, its variables, its single
//! tables. What touches no distributed table goes there and back as it came. Further nodes are *branches*,
//! connected when they are first needed. What a statement needs is decided in `plan`, which knows no
//! socket; `session` carries it out. Which tables are distributed, and how, is read from home
//! (`catalogue`).

pub mod catalogue;
pub mod gather;
pub mod node;
pub mod plan;
mod quote;
mod refusal;
pub mod service;
pub mod session;
mod topology;

pub use refusal::Refusal;
pub use service::{
    CoordinatorError, Coordinators, CoordinatorsConfig, HoldError, LeaveError, PartitionHeat,
    RedefineError, StandStillError, Use,
};
pub use topology::Topology;
