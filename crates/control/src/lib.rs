//! The control plane: what each API action does to tenants, instances, databases, accounts,
//! whitelists and endpoints; the workflows behind the longer ones; and the reconcilers that
//! keep processes and sockets as the store says.
//!
//! One file per resource. Every function takes the caller, authorizes and fetches in one step,
//! and either reads or makes one transaction of the store. It knows neither HTTP nor MySQL's
//! protocol; the gateway is a trait here, joined by the server.

mod accounts;
pub mod admin;
mod alerts;
mod audit;
mod authorize;
mod backups;
mod billing;
mod bootstrap;
mod call;
mod config;
mod control;
mod control_plane;
mod databases;
mod diagnosis;
mod error;
mod events;
mod figures;
mod gateway;
mod idempotency;
mod imports;
mod instance_nodes;
mod instances;
mod locks;
mod monitoring;
mod network;
mod node_accounts;
mod node_size;
mod ordering;
pub mod outgoing;
mod parts;
mod placement;
pub mod ram;
mod random;
mod reconcilers;
mod recycle_bin;
mod regions;
mod sampling;
mod tables;
mod tags;
mod tasks;
#[cfg(test)]
mod testing;
mod user_info;
mod webhooks;
mod whitelists;
mod workflows;

pub use backups::{FetchableSet, Fetcher, LinkError, LogArchiveFigures, S3Config, SetLink};
pub use bootstrap::DefaultTenant;
pub use call::{Caller, MutatingCall};
pub use config::{
    AlertsConfig, BackupConfig, BillingConfig, ControlConfig, DataDir, EventsConfig, HistoryConfig,
    MonitoringConfig, NetworkConfig, NodesConfig, QuotaConfig, TakenAs,
};
pub use control::{Control, EventRecorder, Prepared};
pub use control_plane::{
    ArchiveError, ArchiveManifest, Member, Restored, check, fetch_backup, restore,
};
pub use error::ControlError;
pub use figures::{InstanceFigures, NodeFigures, ServiceFigures, WebhookFigures};
pub use gateway::{
    DatabaseStatistics, DigestStatistics, Gateway, HeldWork, InstanceStatistics, InstanceTraffic,
    NodeAccess, OpenEndpointError, PartitionUse, Refusal, RefusalReason, SessionStatistics,
    StandStillError, Traffic, Work,
};
pub use openpeta_tasks::{NoObserver, Observer as TaskObserver, StepOutcome, StepRun};
pub use sampling::{DatabaseFigures, SamplingFigures};
