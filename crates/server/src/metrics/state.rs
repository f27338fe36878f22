//! What the store has of instances, nodes, tasks and backups, what was measured of nodes, and how
//! sampling goes.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use openpeta_control::{NodeFigures, ServiceFigures};
use openpeta_store::{Database, NodeState, ProofTotals, RecycledTotals};
use openpeta_types::{BackupStatus, LockMode, ObjectStatus, TaskStatus};

use super::Bounds;
use super::exposition::Exposition;

/// What a database is called in its bound. One that was dropped and ordered again is another.
pub(super) fn key(database: &Database) -> String {
    let ordered = database.created_at.as_second();
    format!("{}/{}@{ordered}", database.instance_id, database.db_name)
}

pub(super) fn add(out: &mut Exposition, figures: &ServiceFigures, bounds: &Bounds, now: Timestamp) {
    add_instances(out, figures, bounds);
    add_databases(out, figures, bounds);
    add_nodes(out, &figures.nodes, bounds);
    add_tasks(out, figures, now);
    add_backups(out, figures, bounds);
    add_recycle_bin(out, figures.recycled, figures.waiting_sets);
    add_proofs(out, &figures.proofs, now);
    add_log_archives(out, figures, bounds);
    add_sampling(out, figures);
}

fn add_instances(out: &mut Exposition, figures: &ServiceFigures, bounds: &Bounds) {
    let instances = figures.instances.iter().map(|its| &its.detail.instance);
    for status in ObjectStatus::ALL {
        let count = instances
            .clone()
            .filter(|its| its.status == *status)
            .count();
        out.add("openpeta_instances", &[status.as_str()], count as u64);
    }
    for mode in LockMode::ALL.iter().filter(|mode| mode.is_locked()) {
        let count = instances
            .clone()
            .filter(|its| its.lock_mode == *mode)
            .count();
        out.add("openpeta_instances_locked", &[mode.as_str()], count as u64);
    }
    for instance in instances {
        let id = instance.instance_id.as_str();
        if !bounds.instances.shows(id) {
            continue;
        }
        let account = instance.account_id.to_string();
        let labels = [id, &account, &instance.region_id, &instance.zone_id];
        out.add("openpeta_instance", &labels, 1);
        let is_up = instance.status != ObjectStatus::Inactive;
        out.add("openpeta_instance_up", &[id], is_up);
        out.add(
            "openpeta_instance_locked",
            &[id],
            instance.lock_mode.is_locked(),
        );
        let expires = seconds(instance.expires_at);
        out.add("openpeta_instance_expiry_timestamp_seconds", &[id], expires);
    }
}

fn add_databases(out: &mut Exposition, figures: &ServiceFigures, bounds: &Bounds) {
    for its in &figures.instances {
        for (database, sizes) in its.detail.databases.iter().zip(&its.databases) {
            if !bounds.databases.shows(&key(database)) {
                continue;
            }
            let labels = [database.instance_id.as_str(), database.db_name.as_str()];
            for (name, bytes) in [
                ("openpeta_database_data_bytes", sizes.data_bytes),
                ("openpeta_database_index_bytes", sizes.index_bytes),
                ("openpeta_database_free_bytes", sizes.free_bytes),
            ] {
                if let Some(bytes) = bytes {
                    out.add(name, &labels, bytes);
                }
            }
        }
    }
}

fn add_nodes(out: &mut Exposition, nodes: &[NodeFigures], bounds: &Bounds) {
    let mut counts = BTreeMap::new();
    for its in nodes {
        let role = match its.node.instance_id {
            Some(_) => "instance",
            None => "spare",
        };
        *counts
            .entry((role, its.node.state.as_str()))
            .or_insert(0_u64) += 1;
    }
    for ((role, state), count) in counts {
        out.add("openpeta_nodes", &[role, state], count);
    }
    let down = nodes.iter().filter(|its| its.is_down()).count();
    out.add("openpeta_nodes_down", &[], down as u64);
    for its in nodes {
        let node = &its.node;
        let instance = node.instance_id.as_ref().map(|id| id.as_str());
        // Spare ones are the same as any other and about to be somebody's.
        if let Some(instance) = instance.filter(|id| bounds.instances.shows(id)) {
            add_node(out, its, [instance, node.node_id.as_str()]);
        }
    }
}

