//! What becomes of a prepared branch that nobody seems to look after.

use crate::TransactionId;
use crate::record::Decisions;

/// What is to be done with a branch that a node lists in `XA RECOVER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was decided: `XA COMMIT`.
    Commit,
    /// It was not decided, and nobody will: `XA ROLLBACK`.
    Rollback,
    /// It is another coordinator's, or one that lives may still decide.
    Leave,
}

/// Decides on a branch. `decisions` must have been looked at *after* the node listed the branch, and
/// `is_at_work` likewise: a transaction is decided or given up before its coordinator lets go of it.
///
/// `is_at_work` tells of a transaction of `coordinator` whether who began it may still go on with it:
/// one of this process until its commit is over, one of an older process as long as that runs.
pub fn fate(
    id: &TransactionId,
    coordinator: u64,
    decisions: &Decisions,
    is_at_work: impl FnOnce(&TransactionId) -> bool,
) -> Fate {
    if id.coordinator != coordinator {
        Fate::Leave
    } else if decisions.contains(id) {
        Fate::Commit
    } else if is_at_work(id) {
        Fate::Leave
    } else {
        Fate::Rollback
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decision, Node};

    #[test]
    fn decided_ones_are_committed_and_others_only_rolled_back_when_nobody_is_at_work() {
        let id = |number| TransactionId {
            coordinator: 1,
            epoch: 1,
            number,
        };
        let mut decisions = Decisions::default();
        decisions.add(Decision {
            id: id(7),
            nodes: vec![Node(0), Node(1)],
        });
        assert_eq!(fate(&id(7), 1, &decisions, |_| false), Fate::Commit);
        assert_eq!(fate(&id(7), 1, &decisions, |_| true), Fate::Commit);
        assert_eq!(fate(&id(8), 1, &decisions, |_| true), Fate::Leave);
        assert_eq!(fate(&id(8), 1, &decisions, |_| false), Fate::Rollback);
        assert_eq!(fate(&id(7), 2, &decisions, |_| false), Fate::Leave);
        assert!(decisions.end(&id(7)));
        assert_eq!(fate(&id(7), 1, &decisions, |_| false), Fate::Rollback);
    }
}
