//! What tables take inside of their files.

use std::collections::BTreeMap;

use super::NodeSql;
use crate::error::Result;

/// So many tables are not opened to be measured: others would lose their place in the server's cache.
const MOST_OPENED: u64 = 2000;

/// What the InnoDB tables of a database take inside of their files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableSizes {
    /// Bytes of secondary indexes, as of the server's statistics.
    pub index_bytes: u64,
    /// Bytes that are free for new rows; `None` when they were not asked for or there are too many
    /// tables.
    pub free_bytes: Option<u64>,
}

impl NodeSql {
    /// The sizes of the databases that have tables. Those of indexes are read from InnoDB's
    /// statistics; for free space every table is opened.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn table_sizes(&mut self, with_free: bool) -> Result<BTreeMap<String, TableSizes>> {
        let action = "measure tables";
        // Pages of compressed tables are smaller. The other name is as files have it: one with
        // unusual characters is not found, and counts as not compressed.
        let indexes = "SELECT s.database_name, COUNT(*), CAST(SUM(s.sum_of_other_index_sizes \
             * IFNULL(NULLIF(t.ZIP_PAGE_SIZE, 0), @@innodb_page_size)) AS UNSIGNED) \
             FROM mysql.innodb_table_stats s LEFT JOIN information_schema.INNODB_SYS_TABLES t \
             ON t.NAME = CONCAT(s.database_name, '/', s.table_name) \
             WHERE s.database_name NOT IN ('mysql', 'sys') GROUP BY s.database_name";
        let rows: Vec<(String, u64, u64)> = self.rows(action, indexes).await?;
        let tables: u64 = rows.iter().map(|(_, tables, _)| tables).sum();
        let with_free = with_free && tables <= MOST_OPENED;
        let sizes = rows.into_iter().map(|(database, _, index_bytes)| {
            let free_bytes = with_free.then_some(0);
            (
                database,
                TableSizes {
                    index_bytes,
                    free_bytes,
                },
            )
        });
        let mut sizes: BTreeMap<_, _> = sizes.collect();
        if with_free {
            let free = "SELECT TABLE_SCHEMA, CAST(SUM(DATA_FREE) AS UNSIGNED) \
                 FROM information_schema.TABLES WHERE ENGINE = 'InnoDB' \
                 AND TABLE_SCHEMA NOT IN ('mysql', 'sys', 'performance_schema') \
                 GROUP BY TABLE_SCHEMA";
            let rows: Vec<(String, u64)> = self.rows(action, free).await?;
            for (database, free) in rows {
                sizes.entry(database).or_default().free_bytes = Some(free);
            }
        }
        Ok(sizes)
    }
}
