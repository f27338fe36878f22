//! Backup sets of databases. The files of a set lie in the data directory and follow its row.

use jiff::Timestamp;
use openpeta_types::{
    AccountId, BackupId, BackupMethod, BackupMode, BackupStatus, BackupType, DbName, InstanceId,
    NodeSpec, RetentionDays,
};
use rusqlite::params;

use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "backup_sets";

/// The columns that [`read`] reads, in its order.
macro_rules! columns {
    () => {
        "backup_id, account_id, instance_id, db_name, backup_type, mode, method, base_id, node_spec, \
         node_number, started_at, status, size_bytes, manifest_sha256, failure, ended_at, \
         key_id, is_protected, verified_at, verify_failure, note"
    };
}

/// Which sets a [`BackupSetFilter`] means.
macro_rules! filter {
    () => {
        " FROM backup_sets WHERE instance_id = ?1 AND db_name = ?2 \
         AND started_at >= ?3 AND started_at <= ?4 AND (?5 IS NULL OR status = ?5) \
         AND (?6 IS NULL OR mode = ?6) AND (?7 IS NULL OR backup_id = ?7)"
    };
}

/// A backup set to be added, in status Progress; the store hands out its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBackupSet {
    /// Whose set.
    pub account_id: AccountId,
    /// Of which instance.
    pub instance_id: InstanceId,
    /// Of which database.
    pub db_name: DbName,
    /// What it holds.
    pub backup_type: BackupType,
    /// Who asked for it.
    pub mode: BackupMode,
    /// How it is taken.
    pub method: BackupMethod,
    /// The set that it goes on from.
    pub base_id: Option<BackupId>,
    /// The spec of the database's nodes.
    pub node_spec: NodeSpec,
    /// Nodes of the database.
    pub node_number: u32,
    /// When it was asked for.
    pub started_at: Timestamp,
}

/// A backup set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSet {
    /// Its number.
    pub backup_id: BackupId,
    /// What was known when it was asked for.
    pub set: NewBackupSet,
    /// How far it is.
    pub status: BackupStatus,
    /// What came of it.
    pub outcome: BackupOutcome,
    /// Whether it outlives the time for which sets are kept.
    pub is_protected: bool,
    /// When it was last restored and compared for proof.
    pub verification: Option<Verification>,
    /// Why it is of another kind than it was asked for, if it is.
    pub note: Option<String>,
}

/// A restore of a set for the sake of proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// When it ended.
    pub at: Timestamp,
    /// What was wrong; `None` when the set is as it should be.
    pub failure: Option<String>,
}

/// What came of taking a backup set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupOutcome {
    /// Bytes on disk.
    pub size_bytes: i64,
    /// SHA-256 of its manifest, in hexadecimal.
    pub manifest_sha256: Option<String>,
    /// Why it failed, as the client is told.
    pub failure: Option<String>,
    /// When it was whole, or failed.
    pub ended_at: Option<Timestamp>,
    /// Which of the operator's keys it is encrypted with, if it is.
    pub key_id: Option<String>,
}

/// Which sets of a database to list.
#[derive(Clone, Debug)]
pub struct BackupSetFilter<'a> {
    /// Of this instance.
    pub instance_id: &'a InstanceId,
    /// Of this database.
    pub db_name: &'a DbName,
    /// Asked for not before.
    pub from: Timestamp,
    /// Asked for not after.
    pub to: Timestamp,
    /// In this status.
    pub status: Option<BackupStatus>,
    /// Asked for by this.
    pub mode: Option<BackupMode>,
    /// This one.
    pub backup_id: Option<BackupId>,
}

/// A part of a list of sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSetPage {
    /// How many sets pass the filter.
    pub total: u64,
    /// What all these take.
    pub total_bytes: u64,
    /// Those of the page, newest first.
    pub sets: Vec<BackupSet>,
}

