//! What the operator's commands do, one file per noun; see [`protocol`] for how they travel.

mod access_keys;
mod alerts;
mod audit;
mod backups;
mod billing;
mod control_plane;
mod diagnosis;
mod events;
mod explain;
mod export_stream;
pub mod history;
mod imports;
mod instances;
mod limits;
mod networks;
mod nodes;
pub mod overview;
mod partitions;
pub mod protocol;
mod ram_users;
mod recycle;
mod tasks;
mod tenants;
#[cfg(test)]
mod tests;
mod webhooks;

use jiff::Timestamp;
use openpeta_engine::{ImportOptions, LogQuery};
use openpeta_rpc_api::ApiError;
use openpeta_store::{
    AuditEntry, Comparison, EventFilter, NewAlertRule, NoData, StoreError, Tenant, Writer,
};
use openpeta_types::{AccountId, InstanceId};
use serde_json::Value;

pub(crate) use self::events::row as event_row;
use self::explain::Question;
pub use self::export_stream::StreamedExport;
use self::imports::ImportOrigin;
use self::protocol::{AdminCommand, AdminReply, Compare, WithoutData};
use self::webhooks::WebhookOrder;
use crate::recycle_bin::{OnDelete, RestoreOrder};
use crate::{Control, ControlError};

/// Prefix of the operator's commands in the audit trail.
const ACTION_PREFIX: &str = "admin:";

impl Control {
    /// Carries out a command of the operator. A failure is logged with its context and told
    /// with its code.
    pub async fn admin(&self, command: AdminCommand, now: Timestamp) -> AdminReply {
        reply(self.run_admin(command, now).await)
    }

