//! The operator's configuration of the control plane. Every value has a default that suits
//! one machine; a configuration file names only what differs.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::Ipv4Net;
use openpeta_engine::BackupKeys;
use openpeta_store::Tenant;
use openpeta_types::{BackupMethod, NodeSettings, NodeSpecCatalogue};
use serde::Deserialize;

use crate::backups::{Bucket, S3Config};
use crate::billing::PriceList;

/// Ports that public endpoints may have (API document 7.11).
pub(crate) const PUBLIC_PORTS: RangeInclusive<u16> = 3_200..=3_999;
/// The port of a public endpoint for which none was asked for, if it is free.
pub(crate) const USUAL_PUBLIC_PORT: u16 = 3_306;
/// As long as sets can be kept.
const MOST_RECYCLE_DAYS: u32 = 730;
/// Ten years.
const LONGEST_GRACE_SECONDS: u64 = 315_360_000;

/// Sections of the configuration file that the control plane reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlConfig {
    /// Addresses and ports of endpoints.
    pub network: NetworkConfig,
    /// Database nodes.
    pub nodes: NodesConfig,
    /// Limits per tenant and per instance.
    pub quotas: QuotaConfig,
    /// Prices, and what is done with them.
    pub billing: BillingConfig,
    /// Samples of what instances do and take.
    pub monitoring: MonitoringConfig,
    /// Backups.
    pub backup: BackupConfig,
    /// Alerts and webhooks.
    pub alerts: AlertsConfig,
    /// The list of events.
    pub events: EventsConfig,
    /// Audit rows, tasks, usage records.
    pub history: HistoryConfig,
    /// Node specs on offer; replaces the built-in list when given.
    pub node_specs: NodeSpecCatalogue,
    /// The file that all this was read from, for backups of the control plane.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

/// Samples of what instances do and take (`[monitoring]`).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MonitoringConfig {
    /// Days for which samples of a minute and of an hour are kept.
    pub keep_days: u32,
    /// Hours for which samples of five seconds are kept.
    pub keep_fine_hours: u32,
    /// Bytes that all samples may take together; beyond, the oldest and finest go first.
    pub max_bytes: u64,
}

impl Default for MonitoringConfig {
    fn default() -> Self {
        Self {
            keep_days: 400,
            keep_fine_hours: 48,
            max_bytes: 10 << 30,
        }
    }
}

/// Backups (`[backup]`).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackupConfig {
    /// Hours between two restore drills: a set is restored into a node of its own and compared.
    /// 0 switches them off.
    pub drill_hours: u32,
    /// Bytes of text (before compression) that backups are taken at in a second, all together,
    /// so that clients feel little of them; 0 for as many as can be had.
    pub max_bytes_per_second: u64,
    /// Whether backups are slowed while others want the machine.
    pub gives_way: bool,
    /// Bytes of text in a second below which no backup is slowed for that, so that it ends.
    pub min_bytes_per_second: u64,
    /// A file of keys that sets and finished files of archived logs are encrypted with: the first
    /// key encrypts, all of them decrypt.
    pub encryption_key_file: Option<PathBuf>,
    /// Hours between two backups of the control plane itself; 0 takes none.
    pub control_plane_hours: u32,
    /// Backups of the control plane that are kept.
    pub control_plane_keep: u32,
    /// Days for which a deleted database can be brought back: it is backed up once more before
    /// it goes. 0 keeps nothing.
    pub recycle_days: u32,
    /// Days for which what an instance served before a restore in place is kept; 0 keeps it until
    /// somebody deletes it.
    pub replaced_days: u32,
    /// Seconds for which links to sets lead there, 60 to 604,800.
    pub download_seconds: u32,
    /// How sets are taken unless a call says otherwise: as SQL text or as data files.
    pub method: TakenAs,
    /// Incremental sets that policies have taken after each full one, if sets are data files.
    pub incrementals: u32,
    /// Where sets are kept: `s3://BUCKET/PREFIX`; on this host when absent.
    pub store: Option<String>,
    /// Seconds between two copies of what archived logs have to that bucket.
    pub log_upload_seconds: u64,
    /// Seconds between two moments of all nodes of a database that is spread over several, to which it can be
    /// restored.
    pub moment_seconds: u64,
    /// How to reach that bucket.
    pub s3: S3Config,
}