const NODE_STATES: [NodeState; 4] = [
    NodeState::Creating,
    NodeState::Running,
    NodeState::Stopped,
    NodeState::Destroying,
];

fn add_node(out: &mut Exposition, its: &NodeFigures, labels: [&str; 2]) {
    let [instance, node] = labels;
    out.add("openpeta_node_up", &labels, its.is_up);
    for state in NODE_STATES {
        let is_it = its.node.state == state;
        out.add(
            "openpeta_node_state",
            &[instance, node, state.as_str()],
            is_it,
        );
    }
    let restarts = u64::from(its.node.restarts);
    out.add("openpeta_node_restarts", &labels, restarts);
    let quota = its.node.settings.disk_quota_bytes;
    out.add("openpeta_node_disk_quota_bytes", &labels, quota);
    // What was measured of a process that is gone says nothing.
    if let Some(process) = its.process.filter(|_| its.is_up) {
        out.add(
            "openpeta_node_cpu_seconds",
            &labels,
            process.cpu.as_secs_f64(),
        );
        let resident = process.resident_bytes;
        out.add("openpeta_node_resident_memory_bytes", &labels, resident);
    }
    if let Some(ago) = its.measured_ago {
        out.add(
            "openpeta_node_measured_age_seconds",
            &labels,
            ago.as_secs_f64(),
        );
    }
    if let Some(disk) = its.disk {
        for (kind, bytes) in [
            ("data", disk.data_bytes),
            ("binlog", disk.binlog_bytes),
            ("other", disk.other_bytes),
        ] {
            out.add("openpeta_node_disk_bytes", &[instance, node, kind], bytes);
        }
        let temporary = disk.temporary_bytes;
        out.add("openpeta_node_temporary_bytes", &labels, temporary);
    }
    if let Some(tables) = its.tables.filter(|_| its.is_up) {
        out.add("openpeta_node_index_bytes", &labels, tables.index_bytes);
        if let Some(free) = tables.free_bytes {
            out.add("openpeta_node_free_bytes", &labels, free);
        }
    }
}

fn add_tasks(out: &mut Exposition, figures: &ServiceFigures, now: Timestamp) {
    for status in TaskStatus::ALL {
        let total = figures.tasks.iter().find(|total| total.status == *status);
        let name = task_status(*status);
        let count = total.map_or(0, |total| u64::from(total.count));
        out.add("openpeta_tasks", &[name], count);
        if !status.is_final() {
            let oldest = total.and_then(|total| total.oldest);
            out.add(
                "openpeta_task_oldest_age_seconds",
                &[name],
                age(oldest, now),
            );
        }
    }
    let stuck: u32 = figures.tasks.iter().map(|total| total.stuck).sum();
    out.add("openpeta_tasks_stuck", &[], u64::from(stuck));
}

fn task_status(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Pending => "pending",
        TaskStatus::Running => "running",
        TaskStatus::Succeeded => "succeeded",
        TaskStatus::Failed => "failed",
        TaskStatus::Closed => "closed",
        TaskStatus::Cancelled => "cancelled",
    }
}

