//! DescribeDatabases (API document 8.2) and DescribeDatabasePartitions.

use std::collections::BTreeMap;

use openpeta_engine::Counting;
use openpeta_rpc_api::Action;
use openpeta_rpc_api::databases::{
    DatabaseItem, DescribeDatabasePartitionsRequest, DescribeDatabasePartitionsResponse,
    DescribeDatabasesRequest, DescribeDatabasesResponse, PartitionItem,
};

use openpeta_types::ObjectStatus;

use crate::instance_nodes::{first_placement, is_on, is_spread};
use crate::{Caller, Control, ControlError};

/// Rows of a node that are counted for it: more would take too long for a call.
const COUNTED: u64 = 1_000_000;

impl Control {
    /// DescribeDatabases: the databases of an instance; a name that none has gives none.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `Forbidden.RAM`.
    pub fn describe_databases(
        &self,
        caller: &Caller,
        request: &DescribeDatabasesRequest,
    ) -> Result<DescribeDatabasesResponse, ControlError> {
        let id = &request.instance_id;
        let databases = self.parts.store.read(|reader| {
            self.instance(reader, caller, Action::DescribeDatabases, id)?;
            Ok::<_, ControlError>(reader.databases(id)?)
        })?;
        let wanted = |name: &str| {
            request
                .db_name
                .as_deref()
                .is_none_or(|filter| filter == name)
        };
        Ok(DescribeDatabasesResponse {
            instance_id: id.clone(),
            databases: databases
                .into_iter()
                .filter(|database| wanted(database.db_name.as_str()))
                .map(|database| DatabaseItem {
                    db_name: database.db_name,
                    db_status: database.status,
                    node_spec: database.node_spec,
                    node_number: database.node_number,
                    charge_type: database.charge_type,
                    create_time: database.created_at,
                    end_time: database.expires_at,
                    source_instance_id: database.source_instance_id,
                })
                .collect(),
        })
    }

    /// DescribeDatabasePartitions: what the partitions of a database may take on disk and take. A
    /// database on one node is one partition.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `Forbidden.RAM`, `InvalidDBName.NotFound`.
    pub async fn describe_database_partitions(
        &self,
        caller: &Caller,
        request: &DescribeDatabasePartitionsRequest,
    ) -> Result<DescribeDatabasePartitionsResponse, ControlError> {
        let (id, name) = (&request.instance_id, &request.db_name);
        let action = Action::DescribeDatabasePartitions;
        let (instance, database) = self
            .parts
            .store
            .read(|reader| self.database(reader, caller, action, id, name))?;
        let (nodes, placement) = self.parts.store.read(|reader| {
            let nodes = reader.serving_nodes(&instance)?;
            let placement = reader.partitions(id)?.remove(name);
            Ok::<_, ControlError>((nodes, placement))
        })?;
        use ObjectStatus::{Append, Create};
        let mut used = BTreeMap::new();
        for node in nodes.iter().filter(|node| is_on(&database, node.number)) {
            let bytes = match self.parts.engine.disk(&node.node_id).await {
                // A database that is being made or dropped need not be there; nor need a node that is.
                Ok(disk) => disk.databases.get(name.as_str()).copied().unwrap_or(0),
                Err(_) if matches!(database.status, Create | Append) => 0,
                Err(error) => return Err(ControlError::unavailable(error)),
            };
            used.insert(node.number, bytes);
        }
        // While it is being made it has the partitions that it will have.
        let placement = placement.unwrap_or_else(|| match is_spread(&database) {
            true => first_placement(database.node_number),
            false => vec![0],
        });
        let mut rows_of = vec![0; placement.len()];
        if is_spread(&database) && database.status == ObjectStatus::Active {
            // Those of a node that does not tell have equal shares of it.
            let counting = Counting::UpTo(COUNTED);
            let told = self.parts.partition_rows(id, name, counting).await?;
            for row in told {
                if let Some(bytes) = rows_of.get_mut(usize::from(row.partition)) {
                    *bytes = row.size.map_or(0, |size| size.bytes);
                }
            }
        }
        let capacity = database.settings.disk_quota_bytes;
        Ok(DescribeDatabasePartitionsResponse {
            instance_id: id.clone(),
            db_name: name.clone(),
            partitions: partitions(&placement, capacity, &used, &rows_of),
        })
    }
}

/// The partitions in their order. Files are of a node's partitions together: each has the bytes of its own
/// rows, as far as they are told, and of all else an equal share; what the division leaves goes to the first
/// ones.
fn partitions(
    placement: &[u16],
    capacity: u64,
    used: &BTreeMap<u16, u64>,
    rows_of: &[u64],
) -> Vec<PartitionItem> {
    let mut seen: BTreeMap<u16, u64> = BTreeMap::new();
    let of_node = |node: u16| {
        placement
            .iter()
            .zip(rows_of)
            .filter(move |its| *its.0 == node)
    };
    let item = |(node, rows): (&u16, &u64)| {
        let together = of_node(*node).count() as u64;
        let place = seen.entry(*node).or_default();
        let share = |bytes: u64| bytes / together + u64::from(*place < bytes % together);
        let bytes = used.get(node).copied().unwrap_or(0);
        let all: u64 = of_node(*node).map(|its| *its.1).sum();
        // What the server says of tables may be more than the files have.
        let own = match all > bytes {
            true => 0,
            false => *rows,
        };
        let rest = if all > bytes { bytes } else { bytes - all };
        let item = PartitionItem {
            disk_capacity: share(capacity),
            disk_used: own + share(rest),
        };
        *place += 1;
        item
    };
    placement.iter().zip(rows_of).map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_have_equal_shares_of_their_node() {
        let used = BTreeMap::from([(0, 101), (1, 7)]);
        let items = partitions(&[0, 1, 0, 1, 0], 11, &used, &[0; 5]);
        let shares: Vec<_> = items
            .iter()
            .map(|item| (item.disk_capacity, item.disk_used))
            .collect();
        assert_eq!(shares, [(4, 34), (6, 4), (4, 34), (5, 3), (3, 33)]);
        assert_eq!(partitions(&[0], 11, &used, &[0])[0].disk_used, 101);
    }

    #[test]
    fn partitions_have_the_bytes_of_their_rows() {
        let used = BTreeMap::from([(0, 100), (1, 7)]);
        let told = |rows_of: [u64; 4]| -> Vec<u64> {
            let items = partitions(&[0, 1, 0, 1], 8, &used, &rows_of);
            items.iter().map(|item| item.disk_used).collect()
        };
        assert_eq!(told([70, 0, 10, 2]), [80, 3, 20, 4]);
        // More than the files have.
        assert_eq!(told([70, 6, 10, 2]), [80, 4, 20, 3]);
    }
}
