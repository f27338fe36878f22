//! Definition statements of users, run once.

use std::path::Path;

use openpeta_types::{DbName, InstanceId, NodeId, TableName};

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::sql::{NodeSql, TableState, ddl_password, ddl_password_over_nodes};

/// What became of a definition statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defined {
    /// It is carried out.
    Done,
    /// MariaDB refused it; nothing was done.
    Refused(Refusal),
}

/// Why MariaDB refused a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// MariaDB's error number.
    pub code: u16,
    /// Its message, for whoever wrote the statement.
    pub message: String,
}

/// MariaDB's errors after which it is open whether a statement was carried out: the session or
/// the server ended meanwhile.
const OPEN: [u16; 6] = [1053, 1152, 1159, 1161, 1317, 1927];

impl Engine {
    /// Runs a definition statement of a user about a table, unless that table is no longer what
    /// it was before: then an earlier run, which was interrupted before it could tell, has done
    /// it. The statement reaches the one database alone, whatever it says.
    ///
    /// A session that an interrupted run left is ended first, so that two never run at once.
    ///
    /// # Errors
    /// Those of administration connections. It is open then whether the statement was carried
    /// out; running it again finds out.
    pub async fn run_ddl(
        &self,
        node: &NodeId,
        database: &DbName,
        table: &TableName,
        before: &TableState,
        statement: &str,
    ) -> Result<Defined> {
        let password = ddl_password(&self.config().admin_password, node, database);
        let mut admin = self.sql(node).await?;
        let is_due = async {
            admin.end_ddl_sessions(database).await?;
            if admin.table_state(database, table).await? != *before {
                return Ok::<_, EngineError>(false);
            }
            admin.ensure_ddl_account(database, &password).await?;
            Ok(true)
        }
        .await;
        admin.close().await;
        if !is_due? {
            return Ok(Defined::Done);
        }
        let socket = self.socket_path(node)?;
        let limit = self.config().sql_timeout;
        let mut sql = NodeSql::connect_for_ddl(&socket, database, &password, limit).await?;
        let result = sql.define(statement).await;
        sql.close().await;
        self.defined(result)
    }

    /// As above in a database over several nodes: the statement goes to `socket`, where a coordinator speaks for
    /// `nodes`, the first of which has all that the table's state tells.
    ///
    /// A session that an interrupted run left is waited for: it goes on until all nodes have the definition.
    ///
    /// # Errors
    /// As above.
    pub async fn run_ddl_over_nodes(
        &self,
        (nodes, instance, socket): (&[NodeId], &InstanceId, &Path),
        database: &DbName,
        table: &TableName,
        before: &TableState,
        statement: &str,
    ) -> Result<Defined> {
        let password = ddl_password_over_nodes(&self.config().admin_password, instance, database);
        for node in nodes {
            let mut admin = self.sql(node).await?;
            let ensured = admin.ensure_ddl_account(database, &password).await;
            admin.close().await;
            ensured?;
        }
        let limit = self.config().sql_timeout;
        let mut sql = NodeSql::connect_for_ddl(socket, database, &password, limit).await?;
        let result = match self.is_due(&mut sql, nodes, database, table, before).await {
            Ok(true) => sql.define_over_nodes(statement).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        sql.close().await;
        self.defined(result)
    }

    /// Whether no earlier run has done it.
    async fn is_due(
        &self,
        sql: &mut NodeSql,
        nodes: &[NodeId],
        database: &DbName,
        table: &TableName,
        before: &TableState,
    ) -> Result<bool> {
        sql.await_turn(database).await?;
        let Some(first) = nodes.first() else {
            return Ok(true);
        };
        let mut admin = self.sql(first).await?;
        let state = admin.table_state(database, table).await;
        admin.close().await;
        Ok(state? == *before)
    }

    /// What became of it.
    fn defined(&self, result: Result<()>) -> Result<Defined> {
        let Err(error) = result else {
            return Ok(Defined::Done);
        };
        match (error.server_code(), error.server_message()) {
            (Some(code), Some(message)) if !OPEN.contains(&code) => {
                // Where nodes lie is nobody's business.
                let nodes_dir = self.nodes_dir().to_string_lossy();
                let message = message.replace(&*nodes_dir, "…");
                Ok(Defined::Refused(Refusal { code, message }))
            }
            _ => Err(error),
        }
    }
}
