//! DescribeDatabases (API document 8.2) and DescribeDatabasePartitions.

use openpeta_engine::NodeDisk;
use openpeta_rpc_api::Action;
use openpeta_rpc_api::databases::{
    DatabaseItem, DescribeDatabasePartitionsRequest, DescribeDatabasePartitionsResponse,
    DescribeDatabasesRequest, DescribeDatabasesResponse, PartitionItem,
};

use openpeta_types::ObjectStatus;

use crate::{Caller, Control, ControlError};

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

    /// DescribeDatabasePartitions: what a database may take on disk and takes. A database on one
    /// node is one partition.
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
        let disk = match &instance.node_id {
            Some(node) => self.parts.engine.disk(node).await,
            None => Ok(NodeDisk::default()),
        };
        let disk_used = match disk {
            // A database that is being made or dropped need not be there.
            Ok(disk) => disk.databases.get(name.as_str()).copied().unwrap_or(0),
            Err(_) if database.status == ObjectStatus::Create => 0,
            Err(error) => return Err(ControlError::unavailable(error)),
        };
        Ok(DescribeDatabasePartitionsResponse {
            instance_id: id.clone(),
            db_name: name.clone(),
            partitions: vec![PartitionItem {
                disk_capacity: database.settings.disk_quota_bytes,
                disk_used,
            }],
        })
    }
}
