//! Locks of what is not paid for: PrePaid instances whose period has ended, PostPaid ones of
//! tenants with an overdue balance.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use openpeta_store::{Instance, Reader};
use openpeta_types::{AccountId, ChargeType, InstanceId, LockMode, ObjectStatus, format_time};

use crate::parts::Parts;
use crate::{BillingConfig, ControlError};

/// A lock as it should be.
#[derive(Debug, PartialEq, Eq)]
struct Lock {
    mode: LockMode,
    reason: Option<String>,
    release_at: Option<Timestamp>,
}

impl Parts {
    /// Locks and unlocks instances as their time and the balances say, those of one tenant or of
    /// all. Returns the ones that changed.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn update_locks(
        &self,
        account_id: Option<AccountId>,
        now: Timestamp,
    ) -> Result<Vec<InstanceId>, ControlError> {
        let billing = &self.config.billing;
        let due = |reader: &Reader<'_>| {
            let overdue = overdue_tenants(reader)?;
            let mut due = Vec::new();
            for instance in reader.instances()? {
                if account_id.is_none_or(|id| id == instance.account_id)
                    && let Some(lock) = due_lock(billing, &instance, &overdue, now)
                {
                    due.push((instance, lock));
                }
            }
            Ok::<_, ControlError>(due)
        };
        if self.store.read(due)?.is_empty() {
            return Ok(Vec::new());
        }
        // Looked at again, since others may have come between.
        self.store.write(|writer| {
            let mut changed = Vec::new();
            for (instance, lock) in due(writer)? {
                tracing::warn!(instance = %instance.instance_id, lock = %lock.mode, reason = lock.reason, "lock changed");
                changed.push(instance.instance_id.clone());
                writer.update_instance(&Instance {
                    lock_mode: lock.mode,
                    lock_reason: lock.reason,
                    release_at: lock.release_at,
                    ..instance
                })?;
            }
            Ok(changed)
        })
    }

    /// As [`update_locks`](Self::update_locks), for one tenant, with nodes and gateway made to
    /// follow at once. What cannot be told to a node now is told when it is there again.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) async fn follow_balance(
        &self,
        account_id: AccountId,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        for id in self.update_locks(Some(account_id), now)? {
            if let Err(error) = self.enforce_lock(&id).await {
                tracing::warn!(instance = %id, context = error.context, "the node could not be told of its lock");
            }
        }
        Ok(())
    }
}

/// The tenants that owe something.
fn overdue_tenants(reader: &Reader<'_>) -> Result<HashSet<AccountId>, ControlError> {
    let tenants = reader.tenants()?.into_iter();
    let overdue = tenants.filter(|tenant| tenant.balance_cents < 0);
    Ok(overdue.map(|tenant| tenant.account_id).collect())
}

/// The lock that an instance should get, when it has another one.
///
/// The operator's lock stays whatever happens, and with it stops the time to the release. A lock
/// for want of payment takes the place of one for want of disk space, which comes back later if
/// it must.
fn due_lock(
    billing: &BillingConfig,
    instance: &Instance,
    overdue: &HashSet<AccountId>,
    now: Timestamp,
) -> Option<Lock> {
    let is_settled = matches!(
        instance.status,
        ObjectStatus::Active | ObjectStatus::Inactive
    );
    if !is_settled || instance.lock_mode == LockMode::ManualLock {
        return None;
    }
    let is_overdue = billing.charge
        && instance.charge_type == ChargeType::PostPaid
        && overdue.contains(&instance.account_id);
    let lock = if instance.expires_at <= now {
        if instance.lock_mode == LockMode::LockByExpiration && instance.release_at.is_some() {
            return None;
        }
        expired(billing, instance, now)
    } else if is_overdue {
        Lock {
            mode: LockMode::LockByArrears,
            reason: Some("the balance of the account is overdue".to_owned()),
            release_at: None,
        }
    } else if matches!(
        instance.lock_mode,
        LockMode::LockByExpiration | LockMode::LockByArrears
    ) {
        Lock {
            mode: LockMode::Unlock,
            reason: None,
            release_at: None,
        }
    } else {
        return None;
    };
    (lock.mode != instance.lock_mode || lock.release_at != instance.release_at).then_some(lock)
}

/// The lock of what has expired. The days until the release count from the lock, not from the
/// end of the period: an owner who could not be told has them all.
fn expired(billing: &BillingConfig, instance: &Instance, now: Timestamp) -> Lock {
    let days = i64::from(billing.release_after_days);
    let release_at = now
        .checked_add(SignedDuration::from_hours(24 * days))
        .unwrap_or(Timestamp::MAX);
    Lock {
        mode: LockMode::LockByExpiration,
        reason: Some(format!(
            "the paid period ended at {}; the instance and its data are released at {} unless it \
             is renewed",
            format_time(instance.expires_at),
            format_time(release_at)
        )),
        release_at: Some(release_at),
    }
}
