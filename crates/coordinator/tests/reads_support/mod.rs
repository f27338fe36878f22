//! Tables over nodes, and on the plain server.

pub mod random;
pub mod tpch;

use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};

use crate::common::{DATABASE, Pair, World};

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
            let analyze = format!("ANALYZE TABLE {table}");
            node.query_drop(analyze).await.expect("analyzed");
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
        let table = create.split([' ', '(']).nth(2).expect("a name");
        for statement in [create, fill, &format!("ANALYZE TABLE {table}")] {
            plain.query_drop(statement).await.expect(statement);
        }
        self.world
            .coordinators()
            .forget_tables(&self.world.route.instance_id);
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
        &format!("ANALYZE TABLE {table}"),
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
            rows.sort_by_cached_key(|row| row.iter().map(|it| it.as_sql(true)).collect::<Vec<_>>());
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
            Some((one, other)) => {
                let text = |row: &[Value]| row.iter().map(|it| it.as_sql(true)).collect::<Vec<_>>();
                format!("{:?}\n{:?}", text(one), text(other))
            }
            None => format!("{} rows, and {}", our_rows.len(), their_rows.len()),
        }
    }
}

/// What a client sees of a statement.
pub async fn result(conn: &mut Conn, statement: &str, with_origin: bool) -> Result {
    let mut found = match conn.query_iter(statement).await {
        Ok(found) => found,
        Err(mysql_async::Error::Server(error)) => {
            return Result::Failed(error.code, error.message);
        }
        Err(error) => panic!("{statement}: {error}"),
    };
    let columns: Vec<_> = found
        .columns_ref()
        .iter()
        .map(|it| described(it, with_origin))
        .collect();
    match found.collect::<Row>().await {
        Ok(rows) => Result::Rows(columns, rows.into_iter().map(Row::unwrap).collect()),
        Err(mysql_async::Error::Server(error)) => Result::Failed(error.code, error.message),
        Err(error) => panic!("{statement}: {error}"),
    }
}

/// A column as it is described to clients, but for what a server says in several ways, as it finds the
/// values with a temporary table of its own or without: names and widths of expressions, indexes,
/// and where columns of derived tables come from.
fn described(column: &mysql_async::Column, with_origin: bool) -> String {
    let is_expression = column.org_table_str().is_empty();
    let kind = column.column_type();
    let is_blob = matches!(
        kind,
        ColumnType::MYSQL_TYPE_BLOB
            | ColumnType::MYSQL_TYPE_MEDIUM_BLOB
            | ColumnType::MYSQL_TYPE_LONG_BLOB
    );
    let (length, decimals) = match kind.is_numeric_type() {
        true if (is_expression || !with_origin) && matches!(column.decimals(), 0 | 31) => {
            (0, column.decimals())
        }
        true => (column.column_length(), column.decimals()),
        false if is_expression && is_blob => (0, 0),
        false if kind.is_character_type() => (column.column_length(), 0),
        false => (column.column_length(), column.decimals()),
    };
    let mut of_plans = OF_PLANS;
    if !with_origin {
        // Outer joins become inner ones, or not.
        of_plans |= ColumnFlags::NOT_NULL_FLAG | ColumnFlags::NO_DEFAULT_VALUE_FLAG;
    }
    let shown = match kind {
        _ if is_expression && is_blob => ColumnType::MYSQL_TYPE_BLOB,
        ColumnType::MYSQL_TYPE_STRING if is_expression => ColumnType::MYSQL_TYPE_VAR_STRING,
        kind => kind,
    };
    if kind == ColumnType::MYSQL_TYPE_TIMESTAMP {
        of_plans |= ColumnFlags::UNSIGNED_FLAG;
    }
    if is_expression {
        of_plans |= ColumnFlags::ENUM_FLAG | ColumnFlags::SET_FLAG | ColumnFlags::ZEROFILL_FLAG;
    }
    let origin = match with_origin && !is_expression {
        true => format!(
            "{}.{}.{}",
            column.schema_str(),
            column.org_table_str(),
            column.org_name_str()
        ),
        false => String::new(),
    };
    format!(
        "{}.{} {origin} {shown:?} {length} {} {:?} {decimals}",
        column.table_str(),
        column.name_str(),
        column.character_set(),
        column.flags().difference(of_plans),
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
    let ours = result(&mut pair.ours, statement, true).await;
    let plain = result(&mut pair.plain, statement, true).await;
    assert_eq!(ours, plain, "{statement}");
}