    async fn run_admin(
        &self,
        command: AdminCommand,
        now: Timestamp,
    ) -> Result<Value, ControlError> {
        use AdminCommand as C;
        let change = AdminChange::of(&command, now)?;
        match command {
            C::TenantCreate { name } => self.tenant_create(&change, &name),
            C::TenantUpdate {
                account_id,
                balance_cents,
                real_name_verified,
                finance,
                instance_quota,
                database_quota,
                account_quota,
            } => {
                let update = |tenant: &mut Tenant| {
                    tenant.balance_cents = balance_cents.unwrap_or(tenant.balance_cents);
                    tenant.real_name_verified =
                        real_name_verified.unwrap_or(tenant.real_name_verified);
                    tenant.finance = finance.unwrap_or(tenant.finance);
                    tenant.instance_quota = instance_quota.or(tenant.instance_quota);
                    tenant.database_quota = database_quota.or(tenant.database_quota);
                    tenant.account_quota = account_quota.or(tenant.account_quota);
                };
                self.tenant_update(&change, account_id, update).await
            }
            C::TenantList => self.tenant_list(),
            C::AccessKeyCreate {
                account_id,
                user_name,
            } => self.access_key_create(&change, account_id, user_name),
            C::AccessKeyDisable { access_key_id } => {
                self.access_key_disable(&change, &access_key_id)
            }
            C::AccessKeyList { account_id } => self.access_key_list(account_id),
            C::StsIssue {
                account_id,
                user_name,
                duration_seconds,
            } => self.sts_issue(&change, account_id, user_name, duration_seconds),
            C::RamUserCreate {
                account_id,
                user_name,
            } => self.ram_user_create(&change, account_id, user_name),
            C::RamUserDelete {
                account_id,
                user_name,
            } => self.ram_user_delete(&change, account_id, &user_name),
            C::RamUserList { account_id } => self.ram_user_list(account_id),
            C::PolicyAttach {
                account_id,
                user_name,
                policy_name,
                document,
            } => self.policy_attach(&change, account_id, user_name, policy_name, document),
            C::PolicyDetach {
                account_id,
                user_name,
                policy_name,
            } => self.policy_detach(&change, account_id, &user_name, &policy_name),
            C::PolicyExplain {
                account_id,
                user_name,
                action,
                resource,
                source_ip,
                secure_transport,
                at,
            } => self.policy_explain(
                Question {
                    account_id,
                    user_name,
                    action,
                    resource,
                    source_ip,
                    secure_transport,
                    at,
                },
                now,
            ),
            C::PolicyList {
                account_id,
                user_name,
            } => self.policy_list(account_id, &user_name),
            C::VpcCreate {
                account_id,
                region_id,
                cidr,
                name,
            } => self.vpc_create(&change, account_id, &region_id, &cidr, name),
            C::VpcDelete { vpc_id } => self.vpc_delete(&change, &vpc_id),
            C::VpcList => self.vpc_list(),
            C::VswitchCreate {
                vpc_id,
                zone_id,
                cidr,
                name,
            } => self.vswitch_create(&change, vpc_id, &zone_id, &cidr, name),
            C::VswitchDelete { vswitch_id } => self.vswitch_delete(&change, &vswitch_id),
            C::VswitchList => self.vswitch_list(),
            C::InstanceList => self.instance_list(),
            C::InstanceLock {
                instance_id,
                reason,
            } => self.instance_lock(&change, &instance_id, &reason).await,
            C::InstanceUnlock { instance_id } => self.instance_unlock(&change, &instance_id).await,
            C::InstanceDelete {
                instance_id,
                without_final_backup,
            } => {
                let on_delete = match without_final_backup {
                    true => OnDelete::Destroy,
                    false => OnDelete::Recycle,
                };
                self.instance_delete(&change, &instance_id, on_delete)
            }
            C::InstanceKeep { instance_id } => self.instance_keep(&change, &instance_id),
            C::InstanceRenew {
                instance_id,
                months,
            } => self.instance_renew(&change, &instance_id, months).await,
            C::InstanceDiskQuota {
                instance_id,
                disk_quota_bytes,
            } => self.instance_disk_quota(&change, &instance_id, disk_quota_bytes),
            C::InstanceSlowLog {
                instance_id,
                threshold,
            } => self.instance_slow_log(&change, &instance_id, threshold),
            C::AccountLimits {
                instance_id,
                account_name,
                connections,
                queries_per_second,
            } => self.account_limits(
                &change,
                &instance_id,
                &account_name,
                connections,
                queries_per_second,
            ),
            C::InstanceDiagnose { instance_id } => self.diagnose(&instance_id, now).await,
            C::InstanceWatchIndexes { instance_id, on } => {
                self.instance_watch_indexes(&change, &instance_id, on).await
            }
            C::InstanceStatistics { instance_id, of } => self.instance_statistics(&instance_id, of),
            C::InstanceHistory(question) => self.history(&question),
            C::Overview { digests } => self.overview(digests, now),
            C::NodeList => self.node_list().await,
            C::PartitionList {
                instance_id,
                db_name,
                count,
            } => self.partition_list(&instance_id, &db_name, count).await,
            C::PartitionMove {
                instance_id,
                db_name,
                partitions,
                node,
            } => self.partition_move(&change, (&instance_id, &db_name), &partitions, node),
            C::TaskList {
                instance_id,
                status,
                limit,
            } => self.task_list(instance_id, status, limit),
            C::TaskShow { task_id } => self.task_show(task_id),
            C::TaskRetry { task_id } => self.task_retry(&change, task_id),
            C::TaskCancel { task_id } => self.task_cancel(&change, task_id),
            C::BackupList { instance_id, limit } => self.backup_list(instance_id, limit),
            C::BackupProtect {
                backup_id,
                is_protected,
            } => self.backup_protect(&change, backup_id, is_protected),
            C::BackupDelete {
                backup_id,
                with_dependents,
            } => {
                self.backup_delete(&change, backup_id, with_dependents)
                    .await
            }
            C::BackupLogs => Ok(self.backup_logs()),
            C::BackupLogSearch {
                instance_id,
                db_name,
                from,
                until,
                table,
                limit,
            } => {
                let query = LogQuery {
                    from,
                    until: until.unwrap_or(Timestamp::MAX),
                    table,
                    limit: limit.unwrap_or(100).max(1) as usize,
                };
                self.backup_log_search(&instance_id, &db_name, query).await
            }
            C::BackupVerify { backup_id } => self.backup_verify(&change, backup_id),
            C::RecycleList { account_id } => self.recycle_list(account_id),
            C::RecycleShow { backup_id } => self.recycle_show(backup_id),
            C::RecycleRestore {
                backup_id,
                with_accounts,
                instance_name,
                classic,
            } => {
                let order = RestoreOrder {
                    backup_id,
                    with_accounts,
                    name: instance_name,
                    is_classic: classic,
                };
                self.recycle_restore(&change, order)
            }
            C::RecyclePurge { backup_id } => self.recycle_purge(&change, backup_id).await,
            C::RecycleSkip {
                instance_id,
                db_name,
            } => self.recycle_skip(&change, &instance_id, db_name.as_ref()),
            C::ImportStart {
                instance_id,
                db_name,
                from,
                ca_file,
                defaults_file,
                source_db,
                map_collations,
                definer,
                keep_definers,
                follow,
            } => {
                let options = ImportOptions {
                    source_database: source_db,
                    maps_collations: map_collations,
                    definer: definer.map(|account| account.as_str().to_owned()),
                    keeps_definers: keep_definers,
                    over_nodes: false,
                };
                let place = (instance_id, db_name);
                let origin = ImportOrigin {
                    from,
                    ca_file,
                    defaults_file,
                    follows: follow,
                };
                self.import_start(&change, place, origin, options).await
            }
            C::ImportCutOver { task_id } => self.import_cut_over(&change, task_id),
            C::ImportShow { task_id } => self.import_show(task_id),
            C::ExportStart {
                instance_id,
                db_name,
                to,
                form,
            } => self.export_start(&change, (instance_id, db_name), to, form),
            C::ExportStream { .. } => Err(ControlError::internal("it is no single reply")),
            C::ControlPlaneBackup { file } => self.control_plane_backup(&change, file).await,
            C::InstanceRecover {
                instance_id,
                backup_ids,
                log,
                without,
            } => {
                self.instance_recover(&change, &instance_id, &backup_ids, log, &without)
                    .await
            }
            C::RecoveryStatus => self.recovery_status(),
            C::RecoveryFinish { force } => self.recovery_finish(&change, force),
            C::OrderList {
                account_id,
                instance_id,
                limit,
            } => self.order_list(account_id, instance_id, limit),
            C::UsageList {
                account_id,
                instance_id,
                from,
                until,
                limit,
            } => self.usage_list(account_id, instance_id, from, until, limit),
            C::AuditList {
                account_id,
                instance_id,
                action,
                limit,
            } => self.audit_list(account_id, instance_id, action, limit),
            C::AlertCreate {
                name,
                instance_id,
                item,
                comparison,
                threshold,
                duration_seconds,
                severity,
                no_data,
                repeat_seconds,
            } => {
                let comparison = match comparison {
                    Compare::Above => Comparison::Above,
                    Compare::Below => Comparison::Below,
                };
                let no_data = match no_data {
                    WithoutData::Keep => NoData::Keep,
                    WithoutData::Ok => NoData::Ok,
                    WithoutData::Alert => NoData::Alert,
                };
                let rule = NewAlertRule {
                    name,
                    instance_id,
                    item,
                    comparison,
                    threshold,
                    duration_seconds,
                    severity,
                    no_data,
                    repeat_seconds,
                    is_paused: false,
                    created_at: now,
                };
                self.alert_create(&change, rule)
            }
            C::AlertDelete { name } => self.alert_delete(&change, &name),
            C::AlertPause { name } => self.alert_pause(&change, &name, true),
            C::AlertResume { name } => self.alert_pause(&change, &name, false),
            C::AlertList => self.alert_list(),
            C::AlertItems => Ok(self.alert_items()),
            C::WebhookCreate {
                name,
                url,
                ca_file,
                kinds,
                min_severity,
                instance_id,
            } => {
                let order = WebhookOrder {
                    name,
                    url,
                    ca_file,
                    kinds,
                    min_severity,
                    instance_id,
                };
                self.webhook_create(&change, order)
            }
            C::WebhookDelete { name } => self.webhook_delete(&change, &name),
            C::WebhookList => self.webhook_list(),
            C::WebhookTest { name } => self.webhook_test(&change, &name).await,
            C::EventList {
                instance_id,
                kinds,
                since,
                severity,
                limit,
            } => self.event_list(
                EventFilter {
                    instance_id,
                    kinds,
                    severity,
                    since,
                },
                limit,
            ),
        }
    }
}

