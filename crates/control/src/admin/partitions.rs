//! `openpeta admin partition …`

use std::collections::BTreeSet;

use openpeta_engine::Counting;
use openpeta_types::{DbName, InstanceId};
use serde_json::{Value, json};

use super::AdminChange;
use crate::databases::PartitionRow;
use crate::{Control, ControlError, PartitionUse};

impl Control {
    pub(super) async fn partition_list(
        &self,
        id: &InstanceId,
        db_name: &DbName,
        counts: bool,
    ) -> Result<Value, ControlError> {
        let counting = match counts {
            true => Counting::All,
            false => Counting::Nothing,
        };
        let rows = self.parts.partition_rows(id, db_name, counting).await?;
        let used = self.parts.gateway.partition_use(id, db_name);
        let used = used.unwrap_or_default();
        let of = |its: &PartitionRow| {
            let used = used.get(usize::from(its.partition));
            row(its, &used.copied().unwrap_or_default())
        };
        Ok(rows.iter().map(of).collect())
    }

    pub(super) fn partition_move(
        &self,
        change: &AdminChange,
        (id, db_name): (&InstanceId, &DbName),
        partitions: &BTreeSet<u16>,
        node: u16,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let (task, instance) =
                self.parts
                    .begin_move(writer, (id, db_name), partitions, node)?;
            change.record(writer, Some(instance.account_id), Some(id))?;
            Ok(json!({ "task_id": task.to_string() }))
        })
    }
}

/// What is not known is null.
fn row(row: &PartitionRow, used: &PartitionUse) -> Value {
    let rate = |rate: f64| (rate * 100.0).round() / 100.0;
    json!({
        "partition": row.partition,
        "node": row.node.number,
        "node_id": row.node.node_id.as_str(),
        "rows": row.size.map(|size| size.rows),
        "bytes": row.size.map(|size| size.bytes),
        "reads_per_second": rate(used.reads_per_second),
        "writes_per_second": rate(used.writes_per_second),
        "rows_read_per_second": rate(used.rows_read_per_second),
        "rows_written_per_second": rate(used.rows_written_per_second),
        "reads": used.reads,
        "writes": used.writes,
        "rows_read": used.rows_read,
        "rows_written": used.rows_written,
    })
}
