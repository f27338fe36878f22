//! Usage: PostPaid databases are on record hour by hour, from their order to their deletion,
//! each stretch of time once.
//!
//! Where the record of a database ends is where its next one begins, so that nothing is left
//! out after a time in which the service did not run, and nothing is recorded twice, whatever
//! the clock does.

use std::collections::HashMap;

use jiff::Timestamp;
use openpeta_store::{Metered, UsageRecord, Writer};
use openpeta_types::{AccountId, DbName, InstanceId};

use super::{Lot, Term};
use crate::ControlError;
use crate::parts::Parts;

/// Databases whose usage is recorded in one transaction: it takes milliseconds.
const BATCH: u32 = 200;
const SECONDS_PER_HOUR: i64 = 3_600;

impl Parts {
    /// Records the usage of all PostPaid databases up to the last full hour.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails; what is on record then is right, and the next call
    /// goes on from there.
    pub(crate) fn meter(&self, now: Timestamp) -> Result<(), ControlError> {
        let hour = from_second(hour_of(now.as_second()) * SECONDS_PER_HOUR)?;
        loop {
            let done = self.store.write(|writer| {
                let batch = writer.unmetered(hour, BATCH)?;
                self.record_usage(writer, &batch, hour)?;
                Ok::<_, ControlError>(batch.is_empty())
            })?;
            if done {
                return Ok(());
            }
        }
    }

    /// Records the usage of a database up to now. Belongs into each transaction that changes its
    /// nodes or decides that it goes, before the change; of a PrePaid database there is none.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn settle_usage(
        &self,
        writer: &Writer<'_>,
        instance_id: &InstanceId,
        db_name: &DbName,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let metered = writer.metered(instance_id, db_name)?;
        let whole_seconds = from_second(now.as_second())?;
        self.record_usage(writer, metered.as_slice(), whole_seconds)
    }

    /// Writes what is missing up to a time, and takes it from the balances.
    fn record_usage(
        &self,
        writer: &Writer<'_>,
        databases: &[Metered],
        until: Timestamp,
    ) -> Result<(), ControlError> {
        let charge = self.config.billing.charge;
        let mut due: HashMap<AccountId, i64> = HashMap::new();
        for database in databases {
            for (from, to) in stretches(database.metered_until.as_second(), until.as_second()) {
                let amount_cents = self.price_of(database, to - from);
                writer.insert_usage(&UsageRecord {
                    account_id: database.account_id,
                    instance_id: database.instance_id.clone(),
                    db_name: database.db_name.clone(),
                    created_at: database.created_at,
                    started_at: from_second(from)?,
                    ended_at: from_second(to)?,
                    node_spec: database.node_spec.clone(),
                    node_number: database.node_number,
                    currency: self.prices.currency().to_owned(),
                    amount_cents,
                    paid_cents: if charge { amount_cents } else { 0 },
                })?;
                *due.entry(database.account_id).or_default() += amount_cents;
            }
        }
        if charge {
            for (account_id, cents) in due {
                writer.change_balance(account_id, -cents)?;
            }
        }
        Ok(())
    }

    fn price_of(&self, database: &Metered, seconds: i64) -> i64 {
        let lot = Lot {
            node_spec: &database.node_spec,
            nodes: database.node_number,
        };
        self.prices.quote(lot, Term::Used(seconds)).trade_cents
    }
}

/// The time between two seconds, cut at each full hour.
fn stretches(from: i64, until: i64) -> impl Iterator<Item = (i64, i64)> {
    let mut begin = from;
    std::iter::from_fn(move || {
        if begin >= until {
            return None;
        }
        let end = until.min((hour_of(begin) + 1) * SECONDS_PER_HOUR);
        let stretch = (begin, end);
        begin = end;
        Some(stretch)
    })
}

/// The number of the hour that a second is in.
const fn hour_of(second: i64) -> i64 {
    second.div_euclid(SECONDS_PER_HOUR)
}

fn from_second(second: i64) -> Result<Timestamp, ControlError> {
    Timestamp::from_second(second).map_err(ControlError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_cut_at_full_hours() {
        let cut = |from, until| stretches(from, until).collect::<Vec<_>>();
        assert_eq!(cut(10, 10), []);
        assert_eq!(cut(20, 10), [], "the clock was put back");
        assert_eq!(cut(0, 3_600), [(0, 3_600)]);
        assert_eq!(
            cut(3_599, 7_201),
            [(3_599, 3_600), (3_600, 7_200), (7_200, 7_201)]
        );
    }
}