fn read(columns: &mut Columns<'_, '_>) -> Result<BackupSet, StoreError> {
    Ok(BackupSet {
        backup_id: columns.get()?,
        set: NewBackupSet {
            account_id: columns.get()?,
            instance_id: columns.get()?,
            db_name: columns.get()?,
            backup_type: columns.get()?,
            mode: columns.get()?,
            method: columns.get()?,
            base_id: columns.get()?,
            node_spec: columns.get()?,
            node_number: columns.get()?,
            started_at: columns.get()?,
        },
        status: columns.get()?,
        outcome: BackupOutcome {
            size_bytes: columns.get()?,
            manifest_sha256: columns.get()?,
            failure: columns.get()?,
            ended_at: columns.get()?,
            key_id: columns.get()?,
        },
        is_protected: columns.get()?,
        verification: {
            let at: Option<Timestamp> = columns.get()?;
            let failure = columns.get()?;
            at.map(|at| Verification { at, failure })
        },
        note: columns.get()?,
    })
}

impl Reader<'_> {
    /// The set of that number.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn backup_set(&self, backup_id: BackupId) -> Result<Option<BackupSet>, StoreError> {
        self.one(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM backup_sets WHERE backup_id = ?"
            ),
            [P(&backup_id)],
            read,
        )
    }

    /// How many sets of a database pass the filter, and `limit` of them from `offset` on.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn backup_set_page(
        &self,
        filter: &BackupSetFilter<'_>,
        offset: u64,
        limit: u32,
    ) -> Result<BackupSetPage, StoreError> {
        let sums = self.one(
            TABLE,
            concat!(
                "SELECT count(*), CAST(total(size_bytes) AS INTEGER)",
                filter!()
            ),
            params![
                P(filter.instance_id),
                P(filter.db_name),
                P(&filter.from),
                P(&filter.to),
                P(&filter.status),
                P(&filter.mode),
                P(&filter.backup_id),
            ],
            |columns| Ok((columns.get::<i64>()?, columns.get::<i64>()?)),
        )?;
        let (total, total_bytes) = sums.unwrap_or_default();
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let sets = self.all(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                filter!(),
                " ORDER BY backup_id DESC LIMIT ?8 OFFSET ?9"
            ),
            params![
                P(filter.instance_id),
                P(filter.db_name),
                P(&filter.from),
                P(&filter.to),
                P(&filter.status),
                P(&filter.mode),
                P(&filter.backup_id),
                P(&limit),
                P(&offset),
            ],
            read,
        )?;
        Ok(BackupSetPage {
            total: total.unsigned_abs(),
            total_bytes: total_bytes.unsigned_abs(),
            sets,
        })
    }

    /// The sets that are being taken of an instance's databases, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn running_backups(&self, instance_id: &InstanceId) -> Result<Vec<BackupSet>, StoreError> {
        self.all(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM backup_sets WHERE instance_id = ? AND status = 'Progress'
                 ORDER BY backup_id"
            ),
            [P(instance_id)],
            read,
        )
    }

    /// The sets of a database that the policy asked for, begun at that time or later, oldest
    /// first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn automated_backups_since(
        &self,
        instance_id: &InstanceId,
        db_name: &DbName,
        since: Timestamp,
    ) -> Result<Vec<BackupSet>, StoreError> {
        self.all(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM backup_sets WHERE instance_id = ? AND db_name = ? AND started_at >= ?
                  AND mode = 'Automated' ORDER BY backup_id"
            ),
            params![P(instance_id), P(db_name), P(&since)],
            read,
        )
    }

    /// How many sets are being taken because a policy asked for them, on the whole host.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn running_automated_backups(&self) -> Result<u32, StoreError> {
        let count = self.one(
            TABLE,
            "SELECT count(*) FROM backup_sets WHERE status = 'Progress' AND mode = 'Automated'",
            [],
            |columns| columns.get(),
        )?;
        Ok(count.unwrap_or_default())
    }

    /// Sets that the policy of their database no longer wants at that time, oldest first, some
    /// hundred at most: neither protected ones, nor one that another set goes on from, nor the
    /// newest whole set of a database in which
    /// no proof found a fault.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn expired_backups(&self, now: Timestamp) -> Result<Vec<BackupSet>, StoreError> {
        self.all(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM (
                    SELECT s.* FROM backup_sets s
                    LEFT JOIN backup_policies p USING (instance_id, db_name)
                    WHERE s.ended_at < ?1 - coalesce(p.retention_days, ?2) * 86400000000
                      AND NOT s.is_protected
                      AND NOT EXISTS (
                            SELECT 1 FROM backup_sets dependent
                            WHERE dependent.base_id = s.backup_id
                              AND dependent.status <> 'Failed')
                      AND (s.status = 'Failed' OR EXISTS (
                            SELECT 1 FROM backup_sets newer
                            WHERE newer.instance_id = s.instance_id
                              AND newer.db_name = s.db_name
                              AND newer.status = 'Success' AND newer.verify_failure IS NULL
                              AND newer.backup_id > s.backup_id))
                    ORDER BY s.ended_at, s.backup_id LIMIT 200)"
            ),
            params![P(&now), P(&RetentionDays::default())],
            read,
        )
    }

    /// The sets that go on from a set by themselves or by others, failed ones left out, the
    /// oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn dependent_backups(&self, backup_id: BackupId) -> Result<Vec<BackupSet>, StoreError> {
        self.all(
            TABLE,
            concat!(
                "WITH RECURSIVE dependent (id) AS (
                    SELECT backup_id FROM backup_sets WHERE base_id = ?1
                    UNION SELECT s.backup_id FROM backup_sets s
                          JOIN dependent ON s.base_id = dependent.id)
                 SELECT ",
                columns!(),
                " FROM backup_sets
                  WHERE backup_id IN (SELECT id FROM dependent) AND status <> 'Failed'
                  ORDER BY backup_id"
            ),
            [P(&backup_id)],
            read,
        )
    }

    /// The sets that a set goes on from, the nearest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn backup_bases(&self, backup_id: BackupId) -> Result<Vec<BackupSet>, StoreError> {
        let mut bases: Vec<BackupSet> = Vec::new();
        let mut next = self.backup_set(backup_id)?.and_then(|set| set.set.base_id);
        while let Some(base_id) = next {
            // A set is younger than what it goes on from.
            let last = bases.last().map_or(backup_id, |set| set.backup_id);
            let Some(base) = self.backup_set(base_id)?.filter(|_| base_id < last) else {
                break;
            };
            next = base.set.base_id;
            bases.push(base);
        }
        Ok(bases)
    }

    /// The whole set whose last proof is oldest, one without any first, of an instance that is
    /// ACTIVE. Among equals chance decides.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn least_proven_backup(&self) -> Result<Option<BackupSet>, StoreError> {
        self.one(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM backup_sets WHERE status = 'Success' AND instance_id IN
                    (SELECT instance_id FROM instances WHERE status = 'ACTIVE')
                  ORDER BY coalesce(verified_at, 0), random() LIMIT 1"
            ),
            [],
            read,
        )
    }

    /// When a set was last restored for proof; if never, when the oldest one was whole. `None`
    /// when there is no whole set.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn last_verification(&self) -> Result<Option<Timestamp>, StoreError> {
        let last = self.one(
            TABLE,
            "SELECT coalesce(max(verified_at), min(ended_at)) FROM backup_sets
             WHERE status = 'Success'",
            [],
            |columns| columns.get(),
        )?;
        Ok(last.flatten())
    }

    /// All sets, or those of an instance, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn backup_sets(
        &self,
        instance_id: Option<&InstanceId>,
        limit: u32,
    ) -> Result<Vec<BackupSet>, StoreError> {
        self.all(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM backup_sets WHERE ?1 IS NULL OR instance_id = ?1
                  ORDER BY backup_id DESC LIMIT ?2"
            ),
            params![P(&instance_id.cloned()), P(&limit)],
            read,
        )
    }

    /// Every set with its instance, those in the recycle bin as well, for a look at what lies on
    /// disk.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn backup_set_ids(&self) -> Result<Vec<(InstanceId, BackupId)>, StoreError> {
        self.all(
            TABLE,
            "SELECT instance_id, backup_id FROM backup_sets
             UNION ALL SELECT instance_id, backup_id FROM recycle_bin",
            [],
            |columns| Ok((columns.get()?, columns.get()?)),
        )
    }
}

