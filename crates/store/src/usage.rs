//! Usage of PostPaid databases: stretches of time on record, and up to when each database's
//! time is.

use jiff::Timestamp;
use openpeta_types::{AccountId, ChargeType, DbName, InstanceId, NodeSpec, ObjectStatus};
use rusqlite::params;

use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "usage_records";

/// A stretch of time, within one hour, in which a database existed with one spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    /// The tenant that it is charged to.
    pub account_id: AccountId,
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// When that database was ordered: a later one of the same name is another one.
    pub created_at: Timestamp,
    /// Where the stretch begins.
    pub started_at: Timestamp,
    /// Where it ends.
    pub ended_at: Timestamp,
    /// The node spec.
    pub node_spec: NodeSpec,
    /// Nodes.
    pub node_number: u32,
    /// Currency of the amounts.
    pub currency: String,
    /// What it costs, in hundredths of the currency.
    pub amount_cents: i64,
    /// What of that was taken from the balance.
    pub paid_cents: i64,
}

/// A PostPaid database, and up to when its usage is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metered {
    /// The tenant that is charged.
    pub account_id: AccountId,
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// Its node spec.
    pub node_spec: NodeSpec,
    /// Its nodes.
    pub node_number: u32,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// Up to when its usage is on record.
    pub metered_until: Timestamp,
}

/// Which usage records to list; all that is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct UsageFilter {
    /// Of this tenant.
    pub account_id: Option<AccountId>,
    /// Of this instance.
    pub instance_id: Option<InstanceId>,
    /// That begin at this time or later.
    pub from: Option<Timestamp>,
    /// That begin before this time.
    pub until: Option<Timestamp>,
}

/// PostPaid databases with what is on record of them, to be narrowed down.
macro_rules! metered {
    ($condition:literal) => {
        concat!(
            "SELECT i.account_id, d.instance_id, d.db_name, d.node_spec, d.node_number, \
                    d.created_at, \
                    COALESCE((SELECT u.ended_at FROM usage_records u \
                              WHERE u.instance_id = d.instance_id AND u.db_name = d.db_name \
                                AND u.created_at = d.created_at \
                              ORDER BY u.started_at DESC LIMIT 1), d.created_at) \
                    AS metered_until \
             FROM databases d JOIN instances i ON i.instance_id = d.instance_id WHERE ",
            $condition
        )
    };
}

fn read_metered(columns: &mut Columns<'_, '_>) -> Result<Metered, StoreError> {
    Ok(Metered {
        account_id: columns.get()?,
        instance_id: columns.get()?,
        db_name: columns.get()?,
        node_spec: columns.get()?,
        node_number: columns.get()?,
        created_at: columns.get()?,
        metered_until: columns.get()?,
    })
}

fn read(columns: &mut Columns<'_, '_>) -> Result<UsageRecord, StoreError> {
    Ok(UsageRecord {
        account_id: columns.get()?,
        instance_id: columns.get()?,
        db_name: columns.get()?,
        created_at: columns.get()?,
        started_at: columns.get()?,
        ended_at: columns.get()?,
        node_spec: columns.get()?,
        node_number: columns.get()?,
        currency: columns.get()?,
        amount_cents: columns.get()?,
        paid_cents: columns.get()?,
    })
}

impl Reader<'_> {
    /// Up to `limit` PostPaid databases whose usage before `until` is not all on record, those
    /// longest unrecorded first. Databases that are being made or deleted are left out: the
    /// former may come to nothing, the usage of the latter was recorded with the decision.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn unmetered(&self, until: Timestamp, limit: u32) -> Result<Vec<Metered>, StoreError> {
        self.all(
            TABLE,
            metered!(
                "d.charge_type = ?1 AND d.status NOT IN (?2, ?3) AND metered_until < ?4
                 ORDER BY metered_until LIMIT ?5"
            ),
            params![
                P(&ChargeType::PostPaid),
                P(&ObjectStatus::Create),
                P(&ObjectStatus::Delete),
                P(&until),
                limit
            ],
            read_metered,
        )
    }

    /// A database, if it is a PostPaid one that is not being made or deleted, with up to when its
    /// usage is on record.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn metered(
        &self,
        instance_id: &InstanceId,
        db_name: &DbName,
    ) -> Result<Option<Metered>, StoreError> {
        self.one(
            TABLE,
            metered!(
                "d.charge_type = ?1 AND d.status NOT IN (?2, ?3) AND d.instance_id = ?4 \
                 AND d.db_name = ?5"
            ),
            params![
                P(&ChargeType::PostPaid),
                P(&ObjectStatus::Create),
                P(&ObjectStatus::Delete),
                P(instance_id),
                P(db_name)
            ],
            read_metered,
        )
    }

    /// The newest records that pass the filter, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn usage(&self, filter: &UsageFilter, limit: u32) -> Result<Vec<UsageRecord>, StoreError> {
        self.all(
            TABLE,
            "SELECT account_id, instance_id, db_name, created_at, started_at, ended_at, node_spec,
                    node_number, currency, amount_cents, paid_cents
             FROM usage_records
             WHERE (?1 IS NULL OR account_id = ?1) AND (?2 IS NULL OR instance_id = ?2)
               AND (?3 IS NULL OR started_at >= ?3) AND (?4 IS NULL OR started_at < ?4)
             ORDER BY started_at DESC, id DESC LIMIT ?5",
            params![
                P(&filter.account_id),
                P(&filter.instance_id),
                P(&filter.from),
                P(&filter.until),
                limit
            ],
            read,
        )
    }
}

impl Writer<'_> {
    /// Adds a record.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a record of that database begins at the same time.
    pub fn insert_usage(&self, record: &UsageRecord) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO usage_records (account_id, instance_id, db_name, created_at, started_at,
                 ended_at, node_spec, node_number, currency, amount_cents, paid_cents)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                P(&record.account_id),
                P(&record.instance_id),
                P(&record.db_name),
                P(&record.created_at),
                P(&record.started_at),
                P(&record.ended_at),
                P(&record.node_spec),
                P(&record.node_number),
                P(&record.currency),
                P(&record.amount_cents),
                P(&record.paid_cents),
            ],
        )?;
        Ok(())
    }
}
