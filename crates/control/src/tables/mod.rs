//! Tables and indexes of a database: showing them, and carrying out definition statements.

mod change;
mod describe;
#[cfg(test)]
mod tests;

use openpeta_engine::NodeSql;
use openpeta_store::Instance;

use crate::{Control, ControlError};

impl Control {
    /// An administration connection to the node that holds an instance's databases.
    ///
    /// # Errors
    /// `ServiceUnavailable` when there is none, or it does not answer.
    async fn tables_of(&self, instance: &Instance) -> Result<NodeSql, ControlError> {
        let node = instance.node_id.as_ref();
        let node = node.ok_or_else(|| ControlError::unavailable("the instance has no node yet"))?;
        let sql = self.parts.engine.sql(node).await;
        sql.map_err(ControlError::unavailable)
    }
}
