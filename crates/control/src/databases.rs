//! Databases of an instance (API document 8).

use openpeta_rpc_api::Action;
use openpeta_rpc_api::databases::{
    DatabaseItem, DescribeDatabasesRequest, DescribeDatabasesResponse,
};

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
}