impl Writer<'_> {
    /// Notes that a set that is being taken is a full one in the place of an incremental one, and why.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn make_backup_set_full(
        &self,
        backup_id: BackupId,
        method: Option<BackupMethod>,
        why: &str,
    ) -> Result<(), StoreError> {
        self.change(
            TABLE,
            "UPDATE backup_sets SET backup_type = ?2, base_id = NULL, note = ?3,
                                    method = coalesce(?4, method)
             WHERE backup_id = ?1",
            params![P(&backup_id), P(&BackupType::Full), why, P(&method)],
        )
    }

    /// Adds a set in status Progress; returns its number: decimal digits, never used twice. It
    /// goes with its database.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is no such database.
    pub fn insert_backup_set(&self, set: &NewBackupSet) -> Result<BackupId, StoreError> {
        self.execute(
            "INSERT INTO backup_sets (account_id, instance_id, db_name, backup_type, mode, method,
                                      base_id, node_spec, node_number, started_at, status,
                                      size_bytes)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            params![
                P(&set.account_id),
                P(&set.instance_id),
                P(&set.db_name),
                P(&set.backup_type),
                P(&set.mode),
                P(&set.method),
                P(&set.base_id),
                P(&set.node_spec),
                P(&set.node_number),
                P(&set.started_at),
                P(&BackupStatus::Progress),
            ],
        )?;
        Ok(BackupId::from_number(self.last_number()))
    }

    /// Adds a whole set that was found, with the number that it has.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is no such database, or a set of that number.
    pub fn adopt_backup_set(
        &self,
        backup_id: BackupId,
        set: &NewBackupSet,
        outcome: &BackupOutcome,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO backup_sets (backup_id, account_id, instance_id, db_name, backup_type,
                                      mode, method, base_id, node_spec, node_number, started_at,
                                      status, size_bytes)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            params![
                P(&backup_id),
                P(&set.account_id),
                P(&set.instance_id),
                P(&set.db_name),
                P(&set.backup_type),
                P(&set.mode),
                P(&set.method),
                P(&set.base_id),
                P(&set.node_spec),
                P(&set.node_number),
                P(&set.started_at),
                P(&BackupStatus::Success),
            ],
        )?;
        self.finish_backup_set(backup_id, BackupStatus::Success, outcome)
    }

    /// Says what came of a set; one that is gone with its database is passed over.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn finish_backup_set(
        &self,
        backup_id: BackupId,
        status: BackupStatus,
        outcome: &BackupOutcome,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE backup_sets SET status = ?2, size_bytes = ?3, manifest_sha256 = ?4,
                                    failure = ?5, ended_at = ?6, key_id = ?7
             WHERE backup_id = ?1",
            params![
                P(&backup_id),
                P(&status),
                P(&outcome.size_bytes),
                P(&outcome.manifest_sha256),
                P(&outcome.failure),
                P(&outcome.ended_at),
                P(&outcome.key_id),
            ],
        )?;
        Ok(())
    }

    /// Removes a set's row; its files are leftovers from then on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn delete_backup_set(&self, backup_id: BackupId) -> Result<(), StoreError> {
        self.change(
            TABLE,
            "DELETE FROM backup_sets WHERE backup_id = ?",
            [P(&backup_id)],
        )
    }

    /// Has a set outlive the time for which sets are kept, or no longer.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn protect_backup_set(
        &self,
        backup_id: BackupId,
        is_protected: bool,
    ) -> Result<(), StoreError> {
        self.change(
            TABLE,
            "UPDATE backup_sets SET is_protected = ?2 WHERE backup_id = ?1",
            params![P(&backup_id), P(&is_protected)],
        )
    }

    /// Notes what came of a restore for proof; a set that is gone is passed over.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn set_verification(
        &self,
        backup_id: BackupId,
        verification: &Verification,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE backup_sets SET verified_at = ?2, verify_failure = ?3 WHERE backup_id = ?1",
            params![P(&backup_id), P(&verification.at), P(&verification.failure),],
        )?;
        Ok(())
    }
}
