//! Brings rows of several nodes to home for a read.

use crate::plan::read::ReadPlan;
use crate::session::{Failure, Nodes};

/// What runs at home once the rows are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// The statement.
    pub statement: Vec<u8>,
}

/// Gathers what a plan wants. What it makes at home, [`clean_up`] removes.
///
/// # Errors
/// [`Failure`], with everything cleaned up.
pub async fn run(
    _nodes: &mut Nodes,
    _plan: &ReadPlan,
    statement: &[u8],
) -> Result<Gathered, Failure> {
    Ok(Gathered {
        statement: statement.to_vec(),
    })
}

/// Removes what [`run`] made at home, when the statement has been answered.
///
/// # Errors
/// [`Failure`] when home is lost.
pub async fn clean_up(_nodes: &mut Nodes, _gathered: &Gathered) -> Result<(), Failure> {
    Ok(())
}