impl Default for BackupConfig {
    fn default() -> Self {
        Self {
            drill_hours: 168,
            max_bytes_per_second: 0,
            gives_way: true,
            min_bytes_per_second: 8 << 20,
            encryption_key_file: None,
            control_plane_hours: 24,
            control_plane_keep: 7,
            recycle_days: 7,
            replaced_days: 7,
            download_seconds: 3_600,
            method: TakenAs::Logical,
            incrementals: 0,
            store: None,
            log_upload_seconds: 30,
            moment_seconds: 5,
            s3: S3Config::default(),
        }
    }
}

/// How backup sets are taken (`backup.method`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TakenAs {
    /// As SQL text.
    Logical,
    /// As data files.
    Physical,
}

impl BackupConfig {
    /// How sets are taken unless a call says otherwise.
    #[must_use]
    pub const fn method(&self) -> BackupMethod {
        match self.method {
            TakenAs::Logical => BackupMethod::Logical,
            TakenAs::Physical => BackupMethod::Physical,
        }
    }

    /// The bucket in which sets are kept, if they are not on this host.
    ///
    /// # Errors
    /// What is wrong with the configuration, for the operator.
    pub(crate) fn bucket(&self) -> Result<Option<Bucket>, String> {
        let bucket = |url: &String| Bucket::new(url, &self.s3);
        self.store.as_ref().map(bucket).transpose()
    }

    /// The keys that backups are encrypted with, as the file has them now; none without a file.
    ///
    /// # Errors
    /// What is wrong with the file, for the operator.
    pub(crate) fn keys(&self) -> Result<BackupKeys, String> {
        let read = |path: &PathBuf| {
            let keys = BackupKeys::read(path);
            keys.map_err(|what| format!("backup.encryption_key_file: {what}"))
        };
        self.encryption_key_file
            .as_ref()
            .map_or_else(|| Ok(BackupKeys::default()), read)
    }

    /// Below which backups are not slowed for the sake of others; none if they have no regard.
    pub(crate) fn floor(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.min_bytes_per_second).filter(|_| self.gives_way)
    }

    /// Time between two restore drills; zero for none.
    #[must_use]
    pub fn drill_interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.drill_hours) * 3_600)
    }
}

/// Alerts and webhooks (`[alerts]`).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertsConfig {
    /// Seconds between two looks at the rules.
    pub evaluate_seconds: u64,
    /// Seconds of samples that a value is of; what is measured of nodes, of 120 at least.
    pub window_seconds: u32,
    /// Seconds that a webhook has to take a notification.
    pub timeout_seconds: u32,
    /// Hours after which a notification that was not taken is given up.
    pub give_up_hours: u32,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self {
            evaluate_seconds: 5,
            window_seconds: 60,
            timeout_seconds: 10,
            give_up_hours: 24,
        }
    }
}

/// The list of events (`[events]`).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsConfig {
    /// Days for which events are kept.
    pub keep_days: u32,
    /// Events that are kept; beyond, the oldest go first.
    pub max_events: u32,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            keep_days: 90,
            max_events: 100_000,
        }
    }
}

/// What was (`[history]`). 0 keeps it for ever.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryConfig {
    /// Days for which audit rows are kept.
    pub audit_days: u32,
    /// Days for which tasks are kept after their end; at least a week.
    pub task_days: u32,
    /// Days for which usage records are kept; at least two months.
    pub usage_days: u32,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            audit_days: 0,
            task_days: 400,
            usage_days: 0,
        }
    }
}

