//! When the policy of a database asks for a backup. Knows nothing of clocks and stores.

use jiff::{SignedDuration, Timestamp};
use openpeta_store::{BackupPolicy, BackupSet};
use openpeta_types::{BackupStatus, DbName, InstanceId};
use ring::digest::{SHA256, digest};

const DAY: i64 = 86_400;

/// How long after a failed attempt the next one follows. After the last one it is given up
/// until the next day of the policy.
const PAUSES: [SignedDuration; 3] = [
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(15),
    SignedDuration::from_mins(45),
];

/// When a database's backup is due by its policy: the latest such time that has come. `None`
/// when no day is named, or none has come since the policy holds.
///
/// Of times that nobody was there for (the service was down) only the latest counts: what it
/// asks for is made up for at once, earlier ones are not.
pub(super) fn latest_due(
    policy: &BackupPolicy,
    shift: SignedDuration,
    now: Timestamp,
) -> Option<Timestamp> {
    let today = now.as_second().div_euclid(DAY);
    let start = i64::from(policy.window.start_minute()) * 60 + shift.as_secs();
    // A window may reach into the next day, and a week has seven days.
    let due = (0..=8)
        .map(|days| today - days)
        .filter(|day| policy.period.has_weekday(weekday(*day)))
        .filter_map(|day| Timestamp::from_second(day * DAY + start).ok())
        .find(|due| *due <= now)?;
    (due >= policy.effective_at).then_some(due)
}

/// How long after the begin of its window a database's backup begins, so that those of many
/// databases do not begin at once: the same for each of its days, in the first half of the window.
pub(super) fn shift(policy: &BackupPolicy, instance: &InstanceId, name: &DbName) -> SignedDuration {
    let hash = digest(&SHA256, format!("{instance}/{name}").as_bytes());
    let number = hash.as_ref().iter().take(4);
    let number = number.fold(0, |number, byte| number << 8 | i64::from(*byte));
    SignedDuration::from_secs(number % (i64::from(policy.window.minutes()) * 30))
}

/// Whether an attempt at what was due is called for now, given the attempts at it so far, oldest
/// first.
pub(super) fn is_owed(attempts: &[BackupSet], now: Timestamp) -> bool {
    let has_come = |pause: SignedDuration, failed: &BackupSet| {
        let ended = failed.outcome.ended_at.unwrap_or(failed.set.started_at);
        // A clock that was set back must not put it off for long.
        now < failed.set.started_at || now.duration_since(ended) >= pause
    };
    let is_failed = |set: &BackupSet| set.status == BackupStatus::Failed;
    match attempts {
        [] => true,
        [.., last] if attempts.iter().all(is_failed) => PAUSES
            .get(attempts.len() - 1)
            .is_some_and(|pause| has_come(*pause, last)),
        _ => false,
    }
}

/// The weekday of a day since 1970, a Thursday; 0 is Monday.
fn weekday(day: i64) -> u8 {
    u8::try_from((day + 3).rem_euclid(7)).expect("below 7")
}

#[cfg(test)]
mod tests {
    use openpeta_store::{BackupOutcome, NewBackupSet};
    use openpeta_types::{
        AccountId, BackupId, BackupMethod, BackupMode, BackupPeriod, BackupType, BackupWindow,
        NodeSpecCatalogue, RetentionDays,
    };
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn policy(days: &str, window: &str) -> BackupPolicy {
        BackupPolicy {
            is_binlog_enabled: false,
            period: BackupPeriod::parse(days).expect("days"),
            window: BackupWindow::parse(window).expect("a window"),
            retention: RetentionDays::default(),
            effective_at: at("2026-11-01T00:00:00Z"),
        }
    }

    #[test]
    fn the_latest_time_of_the_policy_is_due() {
        let zero = SignedDuration::ZERO;
        let half = SignedDuration::from_mins(30);
        // 2026-11-29 is a Sunday.
        for (days, window, shift, now, due) in [
            ("None", "18:00Z-19:00Z", zero, "2026-11-29T18:30:00Z", None),
            (
                "Sunday",
                "18:00Z-19:00Z",
                zero,
                "2026-11-29T18:00:00Z",
                Some("2026-11-29T18:00:00Z"),
            ),
            (
                "Sunday",
                "18:00Z-19:00Z",
                zero,
                "2026-11-29T17:59:59Z",
                Some("2026-11-22T18:00:00Z"),
            ),
            (
                "Sunday",
                "18:00Z-19:00Z",
                half,
                "2026-11-29T18:29:59Z",
                Some("2026-11-22T18:30:00Z"),
            ),
            (
                "Monday,Friday",
                "18:00Z-19:00Z",
                zero,
                "2026-11-29T12:00:00Z",
                Some("2026-11-27T18:00:00Z"),
            ),
            // The window of Saturday reaches into Sunday.
            (
                "Saturday",
                "23:45Z-01:45Z",
                half,
                "2026-11-29T00:20:00Z",
                Some("2026-11-29T00:15:00Z"),
            ),
            (
                "Saturday",
                "23:45Z-01:45Z",
                half,
                "2026-11-29T00:10:00Z",
                Some("2026-11-22T00:15:00Z"),
            ),
            // Nothing is owed for a time before the policy held.
            (
                "Sunday",
                "18:00Z-19:00Z",
                zero,
                "2026-11-01T12:00:00Z",
                None,
            ),
        ] {
            let found = latest_due(&policy(days, window), shift, at(now));
            assert_eq!(found, due.map(at), "{days} {window} {now}");
        }
    }

