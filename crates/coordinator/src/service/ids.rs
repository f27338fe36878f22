//! Values of `AUTO_INCREMENT` columns of distributed tables: blocks of them are reserved at home, so that
//! no two processes give the same.

use std::collections::HashMap;

use openpeta_mysql_wire::ErrPacket;
use tokio::sync::Mutex;

use super::Instance;
use crate::node::{NodeError, Reply};
use crate::plan::figures::NextId;
use crate::session::Failure;
use crate::topology::Topology;

/// How many are reserved at once.
const BLOCK: u64 = 100;
/// Where reservations are kept, at home.
const TABLE: &str = "mysql.openpeta_ids";

type Name = (String, String);

/// What this process has reserved.
#[derive(Debug, Default)]
pub struct Ids(Mutex<HashMap<Name, Block>>);

/// From `next` up to, without, `end`.
#[derive(Clone, Copy, Debug)]
struct Block {
    next: u64,
    end: u64,
}

impl Ids {
    /// So many ids in a row; the first of them.
    ///
    /// # Errors
    /// When none can be reserved.
    pub(crate) async fn take(
        &self,
        instance: &Instance,
        table: &Name,
        count: u64,
    ) -> Result<u64, Failure> {
        let mut blocks = self.0.lock().await;
        let known = blocks.get(table).copied();
        let block = match known {
            Some(block) if block.end - block.next >= count => block,
            known => reserve(instance, table, known, count).await?,
        };
        blocks.insert(
            table.clone(),
            Block {
                next: block.next + count,
                end: block.end,
            },
        );
        Ok(block.next)
    }

    /// What is known of the ids that tables will give next.
    ///
    /// # Errors
    /// When home cannot be asked.
    pub(crate) async fn next(
        &self,
        instance: &Instance,
        tables: &[Name],
    ) -> Result<HashMap<Name, NextId>, Failure> {
        let mut known: HashMap<Name, NextId> = {
            let blocks = self.0.lock().await;
            let next = |table: &Name| {
                let block = blocks.get(table)?;
                Some((table.clone(), NextId::Is(block.next)))
            };
            tables.iter().filter_map(next).collect()
        };
        if known.len() == tables.len() {
            return Ok(known);
        }
        let lost = |error| Failure::of_node(Topology::HOME, error);
        let mut home = instance.connect(Topology::HOME).await.map_err(lost)?;
        let question = format!("SELECT table_schema, table_name, next_id FROM {TABLE}");
        let reply = home.query(question).await.map_err(lost)?;
        home.quit().await;
        let reserved = match reply {
            Reply::Rows(rows) => rows.texts().map_err(|error| lost(error.into()))?,
            // Nothing has been reserved yet.
            _ => return Ok(known),
        };
        for row in reserved {
            let mut values = row
                .into_iter()
                .map(|value| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned());
            let (Some(schema), Some(name), Some(next)) =
                (values.next(), values.next(), values.next())
            else {
                continue;
            };
            let (name, next) = ((schema, name), next.parse());
            if let Ok(next) = next
                && tables.contains(&name)
            {
                known.entry(name).or_insert(NextId::AtLeast(next));
            }
        }
        Ok(known)
    }

    /// A row has that id; none up to it is given any more.
    pub(crate) async fn saw(&self, table: &Name, id: u64) {
        let mut blocks = self.0.lock().await;
        if let Some(block) = blocks.get_mut(table)
            && block.next <= id
        {
            block.next = id.saturating_add(1);
            block.end = block.end.max(block.next);
            if block.next == block.end {
                // What is reserved next begins behind what the nodes have seen.
                blocks.remove(table);
            }
        }
    }

