//! Transactions over several nodes: two-phase commit by MariaDB's `XA`, with the decision on disk
//! between the phases.
//!
//! A transaction that wrote on one node is committed there in one phase. One that wrote on several
//! is prepared on each of them; when all have promised that they can, the decision is written to the
//! [log](DecisionLog) and synced, and only then is it committed anywhere. Who finds a prepared
//! branch later looks into the log: with a decision it is committed, without one rolled back
//! (*presumed abort*), [unless its coordinator is still at work](Fate).
//!
//! [`Commit`] is the protocol of one transaction as a pure state machine, [`fate`] the rule of
//! recovery, `record` the form of the log: none of them knows a socket, a clock or a file. Only
//! `log.rs` writes.

mod commit;
mod id;
mod log;
mod record;
mod recovery;
#[cfg(test)]
mod simulation;

pub use commit::{Action, Branch, Commit, Failure, Outcome, Step};
pub use id::{Node, TransactionId};
pub use log::{DecisionLog, Done, LogError};
pub use record::{Damage, Decision, Decisions};
pub use recovery::{Fate, fate};