impl ControlConfig {
    /// Checks what the form of the values does not tell.
    ///
    /// # Errors
    /// What is wrong, naming the keys.
    pub fn check(&self) -> Result<(), String> {
        let network = &self.network;
        if network.classic_port_first > network.classic_port_last {
            return Err("network.classic_port_first is above classic_port_last".into());
        }
        if network.switch_grace_seconds > LONGEST_GRACE_SECONDS {
            return Err(format!(
                "network.switch_grace_seconds must not be above {LONGEST_GRACE_SECONDS}"
            ));
        }
        let block = |key: &str, text: &str| {
            text.parse::<Ipv4Net>()
                .map_err(|_| format!("network.{key}: {text:?} is not a CIDR block"))
        };
        let vpc = block("default_vpc_cidr", &network.default_vpc_cidr)?;
        let vswitch = block("default_vswitch_cidr", &network.default_vswitch_cidr)?;
        if !vpc.contains(&vswitch) {
            return Err(format!(
                "network.default_vswitch_cidr {vswitch} is not inside default_vpc_cidr {vpc}"
            ));
        }
        // A server gives up on a reader that does not take a packet for a minute.
        if (1..1 << 20).contains(&self.backup.max_bytes_per_second) {
            return Err("backup.max_bytes_per_second must be 0 or at least 1048576".into());
        }
        if self.backup.min_bytes_per_second < 1 << 20 {
            return Err("backup.min_bytes_per_second must be at least 1048576".into());
        }
        self.backup.keys()?;
        if self.backup.control_plane_keep == 0 {
            return Err("backup.control_plane_keep must not be 0".into());
        }
        self.backup.bucket()?;
        if !(60..=604_800).contains(&self.backup.download_seconds) {
            return Err("backup.download_seconds must be from 60 to 604800".into());
        }
        if self.backup.recycle_days > MOST_RECYCLE_DAYS {
            return Err(format!(
                "backup.recycle_days must not be above {MOST_RECYCLE_DAYS}"
            ));
        }
        if self.backup.replaced_days > MOST_RECYCLE_DAYS {
            return Err(format!(
                "backup.replaced_days must not be above {MOST_RECYCLE_DAYS}"
            ));
        }
        let history = &self.history;
        if (1..7).contains(&history.task_days) {
            return Err("history.task_days must be 0 or at least 7".into());
        }
        if (1..62).contains(&history.usage_days) {
            return Err("history.usage_days must be 0 or at least 62".into());
        }
        let alerts = &self.alerts;
        if !(5..=86_400).contains(&alerts.window_seconds) {
            return Err("alerts.window_seconds must be from 5 to 86400".into());
        }
        if alerts.timeout_seconds == 0 {
            return Err("alerts.timeout_seconds must not be 0".into());
        }
        if self.node_specs.iter().next().is_none() {
            return Err("node_specs: at least one spec must be on offer".into());
        }
        PriceList::load(&self.billing, &self.node_specs).map(drop)
    }
}

/// Addresses and ports of endpoints (`[network]`).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// Address of this host on which Classic instances listen.
    pub classic_address: IpAddr,
    /// First port for Classic endpoints.
    pub classic_port_first: u16,
    /// Last port for Classic endpoints.
    pub classic_port_last: u16,
    /// Port of VPC endpoints.
    pub vpc_port: u16,
    /// CIDR block of the default VPC. Inside 127.0.0.0/8 every address works on any Linux
    /// machine without further set-up.
    pub default_vpc_cidr: String,
    /// CIDR block of the default VSwitch, inside the default VPC's.
    pub default_vswitch_cidr: String,
    /// Domain below which endpoints are named `<InstanceId>.petadata.rds.<domain>`; DNS for
    /// it is the operator's. Without one, connection strings are addresses.
    pub domain: Option<String>,
    /// Address of this host on which public endpoints listen; the Classic one by default. The
    /// unspecified address (`0.0.0.0`) listens on all.
    pub public_address: Option<IpAddr>,
    /// What clients are told of a public endpoint when there is no domain; the address by
    /// default.
    pub public_host: Option<String>,
    /// Seconds for which the old endpoint still works after a switch of the network type.
    pub switch_grace_seconds: u64,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            classic_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            // Below the ports that Linux hands to outgoing connections.
            classic_port_first: 20_000,
            classic_port_last: 29_999,
            vpc_port: 3_306,
            default_vpc_cidr: "127.16.0.0/12".into(),
            default_vswitch_cidr: "127.16.0.0/20".into(),
            domain: None,
            public_address: None,
            public_host: None,
            switch_grace_seconds: 86_400,
        }
    }
}

