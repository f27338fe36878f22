//! The transaction of a session over its nodes.

use std::collections::BTreeMap;

use openpeta_mysql_wire::ErrPacket;
use openpeta_xa::{
    Action, Branch, Commit, Failure as StepFailure, Node, Outcome, Step, TransactionId,
};
use tokio::sync::oneshot;

use super::{Failure, Nodes};
use crate::node::{NodeConnection, NodeError, Reply};
use crate::quote::identifier;
use crate::topology::Topology;

/// A transaction that was begun by `XA START` on the nodes that it has touched.
#[derive(Debug)]
pub struct Transaction {
    /// Its number.
    pub id: TransactionId,
    /// The nodes, and whether something may have been written there.
    pub(super) nodes: BTreeMap<u16, bool>,
    /// Nothing may be written.
    pub read_only: bool,
    /// A node of it is lost, and what was written there: it can only be undone.
    pub(super) broken: bool,
    /// It is one statement's own.
    pub(super) of_statement: bool,
    /// What is run on each node before it begins there.
    pub(super) before: Option<String>,
    /// The names of its savepoints, quoted, in their order.
    savepoints: Vec<String>,
}

impl Transaction {
    /// What begins it on a node.
    pub(super) fn start(&self, node: u16) -> Vec<String> {
        let mut statements: Vec<String> = self.before.iter().cloned().collect();
        statements.push(format!("XA START {}", self.id.xid(Node(node))));
        statements.extend(
            self.savepoints
                .iter()
                .map(|name| format!("SAVEPOINT {name}")),
        );
        statements
    }
}

impl Nodes {
    /// Begins a transaction, which each node becomes part of with its first statement.
    pub(super) fn begin(&mut self, before: Option<String>, read_only: bool, of_statement: bool) {
        let id = self.instance().life().begin_transaction();
        self.set_transaction(Transaction {
            id,
            nodes: BTreeMap::new(),
            read_only,
            broken: false,
            of_statement,
            before,
            savepoints: Vec::new(),
        });
    }

    /// Makes home part of the transaction that was begun; ends it if that fails.
    pub(super) async fn begin_at_home(&mut self) -> Result<(), Failure> {
        let joined = self.join(Topology::HOME).await;
        if joined.is_err() {
            self.roll_back().await?;
        }
        joined
    }

    /// Sets a savepoint on all nodes, and on those that come to it later.
    pub(super) async fn savepoint(&mut self, name: &str) -> Result<(), Failure> {
        let name = identifier(name);
        self.on_all(&format!("SAVEPOINT {name}")).await?;
        if let Some(transaction) = self.transaction_mut() {
            transaction.savepoints.retain(|it| *it != name);
            transaction.savepoints.push(name);
        }
        Ok(())
    }

    /// Undoes what came after a savepoint, or forgets it.
    pub(super) async fn back_to_savepoint(
        &mut self,
        name: &str,
        release: bool,
    ) -> Result<(), Failure> {
        let name = identifier(name);
        let at = self
            .transaction()
            .and_then(|it| it.savepoints.iter().position(|it| *it == name));
        let Some(at) = at else {
            return Err(ErrPacket::new(
                1305,
                b"42000",
                format!("SAVEPOINT {} does not exist", name.trim_matches('`')),
            )
            .into());
        };
        let verb = if release {
            "RELEASE SAVEPOINT"
        } else {
            "ROLLBACK TO SAVEPOINT"
        };
        self.on_all(&format!("{verb} {name}")).await?;
        if let Some(transaction) = self.transaction_mut() {
            transaction
                .savepoints
                .truncate(if release { at } else { at + 1 });
        }
        Ok(())
    }