    /// A table has been redefined, emptied or dropped.
    pub(crate) async fn forget(
        &self,
        instance: &Instance,
        table: &Name,
        renamed: Option<&Name>,
    ) -> Result<(), Failure> {
        let mut blocks = self.0.lock().await;
        let block = blocks.remove(table);
        let mut home = instance
            .connect(Topology::HOME)
            .await
            .map_err(Failure::Home)?;
        let is_it = is_it(table);
        let mut statements = vec!["SET sql_log_bin = 0".to_owned()];
        if let Some(renamed) = renamed {
            blocks.remove(renamed);
            // They were reserved for its rows.
            if let Some(block) = block {
                blocks.insert(renamed.clone(), block);
            }
            statements.push(format!(
                "UPDATE IGNORE {TABLE} SET table_schema = {}, table_name = {} WHERE {is_it}",
                quoted(&renamed.0),
                quoted(&renamed.1)
            ));
        }
        statements.push(format!("DELETE FROM {TABLE} WHERE {is_it}"));
        let replies = home.query_all(&statements).await.map_err(Failure::Home)?;
        home.quit().await;
        for reply in replies {
            match reply.ok() {
                // Nothing has been reserved yet.
                Err(error) if error.code != 1146 => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reserves a block at home.
async fn reserve(
    instance: &Instance,
    table: &Name,
    known: Option<Block>,
    count: u64,
) -> Result<Block, Failure> {
    let mut least = 1;
    if known.is_none() {
        least = greatest(instance, table).await?;
    }
    let mut home = instance
        .connect(Topology::HOME)
        .await
        .map_err(Failure::Home)?;
    let size = count.max(BLOCK);
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (table_schema VARCHAR(64) NOT NULL, \
         table_name VARCHAR(64) NOT NULL, next_id BIGINT UNSIGNED NOT NULL, \
         PRIMARY KEY (table_schema, table_name)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 \
         COLLATE=utf8mb4_bin"
    );
    let reserve = format!(
        "INSERT INTO {TABLE} VALUES ({}, {}, LAST_INSERT_ID({least}) + {size}) \
         ON DUPLICATE KEY UPDATE next_id = LAST_INSERT_ID(GREATEST(next_id, {least})) + {size}",
        quoted(&table.0),
        quoted(&table.1)
    );
    let statements = [
        "SET sql_log_bin = 0".to_owned(),
        create,
        reserve,
        "SELECT LAST_INSERT_ID()".into(),
    ];
    let replies = home.query_all(&statements).await.map_err(Failure::Home)?;
    home.quit().await;
    let mut next = None;
    for reply in replies {
        if let Reply::Rows(rows) = reply.ok()? {
            let rows = rows.texts().map_err(|error| Failure::Home(error.into()))?;
            next = rows.into_iter().flatten().flatten().next();
        }
    }
    let next = next.and_then(|text| String::from_utf8_lossy(&text).parse::<u64>().ok());
    let next = next.ok_or_else(|| Failure::Home(NodeError::closed()))?;
    let end = next.checked_add(size).ok_or_else(exhausted)?;
    // Where no one else has reserved in between, what was left is used up first.
    let next = match known {
        Some(known) if known.end == next => known.next,
        _ => next,
    };
    Ok(Block { next, end })
}

/// The greatest `AUTO_INCREMENT` of a table over all nodes.
async fn greatest(instance: &Instance, table: &Name) -> Result<u64, Failure> {
    let mut greatest = 1;
    for node in instance.topology().nodes_of(&table.0) {
        let failed = |source| Failure::of_node(node, source);
        let mut connection = instance.connect(node).await.map_err(failed)?;
        let reply = connection
            .query(format!(
                "SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE {}",
                is_it(table)
            ))
            .await
            .map_err(failed)?;
        connection.quit().await;
        let Reply::Rows(rows) = reply.ok()? else {
            continue;
        };
        let rows = rows.texts().map_err(|error| failed(error.into()))?;
        let value = rows.into_iter().flatten().flatten().next();
        let value = value.and_then(|text| String::from_utf8_lossy(&text).parse().ok());
        greatest = greatest.max(value.unwrap_or(1));
    }
    Ok(greatest)
}

fn is_it(table: &Name) -> String {
    format!(
        "table_schema = {} AND table_name = {}",
        quoted(&table.0),
        quoted(&table.1)
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn exhausted() -> Failure {
    ErrPacket::new(
        1467,
        b"HY000",
        "Failed to read auto-increment value from storage engine",
    )
    .into()
}