    fn attempt(status: BackupStatus, started: &str, ended: Option<&str>) -> BackupSet {
        let specs = NodeSpecCatalogue::default();
        BackupSet {
            backup_id: BackupId::from_number(1),
            set: NewBackupSet {
                account_id: AccountId::parse("1000000000000001").expect("an id"),
                instance_id: InstanceId::parse("pd-1").expect("an id"),
                db_name: DbName::parse("shop").expect("a name"),
                backup_type: BackupType::Full,
                mode: BackupMode::Automated,
                method: BackupMethod::Logical,
                base_id: None,
                node_spec: specs.iter().next().expect("one is on offer").0.clone(),
                node_number: 1,
                started_at: at(started),
            },
            status,
            outcome: BackupOutcome {
                ended_at: ended.map(at),
                ..BackupOutcome::default()
            },
            is_protected: false,
            verification: None,
            note: None,
        }
    }

    #[test]
    fn what_failed_is_tried_again_some_times_and_what_runs_or_is_whole_is_not() {
        let now = at("2026-11-29T18:20:00Z");
        let started = "2026-11-29T18:00:00Z";
        let failed = |ended: &str| attempt(BackupStatus::Failed, started, Some(ended));
        assert!(is_owed(&[], now));
        let running = attempt(BackupStatus::Progress, started, None);
        let whole = attempt(BackupStatus::Success, started, Some(started));
        for done in [running, whole] {
            assert!(!is_owed(&[failed(started), done.clone()], now));
            assert!(!is_owed(&[done], now));
        }
        assert!(!is_owed(&[failed("2026-11-29T18:15:01Z")], now));
        assert!(is_owed(&[failed("2026-11-29T18:15:00Z")], now));
        let early = failed("2026-11-29T18:04:00Z");
        assert!(is_owed(&[early.clone(), early.clone()], now));
        assert!(!is_owed(
            &[early.clone(), early.clone(), early.clone()],
            now
        ));
        let later = at("2026-11-29T18:49:00Z");
        let three = [early.clone(), early.clone(), early.clone()];
        assert!(is_owed(&three, later));
        let four = [early.clone(), early.clone(), early.clone(), early.clone()];
        assert!(!is_owed(&four, at("2026-12-09T18:00:00Z")));
        // The clock was set back by a day.
        assert!(is_owed(&[early], at("2026-11-28T18:00:00Z")));
    }

    proptest! {
        /// Whoever looks at any moment sees a time that the policy names: on one of its days, in
        /// the first half of the window, at most a week and a window ago.
        #[test]
        fn what_is_due_is_as_the_policy_says(
            days in 1_u8..128,
            start in 0_u16..1_440,
            minutes in 1_u16..1_440,
            name in "[a-z]{1,8}",
            now in 1_700_000_000_i64..1_900_000_000,
        ) {
            let names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
                         "Sunday"];
            let days: Vec<_> = (0..7_u8).filter(|day| days & (1 << day) != 0)
                .map(|day| names[usize::from(day)]).collect();
            let end = (start + minutes) % 1_440;
            let window = format!("{:02}:{:02}Z-{:02}:{:02}Z", start / 60, start % 60, end / 60, end % 60);
            let policy = BackupPolicy {
                effective_at: Timestamp::UNIX_EPOCH,
                ..policy(&days.join(","), &window)
            };
            let id = InstanceId::parse("pd-1").expect("an id");
            let name = DbName::parse(&name).expect("a name");
            let shift = shift(&policy, &id, &name);
            prop_assert!(shift.as_secs() >= 0 && shift.as_secs() < i64::from(minutes) * 30);
            let now = Timestamp::from_second(now).expect("in range");
            let due = latest_due(&policy, shift, now).expect("a day is named");
            prop_assert!(due <= now);
            prop_assert!(now.duration_since(due) < SignedDuration::from_hours(24 * 8 + 24));
            let begin = due.as_second() - shift.as_secs();
            prop_assert_eq!(begin.rem_euclid(DAY), i64::from(start) * 60);
            prop_assert!(policy.period.has_weekday(weekday(begin.div_euclid(DAY))));
            // No later time of the policy has come: a minute before the next one it is the same.
            let next = (0..8).map(|day| due.as_second() + (day + 1) * DAY)
                .find(|next| policy.period.has_weekday(weekday((next - shift.as_secs()).div_euclid(DAY))));
            prop_assert!(next.expect("within a week") > now.as_second());
        }
    }
}
