//! Nodes that are asked the same, or each its own, with all answers in memory.

use std::sync::Arc;

use super::source::told;
use crate::node::{NodeConnection, Reply, ResultSet};
use crate::session::{Failure, Nodes};
use crate::topology::Topology;

/// Asks nodes for rows as of one moment: that of the session's transaction, if it is in one.
///
/// # Errors
/// [`Failure`], also when a node answers with an error.
pub async fn ask_at_once(
    nodes: &mut Nodes,
    questions: &[(u16, Vec<u8>)],
    in_transaction: bool,
) -> Result<Vec<(u16, ResultSet)>, Failure> {
    let wanted: Vec<u16> = questions.iter().map(|(node, _)| *node).collect();
    if in_transaction {
        let mut connections = nodes.several(&wanted).await?;
        let answers = ask_all(&mut connections, questions).await?;
        nodes.rest();
        return answers;
    }
    let instance = Arc::clone(nodes.instance());
    nodes.look(&wanted);
    let (_, mut connections) = nodes.readers(&wanted, false).await?;
    {
        // No transaction over nodes is carried out in the meantime: it is seen on all or on none.
        let _alone = instance.alone(&wanted).await?;
        told(
            &mut connections,
            "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        )
        .await?;
    }
    let answers = ask_all(&mut connections, questions).await?;
    told(&mut connections, "COMMIT").await?;
    nodes.has_looked();
    nodes.rest();
    answers
}

/// Asks home, and others beside whatever transaction the session is in, for what is in none.
///
/// # Errors
/// As [`ask_at_once`].
pub async fn ask_beside(
    nodes: &mut Nodes,
    others: &[u16],
    question: &[u8],
) -> Result<Vec<(u16, ResultSet)>, Failure> {
    let (home, mut connections) = nodes.readers(others, false).await?;
    connections.push((Topology::HOME, home));
    let questions: Vec<_> = connections
        .iter()
        .map(|(node, _)| (*node, question.to_vec()))
        .collect();
    let answers = ask_all(&mut connections, &questions).await?;
    nodes.rest();
    answers
}

/// The answers, or what a node has against the question, when all have answered.
async fn ask_all(
    connections: &mut [(u16, &mut NodeConnection)],
    questions: &[(u16, Vec<u8>)],
) -> Result<Result<Vec<(u16, ResultSet)>, Failure>, Failure> {
    for (node, connection) in connections.iter_mut() {
        let question = questions.iter().find(|(of, _)| of == node);
        let question = question.map_or(&[][..], |(_, question)| question);
        let sent = connection.send_query(question).await;
        sent.map_err(|error| Failure::of_node(*node, error))?;
    }
    let mut answers = Vec::with_capacity(connections.len());
    let mut failed = None;
    for (node, connection) in connections.iter_mut() {
        let reply = connection.read_reply().await;
        match reply.map_err(|error| Failure::of_node(*node, error))? {
            Reply::Rows(rows) => answers.push((*node, rows)),
            Reply::Err(error) => failed = Some(error),
            Reply::Ok(_) => {}
        }
    }
    Ok(match failed {
        Some(error) => Err(error.into()),
        None => Ok(answers),
    })
}
