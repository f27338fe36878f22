//! Alert rules, and where each of them stands.

use jiff::Timestamp;
use openpeta_types::{InstanceId, Severity};
use rusqlite::params;

use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer, spelled};

const RULES: &str = "alert_rules";
const STATES: &str = "alert_states";

spelled!(
    /// When a value breaks a rule.
    Comparison {
        /// It is above the threshold.
        Above = "above",
        /// It is below the threshold.
        Below = "below",
    }
);

spelled!(
    /// What a rule makes of an instance of which there is no value.
    NoData {
        /// A firing alert goes on, nothing begins.
        Keep = "keep",
        /// All is well.
        Ok = "ok",
        /// The rule is broken.
        Alert = "alert",
    }
);

spelled!(
    /// Where a rule stands for an instance that breaks it.
    AlertPhase {
        /// Broken, but not for long enough.
        Pending = "pending",
        /// Broken for long enough.
        Firing = "firing",
    }
);

/// When to alert.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAlertRule {
    /// Its name, unique.
    pub name: String,
    /// The instance; all with `None`.
    pub instance_id: Option<InstanceId>,
    /// The figure, by its name.
    pub item: String,
    /// How it compares with the threshold when the rule is broken.
    pub comparison: Comparison,
    /// The threshold.
    pub threshold: f64,
    /// For how many seconds it must be broken.
    pub duration_seconds: u32,
    /// How much it matters.
    pub severity: Severity,
    /// What to make of no value.
    pub no_data: NoData,
    /// Seconds after which a firing alert is told of again; once only with `None`.
    pub repeat_seconds: Option<u32>,
    /// Whether it is not looked at.
    pub is_paused: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A rule of the store.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRule {
    /// Its number.
    pub rule_id: i64,
    /// What it says.
    pub rule: NewAlertRule,
}

/// Where a rule stands for an instance that breaks it.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertState {
    /// The rule.
    pub rule_id: i64,
    /// The instance.
    pub instance_id: InstanceId,
    /// Pending or firing.
    pub phase: AlertPhase,
    /// Since when.
    pub since: Timestamp,
    /// When it was last seen to be so.
    pub seen_at: Timestamp,
    /// When somebody was told last.
    pub told_at: Option<Timestamp>,
    /// The value then.
    pub value: Option<f64>,
}

fn read_rule(columns: &mut Columns<'_, '_>) -> Result<AlertRule, StoreError> {
    Ok(AlertRule {
        rule_id: columns.get()?,
        rule: NewAlertRule {
            name: columns.get()?,
            instance_id: columns.get()?,
            item: columns.get()?,
            comparison: columns.get()?,
            threshold: columns.get()?,
            duration_seconds: columns.get()?,
            severity: columns.get()?,
            no_data: columns.get()?,
            repeat_seconds: columns.get()?,
            is_paused: columns.get()?,
            created_at: columns.get()?,
        },
    })
}

fn read_state(columns: &mut Columns<'_, '_>) -> Result<AlertState, StoreError> {
    Ok(AlertState {
        rule_id: columns.get()?,
        instance_id: columns.get()?,
        phase: columns.get()?,
        since: columns.get()?,
        seen_at: columns.get()?,
        told_at: columns.get()?,
        value: columns.get()?,
    })
}

impl Reader<'_> {
    /// All rules, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn alert_rules(&self) -> Result<Vec<AlertRule>, StoreError> {
        self.all(
            RULES,
            "SELECT rule_id, name, instance_id, item, comparison, threshold, duration_seconds,
                    severity, no_data, repeat_seconds, is_paused, created_at
             FROM alert_rules ORDER BY rule_id",
            [],
            read_rule,
        )
    }

    /// Where rules stand for the instances that break them.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn alert_states(&self) -> Result<Vec<AlertState>, StoreError> {
        self.all(
            STATES,
            "SELECT rule_id, instance_id, phase, since, seen_at, told_at, value
             FROM alert_states ORDER BY rule_id, instance_id",
            [],
            read_state,
        )
    }
}

impl Writer<'_> {
    /// Adds a rule; returns its number.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is one of that name.
    pub fn insert_alert_rule(&self, rule: &NewAlertRule) -> Result<i64, StoreError> {
        self.execute(
            "INSERT INTO alert_rules (name, instance_id, item, comparison, threshold,
                 duration_seconds, severity, no_data, repeat_seconds, is_paused, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                rule.name,
                P(&rule.instance_id),
                rule.item,
                P(&rule.comparison),
                rule.threshold,
                rule.duration_seconds,
                P(&rule.severity),
                P(&rule.no_data),
                rule.repeat_seconds,
                rule.is_paused,
                P(&rule.created_at)
            ],
        )?;
        Ok(self.last_number())
    }

    /// Pauses a rule, or has it looked at again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_alert_paused(&self, rule_id: i64, is_paused: bool) -> Result<(), StoreError> {
        self.change(
            RULES,
            "UPDATE alert_rules SET is_paused = ?2 WHERE rule_id = ?1",
            params![rule_id, is_paused],
        )
    }

    /// Removes a rule and where it stands.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn delete_alert_rule(&self, rule_id: i64) -> Result<(), StoreError> {
        self.change(
            RULES,
            "DELETE FROM alert_rules WHERE rule_id = ?",
            [rule_id],
        )
    }

    /// Writes down where a rule stands for an instance.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is no such rule.
    pub fn put_alert_state(&self, state: &AlertState) -> Result<(), StoreError> {
        self.execute(
            "INSERT OR REPLACE INTO alert_states
                 (rule_id, instance_id, phase, since, seen_at, told_at, value)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                state.rule_id,
                P(&state.instance_id),
                P(&state.phase),
                P(&state.since),
                P(&state.seen_at),
                P(&state.told_at),
                state.value
            ],
        )?;
        Ok(())
    }

    /// All is well again.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn delete_alert_state(
        &self,
        rule_id: i64,
        instance_id: &InstanceId,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM alert_states WHERE rule_id = ? AND instance_id = ?",
            params![rule_id, P(instance_id)],
        )?;
        Ok(())
    }
}
