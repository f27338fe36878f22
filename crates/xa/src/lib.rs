//! Transactions over several nodes: two-phase commit by MariaDB's `XA`, with the decision on disk
//! between the phases.
//!
//! A transaction is prepared on each node that it wrote on, also where that is one; when all have promised
//! that they can, the decision is written to the [log](DecisionLog) and synced, and only then is it
//! committed anywhere. One phase is not enough for one node: MariaDB does not sync that a branch
//! was committed so, and after a crash it is prepared, though the client was told, and its log has it. Who finds a prepared
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
