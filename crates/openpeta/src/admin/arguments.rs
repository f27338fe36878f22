//! The operator's commands as they are typed.

use std::net::IpAddr;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use openpeta_types::{
    AccessKeyId, AccountId, AccountName, InstanceId, TaskId, TaskStatus, VSwitchId, VpcId,
};

use super::backup::Backup;
use super::control_plane::{ControlPlane, Recover, Recovery};
use super::recycle::Recycle;
use super::transfer::{Export, Import};

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
    pub(super) subject: Subject,
}

#[derive(Debug, Subcommand)]
pub(super) enum Subject {
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
    /// Database accounts of instances
    #[command(subcommand)]
    Account(Account),
    /// Nodes: the database processes
    #[command(subcommand)]
    Node(Node),
    /// Partitions of databases over several nodes
    #[command(subcommand)]
    Partition(super::partition::Partition),
    /// Tasks: work that goes on after the answer to a call
    #[command(subcommand)]
    Task(Task),
    /// Backup sets of all tenants
    #[command(subcommand)]
    Backup(Backup),
    /// The recycle bin: deleted databases that can be brought back
    #[command(subcommand)]
    Recycle(Recycle),
    /// Imports: dumps that are loaded into databases
    #[command(subcommand)]
    Import(Import),
    /// Exports: databases that are written as SQL
    #[command(subcommand)]
    Export(Export),
    /// The control plane itself: its backup, and a data directory made out of one
    #[command(subcommand)]
    ControlPlane(ControlPlane),
    /// After a disaster: which data is lost, and the end of the recovery
    #[command(subcommand)]
    Recovery(Recovery),
    /// Orders: what was bought, and what it cost
    #[command(subcommand)]
    Order(Order),
    /// Usage: PostPaid databases, hour by hour
    #[command(subcommand)]
    Usage(Usage),
    /// Alerts: rules over the figures of instances
    #[command(subcommand)]
    Alert(super::watching::Alert),
    /// Webhooks: who is told of alerts and events over HTTP
    #[command(subcommand)]
    Webhook(super::watching::Webhook),
    /// Events: what happened that an operator may want to know
    #[command(subcommand)]
    Event(super::watching::Event),
    /// The record of every change
    #[command(subcommand)]
    Audit(Audit),
}

