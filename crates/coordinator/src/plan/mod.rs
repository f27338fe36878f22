//! Where a statement runs: decided out of its text, the catalogue and what is known of the session.
//! Nothing here knows a socket.

pub mod facts;
pub mod read;
pub mod text;

pub use facts::Facts;

use crate::Refusal;
use crate::catalogue::{Catalogue, Named};
use crate::topology::Topology;

/// Where a statement runs.
#[derive(Clone, Debug)]
pub enum Plan {
    /// At home, as it is.
    Home,
    /// Rows of several nodes are gathered at home, and the statement runs there.
    Read(Box<read::ReadPlan>),
    /// Not at all.
    Refuse(Refusal),
}

/// Decides on a text that is one statement.
#[must_use]
pub fn plan(statement: &[u8], catalogue: &Catalogue, topology: &Topology, facts: &Facts) -> Plan {
    if catalogue.is_empty() || !catalogue.may_be_in(statement) {
        return Plan::Home;
    }
    let mentioned = catalogue.mentioned(statement, facts.database.as_deref(), facts.dialect);
    if mentioned.is_empty() {
        return Plan::Home;
    }
    decide(statement, &mentioned, catalogue, topology, facts).unwrap_or_else(Plan::Refuse)
}

fn decide(
    statement: &[u8],
    _mentioned: &[(String, String, Named)],
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Plan, Refusal> {
    let plan = read::plan(statement, catalogue, topology, facts)?;
    Ok(Plan::Read(Box::new(plan)))
}