fn add_backups(out: &mut Exposition, figures: &ServiceFigures, bounds: &Bounds) {
    let mut latest = HashMap::new();
    for status in BackupStatus::ALL {
        let sets = figures
            .backups
            .iter()
            .filter(|total| total.status == *status);
        let count: u32 = sets.map(|total| total.count).sum();
        let name = status.as_str().to_lowercase();
        out.add("openpeta_backup_sets", &[&name], u64::from(count));
    }
    for total in &figures.backups {
        if total.status == BackupStatus::Success {
            latest.insert((&total.instance_id, &total.db_name), total.latest);
        }
    }
    let bytes: u64 = figures
        .backups
        .iter()
        .map(|total| total.bytes.unsigned_abs())
        .sum();
    out.add("openpeta_backup_size_bytes", &[], bytes);
    for database in figures
        .instances
        .iter()
        .flat_map(|its| &its.detail.databases)
    {
        let (instance, name) = (&database.instance_id, &database.db_name);
        if let Some(at) = latest.get(&(instance, name))
            && bounds.databases.shows(&key(database))
        {
            let labels = [instance.as_str(), name.as_str()];
            out.add(
                "openpeta_database_backup_timestamp_seconds",
                &labels,
                seconds(*at),
            );
        }
    }
}

/// What the recycle bin has.
fn add_recycle_bin(out: &mut Exposition, its: RecycledTotals, waiting: usize) {
    out.add(
        "openpeta_recycle_bin_databases",
        &[],
        u64::from(its.databases),
    );
    let bytes = its.bytes.unsigned_abs();
    out.add("openpeta_recycle_bin_size_bytes", &[], bytes);
    let waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
    out.add("openpeta_recycle_bin_waiting", &[], waiting);
}

/// What drills found.
fn add_proofs(out: &mut Exposition, its: &ProofTotals, now: Timestamp) {
    for (outcome, sets) in [
        ("proven", its.proven),
        ("failed", its.failed),
        ("untried", its.untried),
    ] {
        out.add("openpeta_backup_drills", &[outcome], u64::from(sets));
    }
    if let Some(last) = its.last_proven {
        let age = age(Some(last), now);
        out.add("openpeta_backup_proof_age_seconds", &[], age);
    }
}

/// How long ago it was; 0 for what was not.
pub(super) fn age(at: Option<Timestamp>, now: Timestamp) -> f64 {
    at.map_or(0.0, |at| (seconds(now) - seconds(at)).max(0.0))
}

fn add_log_archives(out: &mut Exposition, figures: &ServiceFigures, bounds: &Bounds) {
    let mut bytes = 0;
    for archive in &figures.log_archives {
        bytes += archive.bytes;
        let id = archive.instance_id.as_str();
        if !bounds.instances.shows(id) {
            continue;
        }
        if let Some(until) = archive.until {
            let name = "openpeta_binlog_archive_timestamp_seconds";
            out.add(name, &[id], seconds(until));
        }
        if let Some(until) = archive.stored_until {
            let name = "openpeta_binlog_archive_stored_timestamp_seconds";
            out.add(name, &[id], seconds(until));
        }
        let is_failing = archive.failure.is_some() || archive.store_failure.is_some();
        out.add("openpeta_binlog_archive_failing", &[id], is_failing);
    }
    out.add("openpeta_binlog_archive_size_bytes", &[], bytes);
}

fn add_sampling(out: &mut Exposition, figures: &ServiceFigures) {
    let its = &figures.sampling;
    out.add("openpeta_sampling_kept", &[], its.is_kept);
    out.add("openpeta_sampling_looks", &[], its.looks);
    let last = its.last_look as f64;
    out.add("openpeta_sampling_last_look_timestamp_seconds", &[], last);
    out.add("openpeta_sampling_rows", &[], its.rows);
    out.add("openpeta_sampling_lost_rows", &[], its.lost_rows);
    out.add("openpeta_sampling_archive_bytes", &[], its.archive_bytes);
    let limit = its.archive_limit_bytes;
    out.add("openpeta_sampling_archive_limit_bytes", &[], limit);
    out.add("openpeta_sampling_sources", &[], its.sources);
    out.add("openpeta_sampling_damaged", &[], its.damaged);
}

fn seconds(at: Timestamp) -> f64 {
    at.as_microsecond() as f64 / 1e6
}
