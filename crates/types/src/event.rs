//! Events: what happened that an operator may want to know.

use std::fmt;

use crate::status::spelled;

spelled!(
    /// How much an event matters, the least first.
    Severity {
        /// Good to know.
        Info = "info",
        /// Somebody should look at it.
        Warning = "warning",
        /// Somebody must do something.
        Critical = "critical",
    }
);

/// Declares the kinds of events: name, usual severity, meaning in the documentation.
macro_rules! kinds {
    ($($variant:ident = $name:literal, $severity:ident, $meaning:literal;)+) => {
        /// What kind of thing happened. The names are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum EventKind {
            $(#[doc = $meaning] #[serde(rename = $name)] $variant),+
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The kind of that name.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($name => Some(Self::$variant),)+ _ => None }
            }

            /// The severity that events of this kind have, alerts excepted, which have their rule's.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity),+ }
            }

            /// What it means, for the documentation.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),+ }
            }
        }
    };
}

kinds! {
    ServiceStarted = "service-started", Info, "The service has started.";
    ServiceStopped = "service-stopped", Info, "The service stops as asked; after a crash there is none.";
    NodeStarted = "node-started", Info, "The process of a node runs.";
    NodeStopped = "node-stopped", Info, "A node was stopped, as its instance's tasks need it.";
    NodeCrashed = "node-crashed", Warning, "The process of a node ended unasked; it is started again.";
    NodeRestarted = "node-restarted", Info, "A node runs again after a crash.";
    NodeFailing = "node-failing", Critical, "A node failed to start five times in a row; its instance is INACTIVE.";
    NodeLost = "node-lost", Critical, "The data directory of a node is not there; its instance is INACTIVE until it is recovered.";
    NodeRecovered = "node-recovered", Info, "An INACTIVE instance's node runs again; the instance is ACTIVE.";
    DiskSpaceLow = "disk-space-low", Warning, "A node uses 85 % of its disk quota.";
    DiskSpaceOk = "disk-space-ok", Info, "A node that was low on disk space uses less than 80 % of its quota again.";
    DiskQuotaReached = "disk-quota-reached", Critical, "A node has used its disk quota up; its instance is locked for writes.";
    DiskQuotaLifted = "disk-quota-lifted", Info, "The lock for want of disk space is lifted.";
    InstanceLocked = "instance-locked", Warning, "The operator locked an instance.";
    InstanceUnlocked = "instance-unlocked", Info, "An instance is no longer locked, by the operator or since it was paid for.";
    InstanceExpired = "instance-expired", Warning, "The paid period of an instance has ended; it is locked.";
    InstanceOverdue = "instance-overdue", Warning, "The balance of an instance's owner is overdue; it is locked.";
    TaskFailed = "task-failed", Warning, "A task failed and was undone.";
    TaskStuck = "task-stuck", Critical, "A task failed and cannot go on or back; it waits for `admin task retry`.";
    CreateFailed = "create-failed", Warning, "An order of an instance failed and was undone.";
    BackupFailed = "backup-failed", Warning, "A backup failed.";
    FinalBackupFailed = "final-backup-failed", Warning, "A deleted database could not be backed up for the last time; an earlier set is kept, if there is one.";
    FinalBackupWaits = "final-backup-waits", Warning, "The last backup of a deleted database could not be brought to the bucket; it lies on the host until the bucket takes it.";
    FinalBackupStored = "final-backup-stored", Info, "The last backup of a deleted database that had to wait is in the bucket.";
    RestoreFailed = "restore-failed", Warning, "A restore failed; what it had made is gone.";
    ControlPlaneBackupFailed = "control-plane-backup-failed", Critical, "The control plane could not be backed up; it is tried again each minute.";
    DrillFailed = "drill-failed", Critical, "A backup set could not be restored for proof, or not as it was.";
    WhitelistRefused = "whitelist-refused", Info, "A whitelist refused connections: so many from one address in a minute.";
    LoginRefused = "login-refused", Warning, "Logins to an instance failed: so many from one address in a minute.";
    QuotaRefused = "quota-refused", Warning, "Calls were refused for a quota: so many of a tenant in a minute.";
    CertificatesReloaded = "certificates-reloaded", Info, "The certificates were read again, as asked.";
    CertificatesUnreadable = "certificates-unreadable", Critical, "The certificates cannot be read; the former ones stay in use.";
    SamplesDamaged = "samples-damaged", Warning, "A damaged place in the archive of samples was passed over.";
    SamplesGap = "samples-gap", Warning, "Sessions were not sampled for more than ten seconds.";
    IndexesWatched = "indexes-watched", Info, "A node notes from now on which indexes are used, as asked.";
    EventsLost = "events-lost", Warning, "More events came than could be written; so many are missing.";
    AlertFiring = "alert-firing", Warning, "An alert fires, or still does after its repeat interval.";
    AlertResolved = "alert-resolved", Warning, "An alert no longer fires.";
    DeliveryAbandoned = "delivery-abandoned", Warning, "A webhook did not take a notification in time; never sent to webhooks.";
    WebhookTest = "webhook-test", Info, "What `admin webhook test` sends; to that webhook alone.";
}

impl EventKind {
    /// Whether webhooks may be told of it: not of their own failures.
    #[must_use]
    pub const fn is_told(self) -> bool {
        !matches!(self, Self::DeliveryAbandoned | Self::WebhookTest)
    }

    /// The kind of a task that was started by that action and failed.
    #[must_use]
    pub fn of_failed(action: &str) -> Self {
        match action {
            "CreateInstance" => Self::CreateFailed,
            "CreateDatabaseBackup" => Self::BackupFailed,
            "VerifyDatabaseBackup" => Self::DrillFailed,
            "RestoreDatabase" => Self::RestoreFailed,
            _ => Self::TaskFailed,
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        let names: HashSet<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), EventKind::ALL.len());
        for &kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.as_str()), Some(kind));
            let json = serde_json::to_string(&kind).expect("a name");
            assert_eq!(json, format!("\"{kind}\""));
        }
        assert!(Severity::Info < Severity::Warning && Severity::Warning < Severity::Critical);
    }
}
