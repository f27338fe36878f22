//! The end of one transaction: which node is asked for what, in which order.

use crate::Node;

/// A part of a transaction, on one node, in which `XA START` was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Where it is.
    pub node: Node,
    /// Whether it may have written something.
    pub wrote: bool,
}

/// What a node is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `XA END` and `XA COMMIT … ONE PHASE`, of a branch that wrote nothing: MariaDB may forget what was
    /// committed so when it is killed, though it has answered.
    CommitOnePhase,
    /// `XA END` and `XA PREPARE`.
    Prepare,
    /// `XA COMMIT` of a prepared branch.
    Commit,
    /// `XA ROLLBACK` of a prepared branch.
    RollBackPrepared,
    /// `XA END`, whatever it answers, and `XA ROLLBACK` of one that is not prepared.
    RollBack,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask a node, and call [`Commit::answered`] with its answer.
    Ask(Node, Step),
    /// Write the decision to commit on these nodes, and call [`Commit::decided`].
    Decide(Vec<Node>),
    /// The client can be told; nothing follows.
    Finish(Outcome),
}

/// How a node did not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It answered with an error.
    Refused,
    /// Its connection ended, so that nobody knows whether it did it.
    Lost,
}

/// How the transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Committed, for good. The nodes that are `pending` have not confirmed it; recovery sees to them.
    Committed {
        /// Branches that are still prepared, or were when last heard of.
        pending: Vec<Node>,
    },
    /// Not committed anywhere, for good.
    RolledBack {
        /// The node that failed first, whose error is to be told.
        node: Node,
        /// How.
        failure: Failure,
    },
    /// Nobody knows: the log failed at the moment of the decision.
    Unknown,
}

/// The commit of one transaction.
#[derive(Clone, Debug)]
pub struct Commit {
    stage: Stage,
    readers: Vec<Node>,
    writers: Vec<Node>,
    /// Nodes whose answer is due.
    due: Vec<(Node, Step)>,
    /// Nodes that have prepared.
    prepared: Vec<Node>,
    /// Nodes whose commit is to be made sure of later.
    pending: Vec<Node>,
    failure: Option<(Node, Failure)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Those that only read end, while several writers prepare.
    Voting,
    /// The decision is being written.
    Deciding,
    /// It is carried out.
    Committing,
    /// What can be undone is undone.
    RollingBack,
    Finished,
}

impl Commit {
    /// Begins the commit of a transaction with these branches.
    ///
    /// Branches that only read are ended first, or while the others prepare: what they hold may be
    /// let go as soon as nothing more is locked, and one that is lost has lost its locks, so that
    /// the transaction must not be committed.
    #[must_use]
    pub fn begin(branches: &[Branch]) -> (Self, Vec<Action>) {
        let of = |wrote| {
            let these = branches.iter().filter(move |branch| branch.wrote == wrote);
            these.map(|branch| branch.node).collect::<Vec<_>>()
        };
        let mut commit = Self {
            stage: Stage::Voting,
            readers: of(false),
            writers: of(true),
            due: Vec::new(),
            prepared: Vec::new(),
            pending: Vec::new(),
            failure: None,
        };
        let mut actions = Vec::new();
        for node in commit.readers.clone() {
            commit.ask(node, Step::CommitOnePhase, &mut actions);
        }
        for node in commit.writers.clone() {
            commit.ask(node, Step::Prepare, &mut actions);
        }
        commit.go_on(&mut actions);
        (commit, actions)
    }

    /// A node has answered what it was asked for last.
    ///
    /// # Panics
    /// When it was not asked.
    pub fn answered(&mut self, node: Node, answer: Result<(), Failure>) -> Vec<Action> {
        let at = self.due.iter().position(|(due, _)| *due == node);
        let (_, step) = self.due.remove(at.expect("nobody answers unasked"));
        let mut actions = Vec::new();
        match (step, answer) {
            (Step::Prepare, Ok(())) => self.prepared.push(node),
            (Step::Commit, Err(_)) => self.pending.push(node),
            (Step::Commit | Step::CommitOnePhase, Ok(())) => {}
            (Step::Prepare | Step::CommitOnePhase, Err(failure)) => {
                self.failure.get_or_insert((node, failure));
                if failure == Failure::Refused {
                    self.ask(node, Step::RollBack, &mut actions);
                }
            }
            // What cannot be rolled back now is found by recovery, or ended with its connection.
            (Step::RollBack | Step::RollBackPrepared, _) => {}
        }
        self.go_on(&mut actions);
        actions
    }

    /// The decision is on disk; or nobody knows whether it is.
    ///
    /// # Panics
    /// When nothing was to be decided.
    pub fn decided(&mut self, is_on_disk: bool) -> Vec<Action> {
        assert_eq!(self.stage, Stage::Deciding, "nothing was to be decided");
        let mut actions = Vec::new();
        if !is_on_disk {
            self.finish(Outcome::Unknown, &mut actions);
            return actions;
        }
        self.stage = Stage::Committing;
        for node in self.writers.clone() {
            self.ask(node, Step::Commit, &mut actions);
        }
        actions
    }

    /// Does what can be done without waiting for an answer.
    fn go_on(&mut self, actions: &mut Vec<Action>) {
        if self.stage == Stage::Voting && self.failure.is_some() {
            self.stage = Stage::RollingBack;
        }
        match self.stage {
            Stage::Voting if self.due.is_empty() => {
                if self.writers.is_empty() {
                    self.finish(Outcome::Committed { pending: vec![] }, actions);
                } else {
                    self.stage = Stage::Deciding;
                    actions.push(Action::Decide(self.writers.clone()));
                }
            }
            Stage::Committing if self.due.is_empty() => {
                let pending = std::mem::take(&mut self.pending);
                self.finish(Outcome::Committed { pending }, actions);
            }
            Stage::RollingBack => self.roll_back(actions),
            _ => {}
        }
    }

