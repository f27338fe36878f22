//! The audit trail: one row for each call that changed or tried to change something.

use std::net::IpAddr;

use jiff::Timestamp;
use openpeta_types::{AccountId, InstanceId, TaskId};
use rusqlite::params;

use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "audit";

/// What is recorded of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it came.
    pub at: Timestamp,
    /// The tenant, when it could be told.
    pub account_id: Option<AccountId>,
    /// The sub-user, when one called.
    pub ram_user: Option<String>,
    /// The access key, as the call named it.
    pub access_key_id: Option<String>,
    /// The API action or operator's command.
    pub action: String,
    /// The instance, as the call named it or as it was created.
    pub instance_id: Option<InstanceId>,
    /// Where the call came from; `None` for the operator's socket.
    pub source_ip: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Id of the call.
    pub request_id: String,
    /// Its parameters, a JSON text; the caller has taken the secrets out.
    pub parameters: String,
    /// `OK` or the error code.
    pub outcome: String,
    /// The task that it started.
    pub task_id: Option<TaskId>,
}

/// A row of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number, ascending in time.
    pub id: i64,
    /// What it says.
    pub entry: AuditEntry,
}

/// Which rows of the audit trail to list; all that is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this tenant.
    pub account_id: Option<AccountId>,
    /// Of this sub-user.
    pub ram_user: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// About this instance.
    pub instance_id: Option<InstanceId>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Only rows with a smaller number: the last one of the page before.
    pub before_id: Option<i64>,
}

fn read(columns: &mut Columns<'_, '_>) -> Result<AuditRecord, StoreError> {
    Ok(AuditRecord {
        id: columns.get()?,
        entry: AuditEntry {
            at: columns.get()?,
            account_id: columns.get()?,
            ram_user: columns.get()?,
            access_key_id: columns.get()?,
            action: columns.get()?,
            instance_id: columns.get()?,
            source_ip: columns.get()?,
            user_agent: columns.get()?,
            request_id: columns.get()?,
            parameters: columns.get()?,
            outcome: columns.get()?,
            task_id: columns.get()?,
        },
    })
}

impl Reader<'_> {
    /// The newest `limit` rows that pass the filter, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn audit(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        self.all(
            TABLE,
            "SELECT id, at, account_id, ram_user, access_key_id, action, instance_id, source_ip,
                    user_agent, request_id, parameters, outcome, task_id
             FROM audit
             WHERE (?1 IS NULL OR account_id = ?1) AND (?2 IS NULL OR ram_user = ?2)
               AND (?3 IS NULL OR action = ?3) AND (?4 IS NULL OR instance_id = ?4)
               AND (?5 IS NULL OR outcome = ?5) AND (?6 IS NULL OR at >= ?6)
               AND (?7 IS NULL OR at < ?7) AND (?8 IS NULL OR id < ?8)
             ORDER BY id DESC LIMIT ?9",
            params![
                P(&filter.account_id),
                P(&filter.ram_user),
                P(&filter.action),
                P(&filter.instance_id),
                P(&filter.outcome),
                P(&filter.from),
                P(&filter.to),
                P(&filter.before_id),
                P(&limit),
            ],
            read,
        )
    }
}

impl Writer<'_> {
    /// Adds a row; returns its number.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn insert_audit(&self, entry: &AuditEntry) -> Result<i64, StoreError> {
        self.execute(
            "INSERT INTO audit (at, account_id, ram_user, access_key_id, action, instance_id,
                                source_ip, user_agent, request_id, parameters, outcome, task_id)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                P(&entry.at),
                P(&entry.account_id),
                P(&entry.ram_user),
                P(&entry.access_key_id),
                P(&entry.action),
                P(&entry.instance_id),
                P(&entry.source_ip),
                P(&entry.user_agent),
                P(&entry.request_id),
                P(&entry.parameters),
                P(&entry.outcome),
                P(&entry.task_id),
            ],
        )?;
        Ok(self.last_number())
    }
}
