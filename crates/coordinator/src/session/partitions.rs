//! `SHOW OPENPETA PARTITIONS`: of each distributed table what each partition has, where it is, and how much
//! it is used.

use std::collections::BTreeMap;
use std::time::Instant;

use openpeta_mysql_wire::ErrPacket;
use openpeta_sql_route::{Dialect, Partitions};

use super::copy::Copied;
use super::{Failure, Session};
use crate::catalogue::Table;
use crate::plan::define::quoted;
use crate::plan::text::Tokens;
use crate::service::{Instance, connect, literal, texts};

const BEGINNING: &[u8] = b"SHOW OPENPETA P";
const COLUMNS: &[&str] = &[
    "Database",
    "Table",
    "Partition",
    "Node",
    "Rows",
    "Bytes",
    "Counted",
    "Partition_reads_per_second",
    "Partition_writes_per_second",
];
/// Rows of a table on a node that are counted unasked.
const FEW: u64 = 1_000_000;
/// How long counting the rows of a table on a node may take, in seconds.
const PATIENCE: u32 = 120;

/// Whether a text asks for that, or for something that nobody knows; and whether all rows are to be counted.
pub(super) fn asked(text: &[u8], dialect: Dialect) -> Option<Result<bool, ErrPacket>> {
    let head = text.get(..BEGINNING.len())?;
    if !head.eq_ignore_ascii_case(BEGINNING) {
        return None;
    }
    let tokens = Tokens::of(text, dialect);
    let known = tokens.word(2) == "PARTITIONS";
    Some(match (known, tokens.word(3).as_str(), tokens.list.len()) {
        (true, _, 3) => Ok(false),
        (true, "COUNT", 4) => Ok(true),
        _ => Err(ErrPacket::new(
            1064,
            b"42000",
            "You have an error in your SQL syntax; it is SHOW OPENPETA PARTITIONS [COUNT]",
        )),
    })
}

/// What a partition has of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    rows: u64,
    bytes: u64,
    is_counted: bool,
}

impl Session {
    /// Tells of all partitions of all distributed tables, for accounts of type Super.
    pub(super) async fn show_partitions(
        &mut self,
        counts: Result<bool, ErrPacket>,
        more: bool,
    ) -> Result<Copied, Failure> {
        let user = self.nodes.login().map(|login| login.user.clone());
        if !user.is_some_and(|user| self.instance.is_super(&user)) {
            return Err(ErrPacket::new(
                1227,
                b"42000",
                "Access denied; you need (at least one of) the SUPER privilege(s) for this operation",
            )
            .into());
        }
        let most = if counts? { u64::MAX } else { FEW };
        self.roam.away().await;
        let instance = std::sync::Arc::clone(&self.instance);
        let rows = self.client.attend(told(&instance, most)).await?;
        self.tell_rows(COLUMNS, &rows, more).await
    }
}

/// The rows, by table and partition.
async fn told(instance: &Instance, most: u64) -> Result<Vec<Vec<Option<String>>>, Failure> {
    let catalogue = instance.catalogue().await?;
    let topology = instance.topology();
    let mut rows = Vec::new();
    for table in catalogue.tables() {
        let Some(partitions) = topology.partitions(&table.schema) else {
            continue;
        };
        if table.key().is_none() {
            continue;
        }
        let places: Vec<u16> = (0..partitions.count())
            .filter_map(|partition| topology.node_of(&table.schema, partition))
            .collect();
        let mut sizes = BTreeMap::new();
        for node in topology.nodes_of(&table.schema) {
            let owned = (0..).zip(&places).filter(|(_, place)| **place == node);
            let owned: Vec<u16> = owned.map(|(partition, _)| partition).collect();
            match measured(instance, table, partitions, (node, &owned), most).await {
                Ok(found) => sizes.extend(found),
                // It is told of what is there.
                Err(failure) => tracing::warn!(node, %failure, "partitions are not measured"),
            }
        }
        let heat = instance.heat().told(&table.schema, Instant::now());
        for (partition, node) in (0_u16..).zip(&places) {
            let size: Option<&Size> = sizes.get(&partition);
            let heat = heat
                .as_ref()
                .and_then(|heat| heat.get(usize::from(partition)));
            let rate = heat.map(|heat| heat.rate).unwrap_or_default();
            rows.push(vec![
                Some(table.schema.clone()),
                Some(table.name.clone()),
                Some(partition.to_string()),
                Some(node.to_string()),
                size.map(|size| size.rows.to_string()),
                size.map(|size| size.bytes.to_string()),
                size.map(|size| if size.is_counted { "YES" } else { "NO" }.to_owned()),
                Some(format!("{:.2}", rate.reads)),
                Some(format!("{:.2}", rate.writes)),
            ]);
        }
    }
    Ok(rows)
}

