//! The machine's promises, for any course of a figure.

use jiff::{SignedDuration, Timestamp};
use openpeta_store::{AlertPhase, Comparison, NewAlertRule, NoData};
use openpeta_types::Severity;
use proptest::prelude::*;

use super::machine::{Standing, Told, step};

fn rule(duration: u32, no_data: NoData, repeat: Option<u32>) -> NewAlertRule {
    NewAlertRule {
        name: "r".into(),
        instance_id: None,
        item: "gcs.sqps".into(),
        comparison: Comparison::Above,
        threshold: 10.0,
        duration_seconds: duration,
        severity: Severity::Warning,
        no_data,
        repeat_seconds: repeat,
        is_paused: false,
        created_at: Timestamp::UNIX_EPOCH,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("in range")
}

/// What was told at which second, of values at each fifth second; `None` for no value.
fn course(rule: &NewAlertRule, values: &[Option<f64>]) -> Vec<(usize, Told)> {
    let mut standing = None;
    let mut told = Vec::new();
    for (place, value) in values.iter().enumerate() {
        let second = place * 5;
        let now = at(i64::try_from(second).expect("few"));
        let (after, tells) = step(rule, standing, *value, now);
        standing = after;
        told.extend(tells.map(|tells| (second, tells)));
    }
    told
}

const HIGH: Option<f64> = Some(11.0);
const LOW: Option<f64> = Some(10.0);

#[test]
fn it_fires_once_after_its_time_and_is_resolved_once() {
    let rule = rule(10, NoData::Keep, None);
    let values = [LOW, HIGH, HIGH, LOW, HIGH, HIGH, HIGH, HIGH, HIGH, LOW, LOW];
    assert_eq!(
        course(&rule, &values),
        [(30, Told::Fires), (45, Told::Resolved)]
    );
    let at_once = rule_at_once();
    assert_eq!(
        course(&at_once, &[HIGH, LOW, HIGH]),
        [(0, Told::Fires), (5, Told::Resolved), (10, Told::Fires)]
    );
}

fn rule_at_once() -> NewAlertRule {
    rule(0, NoData::Keep, None)
}

#[test]
fn below_is_the_other_way_round() {
    let rule = NewAlertRule {
        comparison: Comparison::Below,
        ..rule_at_once()
    };
    let values = [LOW, Some(9.9), HIGH];
    assert_eq!(
        course(&rule, &values),
        [(5, Told::Fires), (10, Told::Resolved)]
    );
}

#[test]
fn without_a_value_it_does_as_it_is_told() {
    let values = [HIGH, HIGH, HIGH, None, None, HIGH, LOW];
    let fires = (10, Told::Fires);
    let keep = course(&rule(10, NoData::Keep, None), &values);
    assert_eq!(keep, [fires, (30, Told::Resolved)]);
    let ok = course(&rule(10, NoData::Ok, None), &values);
    assert_eq!(ok, [fires, (15, Told::Resolved)]);
    let none = [None; 4];
    assert_eq!(course(&rule(10, NoData::Keep, None), &none), []);
    assert_eq!(course(&rule(10, NoData::Ok, None), &none), []);
    assert_eq!(course(&rule(10, NoData::Alert, None), &none), [fires]);
    // Nobody saw that it was broken all the time.
    let values = [HIGH, HIGH, None, HIGH, HIGH];
    assert_eq!(course(&rule(10, NoData::Keep, None), &values), []);
}

#[test]
fn it_is_told_of_again_at_its_interval() {
    let rule = rule(0, NoData::Keep, Some(10));
    assert_eq!(
        course(&rule, &[HIGH; 6]),
        [
            (0, Told::Fires),
            (10, Told::StillFires),
            (20, Told::StillFires)
        ]
    );
}

#[test]
fn a_time_without_looks_does_not_count() {
    let rule = rule(300, NoData::Keep, None);
    let (pending, _) = step(&rule, None, HIGH, at(0));
    // The service was away for an hour.
    let (pending, told) = step(&rule, pending, HIGH, at(3_600));
    assert_eq!(told, None);
    assert_eq!(pending.expect("pending").since, at(3_600));
    // The clock is put back.
    let (pending, told) = step(&rule, pending, HIGH, at(10));
    assert_eq!((told, pending.expect("pending").since), (None, at(10)));
    // A short restart does.
    let (pending, _) = step(&rule, pending, HIGH, at(50));
    assert_eq!(pending.expect("pending").since, at(10));
}

proptest! {
    #[test]
    fn tellings_alternate_and_are_earned(
        looks in prop::collection::vec((1i64..90, prop::option::of(0u8..20)), 1..200),
        duration in 0u32..120,
        no_data in prop::sample::select(vec![NoData::Keep, NoData::Ok, NoData::Alert]),
        repeat in prop::option::of(1u32..100),
    ) {
        let rule = rule(duration, no_data, repeat);
        let mut standing: Option<Standing> = None;
        let (mut second, mut fires, mut last_told) = (0, false, 0);
        // Since when every look found it broken, without too long a pause.
        let mut broken_since: Option<i64> = None;
        for (passed, value) in looks {
            second += passed;
            let value = value.map(f64::from);
            let is_broken = match (value, no_data) {
                (Some(value), _) => Some(value > 10.0),
                (None, NoData::Keep) => None,
                (None, no_data) => Some(no_data == NoData::Alert),
            };
            if is_broken != Some(true) || (passed > 60 && !fires) {
                broken_since = None;
            }
            if is_broken == Some(true) {
                broken_since.get_or_insert(second);
            }
            let (after, told) = step(&rule, standing, value, at(second));
            // A look that is repeated, as after a crash before its transaction, says the same.
            prop_assert_eq!((after, told), step(&rule, standing, value, at(second)));
            match told {
                Some(Told::Fires) => {
                    prop_assert!(!fires);
                    let since = broken_since.expect("it is broken");
                    prop_assert!(second - since >= i64::from(duration));
                    (fires, last_told) = (true, second);
                }
                Some(Told::StillFires) => {
                    prop_assert!(fires);
                    prop_assert!(second - last_told >= i64::from(repeat.expect("asked for")));
                    last_told = second;
                }
                Some(Told::Resolved) => {
                    prop_assert!(fires && is_broken == Some(false));
                    fires = false;
                }
                None if !fires => {
                    let earned = broken_since
                        .is_some_and(|since| second - since >= i64::from(duration));
                    prop_assert!(!earned, "it should fire");
                }
                None => prop_assert!(is_broken != Some(false)),
            }
            let is_firing = after.is_some_and(|after| after.phase == AlertPhase::Firing);
            prop_assert_eq!(is_firing, fires);
            if let Some(after) = after {
                prop_assert!(after.since <= at(second));
                prop_assert!(at(second).duration_since(after.since) >= SignedDuration::ZERO);
            }
            standing = after;
        }
    }
}