    /// Runs a statement on all nodes of the transaction.
    async fn on_all(&mut self, statement: &str) -> Result<(), Failure> {
        let nodes: Vec<u16> = self
            .transaction()
            .iter()
            .flat_map(|it| it.nodes.keys().copied())
            .collect();
        for node in &nodes {
            let sent = self.joined(*node).send_query(statement).await;
            sent.map_err(|source| Failure::of_node(*node, source))?;
        }
        let mut failure = None;
        for node in nodes {
            let reply = self.joined(node).read_reply().await;
            if let Reply::Err(error) = reply.map_err(|source| Failure::of_node(node, source))? {
                failure.get_or_insert(error);
            }
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Commits the transaction, if there is one.
    pub(super) async fn commit(&mut self) -> Result<(), Failure> {
        let Some(transaction) = self.take_transaction() else {
            return Ok(());
        };
        let id = transaction.id;
        self.running().set_committing(true);
        // What is carried out is not interrupted any more.
        let running = std::sync::Arc::clone(self.running());
        running.settle().await;
        let result = self.carry_out(&transaction).await;
        self.running().set_committing(false);
        self.instance().life().end_transaction(&id);
        if let Ok(Outcome::Committed { pending }) = &result {
            if pending.is_empty() {
                self.instance().life().log.end(id);
            } else {
                // It can be settled only now that nobody may still decide.
                self.instance().doubt().look();
            }
        }
        result.map(|_| ())
    }

    async fn carry_out(&mut self, transaction: &Transaction) -> Result<Outcome, Failure> {
        let id = transaction.id;
        let parts: Vec<_> = transaction
            .nodes
            .iter()
            .map(|(node, wrote)| Branch {
                node: Node(*node),
                wrote: *wrote,
            })
            .collect();
        let mut failures: BTreeMap<u16, Failure> = BTreeMap::new();
        let mut fence = None;
        // Whoever looks at several nodes at once sees all of it or none, and nothing prepared.
        let _gate = match parts.iter().any(|part| part.wrote) {
            false => None,
            true => Some(self.instance().gate().read_owned().await),
        };
        let (mut commit, mut actions) = Commit::begin(&parts);
        loop {
            let mut asked = Vec::new();
            let mut next = Vec::new();
            for action in std::mem::take(&mut actions) {
                match action {
                    Action::Ask(node, step) => {
                        asked.push((node, step, self.ask(&id, node, step).await))
                    }
                    Action::Decide(nodes) => {
                        let is_on_disk = self.decide(id, &nodes).await;
                        // From here on readers of several nodes wait until all have committed.
                        fence = Some(self.instance().fence().read_owned().await);
                        next.extend(commit.decided(is_on_disk));
                    }
                    Action::Finish(outcome) => {
                        if matches!(&outcome, Outcome::Committed { pending } if !pending.is_empty())
                        {
                            self.instance().doubt().raise();
                        }
                        drop(fence);
                        return finished(outcome, failures);
                    }
                }
            }
            for (node, step, sent) in asked {
                let answer = match sent {
                    Ok(()) => self.answer(node, step).await,
                    Err(source) => Err(Failure::of_node(node.0, source)),
                };
                let told = match answer {
                    Ok(()) => Ok(()),
                    Err(failure) => {
                        let is_refusal = matches!(failure, Failure::Statement(_));
                        failures.entry(node.0).or_insert(failure);
                        if is_refusal {
                            Err(StepFailure::Refused)
                        } else {
                            self.lose(node.0);
                            Err(StepFailure::Lost)
                        }
                    }
                };
                next.extend(commit.answered(node, told));
            }
            actions = next;
        }
    }

    async fn decide(&self, id: TransactionId, nodes: &[Node]) -> bool {
        let (sender, told) = oneshot::channel();
        let done = move |result: Result<(), openpeta_xa::LogError>| {
            if let Err(error) = &result {
                tracing::error!(%error, "a decision may not be on disk");
            }
            // Nobody listens when the session has ended in the meantime.
            let _ = sender.send(result.is_ok());
        };
        self.instance().life().log.decide(id, nodes, Box::new(done));
        told.await.unwrap_or(false)
    }

    /// Asks a node for a step, without waiting for its answer.
    async fn ask(&mut self, id: &TransactionId, node: Node, step: Step) -> Result<(), NodeError> {
        let xid = id.xid(node);
        let Some(connection) = self.existing(node.0) else {
            return Err(NodeError::closed());
        };
        let statements = statements(step, &xid);
        if is_together(step, connection) {
            let all: Vec<&[u8]> = statements.iter().map(String::as_bytes).collect();
            return connection.send_together(&all).await;
        }
        for statement in statements {
            connection.send_query(statement).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, node: Node, step: Step) -> Result<(), Failure> {
        let Some(connection) = self.existing(node.0) else {
            return Err(Failure::of_node(node.0, NodeError::closed()));
        };
        let count = statements(step, "").len();
        let is_together = is_together(step, connection);
        let mut failure = None;
        for number in 0..count {
            let reply = connection.read_reply().await;
            let reply = reply.map_err(|source| Failure::of_node(node.0, source))?;
            // It may have ended, or must not any more.
            let may_fail = step == Step::RollBack && number == 0;
            if let Reply::Err(error) = reply
                && !may_fail
            {
                failure.get_or_insert(error);
                if is_together {
                    // Nothing behind it was run.
                    break;
                }
            }
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Undoes the transaction, if there is one.
    pub(super) async fn roll_back(&mut self) -> Result<(), Failure> {
        let Some(transaction) = self.take_transaction() else {
            return Ok(());
        };
        let nodes: Vec<u16> = transaction.nodes.keys().copied().collect();
        let mut sent = Vec::new();
        for node in nodes {
            let result = self.ask(&transaction.id, Node(node), Step::RollBack).await;
            sent.push((node, result));
        }
        let mut home = Ok(());
        for (node, result) in sent {
            let answer = match result {
                Ok(()) => self.answer(Node(node), Step::RollBack).await,
                Err(source) => Err(Failure::of_node(node, source)),
            };
            if let Err(failure) = answer {
                // The end of its connection undoes it as well.
                self.lose(node);
                if node == Topology::HOME {
                    home = Err(match failure {
                        Failure::Statement(_) => Failure::Home(NodeError::closed()),
                        other => other,
                    });
                }
            }
        }
        self.instance().life().end_transaction(&transaction.id);
        home
    }
}

/// Whether the statements of a step are sent in one text: none is run behind one that fails.
fn is_together(step: Step, connection: &NodeConnection) -> bool {
    matches!(step, Step::Prepare | Step::CommitOnePhase) && connection.takes_several()
}

fn statements(step: Step, xid: &str) -> Vec<String> {
    match step {
        Step::CommitOnePhase => vec![
            format!("XA END {xid}"),
            format!("XA COMMIT {xid} ONE PHASE"),
        ],
        Step::Prepare => vec![format!("XA END {xid}"), format!("XA PREPARE {xid}")],
        Step::Commit => vec![format!("XA COMMIT {xid}")],
        Step::RollBackPrepared => vec![format!("XA ROLLBACK {xid}")],
        Step::RollBack => vec![format!("XA END {xid}"), format!("XA ROLLBACK {xid}")],
    }
}

fn finished(outcome: Outcome, mut failures: BTreeMap<u16, Failure>) -> Result<Outcome, Failure> {
    match outcome {
        Outcome::Committed { .. } => match failures.remove(&Topology::HOME) {
            // It is committed, but the session has lost its home.
            Some(Failure::Home(source)) => Err(Failure::Home(source)),
            _ => Ok(outcome),
        },
        Outcome::RolledBack { node, .. } => {
            let failure = failures.remove(&node.0);
            Err(failure.unwrap_or_else(|| Failure::of_node(node.0, NodeError::closed())))
        }
        // The client must not be told either way.
        Outcome::Unknown => Err(Failure::Home(NodeError::closed())),
    }
}
