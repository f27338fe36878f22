//! Histories that must not be, and some that may.

use std::collections::BTreeMap;

use super::checker::{Anomaly, End, Op, Transaction, View, check};

/// `a1=5` appends 5 to list 1, `r1=4,5` reads it.
fn transaction(view: View, end: End, began: u64, ended: u64, text: &str) -> Transaction {
    let ops = text.split_whitespace().map(|op| {
        let (key, values) = op[1..].split_once('=').expect("key and values");
        let key = key.parse().expect("a key");
        let mut values = values
            .split(',')
            .filter(|it| !it.is_empty())
            .map(|it| it.parse().expect("a value"));
        match op.as_bytes()[0] {
            b'a' => Op::Append(key, values.next().expect("one")),
            _ => Op::Read(key, values.collect()),
        }
    });
    Transaction {
        ops: ops.collect(),
        view,
        end,
        told: String::new(),
        began,
        ended,
    }
}

/// All at once, so that none must see another.
fn of(view: View, text: &str) -> Transaction {
    transaction(view, End::Acknowledged, 0, 100, text)
}

fn lists(text: &str) -> BTreeMap<u64, Vec<u64>> {
    let list = |it: &str| {
        let (key, values) = it.split_once('=').expect("key and values");
        let values = values.split(',').map(|it| it.parse().expect("a value"));
        (key.parse().expect("a key"), values.collect())
    };
    text.split_whitespace().map(list).collect()
}

fn found(history: &[Transaction], end: &str) -> Vec<Anomaly> {
    let mut found: Vec<_> = check(history, &lists(end))
        .into_iter()
        .map(|it| it.anomaly)
        .collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn what_may_be_is_not_found() {
    let failed = transaction(View::Committed, End::Failed, 0, 9, "a1=9");
    let unknown = transaction(View::Committed, End::Unknown, 0, 9, "a1=3 a2=4");
    let neither = transaction(View::Committed, End::Unknown, 0, 9, "a1=7 a2=8");
    let history = [
        of(View::Committed, "a1=1 r1=1 a2=2"),
        of(View::Moment, "r1= r2="),
        of(View::Moment, "r1=1 r2=2"),
        of(View::Moment, "r1=1,3 r2=2,4"),
        // A snapshot of each node, begun one after the other; and of what is committed.
        of(View::OfNode, "r1=1 r2="),
        of(View::Committed, "r1= r1=1 r2="),
        failed,
        unknown,
        neither,
    ];
    assert_eq!(found(&history, "1=1,3 2=2,4"), []);
}

#[test]
fn what_is_there_in_the_end() {
    let acknowledged = [of(View::Committed, "a1=1 a2=2")];
    assert_eq!(found(&acknowledged, "1=1 2=2"), []);
    assert_eq!(found(&acknowledged, "1=1"), [Anomaly::Torn]);
    assert_eq!(found(&acknowledged, ""), [Anomaly::Lost]);
    assert_eq!(found(&acknowledged, "1=1,1 2=2"), [Anomaly::Twice]);
    assert_eq!(found(&acknowledged, "1=1 2=2,5"), [Anomaly::Unwritten]);
    let unknown = [transaction(
        View::Committed,
        End::Unknown,
        0,
        1,
        "a1=1 a2=2",
    )];
    assert_eq!(found(&unknown, "2=2"), [Anomaly::Torn]);
    let failed = [transaction(View::Committed, End::Failed, 0, 1, "a1=1")];
    assert_eq!(found(&failed, "1=1"), [Anomaly::G1a]);
}

#[test]
fn what_a_transaction_sees_of_itself() {
    let writer = of(View::Committed, "a1=1");
    for (view, text, anomalies) in [
        (View::Committed, "a1=2 r1=1", &[Anomaly::Internal][..]),
        (View::OfNode, "r1= r1=1 a1=2", &[Anomaly::Internal]),
        (View::Committed, "r1= r1=1 a1=2", &[]),
        (View::OfNode, "r1= a1=2 r1=1,2", &[]),
    ] {
        assert_eq!(
            found(&[writer.clone(), of(view, text)], "1=1,2"),
            anomalies,
            "{text}"
        );
    }
}

#[test]
fn what_was_never_committed() {
    let failed = transaction(View::Committed, End::Failed, 0, 9, "a1=1");
    assert_eq!(
        found(&[failed, of(View::Committed, "r1=1")], ""),
        [Anomaly::G1a]
    );
    let history = [
        of(View::Committed, "a1=1 a1=2"),
        of(View::Committed, "r1=1"),
    ];
    assert_eq!(found(&history, "1=1,2"), [Anomaly::G1b]);
    assert_eq!(
        found(&[of(View::Committed, "r1=6")], ""),
        [Anomaly::Unwritten]
    );
    let history = [
        of(View::Committed, "a1=1"),
        of(View::Committed, "a1=2"),
        of(View::Committed, "r1=2,1"),
    ];
    assert_eq!(found(&history, "1=1,2"), [Anomaly::Disorder]);
}

#[test]
fn cycles_have_their_names() {
    let writes = [
        of(View::Committed, "a1=1 a2=2"),
        of(View::Committed, "a1=3 a2=4"),
    ];
    assert_eq!(found(&writes, "1=1,3 2=4,2"), [Anomaly::G0]);
    let flow = [
        of(View::Committed, "a1=1 r2=2"),
        of(View::Committed, "a2=2 r1=1"),
    ];
    assert_eq!(found(&flow, "1=1 2=2"), [Anomaly::G1c]);
    let skewed = |view| [of(View::Committed, "a1=1 a2=2"), of(view, "r1=1 r2=")];
    assert_eq!(found(&skewed(View::Moment), "1=1 2=2"), [Anomaly::GSingle]);
    assert_eq!(found(&skewed(View::Committed), "1=1 2=2"), []);
    assert_eq!(found(&skewed(View::OfNode), "1=1 2=2"), []);
    // What a writer has not read, it may write after: it writes to what is there.
    let later = [
        of(View::Committed, "a1=1 a2=2"),
        of(View::Moment, "r1= a2=3"),
    ];
    assert_eq!(found(&later, "1=1 2=2,3"), []);
    let fork = [
        of(View::Committed, "a1=1"),
        of(View::Committed, "a2=2"),
        of(View::Moment, "r1=1 r2="),
        of(View::Moment, "r1= r2=2"),
    ];
    assert_eq!(found(&fork, "1=1 2=2"), [Anomaly::G2]);
    // A longer way around, through what others wrote.
    let long = [
        of(View::Committed, "a1=1"),
        of(View::Committed, "a1=2 a2=3"),
        of(View::Committed, "a2=4 a3=5"),
        of(View::Moment, "r3=5 r1=1"),
    ];
    assert_eq!(found(&long, "1=1,2 2=3,4 3=5"), [Anomaly::GSingle]);
}

#[test]
fn what_was_acknowledged_before_is_seen() {
    let first = transaction(View::Committed, End::Acknowledged, 0, 1, "a1=1");
    let late = |began| transaction(View::Moment, End::Acknowledged, began, 9, "r1=");
    assert_eq!(found(&[first.clone(), late(2)], "1=1"), [Anomaly::Stale]);
    assert_eq!(found(&[first, late(0)], "1=1"), []);
}
