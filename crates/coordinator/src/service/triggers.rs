//! Triggers of distributed tables: all nodes have those that home has.

use super::Instance;
use super::intents::{connect, literal, others, run, texts};
use crate::node::NodeConnection;
use crate::plan::define::Name;
use crate::quote::identifier;
use crate::session::Failure;
use crate::topology::Topology;

/// A trigger, with what its text means depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trigger {
    name: String,
    sql_mode: String,
    create: String,
    charset: String,
    collation: String,
    database_collation: String,
}

/// Gives all other nodes the triggers that home has of a table, in their order. It may be done as often as one
/// likes, and goes on wherever it was cut off.
///
/// # Errors
/// When a node cannot be asked, or refuses one.
pub(super) async fn spread(instance: &Instance, table: &Name) -> Result<(), Failure> {
    let mut home = connect(instance, Topology::HOME).await?;
    let wanted = triggers(&mut home, table).await?;
    home.quit().await;
    for node in others(instance, &table.0) {
        let mut connection = connect(instance, node).await?;
        let found = triggers(&mut connection, table).await?;
        if found != wanted {
            let mut statements = vec![format!("USE {}", identifier(&table.0))];
            let drop = |it: &Trigger| format!("DROP TRIGGER IF EXISTS {}", identifier(&it.name));
            statements.extend(found.iter().map(drop));
            let mut collation = collation_of(&mut connection, &table.0).await?;
            for trigger in &wanted {
                // What a local variable is where it does not say so.
                if trigger.database_collation != collation {
                    collation.clone_from(&trigger.database_collation);
                    statements.push(format!(
                        "ALTER DATABASE {} COLLATE {}",
                        identifier(&table.0),
                        literal(&collation)
                    ));
                }
                statements.extend(trigger.made());
            }
            for (number, statement) in statements.iter().enumerate() {
                instance
                    .stops()
                    .come(&format!("trigger-{node}-{number}"))
                    .await;
                run(&mut connection, node, std::slice::from_ref(statement)).await?;
            }
        }
        connection.quit().await;
    }
    Ok(())
}

impl Trigger {
    /// The statements that make it. Its text is ASCII, or its character set is one of UTF-8.
    fn made(&self) -> [String; 2] {
        let session = format!(
            "SET SESSION sql_mode = {}, character_set_client = {}, collation_connection = {}",
            literal(&self.sql_mode),
            literal(&self.charset),
            literal(&self.collation)
        );
        [session, self.create.clone()]
    }
}

/// The triggers that a node has of a table.
async fn triggers(connection: &mut NodeConnection, table: &Name) -> Result<Vec<Trigger>, Failure> {
    let names = format!(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = {} AND \
         EVENT_OBJECT_TABLE = {} ORDER BY EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER",
        literal(&table.0),
        literal(&table.1)
    );
    let mut found = Vec::new();
    for row in texts(connection, &names).await? {
        let name = row.into_iter().next().unwrap_or_default();
        let show = format!(
            "SHOW CREATE TRIGGER {}.{}",
            identifier(&table.0),
            identifier(&name)
        );
        for row in texts(connection, &show).await? {
            let mut values = row.into_iter().skip(1);
            let mut next = || values.next().unwrap_or_default();
            found.push(Trigger {
                name: name.clone(),
                sql_mode: next(),
                create: next(),
                charset: next(),
                collation: next(),
                database_collation: next(),
            });
        }
    }
    Ok(found)
}

/// The collation that a node has for a database.
async fn collation_of(connection: &mut NodeConnection, schema: &str) -> Result<String, Failure> {
    let question = format!(
        "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}",
        literal(schema)
    );
    let rows = texts(connection, &question).await?;
    Ok(rows.into_iter().flatten().next().unwrap_or_default())
}
