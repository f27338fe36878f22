//! The metadata store: everything of the control plane that must survive a crash.
//!
//! **Stored** in `store.sqlite3`, because nothing else knows it: tenants with their users, keys
//! and policies; VPCs and VSwitches; instances with databases, nodes, endpoints, accounts,
//! grants and whitelists (the intent, to which processes and sockets are reconciled); orders;
//! idempotency records (which call a ClientToken stands for); the audit trail; tasks with the
//! record of each step (where to resume or unwind after a crash); events, alert rules with where
//! they stand, webhooks with what they are yet to be told.
//! **Stored** in `nonces.log`, without a transaction each: the nonces of recent calls.
//! **Encrypted** with `store.key`: access key secrets, session tokens, account logins, secrets of
//! webhooks, task parameters and step outputs. Account passwords are never stored.
//!
//! **Rebuilt** at every start, never stored: each tenant's instances with what listings and
//! descriptions show of them, the access keys and policies in memory, the nonces in memory.
//! **Not here**: whether a process runs or a socket listens, which the reconcilers find out;
//! monitoring samples; content of user databases.
//!
//! One transaction writes at a time; readers see the last commit and never wait. A read or
//! write runs on the calling thread, because handing it to another costs more than it takes.

mod access_keys;
mod accounts;
mod alerts;
mod audit;
mod backup_policies;
mod backup_sets;
mod changes;
mod column;
mod copy;
mod cut_overs;
mod databases;
mod endpoints;
mod error;
mod events;
mod history;
mod idempotency;
mod instance_index;
mod instance_views;
mod instances;
mod key_cache;
mod limits;
mod lock;
mod migrate;
mod networks;
mod nodes;
mod nonces;
mod open;
mod orders;
mod partitions;
mod policies;
mod ram_users;
mod recycle_bin;
mod replaced_content;
mod seal;
mod session;
mod store;
mod tags;
mod task_steps;
mod tasks;
mod tenants;
mod totals;
mod usage;
mod visible_instances;
mod webhooks;
mod whitelists;

pub use access_keys::{AccessKey, AccessKeyStatus, SessionToken};
pub use accounts::{Account, Grant};
pub use alerts::{AlertPhase, AlertRule, AlertState, Comparison, NewAlertRule, NoData};
pub use audit::{AuditEntry, AuditFilter, AuditRecord};
pub use backup_policies::{BackupPolicy, ScheduledDatabase};
pub use backup_sets::{
    BackupOutcome, BackupSet, BackupSetFilter, BackupSetPage, NewBackupSet, Verification,
};
pub use changes::Topic;
pub use copy::schema_version;
pub use cut_overs::CutOver;
pub use databases::Database;
pub use endpoints::{Endpoint, EndpointState};
pub use error::StoreError;
pub use events::{EventFilter, EventRecord, NewEvent};
pub use idempotency::IdempotencyRecord;
pub use instance_views::{DatabasePage, InstanceDetail, InstanceFilter, InstancePage};
pub use instances::Instance;
pub use lock::DirLock;
pub use networks::{VSwitch, Vpc};
pub use nodes::{Node, NodeState};
pub use nonces::{NONCE_WINDOW, NonceLog};
pub use orders::{NewOrder, Order, OrderFilter};
pub use partitions::MovingPartitions;
pub use policies::PolicyAttachment;
pub use ram_users::RamUser;
pub use recycle_bin::{RecycledSet, Recycling};
pub use replaced_content::ReplacedContent;
pub use session::{Reader, Writer};
pub use store::{Store, WeakStore};
pub use task_steps::{StepState, TaskStep};
pub use tasks::{NewTask, Task, TaskFilter, TaskPhase};
pub use tenants::Tenant;
pub use totals::{AlertTotal, BackupTotal, ProofTotals, RecycledTotals, TaskTotal, WebhookTotal};
pub use usage::{Metered, UsageFilter, UsageRecord};
pub use visible_instances::VisibleInstances;
pub use webhooks::{Delivery, NewWebhook, Webhook};

/// Declares an enum whose values have a fixed spelling in the store and for the operator.
macro_rules! spelled {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant),+
        }

        impl $name {
            /// The stored spelling.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Reads the stored spelling.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use spelled;
