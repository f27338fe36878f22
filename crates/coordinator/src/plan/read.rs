//! Reads over several nodes: which rows are gathered.

use super::Facts;
use crate::Refusal;
use crate::catalogue::Catalogue;
use crate::topology::Topology;

/// What is gathered for a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPlan {}

/// Plans a statement that only reads.
///
/// # Errors
/// What it could not be answered exactly with.
pub fn plan(
    _statement: &[u8],
    _catalogue: &Catalogue,
    _topology: &Topology,
    _facts: &Facts,
) -> Result<ReadPlan, Refusal> {
    Err(Refusal::new(
        "read-over-nodes",
        "reads over several nodes are not supported yet",
    ))
}