impl NetworkConfig {
    /// The ports for Classic endpoints.
    #[must_use]
    pub const fn classic_ports(&self) -> RangeInclusive<u16> {
        self.classic_port_first..=self.classic_port_last
    }

    /// Where public endpoints listen.
    #[must_use]
    pub fn public_address(&self) -> IpAddr {
        self.public_address.unwrap_or(self.classic_address)
    }

    /// For how long the old endpoint still works after a switch of the network type.
    #[must_use]
    pub fn switch_grace(&self) -> Duration {
        Duration::from_secs(self.switch_grace_seconds)
    }
}

/// Database nodes (`[nodes]`).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodesConfig {
    /// The `mariadbd` binary.
    pub mariadbd: PathBuf,
    /// The `mariadb-install-db` script.
    pub install_db: PathBuf,
    /// System user that nodes run as when the service runs as root.
    pub user: String,
    /// Started, empty nodes kept ready for the next order; 0 switches them off.
    pub spare: u32,
    /// Settings of spare nodes; an order of another spec adapts the spare it takes.
    pub spare_settings: Option<NodeSettings>,
    /// Seconds that a node may take to accept connections.
    pub start_timeout_seconds: u64,
    /// Seconds that a node may take to stop before it is killed.
    pub stop_timeout_seconds: u64,
    /// Seconds between two looks at every node.
    pub reconcile_seconds: u64,
    /// Seconds between two measurements of the disk space that nodes take.
    pub disk_check_seconds: u64,
    /// Most nodes of instances that this host may carry.
    pub capacity: u32,
    /// Share of its time, in percent, that a move of partitions between nodes works; it rests in between.
    pub move_share: u32,
}

impl Default for NodesConfig {
    fn default() -> Self {
        Self {
            mariadbd: "/usr/sbin/mariadbd".into(),
            install_db: "/usr/bin/mariadb-install-db".into(),
            user: "mysql".into(),
            spare: 2,
            spare_settings: None,
            start_timeout_seconds: 60,
            stop_timeout_seconds: 30,
            reconcile_seconds: 5,
            disk_check_seconds: 10,
            capacity: 5_000,
            move_share: 50,
        }
    }
}

impl NodesConfig {
    /// How long a node may take to accept connections.
    #[must_use]
    pub const fn start_timeout(&self) -> Duration {
        Duration::from_secs(self.start_timeout_seconds)
    }

    /// How long a move of partitions rests when it has worked for so long.
    #[must_use]
    pub fn move_pause(&self, worked: Duration) -> Duration {
        let share = self.move_share.clamp(1, 100);
        worked * (100 - share) / share
    }

    /// How long a node may take to stop before it is killed.
    #[must_use]
    pub const fn stop_timeout(&self) -> Duration {
        Duration::from_secs(self.stop_timeout_seconds)
    }
}