#[derive(Debug, Subcommand)]
pub(super) enum Tenant {
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
        /// Most databases of each instance
        #[arg(long)]
        database_quota: Option<u32>,
        /// Most accounts of each instance
        #[arg(long)]
        account_quota: Option<u32>,
    },
    /// List tenants
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum AccessKey {
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
pub(super) struct Owner {
    /// The tenant
    #[arg(long, value_parser = AccountId::parse)]
    pub(super) account_id: AccountId,
    /// The RAM user; left out, the tenant itself
    #[arg(long)]
    pub(super) user_name: Option<String>,
}

/// A RAM user of a tenant.
#[derive(Args, Debug)]
pub(super) struct User {
    /// The tenant
    #[arg(long, value_parser = AccountId::parse)]
    pub(super) account_id: AccountId,
    /// The RAM user
    #[arg(long, alias = "user")]
    pub(super) user_name: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum RamUser {
    /// Make a RAM user
    Create {
        #[command(flatten)]
        user: User,
    },
    /// Delete a RAM user with its policies; its keys must be disabled
    Delete {
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
pub(super) enum Policy {
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
    /// Tell what would be decided on a call, and by which statement of which policy
    Explain {
        #[command(flatten)]
        user: User,
        /// The action, with or without petadata:
        #[arg(long)]
        action: String,
        /// acs:petadata:REGION:ACCOUNT:dbinstance/ID, an instance's id, or * for a call that
        /// names none
        #[arg(long, default_value = "*")]
        resource: String,
        /// The client's address [default: 127.0.0.1]
        #[arg(long)]
        source_ip: Option<IpAddr>,
        /// Whether the call comes over TLS [default: true]
        #[arg(long, value_name = "true|false")]
        secure_transport: Option<bool>,
        /// When the call comes, as 2026-01-31T08:00:00Z [default: now]
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
    },
    /// List the policies of a RAM user
    List {
        #[command(flatten)]
        user: User,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Sts {
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
pub(super) enum Vpc {
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
    /// Delete a VPC without VSwitches and instances
    Delete {
        /// The VPC
        #[arg(long, value_parser = VpcId::parse)]
        vpc_id: VpcId,
    },
    /// List VPCs
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum Vswitch {
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
    /// Delete a VSwitch without instances
    Delete {
        /// The VSwitch
        #[arg(long, value_parser = VSwitchId::parse)]
        vswitch_id: VSwitchId,
    },
    /// List VSwitches
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum Account {
    /// Set limits of an account, or tell them; they hold at once
    Limits {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
        /// The account
        #[arg(long, value_parser = AccountName::parse_lookup)]
        account_name: AccountName,
        /// Sessions that may be open at once; 0 for no limit
        #[arg(long)]
        connections: Option<u32>,
        /// Statements in a second; 0 for no limit
        #[arg(long)]
        queries_per_second: Option<u32>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Instance {
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
    /// Delete an instance and its data, locked or INACTIVE as it may be
    Delete {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
        /// Nothing goes into the recycle bin
        #[arg(long)]
        without_final_backup: bool,
    },
    /// Bring an instance back whose data is lost: on a new node, out of its backup sets
    Recover(Recover),
    /// Keep an instance that would be released since its content was replaced by a restore in place
    Keep {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
    },
    /// Prolong a PrePaid instance, from today if it has expired
    Renew {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
        /// Months to add
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=120))]
        months: u32,
    },
    /// Give an instance another disk quota
    DiskQuota {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
        /// The new quota in bytes
        #[arg(long)]
        bytes: u64,
    },
    /// What the gateway has counted of an instance: databases, digests (kinds of statements) or sessions
    Statistics {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
        /// Of what
        #[arg(long, value_enum, default_value = "databases")]
        of: Of,
    },
    /// Have the node note which indexes are used, for `openpeta diagnose`, until its next start
    WatchIndexes {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
        /// No longer
        #[arg(long)]
        off: bool,
    },
    /// Set from when on statements are slow and logged, or tell it
    SlowLog {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
        /// Milliseconds; 0 for none
        #[arg(long)]
        threshold_ms: Option<u32>,
        /// What is configured for all instances
        #[arg(long, conflicts_with = "threshold_ms")]
        default: bool,
    },
    /// Unlock an instance, whatever locked it
    Unlock {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
    },
}

/// What statistics are of.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Of {
    /// The instance's databases
    Databases,
    /// Kinds of statements, those first that took the longest in all
    Digests,
    /// Open sessions
    Sessions,
}

#[derive(Debug, Subcommand)]
pub(super) enum Node {
    /// List nodes with their processes, memory and disk space
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum Task {
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
pub(super) enum Order {
    /// List orders, newest first
    List {
        /// Only those of this tenant
        #[arg(long, value_parser = AccountId::parse)]
        account_id: Option<AccountId>,
        /// Only those about this instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: Option<InstanceId>,
        /// Most rows
        #[arg(long)]
        limit: Option<u32>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Usage {
    /// List usage records, newest first
    List {
        /// Only those of this tenant
        #[arg(long, value_parser = AccountId::parse)]
        account_id: Option<AccountId>,
        /// Only those of this instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: Option<InstanceId>,
        /// Only those that begin at this time or later, for example 2026-01-01T00:00:00Z
        #[arg(long, value_parser = time)]
        from: Option<Timestamp>,
        /// Only those that begin before this time
        #[arg(long, value_parser = time)]
        until: Option<Timestamp>,
        /// Most rows
        #[arg(long)]
        limit: Option<u32>,
    },
}

/// A time as the API writes it.
fn time(text: &str) -> Result<Timestamp, String> {
    openpeta_types::parse_time(text)
        .ok_or_else(|| "a time is written as 2026-01-01T00:00:00Z".to_owned())
}

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
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