/// What the operator is told of what a command came to.
fn reply(result: Result<Value, ControlError>) -> AdminReply {
    match result {
        Ok(value) => AdminReply::Ok(value),
        Err(error) => {
            tracing::warn!(code = %error.api.code, context = error.context, "admin command refused");
            let detail = error
                .context
                .as_deref()
                .map(|context| format!(" ({context})"));
            AdminReply::Error {
                code: error.api.code.into_owned(),
                message: format!("{}{}", error.api.message, detail.unwrap_or_default()),
            }
        }
    }
}

/// A changing command, for its audit row.
struct AdminChange {
    action: String,
    parameters: String,
    now: Timestamp,
}

impl AdminChange {
    /// The command's name and parameters; none of them is a secret.
    fn of(command: &AdminCommand, now: Timestamp) -> Result<Self, ControlError> {
        let mut parameters = serde_json::to_value(command).map_err(ControlError::internal)?;
        let name = parameters
            .as_object_mut()
            .and_then(|object| object.remove("command"));
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
        if let AdminCommand::ImportStart { from, .. } = command
            && let Some((place, _)) = from.split_once('?')
        {
            // A URL's query may be a signature by which anybody may read.
            parameters["from"] = format!("{place}?…").into();
        }
        Ok(Self {
            action: format!("{ACTION_PREFIX}{name}"),
            parameters: parameters.to_string(),
            now,
        })
    }

