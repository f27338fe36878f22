//! Tables over nodes, and on the plain server.

pub mod random;

use mysql_async::prelude::Queryable;
use mysql_async::consts::ColumnFlags;
use mysql_async::{Conn, Row, Value};

use super::common::{DATABASE, Pair, World};

/// The nodes' own connections.
pub struct Layout<'w> {
    world: &'w World,
}

impl<'w> Layout<'w> {
    pub async fn new(world: &'w World) -> Self {
        Self { world }
    }

    /// A table whose rows are spread by an integer column.
    pub async fn hashed(&self, table: &str, create: &str, key: &str, fill: &str) {
        for number in 0..self.world.nodes.len() {
            let mut node = self.world.node(number).await;
            make(&mut node, table, create, &format!("HASH({key})"), fill).await;
            let others = format!("DELETE FROM {table} WHERE ABS({key} MOD 24) MOD 3 <> {number}");
            node.query_drop(others).await.expect("deleted");
        }
        self.on_plain(create, fill).await;
    }

    /// A table that is whole on all nodes.
    pub async fn broadcast(&self, table: &str, create: &str, fill: &str) {
        for number in 0..self.world.nodes.len() {
            let mut node = self.world.node(number).await;
            make(&mut node, table, create, "BROADCAST", fill).await;
        }
        self.on_plain(create, fill).await;
    }

    /// A table that is on the first node alone.
    pub async fn single(&self, create: &str, fill: &str) {
        let mut node = self.world.node(0).await;
        for statement in [&format!("USE {DATABASE}"), create, fill] {
            node.query_drop(statement).await.expect(statement);
        }
        self.on_plain(create, fill).await;
    }

    async fn on_plain(&self, create: &str, fill: &str) {
        let mut plain = self.world.plain().await;
        for statement in [create, fill] {
            plain.query_drop(statement).await.expect(statement);
        }
        self.world.coordinators().forget_tables(&self.world.route.instance_id);
    }
}

async fn make(node: &mut Conn, table: &str, create: &str, by: &str, fill: &str) {
    for statement in [
        &format!("USE {DATABASE}"),
        create,
        &format!(
            "SET STATEMENT sql_mode='IGNORE_BAD_TABLE_OPTIONS' FOR \
             ALTER TABLE {table} distribute_by='{by}'"
        ),
        fill,
    ] {
        node.query_drop(statement).await.expect(statement);
    }
}

/// What a client sees of a result, its columns' definitions included.
#[derive(Debug, PartialEq)]
pub enum Result {
    Rows(Vec<String>, Vec<Vec<Value>>),
    Failed(u16, String),
}

impl Result {
    /// Puts rows that come in any order into one.
    pub fn sort(&mut self) {
        if let Self::Rows(_, rows) = self {
            rows.sort_by_cached_key(|row| format!("{row:?}"));
        }
    }

    /// What is not as in another one.
    pub fn against(&self, other: &Self) -> String {
        let (Self::Rows(ours, our_rows), Self::Rows(theirs, their_rows)) = (self, other) else {
            return format!("{self:?}\n{other:?}");
        };
        if ours != theirs {
            return format!("{ours:#?}\n{theirs:#?}");
        }
        let mut rows = our_rows.iter().zip(their_rows);
        match rows.find(|(one, other)| one != other) {
            Some((one, other)) => format!("{one:?}\n{other:?}"),
            None => format!("{} rows, and {}", our_rows.len(), their_rows.len()),
        }
    }
}

/// What a client sees of a statement.
pub async fn result(conn: &mut Conn, statement: &str) -> Result {
    let mut found = match conn.query_iter(statement).await {
        Ok(found) => found,
        Err(mysql_async::Error::Server(error)) => {
            return Result::Failed(error.code, error.message);
        }
        Err(error) => panic!("{statement}: {error}"),
    };
    let columns: Vec<_> = found.columns_ref().iter().map(described).collect();
    match found.collect::<Row>().await {
        Ok(rows) => Result::Rows(columns, rows.into_iter().map(Row::unwrap).collect()),
        Err(mysql_async::Error::Server(error)) => Result::Failed(error.code, error.message),
        Err(error) => panic!("{statement}: {error}"),
    }
}

fn described(column: &mysql_async::Column) -> String {
    format!(
        "{}.{}.{} {}.{} {:?} {} {} {:?} {}",
        column.schema_str(),
        column.table_str(),
        column.name_str(),
        column.org_table_str(),
        column.org_name_str(),
        column.column_type(),
        column.column_length(),
        column.character_set(),
        // Those of a server depend on its plan: a temporary table of its own has no indexes.
        column.flags().difference(OF_PLANS),
        column.decimals(),
    )
}

const OF_PLANS: ColumnFlags = ColumnFlags::PRI_KEY_FLAG
    .union(ColumnFlags::UNIQUE_KEY_FLAG)
    .union(ColumnFlags::MULTIPLE_KEY_FLAG)
    .union(ColumnFlags::PART_KEY_FLAG)
    .union(ColumnFlags::BINARY_FLAG)
    .union(ColumnFlags::AUTO_INCREMENT_FLAG)
    .union(ColumnFlags::BLOB_FLAG)
    .union(ColumnFlags::NUM_FLAG);

/// Runs a statement on both, and expects the same.
pub async fn same(pair: &mut Pair, statement: &str) {
    let ours = result(&mut pair.ours, statement).await;
    let plain = result(&mut pair.plain, statement).await;
    assert_eq!(ours, plain, "{statement}");
}
