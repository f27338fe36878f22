//! `EXPLAIN ROUTE …`: where a statement would run, and why.

use super::copy::Copied;
use super::{Failure, Session};
use crate::plan::Plan;
use crate::plan::control::Control;

const BEGINNING: &[u8] = b"EXPLAIN ROUTE ";
const COLUMNS: &[&str] = &["Class", "Databases", "Node", "Reason"];

/// The statement that a text wants explained.
pub(super) fn explained(text: &[u8]) -> Option<&[u8]> {
    let head = text.get(..BEGINNING.len())?;
    head.eq_ignore_ascii_case(BEGINNING)
        .then(|| &text[BEGINNING.len()..])
}

impl Session {
    /// Tells where a statement would run; it is not run.
    pub(super) async fn explain_route(
        &mut self,
        statement: &[u8],
        more: bool,
    ) -> Result<Copied, Failure> {
        let catalogue = self.instance.catalogue().await?;
        let plan = self.plan(statement, &catalogue).await?;
        let topology = self.instance.topology();
        let row = |class: &str, database: Option<&str>, nodes: &[u16], reason: String| {
            let nodes: Vec<_> = nodes.iter().map(u16::to_string).collect();
            vec![
                Some(class.to_owned()),
                database.map(str::to_owned),
                Some(nodes.join(", ")),
                Some(reason),
            ]
        };
        let rows = match plan {
            Plan::Refuse(refusal) => return Err(refusal.into()),
            Plan::Node {
                node,
                writes,
                table,
                ..
            } => {
                let class = match writes {
                    true => "single-partition write",
                    false => "single-partition read",
                };
                let reason = format!("all rows of {} that it can touch are there", table.name);
                vec![row(class, Some(&table.schema), &[node], reason)]
            }
            Plan::Insert(insert) => {
                let table = &insert.table;
                let nodes = topology.nodes_of(&table.schema);
                let reason = match table.key() {
                    Some(key) => format!("each row goes to the node of its {}", key.name),
                    None => "each node gets all rows".to_owned(),
                };
                vec![row("write", Some(&table.schema), &nodes, reason)]
            }
            Plan::Modify { nodes, table, .. } => {
                let reason = format!(
                    "rows of {} that it can touch are on these nodes",
                    table.name
                );
                vec![row(
                    "multi-partition write",
                    Some(&table.schema),
                    &nodes,
                    reason,
                )]
            }
            Plan::Checksum(plan) => {
                let nodes = plan.questions(&topology).into_iter().map(|(node, _)| node);
                let nodes: Vec<_> = nodes.collect();
                let reason = "the checksums of each node's rows are added".to_owned();
                vec![row("multi-partition read", None, &nodes, reason)]
            }
            Plan::Figures(plan) => {
                let nodes = plan.nodes(&topology);
                let reason = "each node tells of its rows, and home of all together".to_owned();
                vec![row("multi-partition read", None, &nodes, reason)]
            }
            Plan::Read(plan) => {
                let lines = plan.explain().into_iter();
                lines
                    .map(|(nodes, reason)| row("multi-partition read", None, &nodes, reason))
                    .collect()
            }
            Plan::Control(control) => {
                let class = match control {
                    Control::Begin { .. } => "begin",
                    _ => "transaction statement",
                };
                vec![row(
                    class,
                    None,
                    &[0],
                    "on the nodes of the transaction".into(),
                )]
            }
            Plan::Define(_) => {
                let reason = "on all nodes of the database".to_owned();
                vec![row("definition", None, &[0], reason)]
            }
            _ => {
                let reason = "everything that it names is whole on the first node".to_owned();
                vec![row("single-partition statement", None, &[0], reason)]
            }
        };
        self.tell_rows(COLUMNS, &rows, more).await
    }
}
