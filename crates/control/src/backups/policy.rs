//! ModifyBackupPolicy and DescribeBackupPolicy (API document 11.2 and 11.3).

use openpeta_rpc_api::backups::{
    DescribeBackupPolicyRequest, DescribeBackupPolicyResponse, ModifyBackupPolicyRequest,
};
use openpeta_rpc_api::{Action, EmptyResponse};
use openpeta_store::BackupPolicy;

use crate::authorize::{require_active_database, require_database};
use crate::{Caller, Control, ControlError, MutatingCall, audit};

impl Control {
    /// ModifyBackupPolicy: changes what is given of a database's policy. No backup is owed for
    /// a time that passed before its days or its window were set.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `OperationDenied.DBInstanceStatus`,
    /// `InvalidDBName.NotFound`, `OperationDenied.DBStatus`, `OperationDenied.DBInstanceType`,
    /// `Forbidden.RAM`.
    pub fn modify_backup_policy(
        &self,
        call: &MutatingCall,
        request: &ModifyBackupPolicyRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let (id, db_name) = (&request.instance_id, &request.db_name);
        self.parts.store.write(|writer| {
            self.active_instance(writer, &call.caller, call.action, id)?;
            require_active_database(writer, id, db_name)?;
            let old = writer.backup_policy(id, db_name)?.unwrap_or_default();
            let mut new = BackupPolicy {
                is_binlog_enabled: request.is_binlog_enabled.unwrap_or(old.is_binlog_enabled),
                period: request.period.unwrap_or(old.period),
                window: request.window.unwrap_or(old.window),
                retention: request.retention.unwrap_or(old.retention),
                ..old
            };
            if (new.period, new.window) != (old.period, old.window) {
                new.effective_at = call.caller.now;
            }
            if new != old {
                writer.put_backup_policy(id, db_name, &new)?;
            }
            audit::record(writer, call, Some(id), None)
        })?;
        Ok(EmptyResponse)
    }

    /// DescribeBackupPolicy: the policy of a database.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `InvalidDBName.NotFound`, `Forbidden.RAM`.
    pub fn describe_backup_policy(
        &self,
        caller: &Caller,
        request: &DescribeBackupPolicyRequest,
    ) -> Result<DescribeBackupPolicyResponse, ControlError> {
        let (id, db_name) = (&request.instance_id, &request.db_name);
        let policy = self.parts.store.read(|reader| {
            self.instance(reader, caller, Action::DescribeBackupPolicy, id)?;
            require_database(reader, id, db_name)?;
            Ok::<_, ControlError>(reader.backup_policy(id, db_name)?.unwrap_or_default())
        })?;
        Ok(DescribeBackupPolicyResponse {
            instance_id: id.clone(),
            db_name: db_name.clone(),
            is_binlog_enabled: policy.is_binlog_enabled,
            retention: policy.retention,
            window: policy.window,
            period: policy.period,
        })
    }
}

#[cfg(test)]
mod tests {
    use openpeta_rpc_api::{ApiRequest, Params};
    use openpeta_types::{InstanceId, ObjectStatus};

    use super::*;
    use crate::testing::{TestEngine, World};

    /// Makes a change; the code of the refusal if there is one.
    fn modify(world: &World, id: &InstanceId, changes: &[(&str, &str)]) -> Result<(), String> {
        let mut pairs = vec![("InstanceId", id.as_str())];
        if !changes.iter().any(|(name, _)| *name == "DBName") {
            pairs.push(("DBName", "shop"));
        }
        pairs.extend_from_slice(changes);
        let params = Params::from_pairs(pairs).expect("unique names");
        let request = ModifyBackupPolicyRequest::from_params(&params).expect("well formed");
        let call = world.call(Action::ModifyBackupPolicy);
        let modified = world.control.modify_backup_policy(&call, &request);
        modified
            .map(drop)
            .map_err(|error| error.api.code.into_owned())
    }

    /// Period, window, retention, binlog as the API shows them.
    fn shown(world: &World, id: &InstanceId) -> String {
        let pairs = [("InstanceId", id.as_str()), ("DBName", "shop")];
        let params = Params::from_pairs(pairs).expect("unique names");
        let request = DescribeBackupPolicyRequest::from_params(&params).expect("well formed");
        let policy = world
            .control
            .describe_backup_policy(&world.caller(), &request)
            .expect("it exists");
        format!(
            "{} {} {} {}",
            policy.period, policy.window, policy.retention, policy.is_binlog_enabled
        )
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn policies_keep_what_is_not_changed() {
        let engine = TestEngine::new().await;
        let world = World::new(&engine);
        let id = world.order();
        assert_eq!(shown(&world, &id), "None 18:00Z-19:00Z 7 false");
        let days = [("PreferredBackupPeriod", "Monday,Thursday")];
        assert_eq!(
            modify(&world, &id, &days),
            Err("OperationDenied.DBInstanceStatus".into())
        );
        world.activate(&id);
        assert_eq!(modify(&world, &id, &days), Ok(()));
        let rest = [
            ("PreferredBackupTime", "23:00Z-01:00Z"),
            ("BackupRetentionPeriod", "30"),
            ("EnableBinlogBackup", "true"),
        ];
        assert_eq!(modify(&world, &id, &rest), Ok(()));
        assert_eq!(modify(&world, &id, &[]), Ok(()));
        assert_eq!(shown(&world, &id), "Monday,Thursday 23:00Z-01:00Z 30 true");
        let off = [("PreferredBackupPeriod", "None")];
        assert_eq!(modify(&world, &id, &off), Ok(()));
        assert_eq!(shown(&world, &id), "None 23:00Z-01:00Z 30 true");
        let other = [("DBName", "other")];
        assert_eq!(
            modify(&world, &id, &other),
            Err("InvalidDBName.NotFound".into())
        );
        let resized = world.parts.store.write(|writer| {
            let name = openpeta_types::DbName::parse("shop").expect("a name");
            writer.set_database_status(&id, &name, ObjectStatus::Modify)
        });
        resized.expect("the store works");
        assert_eq!(
            modify(&world, &id, &days),
            Err("OperationDenied.DBStatus".into())
        );
    }
}
