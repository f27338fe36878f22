//! The operator's commands as they travel over the admin socket: one JSON object a line each
//! way. The CLI builds [`AdminCommand`]s, the server answers with an [`AdminReply`].

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use openpeta_types::{
    AccessKeyId, AccountId, AccountName, BackupId, Compression, DbName, EventKind, ExportForm,
    InstanceId, InstanceName, Severity, TaskId, TaskStatus, VSwitchId, VpcId,
};
use serde::{Deserialize, Serialize};

use super::history::HistoryQuestion;

/// A command of the operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AdminCommand {
    /// Makes a tenant with one access key.
    TenantCreate {
        /// Display name, unique.
        name: String,
    },
    /// Changes what is given of a tenant.
    TenantUpdate {
        /// The tenant.
        account_id: AccountId,
        /// New balance in cents.
        balance_cents: Option<i64>,
        /// Whether the tenant's real name is verified.
        real_name_verified: Option<bool>,
        /// Whether the tenant is a finance-cloud user.
        finance: Option<bool>,
        /// Most instances; `None` leaves it as it is.
        instance_quota: Option<u32>,
        /// Most databases of each instance; `None` leaves it as it is.
        database_quota: Option<u32>,
        /// Most accounts of each instance; `None` leaves it as it is.
        account_quota: Option<u32>,
    },
    /// Lists tenants.
    TenantList,
    /// Makes an access key for a tenant or one of its RAM users.
    AccessKeyCreate {
        /// The tenant.
        account_id: AccountId,
        /// The RAM user; `None` for the tenant itself.
        user_name: Option<String>,
    },
    /// Disables an access key; it stops working at once.
    AccessKeyDisable {
        /// The key.
        access_key_id: AccessKeyId,
    },
    /// Lists a tenant's access keys, without their secrets.
    AccessKeyList {
        /// The tenant.
        account_id: AccountId,
    },
    /// Issues temporary credentials: an access key, its secret and a security token.
    StsIssue {
        /// The tenant.
        account_id: AccountId,
        /// The RAM user whose rights they carry; `None` for the tenant itself.
        user_name: Option<String>,
        /// Life time, 900 to 43,200 seconds.
        duration_seconds: u32,
    },
    /// Makes a RAM user.
    RamUserCreate {
        /// The tenant.
        account_id: AccountId,
        /// The user's name, unique in the tenant.
        user_name: String,
    },
    /// Deletes a RAM user with its policies and disabled keys; refused while a key is enabled.
    RamUserDelete {
        /// The tenant.
        account_id: AccountId,
        /// The user.
        user_name: String,
    },
    /// Lists a tenant's RAM users.
    RamUserList {
        /// The tenant.
        account_id: AccountId,
    },
    /// Attaches a policy to a RAM user, replacing the one of the same name.
    PolicyAttach {
        /// The tenant.
        account_id: AccountId,
        /// The RAM user.
        user_name: String,
        /// The policy's name.
        policy_name: String,
        /// The policy, RAM policy JSON as text.
        document: String,
    },
    /// Detaches a policy from a RAM user.
    PolicyDetach {
        /// The tenant.
        account_id: AccountId,
        /// The RAM user.
        user_name: String,
        /// The policy's name.
        policy_name: String,
    },
    /// Lists the policies of a RAM user.
    PolicyList {
        /// The tenant.
        account_id: AccountId,
        /// The RAM user.
        user_name: String,
    },
    /// Tells what would be decided on a call of a RAM user, and by which statement.
    PolicyExplain {
        /// The tenant.
        account_id: AccountId,
        /// The RAM user.
        user_name: String,
        /// The action, with or without `petadata:`.
        action: String,
        /// `acs:petadata:REGION:ACCOUNT:dbinstance/ID`, an instance's id, or `*`.
        resource: String,
        /// The client's address; `None` for this machine.
        source_ip: Option<IpAddr>,
        /// Whether the call comes over TLS; `None` for yes.
        secure_transport: Option<bool>,
        /// When the call comes; `None` for now.
        at: Option<Timestamp>,
    },
    /// Makes a VPC.
    VpcCreate {
        /// The tenant that may use it; `None` for all.
        account_id: Option<AccountId>,
        /// Its region.
        region_id: String,
        /// Its address block, for example `10.1.0.0/16`.
        cidr: String,
        /// Display name.
        name: Option<String>,
    },
    /// Deletes a VPC; refused while it has VSwitches or instances.
    VpcDelete {
        /// The VPC.
        vpc_id: VpcId,
    },
    /// Lists VPCs.
    VpcList,
    /// Makes a VSwitch in a VPC.
    VswitchCreate {
        /// The VPC.
        vpc_id: VpcId,
        /// Its zone, in the VPC's region.
        zone_id: String,
        /// Its address block, inside the VPC's.
        cidr: String,
        /// Display name.
        name: Option<String>,
    },
    /// Deletes a VSwitch; refused while instances have addresses out of it.
    VswitchDelete {
        /// The VSwitch.
        vswitch_id: VSwitchId,
    },
    /// Lists VSwitches.
    VswitchList,
    /// Lists all instances of all tenants.
    InstanceList,
    /// Locks an instance: no changes through the API, no writes through the gateway.
    InstanceLock {
        /// The instance.
        instance_id: InstanceId,
        /// Shown to its clients.
        reason: String,
    },
    /// Unlocks an instance, whatever locked it.
    InstanceUnlock {
        /// The instance.
        instance_id: InstanceId,
    },
    /// Deletes an instance and its data, whatever its lock and also when it is INACTIVE.
    InstanceDelete {
        /// The instance.
        instance_id: InstanceId,
        /// For good: nothing goes into the recycle bin.
        #[serde(default)]
        without_final_backup: bool,
    },
    /// Keeps an instance that would be released since its content was replaced.
    InstanceKeep {
        /// The instance.
        instance_id: InstanceId,
    },
    /// Prolongs an instance by some months, from today if it has expired; a lock for that
    /// reason goes. It is an order, taken from the tenant's balance where orders are.
    InstanceRenew {
        /// The instance.
        instance_id: InstanceId,
        /// Months to add, 1 to 120.
        months: u32,
    },
    /// Gives an instance another disk quota; a lock for want of space goes with the next look
    /// at what is used.
    InstanceDiskQuota {
        /// The instance.
        instance_id: InstanceId,
        /// The new quota in bytes.
        disk_quota_bytes: u64,
    },
    /// Looks an instance over: findings, and what they rest on.
    InstanceDiagnose {
        /// The instance.
        instance_id: InstanceId,
    },
    /// Has an instance's node note which indexes are used, until its next start, or no longer.
    InstanceWatchIndexes {
        /// The instance.
        instance_id: InstanceId,
        /// From now on, or no longer.
        on: bool,
    },
    /// Tells what the gateway has seen of an instance.
    InstanceStatistics {
        /// The instance.
        instance_id: InstanceId,
        /// Of what.
        of: StatisticsOf,
    },
    /// Sets from when on statements of an instance are slow, or tells it.
    InstanceSlowLog {
        /// The instance.
        instance_id: InstanceId,
        /// To what; `None` only tells.
        threshold: Option<SlowThreshold>,
    },
    /// Sets limits of an account of an instance, or tells them; 0 is no limit.
    AccountLimits {
        /// The instance.
        instance_id: InstanceId,
        /// The account.
        account_name: AccountName,
        /// Sessions that may be open; `None` leaves it as it is.
        connections: Option<u32>,
        /// Statements in a second; `None` leaves it as it is.
        queries_per_second: Option<u32>,
    },
    /// Tells what was sampled of an instance over time.
    InstanceHistory(HistoryQuestion),
    /// Tells the whole service at a glance.
    Overview {
        /// Most kinds of statements.
        digests: u32,
    },
    /// Lists nodes with their processes, memory and disk space.
    NodeList,
    /// Lists the partitions of a database over several nodes.
    PartitionList {
        /// The instance.
        instance_id: InstanceId,
        /// The database.
        db_name: DbName,
        /// Whether rows are counted; else they are estimated.
        #[serde(default)]
        count: bool,
    },
    /// Moves partitions to another node of their database while it is used; a task does it.
    PartitionMove {
        /// The instance.
        instance_id: InstanceId,
        /// The database.
        db_name: DbName,
        /// The partitions.
        partitions: BTreeSet<u16>,
        /// The number of the node.
        node: u16,
    },
    /// Lists tasks, newest first.
    TaskList {
        /// Only those of this instance.
        instance_id: Option<InstanceId>,
        /// Only those of this status.
        status: Option<TaskStatus>,
        /// Most rows.
        limit: Option<u32>,
    },
    /// Shows one task with its steps.
    TaskShow {
        /// The task.
        task_id: TaskId,
    },
    /// Tries a task again that failed and could not be unwound.
    TaskRetry {
        /// The task.
        task_id: TaskId,
    },
    /// Cancels a task; what it did is undone.
    TaskCancel {
        /// The task.
        task_id: TaskId,
    },
    /// Lists backup sets, newest first.
    BackupList {
        /// Only those of this instance.
        instance_id: Option<InstanceId>,
        /// Most rows.
        limit: Option<u32>,
    },
    /// Has a backup set outlive the time for which sets are kept, or no longer.
    BackupProtect {
        /// The set.
        backup_id: BackupId,
        /// Whether it shall.
        is_protected: bool,
    },
    /// Removes a backup set; refused while it is protected or in use.
    BackupDelete {
        /// The set.
        backup_id: BackupId,
        /// The sets that go on from it as well.
        #[serde(default)]
        with_dependents: bool,
    },
    /// Lists archives of binary logs.
    BackupLogs,
    /// Lists transactions that the archived log of an instance has of a database.
    BackupLogSearch {
        /// The instance.
        instance_id: InstanceId,
        /// The database.
        db_name: DbName,
        /// Only those of this time or later.
        from: Timestamp,
        /// Only those before this time; `None` for all since.
        until: Option<Timestamp>,
        /// Only those that concern this table.
        table: Option<String>,
        /// Most rows.
        limit: Option<u32>,
    },
    /// Has a backup set restored into a node of its own and compared; a task does it.
    BackupVerify {
        /// The set.
        backup_id: BackupId,
    },
    /// Lists deleted databases that can be brought back, latest first.
    RecycleList {
        /// Only those of this tenant.
        account_id: Option<AccountId>,
    },
    /// Shows what is kept of one.
    RecycleShow {
        /// Its set.
        backup_id: BackupId,
    },
    /// Restores one into a new instance of its tenant; a task does it.
    RecycleRestore {
        /// Its set.
        backup_id: BackupId,
        /// With the accounts that its instance had, their passwords and grants.
        with_accounts: bool,
        /// The new instance's name; `None` for the former one's.
        instance_name: Option<InstanceName>,
        /// In the Classic network, whatever it was in.
        #[serde(default)]
        classic: bool,
    },
    /// Removes one for good.
    RecyclePurge {
        /// Its set.
        backup_id: BackupId,
    },
    /// Has what is being deleted go without the final backup that is being taken or waited for.
    RecycleSkip {
        /// The instance.
        instance_id: InstanceId,
        /// Only this database; `None` for all that are being deleted.
        db_name: Option<DbName>,
    },
    /// Imports a dump into an empty database; a task does it.
    ImportStart {
        /// The instance.
        instance_id: InstanceId,
        /// The database.
        db_name: DbName,
        /// A path on the service's machine, a URL, or `mysql://HOST:PORT/DATABASE`.
        from: String,
        /// A file with the certificates that are trusted, in place of the system's.
        ca_file: Option<PathBuf>,
        /// A file with options of MariaDB's clients, by which a live server is logged in to.
        defaults_file: Option<PathBuf>,
        /// Which database of the dump; `None` for the only one.
        source_db: Option<String>,
        /// Whether collations of MySQL 8 become the nearest that there are.
        map_collations: bool,
        /// The account that stands in for definers that do not exist.
        definer: Option<AccountName>,
        /// Whether definers that do not exist stay.
        keep_definers: bool,
        /// Whether a live server is followed until the cut-over.
        #[serde(default)]
        follow: bool,
    },
    /// Has an import that follows a live server take that one's place.
    ImportCutOver {
        /// The task.
        task_id: TaskId,
    },
    /// Shows an import or export: its task, and what it has moved.
    ImportShow {
        /// The task.
        task_id: TaskId,
    },
    /// Exports a database into a directory; a task does it.
    ExportStart {
        /// The instance.
        instance_id: InstanceId,
        /// The database.
        db_name: DbName,
        /// A directory of the service's machine that does not exist yet.
        to: PathBuf,
        /// In what form.
        #[serde(default)]
        form: ExportForm,
    },
    /// Exports a database over this connection. Behind the reply come frames, each with its length in
    /// four bytes (big endian), then an empty one, and another reply: whether it is whole.
    ExportStream {
        /// The instance.
        instance_id: InstanceId,
        /// The database.
        db_name: DbName,
        /// How it is compressed.
        compression: Compression,
        /// Tables do not say how they are distributed.
        #[serde(default)]
        for_one_node: bool,
    },
    /// Backs up the control plane itself.
    ControlPlaneBackup {
        /// Into this file of the service's machine, which does not exist yet; `None` for one of
        /// the usual name beside those that are taken by themselves.
        file: Option<PathBuf>,
    },
    /// Brings an instance back whose data is lost: on a new node, out of its backup sets.
    InstanceRecover {
        /// The instance.
        instance_id: InstanceId,
        /// In place of the newest sets of their databases.
        backup_ids: Vec<BackupId>,
        /// How much of the archived binary log is applied.
        #[serde(default)]
        log: ReplayedLog,
        /// Databases that are given up, since there is no set of them.
        without: Vec<DbName>,
    },
    /// Tells of each database whether its data is there, and what it can be brought back from.
    RecoveryStatus,
    /// Has a restored control plane go on as usual: from then on what it does not know is removed.
    RecoveryFinish {
        /// Also when the data of instances is still lost.
        force: bool,
    },
    /// Lists orders, newest first.
    OrderList {
        /// Only those of this tenant.
        account_id: Option<AccountId>,
        /// Only those about this instance.
        instance_id: Option<InstanceId>,
        /// Most rows.
        limit: Option<u32>,
    },
    /// Lists usage records, newest first.
    UsageList {
        /// Only those of this tenant.
        account_id: Option<AccountId>,
        /// Only those of this instance.
        instance_id: Option<InstanceId>,
        /// Only those that begin at this time or later.
        from: Option<Timestamp>,
        /// Only those that begin before this time.
        until: Option<Timestamp>,
        /// Most rows.
        limit: Option<u32>,
    },
    /// Lists audit rows, newest first.
    AuditList {
        /// Only those of this tenant.
        account_id: Option<AccountId>,
        /// Only those of this instance.
        instance_id: Option<InstanceId>,
        /// Only those of this action.
        action: Option<String>,
        /// Most rows.
        limit: Option<u32>,
    },
    /// Makes an alert rule.
    AlertCreate {
        /// Its name, unique.
        name: String,
        /// The instance; `None` for all.
        instance_id: Option<InstanceId>,
        /// The figure, for example `gcs.sqps`.
        item: String,
        /// How it compares with the threshold when the rule is broken.
        comparison: Compare,
        /// The threshold.
        threshold: f64,
        /// For how many seconds it must be broken.
        duration_seconds: u32,
        /// How much it matters.
        severity: Severity,
        /// What to make of no value.
        no_data: WithoutData,
        /// Seconds after which a firing alert is told of again; `None` for never.
        repeat_seconds: Option<u32>,
    },
    /// Deletes an alert rule; what fires by it is resolved.
    AlertDelete {
        /// The rule.
        name: String,
    },
    /// Has a rule not looked at; what fires by it is resolved.
    AlertPause {
        /// The rule.
        name: String,
    },
    /// Has a paused rule looked at again.
    AlertResume {
        /// The rule.
        name: String,
    },
    /// Lists alert rules, and where they stand.
    AlertList,
    /// Lists the figures that rules may be about.
    AlertItems,
    /// Makes a webhook; answers with its secret.
    WebhookCreate {
        /// Its name, unique.
        name: String,
        /// Where notifications are posted; it is no secret.
        url: String,
        /// A file with the certificates that are trusted, in place of the system's.
        ca_file: Option<String>,
        /// Kinds of events; all with `None`.
        kinds: Option<Vec<EventKind>>,
        /// The least severity.
        min_severity: Severity,
        /// Only events of this instance.
        instance_id: Option<InstanceId>,
    },
    /// Deletes a webhook and what waits for it.
    WebhookDelete {
        /// The webhook.
        name: String,
    },
    /// Lists webhooks and how their notifications get on.
    WebhookList,
    /// Posts a test to a webhook.
    WebhookTest {
        /// The webhook.
        name: String,
    },
    /// Lists events, newest first.
    EventList {
        /// Only those of this instance.
        instance_id: Option<InstanceId>,
        /// Only those of one of these kinds; any if there is none.
        #[serde(default)]
        kinds: Vec<EventKind>,
        /// Only those of this time or later.
        since: Option<Timestamp>,
        /// Only those of this severity or more.
        severity: Option<Severity>,
        /// Most rows.
        limit: Option<u32>,
    },
}

