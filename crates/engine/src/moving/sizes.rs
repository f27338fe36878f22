//! How large partitions are.

use std::collections::BTreeMap;

use openpeta_sql_route::Partitions;
use openpeta_types::{DbName, NodeId};

use super::table::Described;
use crate::engine::Engine;
use crate::error::Result;
use crate::quote;
use crate::sql::TableDistribution;

/// How long counting the rows of one table may take.
const PATIENCE_SECONDS: u32 = 120;

/// What a partition has of all distributed tables together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionSize {
    /// Rows.
    pub rows: u64,
    /// Bytes of them and their indexes.
    pub bytes: u64,
}

/// Which rows are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// None.
    Nothing,
    /// Those of tables that have no more than so many together, as the server estimates.
    UpTo(u64),
    /// All.
    All,
}

impl Counting {
    const fn most(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::UpTo(rows) => rows,
            Self::All => u64::MAX,
        }
    }
}

impl PartitionSize {
    fn add(&mut self, rows: u64, bytes: u64) {
        self.rows += rows;
        self.bytes += bytes;
    }
}

impl Engine {
    /// How large the partitions are that a node has of a database. Counting reads an index of each
    /// table; of what is not counted each has an equal share of what the server estimates.
    ///
    /// # Errors
    /// Those of connections and statements.
    pub async fn partition_sizes(
        &self,
        node: &NodeId,
        database: &DbName,
        (count, owned): (Partitions, &[u16]),
        counting: Counting,
    ) -> Result<BTreeMap<u16, PartitionSize>> {
        let mut sizes: BTreeMap<u16, PartitionSize> = owned
            .iter()
            .map(|partition| (*partition, PartitionSize::default()))
            .collect();
        let distributions = self.distributions(database, node).await?;
        let mut session = self.session(node, database).await?;
        let described = Described::read(&mut session, database).await?;
        let query = format!(
            "SELECT TABLE_NAME, COALESCE(TABLE_ROWS, 0), \
                    COALESCE(DATA_LENGTH, 0) + COALESCE(INDEX_LENGTH, 0) \
             FROM information_schema.TABLES WHERE TABLE_SCHEMA = {}",
            quote::string(database.as_str())
        );
        let rows: Vec<(String, u64, u64)> = session.rows("measure tables", &query).await?;
        let estimated: BTreeMap<_, _> = rows
            .into_iter()
            .map(|(name, rows, bytes)| (name, (rows, bytes)))
            .collect();
        let mut left = counting.most();
        for (name, distribution) in &distributions {
            let TableDistribution::Hash(column) = distribution else {
                continue;
            };
            let (rows, bytes) = estimated.get(name).copied().unwrap_or_default();
            let partition = described.partition(name, column, count);
            let Some(partition) =
                partition.filter(|_| counting != Counting::Nothing && rows <= left)
            else {
                share(&mut sizes, rows, bytes);
                continue;
            };
            if counting != Counting::All {
                left -= rows;
            }
            let query = format!(
                "SET STATEMENT max_statement_time={PATIENCE_SECONDS} FOR \
                 SELECT {partition} AS p, COUNT(*) FROM {} GROUP BY p",
                quote::identifier(name)
            );
            let counted: Vec<(u16, u64)> = session.rows("count rows", &query).await?;
            let all: u64 = counted.iter().map(|(_, rows)| rows).sum();
            for (partition, rows) in counted {
                // Rows that are being copied, or removed, are another node's.
                if let Some(size) = sizes.get_mut(&partition) {
                    let part = u128::from(bytes) * u128::from(rows) / u128::from(all.max(1));
                    size.add(rows, u64::try_from(part).unwrap_or(u64::MAX));
                }
            }
        }
        session.close().await;
        Ok(sizes)
    }
}

/// Gives each an equal part; what the division leaves goes to the first ones.
fn share(sizes: &mut BTreeMap<u16, PartitionSize>, rows: u64, bytes: u64) {
    let count = sizes.len() as u64;
    for (at, size) in (0..).zip(sizes.values_mut()) {
        let part = |all: u64| all / count + u64::from(at < all % count);
        size.add(part(rows), part(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_estimated_is_shared_and_nothing_is_lost() {
        let mut sizes: BTreeMap<u16, PartitionSize> =
            [3, 5, 9].map(|it| (it, PartitionSize::default())).into();
        share(&mut sizes, 10, 8);
        share(&mut sizes, 1, 0);
        let found: Vec<_> = sizes.values().map(|it| (it.rows, it.bytes)).collect();
        assert_eq!(found, [(5, 3), (3, 3), (3, 2)]);
        share(&mut BTreeMap::new(), 10, 8);
    }
}