    /// Writes the audit row, in the transaction of the change.
    fn record(
        &self,
        writer: &Writer<'_>,
        account_id: Option<AccountId>,
        instance: Option<&InstanceId>,
    ) -> Result<(), ControlError> {
        writer.insert_audit(&AuditEntry {
            at: self.now,
            account_id,
            ram_user: None,
            access_key_id: None,
            action: self.action.clone(),
            instance_id: instance.cloned(),
            source_ip: None,
            user_agent: None,
            request_id: crate::random::request_id()?.to_string(),
            parameters: self.parameters.clone(),
            outcome: "OK".to_owned(),
            task_id: None,
        })?;
        Ok(())
    }
}

/// Names of rules and webhooks are typed and stand in texts.
fn check_name(name: &str) -> Result<(), ControlError> {
    let is_usual = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    match (1..=64).contains(&name.len()) && name.chars().all(is_usual) {
        true => Ok(()),
        false => Err(ApiError::invalid_parameter("name")
            .with_detail("It has 1 to 64 letters, digits, `.`, `_` or `-`.")
            .into()),
    }
}

/// A command that names something which is not there, or clashes with what is.
fn not_found(what: &str) -> ControlError {
    ApiError::invalid_parameter(what)
        .with_detail("There is none of that name.")
        .into()
}

/// A command that would take something away from those that need it.
fn in_use(what: &str, detail: &str) -> ControlError {
    ApiError::invalid_parameter(what).with_detail(detail).into()
}

/// Says which object a constraint of the store speaks of.
fn duplicate(what: &'static str) -> impl Fn(StoreError) -> ControlError {
    move |error| match error {
        StoreError::Conflict { .. } => ApiError::invalid_parameter(what)
            .with_detail("It exists already.")
            .into(),
        other => other.into(),
    }
}