impl AdminCommand {
    /// Whether the command changes something, and so leaves an audit row.
    #[must_use]
    pub const fn is_mutating(&self) -> bool {
        !matches!(
            self,
            Self::TenantList
                | Self::AccessKeyList { .. }
                | Self::RamUserList { .. }
                | Self::PolicyList { .. }
                | Self::PolicyExplain { .. }
                | Self::VpcList
                | Self::VswitchList
                | Self::InstanceList
                | Self::InstanceDiagnose { .. }
                | Self::InstanceStatistics { .. }
                | Self::InstanceSlowLog {
                    threshold: None,
                    ..
                }
                | Self::AccountLimits {
                    connections: None,
                    queries_per_second: None,
                    ..
                }
                | Self::InstanceHistory(_)
                | Self::Overview { .. }
                | Self::NodeList
                | Self::PartitionList { .. }
                | Self::TaskList { .. }
                | Self::TaskShow { .. }
                | Self::BackupList { .. }
                | Self::BackupLogs
                | Self::BackupLogSearch { .. }
                | Self::RecycleList { .. }
                | Self::RecycleShow { .. }
                | Self::ImportShow { .. }
                | Self::RecoveryStatus
                | Self::OrderList { .. }
                | Self::UsageList { .. }
                | Self::AuditList { .. }
                | Self::EventList { .. }
                | Self::AlertList
                | Self::AlertItems
                | Self::WebhookList
                | Self::WebhookTest { .. }
        )
    }
}

/// From when on statements are slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlowThreshold {
    /// What is configured for all instances.
    Default,
    /// So many milliseconds; never with 0.
    Millis(u32),
}

/// How a figure compares with a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compare {
    /// It is above.
    Above,
    /// It is below.
    Below,
}

/// What a rule makes of an instance without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutData {
    /// A firing alert goes on, nothing begins.
    Keep,
    /// All is well.
    Ok,
    /// The rule is broken.
    Alert,
}

/// How much of the archived binary log is applied after a set was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayedLog {
    /// Nothing: what is there is the set.
    #[default]
    Nothing,
    /// What was committed before that second.
    Before(Timestamp),
    /// Everything.
    Everything,
}

/// What statistics are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatisticsOf {
    /// The instance's databases.
    Databases,
    /// Kinds of statements.
    Digests,
    /// Open sessions.
    Sessions,
}

/// The answer to an [`AdminCommand`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminReply {
    /// What the command gives: an object, or an array of objects for the lists. Names are
    /// `snake_case`, times `yyyy-MM-ddTHH:mm:ssZ`.
    Ok(serde_json::Value),
    /// Why it was refused.
    Error {
        /// A stable code.
        code: String,
        /// What is wrong and what to do.
        message: String,
    },
}
