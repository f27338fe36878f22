//! What becomes of an alert when its figure is looked at. Pure: time comes in.
//!
//! ```text
//!        broken            broken for long enough
//!   ok ─────────▶ pending ───────────────────────▶ firing ─┐ still broken: told again after the
//!   ▲               │ not broken, or no value        │ ◀───┘ repeat interval
//!   └───────────────┴────────────────────────────────┘ not broken: resolved
//! ```
//!
//! Without a value a rule counts as broken or not as its [`NoData`] says; with `keep` a firing alert
//! goes on and a pending one does not, since nobody saw that it was broken all the time.

use jiff::{SignedDuration, Timestamp};
use openpeta_store::{AlertPhase, AlertState, Comparison, NewAlertRule, NoData};
use openpeta_types::InstanceId;

/// A pending alert that was not looked at for longer begins anew: nobody knows what was meanwhile.
const LONGEST_GAP: SignedDuration = SignedDuration::from_secs(60);

/// Where a rule that is broken stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) phase: AlertPhase,
    /// Since when it is broken.
    pub(super) since: Timestamp,
    /// When it was seen to be so; of a firing one, when it began to fire.
    pub(super) seen_at: Timestamp,
    /// When somebody was told last.
    pub(super) told_at: Option<Timestamp>,
}

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Fires,
    StillFires,
    Resolved,
}

impl Standing {
    pub(super) fn of(state: &AlertState) -> Self {
        Self {
            phase: state.phase,
            since: state.since,
            seen_at: state.seen_at,
            told_at: state.told_at,
        }
    }

    pub(super) fn state(self, rule_id: i64, id: &InstanceId, value: Option<f64>) -> AlertState {
        AlertState {
            rule_id,
            instance_id: id.clone(),
            phase: self.phase,
            since: self.since,
            seen_at: self.seen_at,
            told_at: self.told_at,
            value,
        }
    }
}

/// One look: where the rule stands after it (nowhere if all is well), and what there is to tell.
pub(super) fn step(
    rule: &NewAlertRule,
    before: Option<Standing>,
    value: Option<f64>,
    now: Timestamp,
) -> (Option<Standing>, Option<Told>) {
    let is_broken = match (value, rule.no_data) {
        (Some(value), _) => Some(match rule.comparison {
            Comparison::Above => value > rule.threshold,
            Comparison::Below => value < rule.threshold,
        }),
        (None, NoData::Ok) => Some(false),
        (None, NoData::Alert) => Some(true),
        (None, NoData::Keep) => None,
    };
    match (before, is_broken) {
        (None, Some(true)) => ripen(rule, now, now),
        (Some(one), Some(true)) if one.phase == AlertPhase::Pending => {
            // A clock that was put back tells nothing of how long it was.
            let gap = now.duration_since(one.seen_at);
            let is_continuous = !gap.is_negative() && gap <= LONGEST_GAP && one.since <= now;
            ripen(rule, if is_continuous { one.since } else { now }, now)
        }
        (Some(one), Some(true)) => go_on(rule, one, now),
        (Some(one), None) if one.phase == AlertPhase::Firing => (Some(one), None),
        (Some(one), Some(false)) if one.phase == AlertPhase::Firing => (None, Some(Told::Resolved)),
        (_, Some(false) | None) => (None, None),
    }
}

/// It is broken since then: for long enough to fire?
fn ripen(
    rule: &NewAlertRule,
    since: Timestamp,
    now: Timestamp,
) -> (Option<Standing>, Option<Told>) {
    let duration = SignedDuration::from_secs(rule.duration_seconds.into());
    let fires = now.duration_since(since) >= duration;
    let standing = Standing {
        phase: match fires {
            true => AlertPhase::Firing,
            false => AlertPhase::Pending,
        },
        since,
        seen_at: now,
        told_at: fires.then_some(now),
    };
    (Some(standing), fires.then_some(Told::Fires))
}

/// It still fires: is somebody to be told again?
fn go_on(rule: &NewAlertRule, one: Standing, now: Timestamp) -> (Option<Standing>, Option<Told>) {
    let (Some(repeat), Some(told_at)) = (rule.repeat_seconds, one.told_at) else {
        return (Some(one), None);
    };
    let told_now = Standing {
        told_at: Some(now),
        ..one
    };
    let passed = now.duration_since(told_at);
    if passed.is_negative() {
        // From here on by the clock as it is now.
        return (Some(told_now), None);
    }
    match passed >= SignedDuration::from_secs(repeat.into()) {
        true => (Some(told_now), Some(Told::StillFires)),
        false => (Some(one), None),
    }
}