    /// Rolls back what is prepared; then finishes.
    fn roll_back(&mut self, actions: &mut Vec<Action>) {
        for node in std::mem::take(&mut self.prepared) {
            self.ask(node, Step::RollBackPrepared, actions);
        }
        if self.due.is_empty()
            && let Some((node, failure)) = self.failure
        {
            self.finish(Outcome::RolledBack { node, failure }, actions);
        }
    }

    fn ask(&mut self, node: Node, step: Step, actions: &mut Vec<Action>) {
        self.due.push((node, step));
        actions.push(Action::Ask(node, step));
    }

    fn finish(&mut self, outcome: Outcome, actions: &mut Vec<Action>) {
        self.stage = Stage::Finished;
        actions.push(Action::Finish(outcome));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Node = Node(0);
    const B: Node = Node(1);
    const C: Node = Node(2);

    fn begin(branches: &[(Node, bool)]) -> (Commit, Vec<Action>) {
        let branches = branches.iter().map(|&(node, wrote)| Branch { node, wrote });
        Commit::begin(&branches.collect::<Vec<_>>())
    }

    fn committed(pending: &[Node]) -> Vec<Action> {
        let pending = pending.to_vec();
        vec![Action::Finish(Outcome::Committed { pending })]
    }

    fn rolled_back(node: Node, failure: Failure) -> Vec<Action> {
        vec![Action::Finish(Outcome::RolledBack { node, failure })]
    }

    #[test]
    fn one_writer_prepares_as_several_do() {
        let (mut commit, actions) = begin(&[(A, true)]);
        assert_eq!(actions, [Action::Ask(A, Step::Prepare)]);
        assert_eq!(commit.answered(A, Ok(())), [Action::Decide(vec![A])]);
        assert_eq!(commit.decided(true), [Action::Ask(A, Step::Commit)]);
        assert_eq!(commit.answered(A, Ok(())), committed(&[]));
        assert_eq!(begin(&[]).1, committed(&[]));
    }

    #[test]
    fn who_only_read_ends_before_the_only_writer_commits() {
        let (mut commit, actions) = begin(&[(A, true), (B, false)]);
        let asked = [
            Action::Ask(B, Step::CommitOnePhase),
            Action::Ask(A, Step::Prepare),
        ];
        assert_eq!(actions, asked);
        assert_eq!(commit.answered(A, Ok(())), []);
        let next = commit.clone().answered(B, Ok(()));
        assert_eq!(next, [Action::Decide(vec![A])]);
        // Its locks are gone: somebody may have changed what the writer went by.
        let next = commit.answered(B, Err(Failure::Lost));
        assert_eq!(next, [Action::Ask(A, Step::RollBackPrepared)]);
        assert_eq!(commit.answered(A, Ok(())), rolled_back(B, Failure::Lost));
    }

    #[test]
    fn several_writers_prepare_before_the_decision_and_commit_after_it() {
        let (mut commit, actions) = begin(&[(A, true), (B, true), (C, false)]);
        assert_eq!(
            actions,
            [
                Action::Ask(C, Step::CommitOnePhase),
                Action::Ask(A, Step::Prepare),
                Action::Ask(B, Step::Prepare),
            ]
        );
        assert_eq!(commit.answered(B, Ok(())), []);
        assert_eq!(commit.answered(C, Ok(())), []);
        let decide = commit.answered(A, Ok(()));
        assert_eq!(decide, [Action::Decide(vec![A, B])]);
        let next = commit.decided(true);
        let asked = [Action::Ask(A, Step::Commit), Action::Ask(B, Step::Commit)];
        assert_eq!(next, asked);
        assert_eq!(commit.answered(A, Err(Failure::Lost)), []);
        assert_eq!(commit.answered(B, Ok(())), committed(&[A]));
    }

    #[test]
    fn who_cannot_prepare_ends_the_transaction_everywhere() {
        let (mut commit, _) = begin(&[(A, true), (B, true), (C, true)]);
        assert_eq!(commit.answered(A, Ok(())), []);
        let next = commit.answered(B, Err(Failure::Refused));
        let asked = [
            Action::Ask(B, Step::RollBack),
            Action::Ask(A, Step::RollBackPrepared),
        ];
        assert_eq!(next, asked);
        assert_eq!(commit.answered(B, Ok(())), []);
        // One whose answer comes later.
        let next = commit.answered(C, Ok(()));
        assert_eq!(next, [Action::Ask(C, Step::RollBackPrepared)]);
        assert_eq!(commit.answered(C, Err(Failure::Lost)), []);
        assert_eq!(commit.answered(A, Ok(())), rolled_back(B, Failure::Refused));
    }

    #[test]
    fn when_nobody_knows_nothing_is_claimed() {
        // One that is lost before the decision is undone, whatever it did.
        let (mut commit, _) = begin(&[(A, true)]);
        let told = commit.answered(A, Err(Failure::Lost));
        assert_eq!(told, rolled_back(A, Failure::Lost));
        let (mut commit, _) = begin(&[(A, true), (B, true)]);
        assert_eq!(commit.answered(A, Ok(())), []);
        commit.answered(B, Ok(()));
        let told = commit.decided(false);
        assert_eq!(told, [Action::Finish(Outcome::Unknown)]);
        // A refusal is an answer.
        let (mut commit, _) = begin(&[(A, true)]);
        let next = commit.answered(A, Err(Failure::Refused));
        assert_eq!(next, [Action::Ask(A, Step::RollBack)]);
        assert_eq!(commit.answered(A, Ok(())), rolled_back(A, Failure::Refused));
    }
}
