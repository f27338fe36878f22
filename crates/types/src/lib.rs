//! The words every other crate speaks: typed ids, statuses, names and their rules,
//! privilege sets, node specs, whitelists, regions.
//!
//! Pure values only: nothing here reads a clock, a socket, a disk or a random source.
//! A value that exists is valid: each type is made by a `parse` that checks the rule
//! of the API document which the type's documentation names.

mod account;
mod backup;
mod event;
mod gtid;
mod ids;
mod name;
mod node_spec;
mod privilege;
mod region;
pub mod route;
mod secret;
mod status;
mod tag;
mod timestamp;
mod trace;
mod whitelist;

pub use account::{AccountDescription, AccountName, AccountType, Password};
pub use backup::{
    BackupMethod, BackupMode, BackupPeriod, BackupStatus, BackupType, BackupWindow, Compression,
    ExportForm, ExportLayout, RetentionDays,
};
pub use event::{EventKind, Severity};
pub use gtid::Gtid;
pub use ids::{
    AccessKeyId, AccountId, BackupId, EndpointId, InstanceId, NodeId, OrderId, RequestId, TaskId,
    VSwitchId, VpcId,
};
pub use name::{BusinessUnit, ConnectionPrefix, DbName, InstanceName, NameError, TableName};
pub use node_spec::{NodeFamily, NodeSettings, NodeSpec, NodeSpecCatalogue};
pub use privilege::{PrivilegeSet, match_privilege_set};
pub use region::{REGIONS, Region, Zone, region, zone};
pub use secret::Secret;
pub use status::{
    AccountStatus, ChargeType, EndpointType, LockMode, NetworkType, ObjectStatus, TaskStatus,
};
pub use tag::{Tag, TagFilter, TagKey, TagValue};
pub use timestamp::{POSTPAID_EXPIRY, format_time, parse_time};
pub use trace::{SamplingRatio, TraceContext};
pub use whitelist::{
    DEFAULT_GROUP, MAX_ENTRIES_PER_GROUP, MAX_GROUPS_PER_INSTANCE, Whitelist, WhitelistEntry,
    WhitelistError, WhitelistGroup, parse_entries,
};