/// What a node has of a table, by partition.
async fn measured(
    instance: &Instance,
    table: &Table,
    partitions: Partitions,
    (node, owned): (u16, &[u16]),
    most: u64,
) -> Result<BTreeMap<u16, Size>, Failure> {
    let Some(key) = table.key() else {
        return Ok(BTreeMap::new());
    };
    let mut connection = connect(instance, node).await?;
    let number = |row: &[String], at: usize| -> u64 {
        row.get(at).and_then(|it| it.parse().ok()).unwrap_or(0)
    };
    let estimate = texts(
        &mut connection,
        &format!(
            "SELECT COALESCE(TABLE_ROWS, 0), COALESCE(DATA_LENGTH, 0) + COALESCE(INDEX_LENGTH, 0) \
             FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
            literal(&table.schema),
            literal(&table.name)
        ),
    )
    .await?;
    let estimate = estimate
        .first()
        .map_or((0, 0), |row| (number(row, 0), number(row, 1)));
    let counted = match estimate.0 <= most {
        true => {
            let column = crate::quote::identifier(&key.name);
            let partition = key.kind.partition_sql(&column, partitions);
            let name = quoted(&(table.schema.clone(), table.name.clone()));
            let question = format!(
                "SET STATEMENT max_statement_time={PATIENCE} FOR SELECT {partition} AS p, COUNT(*) FROM {name} GROUP BY p"
            );
            let rows = texts(&mut connection, &question).await?;
            let pairs = rows.iter().map(|row| (number(row, 0), number(row, 1)));
            Some(pairs.collect::<BTreeMap<u64, u64>>())
        }
        false => None,
    };
    connection.quit().await;
    Ok(sizes(owned, estimate, counted.as_ref()))
}

/// Rows and bytes of each partition: as they were counted, bytes shared by them; or equal shares.
fn sizes(
    owned: &[u16],
    (rows, bytes): (u64, u64),
    counted: Option<&BTreeMap<u64, u64>>,
) -> BTreeMap<u16, Size> {
    let all: u64 = counted.map_or(0, |counted| counted.values().sum());
    let count = owned.len() as u64;
    let size = |(at, partition): (u64, &u16)| {
        let size = match counted {
            Some(counted) => {
                let rows = counted.get(&u64::from(*partition)).copied().unwrap_or(0);
                let part = u128::from(bytes) * u128::from(rows) / u128::from(all.max(1));
                Size {
                    rows,
                    bytes: u64::try_from(part).unwrap_or(u64::MAX),
                    is_counted: true,
                }
            }
            None => {
                let share = |all: u64| all / count + u64::from(at < all % count);
                Size {
                    rows: share(rows),
                    bytes: share(bytes),
                    is_counted: false,
                }
            }
        };
        (*partition, size)
    };
    (0..).zip(owned).map(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told_and_all_else_is_shared() {
        let counted = BTreeMap::from([(1, 30), (3, 10), (4, 99)]);
        let found = sizes(&[1, 3, 5], (1000, 1390), Some(&counted));
        let told: Vec<_> = found
            .iter()
            .map(|(p, it)| (*p, it.rows, it.bytes))
            .collect();
        assert_eq!(told, [(1, 30, 300), (3, 10, 100), (5, 0, 0)]);
        let found = sizes(&[1, 3], (5, 8), None);
        let told: Vec<_> = found
            .values()
            .map(|it| (it.rows, it.bytes, it.is_counted))
            .collect();
        assert_eq!(told, [(3, 4, false), (2, 4, false)]);
    }

    #[test]
    fn it_is_asked_for_in_one_way() {
        let dialect = Dialect::new(101_100);
        let asked =
            |text: &str| asked(text.as_bytes(), dialect).map(|it| it.map_err(|error| error.code));
        assert_eq!(asked("show openpeta partitions"), Some(Ok(false)));
        assert_eq!(asked("SHOW OPENPETA PARTITIONS COUNT"), Some(Ok(true)));
        assert_eq!(asked("SHOW OPENPETA PARTITIONS LIKE 'x'"), Some(Err(1064)));
        assert_eq!(asked("SHOW OPENPETA PLANS"), Some(Err(1064)));
        assert_eq!(asked("SHOW TABLES"), None);
    }
}
