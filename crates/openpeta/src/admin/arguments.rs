//! The operator's commands as they are typed.

use clap::{Args, Subcommand};
use openpeta_control::admin::protocol::AdminCommand;
use openpeta_types::{AccessKeyId, AccountId, InstanceId, TaskId, TaskStatus, VpcId};

use crate::admin::show::{FIELDS, Form};
use crate::failure::Failure;
use crate::secret_input;

/// Run the service: tenants, keys, networks, locks, tasks (over DIR/admin.sock)
#[derive(Args, Debug)]
pub struct AdminArguments {
    /// Print the reply as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Show all columns, also those that do not fit the terminal
    #[arg(long, global = true)]
    pub wide: bool,
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, Subcommand)]
enum Subject {
    /// Tenants: who may order instances
    #[command(subcommand)]
    Tenant(Tenant),
    /// Access keys, with which calls of the API are signed
    #[command(subcommand)]
    AccessKey(AccessKey),
    /// RAM users: sub-users of a tenant with rights of their own
    #[command(subcommand)]
    RamUser(RamUser),
    /// Policies: what a RAM user may do
    #[command(subcommand)]
    Policy(Policy),
    /// Temporary credentials
    #[command(subcommand)]
    Sts(Sts),
    /// VPCs: networks that instances may be ordered in
    #[command(subcommand)]
    Vpc(Vpc),
    /// VSwitches: the parts of a VPC in one zone
    #[command(subcommand)]
    Vswitch(Vswitch),
    /// Instances of all tenants
    #[command(subcommand)]
    Instance(Instance),
    /// Nodes: the database processes
    #[command(subcommand)]
    Node(Node),
    /// Tasks: work that goes on after the answer to a call
    #[command(subcommand)]
    Task(Task),
    /// The record of every change
    #[command(subcommand)]
    Audit(Audit),
}

#[derive(Debug, Subcommand)]
enum Tenant {
    /// Make a tenant with one access key
    Create {
        /// Display name, unique
        #[arg(long)]
        name: String,
    },
    /// Change a tenant; what is not given stays
    Update {
        /// The tenant
        #[arg(long, value_parser = AccountId::parse)]
        account_id: AccountId,
        /// New balance in cents
        #[arg(long, allow_hyphen_values = true)]
        balance_cents: Option<i64>,
        /// Whether the tenant's real name is verified
        #[arg(long, value_name = "true|false")]
        real_name_verified: Option<bool>,
        /// Whether the tenant is a finance-cloud user
        #[arg(long, value_name = "true|false")]
        finance: Option<bool>,
        /// Most instances
        #[arg(long)]
        instance_quota: Option<u32>,
    },
    /// List tenants
    List,
}

#[derive(Debug, Subcommand)]
enum AccessKey {
    /// Make a key; its secret is shown this once
    Create {
        #[command(flatten)]
        owner: Owner,
    },
    /// Disable a key; it stops working at once
    Disable {
        /// The key
        #[arg(long, value_parser = AccessKeyId::parse)]
        access_key_id: AccessKeyId,
    },
    /// List a tenant's keys, without their secrets
    List {
        /// The tenant
        #[arg(long, value_parser = AccountId::parse)]
        account_id: AccountId,
    },
}

/// A tenant, or one of its RAM users.
#[derive(Args, Debug)]
struct Owner {
    /// The tenant
    #[arg(long, value_parser = AccountId::parse)]
    account_id: AccountId,
    /// The RAM user; left out, the tenant itself
    #[arg(long)]
    user_name: Option<String>,
}

/// A RAM user of a tenant.
#[derive(Args, Debug)]
struct User {
    /// The tenant
    #[arg(long, value_parser = AccountId::parse)]
    account_id: AccountId,
    /// The RAM user
    #[arg(long)]
    user_name: String,
}

#[derive(Debug, Subcommand)]
enum RamUser {
    /// Make a RAM user
    Create {
        #[command(flatten)]
        user: User,
    },
    /// List a tenant's RAM users
    List {
        /// The tenant
        #[arg(long, value_parser = AccountId::parse)]
        account_id: AccountId,
    },
}

#[derive(Debug, Subcommand)]
enum Policy {
    /// Attach a policy to a RAM user, replacing the one of the same name
    Attach {
        #[command(flatten)]
        user: User,
        /// The policy's name
        #[arg(long)]
        policy_name: String,
        /// RAM policy JSON: a file, - for standard input, or the text itself
        #[arg(long, value_name = "FILE|-|JSON")]
        document: String,
    },
    /// Detach a policy from a RAM user
    Detach {
        #[command(flatten)]
        user: User,
        /// The policy's name
        #[arg(long)]
        policy_name: String,
    },
    /// List the policies of a RAM user
    List {
        #[command(flatten)]
        user: User,
    },
}

