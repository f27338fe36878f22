//! All metrics that there are: their names, what they are and which labels they have.

use super::exposition::{Family, Kind};

/// Declares the families; their order is that of the text and of the manual.
macro_rules! families {
    ($($kind:ident $name:literal $([$unit:literal])? ($($label:literal),*) $help:literal;)*) => {
        /// All families.
        pub(crate) static FAMILIES: &[Family] = &[$(Family {
            name: $name,
            kind: Kind::$kind,
            unit: concat!($($unit)?),
            labels: &[$($label),*],
            help: $help,
        },)*];
    };
}

families! {
    Info "openpeta_build" ("version") "The version that runs.";
    Gauge "openpeta_ready" () "1 while calls are served.";

    Counter "openpeta_api_calls" ("action", "code") "Calls of the API; the code is OK or the error's.";
    Histogram "openpeta_api_call_duration_seconds" ["seconds"] ("action") "Time from a call's first byte to its answer.";

    Gauge "openpeta_instances" ("status") "Instances by status.";
    Gauge "openpeta_instances_locked" ("lock_mode") "Instances that are locked, by what locked them.";
    Info "openpeta_instance" ("instance_id", "account_id", "region_id", "zone_id") "Whose the instance is and where.";
    Gauge "openpeta_instance_up" ("instance_id") "1 while the instance is not INACTIVE.";
    Gauge "openpeta_instance_locked" ("instance_id") "1 while the instance is locked for writes.";
    Gauge "openpeta_instance_expiry_timestamp_seconds" ["seconds"] ("instance_id") "When the instance expires.";

    Gauge "openpeta_gateway_endpoints" () "Open endpoints of instances.";
    Gauge "openpeta_gateway_sessions" ("instance_id") "Open client sessions, logins under way included.";
    Gauge "openpeta_gateway_earlier_sessions" ("instance_id") "Sessions in processes that this one has taken over from.";
    Gauge "openpeta_gateway_sessions_limit" ("instance_id") "Client sessions that there may be.";
    Gauge "openpeta_gateway_warm_connections" ("instance_id") "Connections to the node that wait for a client.";
    Counter "openpeta_gateway_warm_used" ("instance_id") "Logins on a connection to the node that was waiting.";
    Counter "openpeta_gateway_warm_missed" ("instance_id") "Clients for whom no connection to the node was waiting.";
    Counter "openpeta_gateway_warm_unfit" ("instance_id") "Waiting connections that were of no use to the client they were given to.";
    Counter "openpeta_gateway_revived" ("instance_id") "Sessions that outlived their node's connection, each time.";
    Counter "openpeta_gateway_accepted" ("instance_id") "Connections let in.";
    Counter "openpeta_gateway_refused_whitelist" ("instance_id") "Connections refused by the whitelist.";
    Counter "openpeta_gateway_refused_proxy_header" ("instance_id") "Connections of load balancers without a right PROXY header.";
    Counter "openpeta_gateway_refused_limit" ("instance_id") "Connections refused by a limit on sessions.";
    Counter "openpeta_gateway_displaced" ("instance_id") "Logins under way that made way for a client of another address.";
    Counter "openpeta_gateway_failed_logins" ("instance_id") "Logins with an unknown account or a wrong password.";
    Counter "openpeta_gateway_login_timeouts" ("instance_id") "Logins that were not finished in time.";
    Counter "openpeta_gateway_node_failures" ("instance_id") "Connections for which the node could not be reached.";
    Counter "openpeta_gateway_commands" ("instance_id") "Commands of clients, of any kind.";
    Counter "openpeta_gateway_errors" ("instance_id") "Replies that were errors.";
    Counter "openpeta_gateway_received_bytes" ["bytes"] ("instance_id") "Bytes from clients.";
    Counter "openpeta_gateway_sent_bytes" ["bytes"] ("instance_id") "Bytes for clients.";
    Counter "openpeta_gateway_statements" ("instance_id", "class") "Statements by class, failed ones included.";
    Counter "openpeta_gateway_statements_failed" ("instance_id") "Statements that failed.";
    Histogram "openpeta_gateway_statement_duration_seconds" ["seconds"] ("instance_id", "class") "Time from the command of a read or write to the end of its reply.";
    Counter "openpeta_gateway_slow_log_dropped" () "Slow statements that were not logged.";

    Gauge "openpeta_database_sessions" ("instance_id", "database") "Sessions that are in the database.";
    Counter "openpeta_database_statements" ("instance_id", "database", "class") "Statements of sessions in the database, failed ones included.";
    Counter "openpeta_database_statements_failed" ("instance_id", "database") "Statements of sessions in the database that failed.";
    Counter "openpeta_database_statement_duration_seconds" ["seconds"] ("instance_id", "database", "class") "Time that reads and writes of sessions in the database took.";
    Counter "openpeta_database_received_bytes" ["bytes"] ("instance_id", "database") "Bytes from clients in the database.";
    Counter "openpeta_database_sent_bytes" ["bytes"] ("instance_id", "database") "Bytes for clients in the database.";
    Counter "openpeta_partition_statements" ("instance_id", "database", "partition", "class") "Statements that read the partition of a database over several nodes, or wrote to it.";
    Counter "openpeta_partition_rows" ("instance_id", "database", "partition", "class") "Rows of the partition that statements wrote, and that those read which are about no other.";
    Gauge "openpeta_database_data_bytes" ["bytes"] ("instance_id", "database") "Bytes of the database's files.";
    Gauge "openpeta_database_index_bytes" ["bytes"] ("instance_id", "database") "Bytes of its secondary indexes, by InnoDB's statistics; a part of its files.";
    Gauge "openpeta_database_free_bytes" ["bytes"] ("instance_id", "database") "Bytes in its files that are free for new rows; absent where there are very many tables.";
    Gauge "openpeta_database_backup_timestamp_seconds" ["seconds"] ("instance_id", "database") "When the last successful backup began; absent before the first.";

    Gauge "openpeta_backup_sets" ("status") "Backup sets by status.";
    Gauge "openpeta_binlog_archive_timestamp_seconds" ["seconds"] ("instance_id") "For which time the archive of the binary log is whole; absent where the log is not archived.";
    Gauge "openpeta_binlog_archive_stored_timestamp_seconds" ["seconds"] ("instance_id") "For which time it is whole in the bucket; absent without a bucket.";
    Gauge "openpeta_binlog_archive_failing" ("instance_id") "Whether the last look at the binary log, or its last copy to the bucket, failed; absent where the log is not archived.";
    Gauge "openpeta_binlog_archive_size_bytes" ["bytes"] () "What all archives of binary logs take.";
    Gauge "openpeta_backup_size_bytes" ["bytes"] () "What all backup sets take.";
    Gauge "openpeta_recycle_bin_databases" () "Deleted databases that can be brought back.";
    Gauge "openpeta_recycle_bin_size_bytes" ["bytes"] () "What their backup sets take.";
    Gauge "openpeta_recycle_bin_waiting" () "Their backup sets that lie on this host until the bucket takes them.";
    Gauge "openpeta_backup_drills" ("outcome") "Whole backup sets by what their last restore for proof came to: proven, failed, untried.";
    Gauge "openpeta_backup_proof_age_seconds" ["seconds"] () "How long ago a backup set was restored for proof last; absent before the first.";

    Gauge "openpeta_alert_rules" () "Rules of alerts.";
    Gauge "openpeta_alerts" ("state", "severity") "Alerts that are pending or firing, each rule and instance for itself.";
    Counter "openpeta_webhook_deliveries" ("webhook") "Notifications that the webhook took.";
    Counter "openpeta_webhook_failures" ("webhook") "Attempts to notify the webhook that failed.";
    Counter "openpeta_webhook_dropped" ("webhook") "Notifications that were given up, since the webhook was made.";
    Gauge "openpeta_webhook_waiting" ("webhook") "Notifications that wait for the webhook.";
    Gauge "openpeta_webhook_oldest_age_seconds" ["seconds"] ("webhook") "How long ago the event was that waits longest for the webhook; 0 without one.";

    Gauge "openpeta_nodes" ("role", "state") "Nodes by role and intended state.";
    Gauge "openpeta_nodes_down" () "Nodes that should run and do not.";
    Gauge "openpeta_node_up" ("instance_id", "node_id") "1 while the node's process runs; 0 also for one that should not.";
    Gauge "openpeta_node_state" ("instance_id", "node_id", "state") "1 for the state that the node is meant to be in.";
    Counter "openpeta_node_restarts" ("instance_id", "node_id") "Times that the node was started again after it had ended unasked.";
    Counter "openpeta_node_cpu_seconds" ["seconds"] ("instance_id", "node_id") "Processor time of the node's process.";
    Gauge "openpeta_node_resident_memory_bytes" ["bytes"] ("instance_id", "node_id") "Resident memory of the node's process.";
    Gauge "openpeta_node_disk_bytes" ["bytes"] ("instance_id", "node_id", "kind") "Bytes of the node's data, binary logs and other files.";
    Gauge "openpeta_node_index_bytes" ["bytes"] ("instance_id", "node_id") "Bytes of secondary indexes, by InnoDB's statistics; a part of the data.";
    Gauge "openpeta_node_free_bytes" ["bytes"] ("instance_id", "node_id") "Bytes in data files that are free for new rows; absent where there are very many tables.";
    Gauge "openpeta_node_temporary_bytes" ["bytes"] ("instance_id", "node_id") "Bytes of temporary tables and files; those that have a name are a part of the other files.";
    Gauge "openpeta_node_disk_quota_bytes" ["bytes"] ("instance_id", "node_id") "Bytes that the node's files may have.";
    Gauge "openpeta_node_measured_age_seconds" ["seconds"] ("instance_id", "node_id") "How long ago the node's process was measured.";

    Gauge "openpeta_tasks" ("status") "Tasks by status.";
    Gauge "openpeta_tasks_stuck" () "Tasks that failed on their way and wait for the operator.";
    Gauge "openpeta_task_oldest_age_seconds" ["seconds"] ("status") "How long ago the oldest unfinished task of the status was asked for; 0 without one.";

    Gauge "openpeta_sampling_kept" () "1 while samples are kept; 0 when their archive could not be opened.";
    Counter "openpeta_sampling_looks" () "Times that sessions were looked at.";
    Gauge "openpeta_sampling_last_look_timestamp_seconds" ["seconds"] () "When sessions were last looked at.";
    Counter "openpeta_sampling_rows" () "Rows of samples that were kept.";
    Counter "openpeta_sampling_lost_rows" () "Rows of samples that were lost for want of disk space.";
    Gauge "openpeta_sampling_archive_bytes" ["bytes"] () "Bytes of the archive of samples.";
    Gauge "openpeta_sampling_archive_limit_bytes" ["bytes"] () "Bytes that the archive may have.";
    Gauge "openpeta_sampling_sources" () "Instances and databases of which there are samples.";
    Gauge "openpeta_sampling_damaged" () "Damaged places in the archive.";

    Counter "openpeta_process_cpu_seconds" ["seconds"] () "Processor time of the service itself, gateway included.";
    Gauge "openpeta_process_resident_memory_bytes" ["bytes"] () "Resident memory of the service itself.";
    Gauge "openpeta_process_open_fds" () "Open descriptors of the service; a session has two.";
    Gauge "openpeta_process_max_fds" () "Descriptors that the service may have.";
    Gauge "openpeta_process_start_timestamp_seconds" ["seconds"] () "When the service was started.";
    Counter "openpeta_telemetry_exports" ("signal", "outcome") "Requests to the OTLP collector: ok or failed, with traces or metrics.";
    Counter "openpeta_telemetry_dropped" ("signal") "Spans and points of metrics that the OTLP collector did not get.";
    Gauge "openpeta_telemetry_waiting_spans" () "Spans that wait to be sent to the OTLP collector.";
    Counter "openpeta_scrapes" () "Times that these metrics were read.";
    Counter "openpeta_scrapes_refused" () "Times that somebody was not let read them.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fmt::Write;
    use std::path::Path;

    use super::*;

    const BEGIN: &str =
        "<!-- all metrics: written by a test, see crates/server/src/metrics/families.rs -->\n";
    const END: &str = "<!-- end of all metrics -->\n";

    /// The manual's table. `OPENPETA_UPDATE=1` writes it.
    #[test]
    fn the_manual_has_all_metrics() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/monitoring.md");
        let text = std::fs::read_to_string(&path).expect("the manual");
        let (before, rest) = text.split_once(BEGIN).expect("the table begins");
        let (_, after) = rest.split_once(END).expect("the table ends");
        let mut table = "| metric | kind | labels | |\n|---|---|---|---|\n".to_owned();
        for family in FAMILIES {
            let kind = format!("{:?}", family.kind).to_lowercase();
            let labels: Vec<_> = family
                .labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            let (name, labels) = (family.sample_name(), labels.join(", "));
            let _ = writeln!(table, "| `{name}` | {kind} | {labels} | {} |", family.help);
        }
        let right = format!("{before}{BEGIN}{table}{END}{after}");
        if std::env::var_os("OPENPETA_UPDATE").is_some() {
            std::fs::write(&path, &right).expect("write");
        }
        let text = std::fs::read_to_string(&path).expect("the manual");
        assert!(
            text == right,
            "stale: OPENPETA_UPDATE=1 cargo nextest run -p openpeta-server the_manual"
        );
    }

    #[test]
    fn names_follow_the_conventions() {
        let mut names = HashSet::new();
        for family in FAMILIES {
            let name = family.name;
            assert!(names.insert(name), "{name} is there twice");
            assert!(name.starts_with("openpeta_"), "{name}");
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{name}"
            );
            let units = ["seconds", "bytes"];
            let unit = units
                .into_iter()
                .find(|unit| name.ends_with(&format!("_{unit}")));
            assert_eq!(unit.unwrap_or(""), family.unit, "{name}");
            for suffix in ["_total", "_info", "_count", "_sum", "_bucket", "_created"] {
                assert!(!name.ends_with(suffix), "{name}: {suffix} is added to it");
            }
            assert!(family.help.ends_with('.'), "{name}");
        }
    }
}
