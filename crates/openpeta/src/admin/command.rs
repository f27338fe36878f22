//! From typed arguments to the command that is sent, and the form in which its reply is shown.

use openpeta_control::admin::protocol::{AdminCommand, SlowThreshold, StatisticsOf};
use serde_json::Value;

use crate::admin::arguments::{
    AccessKey, Account, AdminArguments, Audit, Instance, Node, Of, Order, Policy, RamUser, Sts,
    Subject, Task, Tenant, Usage, Vpc, Vswitch,
};
use crate::admin::backup::Backup;
use crate::admin::control_plane::{self, ControlPlane};
use crate::admin::show::{FIELDS, Form};
use crate::failure::Failure;
use crate::secret_input;

/// What is to be done for an operator's command.
pub(super) enum Request {
    /// Ask the service, and show its reply in this form.
    Ask(AdminCommand, Form),
    /// Nothing more than to show what came of it.
    Done(Value),
}

impl AdminArguments {
    /// The command as it is sent, and the form in which its reply is shown; or what came of a
    /// command that needs no service.
    ///
    /// # Errors
    /// When a policy document cannot be read, or such a command fails.
    pub(super) fn into_request(self) -> Result<Request, Failure> {
        use AdminCommand as C;
        let rows = |columns| Form::Rows { columns };
        let (command, form) = match self.subject {
            Subject::Tenant(Tenant::Create { name }) => (
                C::TenantCreate { name },
                Form::Exactly {
                    members: &["account_id", "access_key_id", "access_key_secret"],
                },
            ),
            Subject::Tenant(Tenant::Update {
                account_id,
                balance_cents,
                real_name_verified,
                finance,
                instance_quota,
                database_quota,
                account_quota,
            }) => (
                C::TenantUpdate {
                    account_id,
                    balance_cents,
                    real_name_verified,
                    finance,
                    instance_quota,
                    database_quota,
                    account_quota,
                },
                FIELDS,
            ),
            Subject::Tenant(Tenant::List) => {
                (C::TenantList, rows(&["account_id", "name", "instances"]))
            }
            Subject::AccessKey(AccessKey::Create { owner }) => (
                C::AccessKeyCreate {
                    account_id: owner.account_id,
                    user_name: owner.user_name,
                },
                FIELDS,
            ),
            Subject::AccessKey(AccessKey::Disable { access_key_id }) => {
                (C::AccessKeyDisable { access_key_id }, FIELDS)
            }
            Subject::AccessKey(AccessKey::List { account_id }) => (
                C::AccessKeyList { account_id },
                rows(&["access_key_id", "user_name", "status"]),
            ),
            Subject::RamUser(RamUser::Create { user }) => (
                C::RamUserCreate {
                    account_id: user.account_id,
                    user_name: user.user_name,
                },
                FIELDS,
            ),
            Subject::RamUser(RamUser::Delete { user }) => (
                C::RamUserDelete {
                    account_id: user.account_id,
                    user_name: user.user_name,
                },
                FIELDS,
            ),
            Subject::RamUser(RamUser::List { account_id }) => {
                (C::RamUserList { account_id }, rows(&["user_name"]))
            }
            Subject::Policy(Policy::Attach {
                user,
                policy_name,
                document,
            }) => (
                C::PolicyAttach {
                    account_id: user.account_id,
                    user_name: user.user_name,
                    policy_name,
                    document: read_document(document)?,
                },
                FIELDS,
            ),
            Subject::Policy(Policy::Detach { user, policy_name }) => (
                C::PolicyDetach {
                    account_id: user.account_id,
                    user_name: user.user_name,
                    policy_name,
                },
                FIELDS,
            ),
            Subject::Policy(Policy::Explain {
                user,
                action,
                resource,
                source_ip,
                secure_transport,
                at,
            }) => (
                C::PolicyExplain {
                    account_id: user.account_id,
                    user_name: user.user_name,
                    action,
                    resource,
                    source_ip,
                    secure_transport,
                    at,
                },
                Form::Fields {
                    columns: &[
                        "policy_name",
                        "statement",
                        "effect",
                        "matches",
                        "differs_in",
                    ],
                },
            ),
            Subject::Policy(Policy::List { user }) => (
                C::PolicyList {
                    account_id: user.account_id,
                    user_name: user.user_name,
                },
                rows(&["policy_name", "document"]),
            ),
            Subject::Sts(Sts::Issue {
                owner,
                duration_seconds,
            }) => (
                C::StsIssue {
                    account_id: owner.account_id,
                    user_name: owner.user_name,
                    duration_seconds,
                },
                FIELDS,
            ),
            Subject::Vpc(Vpc::Create {
                account_id,
                region_id,
                cidr,
                name,
            }) => (
                C::VpcCreate {
                    account_id,
                    region_id,
                    cidr,
                    name,
                },
                FIELDS,
            ),
            Subject::Vpc(Vpc::Delete { vpc_id }) => (C::VpcDelete { vpc_id }, FIELDS),
            Subject::Vpc(Vpc::List) => (
                C::VpcList,
                rows(&["vpc_id", "name", "region_id", "cidr", "account_id"]),
            ),
            Subject::Vswitch(Vswitch::Create {
                vpc_id,
                zone_id,
                cidr,
                name,
            }) => (
                C::VswitchCreate {
                    vpc_id,
                    zone_id,
                    cidr,
                    name,
                },
                FIELDS,
            ),
            Subject::Vswitch(Vswitch::Delete { vswitch_id }) => {
                (C::VswitchDelete { vswitch_id }, FIELDS)
            }
            Subject::Vswitch(Vswitch::List) => (
                C::VswitchList,
                rows(&["vswitch_id", "name", "vpc_id", "zone_id", "cidr"]),
            ),
            Subject::Instance(Instance::Statistics { instance_id, of }) => {
                let (of, columns): (_, &[_]) = match of {
                    Of::Databases => (
                        StatisticsOf::Databases,
                        &[
                            "database", "sessions", "finished", "failed", "reads", "writes",
                        ],
                    ),
                    Of::Digests => (
                        StatisticsOf::Digests,
                        &["count", "errors", "total_us", "p95_us", "statement"],
                    ),
                    Of::Sessions => (
                        StatisticsOf::Sessions,
                        &["id", "account", "client", "database", "commands"],
                    ),
                };
                (C::InstanceStatistics { instance_id, of }, rows(columns))
            }
            Subject::Instance(Instance::List) => (
                C::InstanceList,
                rows(&[
                    "instance_id",
                    "status",
                    "lock_mode",
                    "node_id",
                    "account_id",
                ]),
            ),
            Subject::Instance(Instance::Lock {
                instance_id,
                reason,
            }) => (
                C::InstanceLock {
                    instance_id,
                    reason,
                },
                FIELDS,
            ),
            Subject::Instance(Instance::Unlock { instance_id }) => {
                (C::InstanceUnlock { instance_id }, FIELDS)
            }
            Subject::Instance(Instance::Delete {
                instance_id,
                without_final_backup,
            }) => (
                C::InstanceDelete {
                    instance_id,
                    without_final_backup,
                },
                FIELDS,
            ),
            Subject::Instance(Instance::Keep { instance_id }) => {
                (C::InstanceKeep { instance_id }, FIELDS)
            }
            Subject::Instance(Instance::Renew {
                instance_id,
                months,
            }) => (
                C::InstanceRenew {
                    instance_id,
                    months,
                },
                FIELDS,
            ),
            Subject::Instance(Instance::DiskQuota { instance_id, bytes }) => (
                C::InstanceDiskQuota {
                    instance_id,
                    disk_quota_bytes: bytes,
                },
                FIELDS,
            ),
            Subject::Instance(Instance::WatchIndexes { instance_id, off }) => (
                C::InstanceWatchIndexes {
                    instance_id,
                    on: !off,
                },
                FIELDS,
            ),
            Subject::Instance(Instance::SlowLog {
                instance_id,
                threshold_ms,
                default,
            }) => (
                C::InstanceSlowLog {
                    instance_id,
                    threshold: match default {
                        true => Some(SlowThreshold::Default),
                        false => threshold_ms.map(SlowThreshold::Millis),
                    },
                },
                FIELDS,
            ),
            Subject::Account(Account::Limits {
                instance_id,
                account_name,
                connections,
                queries_per_second,
            }) => (
                C::AccountLimits {
                    instance_id,
                    account_name,
                    connections,
                    queries_per_second,
                },
                FIELDS,
            ),
            Subject::Node(Node::List) => (
                C::NodeList,
                rows(&["node_id", "instance_id", "state", "pid", "memory_bytes"]),
            ),
            Subject::Partition(partition) => partition.into_command(),
            Subject::Task(Task::List {
                instance_id,
                status,
                limit,
            }) => (
                C::TaskList {
                    instance_id,
                    status,
                    limit,
                },
                rows(&[
                    "task_id",
                    "action",
                    "phase",
                    "status",
                    "progress",
                    "current_step",
                    "instance_id",
                    "message",
                ]),
            ),
            Subject::Task(Task::Show { task_id }) => (
                C::TaskShow { task_id },
                Form::Fields {
                    columns: &["name", "state", "attempts", "error"],
                },
            ),
            Subject::Task(Task::Retry { task_id }) => (C::TaskRetry { task_id }, FIELDS),
            Subject::Task(Task::Cancel { task_id }) => (C::TaskCancel { task_id }, FIELDS),
            Subject::Order(Order::List {
                account_id,
                instance_id,
                limit,
            }) => (
                C::OrderList {
                    account_id,
                    instance_id,
                    limit,
                },
                rows(&[
                    "order_id",
                    "created_at",
                    "action",
                    "instance_id",
                    "db_name",
                    "charge_type",
                    "amount_cents",
                    "paid_cents",
                    "currency",
                ]),
            ),
            Subject::Backup(Backup::OfService(backup)) => backup.into_command(),
            Subject::Backup(Backup::Decrypt(decrypt)) => {
                return decrypt.run().map(Request::Done);
            }
            Subject::Recycle(recycle) => recycle.into_command(),
            Subject::Import(import) => import.into_command()?,
            Subject::Export(export) => export.into_command()?,
            Subject::ControlPlane(ControlPlane::Backup { file }) => {
                (control_plane::backup_command(file)?, FIELDS)
            }
            Subject::ControlPlane(ControlPlane::Check { .. } | ControlPlane::Restore { .. }) => {
                return Err(Failure::Usage("this is done without the service".into()));
            }
            Subject::Recovery(recovery) => recovery.into_command(),
            Subject::Instance(Instance::Recover(recover)) => recover.into_command(),
            Subject::Usage(Usage::List {
                account_id,
                instance_id,
                from,
                until,
                limit,
            }) => (
                C::UsageList {
                    account_id,
                    instance_id,
                    from,
                    until,
                    limit,
                },
                rows(&[
                    "started_at",
                    "seconds",
                    "instance_id",
                    "db_name",
                    "node_spec",
                    "amount_cents",
                    "paid_cents",
                    "currency",
                ]),
            ),
            Subject::Alert(alert) => alert.into_command(),
            Subject::Webhook(webhook) => webhook.into_command(),
            Subject::Event(event) => event.into_command(),
            Subject::Audit(Audit::List {
                account_id,
                instance_id,
                action,
                limit,
            }) => (
                C::AuditList {
                    account_id,
                    instance_id,
                    action,
                    limit,
                },
                rows(&[
                    "at",
                    "action",
                    "outcome",
                    "instance_id",
                    "account_id",
                    "source_ip",
                ]),
            ),
        };
        Ok(Request::Ask(command, form))
    }
}

/// The policy itself when it is given as text, else the content of the file or standard input.
fn read_document(given: String) -> Result<String, Failure> {
    if given.trim_start().starts_with('{') {
        return Ok(given);
    }
    secret_input::read_source("--document", &given)
}