#[derive(Debug, Subcommand)]
enum Sts {
    /// Issue an access key, its secret and a security token that expire
    Issue {
        #[command(flatten)]
        owner: Owner,
        /// Life time in seconds
        #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u32).range(900..=43_200))]
        duration_seconds: u32,
    },
}

#[derive(Debug, Subcommand)]
enum Vpc {
    /// Make a VPC
    Create {
        /// The tenant that may use it; left out, all
        #[arg(long, value_parser = AccountId::parse)]
        account_id: Option<AccountId>,
        /// Its region
        #[arg(long)]
        region_id: String,
        /// Its address block, for example 10.1.0.0/16
        #[arg(long)]
        cidr: String,
        /// Display name
        #[arg(long)]
        name: Option<String>,
    },
    /// List VPCs
    List,
}

#[derive(Debug, Subcommand)]
enum Vswitch {
    /// Make a VSwitch in a VPC
    Create {
        /// The VPC
        #[arg(long, value_parser = VpcId::parse)]
        vpc_id: VpcId,
        /// Its zone, in the VPC's region
        #[arg(long)]
        zone_id: String,
        /// Its address block, inside the VPC's
        #[arg(long)]
        cidr: String,
        /// Display name
        #[arg(long)]
        name: Option<String>,
    },
    /// List VSwitches
    List,
}

#[derive(Debug, Subcommand)]
enum Instance {
    /// List all instances of all tenants
    List,
    /// Lock an instance: no changes through the API, no writes through the gateway
    Lock {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
        /// Shown to its clients
        #[arg(long)]
        reason: String,
    },
    /// Unlock an instance, whatever locked it
    Unlock {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
    },
}

#[derive(Debug, Subcommand)]
enum Node {
    /// List nodes with their processes, memory and disk space
    List,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// List tasks, newest first
    List {
        /// Only those of this instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: Option<InstanceId>,
        /// Only those of this status
        #[arg(long, value_parser = parse_status, value_name = "STATUS", long_help = STATUS_HELP)]
        status: Option<TaskStatus>,
        /// Most rows
        #[arg(long)]
        limit: Option<u32>,
    },
    /// Show one task with its steps
    Show {
        /// The task
        #[arg(value_parser = TaskId::parse)]
        task_id: TaskId,
    },
    /// Try a task again that failed and could not be unwound
    Retry {
        /// The task
        #[arg(value_parser = TaskId::parse)]
        task_id: TaskId,
    },
    /// Cancel a task; what it did is undone
    Cancel {
        /// The task
        #[arg(value_parser = TaskId::parse)]
        task_id: TaskId,
    },
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// List audit rows, newest first
    List {
        /// Only those of this tenant
        #[arg(long, value_parser = AccountId::parse)]
        account_id: Option<AccountId>,
        /// Only those of this instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: Option<InstanceId>,
        /// Only those of this action
        #[arg(long)]
        action: Option<String>,
        /// Most rows
        #[arg(long)]
        limit: Option<u32>,
    },
}

const STATUS_HELP: &str = "Only those of this status: pending, running, succeeded, failed, closed \
                           or cancelled (or the API's digits, 0 to 5)";

fn parse_status(text: &str) -> Result<TaskStatus, String> {
    TaskStatus::parse(text)
        .or_else(|| {
            let named = |status: &&TaskStatus| format!("{status:?}").eq_ignore_ascii_case(text);
            TaskStatus::ALL.iter().find(named).copied()
        })
        .ok_or_else(|| STATUS_HELP.to_owned())
}

impl AdminArguments {
    /// The command as it is sent, and the form in which its reply is shown.
    ///
    /// # Errors
    /// When a policy document cannot be read.
    pub fn into_command(self) -> Result<(AdminCommand, Form), Failure> {
        use AdminCommand as C;
        let rows = |columns| Form::Rows { columns };
        Ok(match self.subject {
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
            }) => (
                C::TenantUpdate {
                    account_id,
                    balance_cents,
                    real_name_verified,
                    finance,
                    instance_quota,
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
            Subject::Vswitch(Vswitch::List) => (
                C::VswitchList,
                rows(&["vswitch_id", "name", "vpc_id", "zone_id", "cidr"]),
            ),
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
            Subject::Node(Node::List) => (
                C::NodeList,
                rows(&["node_id", "instance_id", "state", "pid", "memory_bytes"]),
            ),
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
        })
    }
}

/// The policy itself when it is given as text, else the content of the file or standard input.
fn read_document(given: String) -> Result<String, Failure> {
    if given.trim_start().starts_with('{') {
        return Ok(given);
    }
    secret_input::read_source("--document", &given)
}