/// Limits per tenant and per instance (`[quotas]`).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuotaConfig {
    /// Instances of a tenant that has no quota of its own.
    pub instances_per_tenant: u32,
    /// Databases of an instance, the first one included, unless its tenant has a quota of its
    /// own.
    pub databases_per_instance: u32,
    /// Nodes that a database may be spread over.
    pub nodes_per_database: u32,
    /// Database accounts of an instance, the first one included, unless its tenant has a quota
    /// of its own.
    pub accounts_per_instance: u32,
    /// Balance in cents that a tenant needs before it can order; 0 asks for none.
    pub minimum_balance_cents: i64,
}

impl Default for QuotaConfig {
    fn default() -> Self {
        Self {
            instances_per_tenant: 5_000,
            databases_per_instance: 100,
            nodes_per_database: 128,
            accounts_per_instance: 3,
            minimum_balance_cents: 0,
        }
    }
}

impl QuotaConfig {
    /// Instances that a tenant may have.
    #[must_use]
    pub fn instances_of(&self, tenant: &Tenant) -> u32 {
        tenant.instance_quota.unwrap_or(self.instances_per_tenant)
    }

    /// Databases that each instance of a tenant may have.
    #[must_use]
    pub fn databases_of(&self, tenant: &Tenant) -> u32 {
        tenant.database_quota.unwrap_or(self.databases_per_instance)
    }

    /// Accounts that each instance of a tenant may have.
    #[must_use]
    pub fn accounts_of(&self, tenant: &Tenant) -> u32 {
        tenant.account_quota.unwrap_or(self.accounts_per_instance)
    }
}

/// Prices, and what is done with them (`[billing]`).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BillingConfig {
    /// The price list; the one that the program brings along when none is named.
    pub price_file: Option<PathBuf>,
    /// Whether orders and usage are taken from the tenants' balances. They are on record in any
    /// case.
    pub charge: bool,
    /// Days between the lock of an expired instance and its release.
    pub release_after_days: u32,
}

impl Default for BillingConfig {
    fn default() -> Self {
        Self {
            price_file: None,
            charge: false,
            release_after_days: 15,
        }
    }
}

/// Where things lie in a data directory.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// The data directory at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Data directories of nodes.
    #[must_use]
    pub fn nodes(&self) -> PathBuf {
        self.0.join("nodes")
    }

    /// The template that nodes are copied from.
    #[must_use]
    pub fn template(&self) -> PathBuf {
        self.0.join("template")
    }

    /// Certificates.
    #[must_use]
    pub fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }

    /// The default tenant's access key and the endpoints, for clients on this machine.
    #[must_use]
    pub fn credentials(&self) -> PathBuf {
        self.0.join("credentials.json")
    }

    /// Samples of what instances do and take.
    #[must_use]
    pub fn samples(&self) -> PathBuf {
        self.0.join("samples")
    }

    /// Slow statements, a file per instance.
    #[must_use]
    pub fn slow_log(&self) -> PathBuf {
        self.0.join("slow-log")
    }

    /// Backups of the control plane, unless another file is named.
    #[must_use]
    pub fn control_plane_backups(&self) -> PathBuf {
        self.0.join("control-plane-backups")
    }

    /// The operator's socket.
    #[must_use]
    pub fn admin_socket(&self) -> PathBuf {
        self.0.join("admin.sock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_right_and_contradictions_are_named() {
        assert_eq!(ControlConfig::default().check(), Ok(()));
        let mut config = ControlConfig::default();
        config.network.default_vswitch_cidr = "10.0.0.0/20".into();
        let error = config.check().expect_err("outside");
        assert!(error.contains("default_vswitch_cidr"), "{error}");
        config = ControlConfig::default();
        config.network.classic_port_last = 1;
        assert!(config.check().is_err());
        config = ControlConfig::default();
        config.network.switch_grace_seconds = u64::MAX;
        let error = config.check().expect_err("too long");
        assert!(error.contains("switch_grace_seconds"), "{error}");
        config = ControlConfig::default();
        config.backup.max_bytes_per_second = 1000;
        let error = config.check().expect_err("too slow");
        assert!(error.contains("max_bytes_per_second"), "{error}");
    }
}
