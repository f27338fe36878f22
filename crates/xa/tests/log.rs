//! The log on a real disk.

use std::fs;
use std::path::Path;
use std::sync::mpsc;

use openpeta_xa::{DecisionLog, LogError, Node, TransactionId};
use tempfile::TempDir;

const OWN: u64 = 5;

fn open(directory: &Path) -> DecisionLog {
    DecisionLog::open(directory, OWN).expect("the log opens")
}

/// Decides, and waits until it is on disk.
fn decide(log: &DecisionLog) -> TransactionId {
    let id = log.next_id();
    let (sender, receiver) = mpsc::channel();
    let done = move |result| sender.send(result).expect("somebody waits");
    log.decide(id, &[Node(0), Node(1)], Box::new(done));
    let result = receiver.recv().expect("an answer");
    result.expect("it is written");
    id
}

fn decided(log: &DecisionLog) -> Vec<TransactionId> {
    log.decisions().iter().map(|(id, _)| *id).collect()
}

#[test]
fn decisions_outlive_the_process_until_they_end() {
    let directory = TempDir::new().expect("a directory");
    let log = open(directory.path());
    assert_eq!((log.epoch(), log.coordinator()), (1, OWN));
    let [first, second] = [decide(&log), decide(&log)];
    assert_eq!(decided(&log), [first, second]);
    log.end(first);
    log.end(first);
    assert_eq!(decided(&log), [second]);
    // As a process that dies does, nothing is said; what was decided is on disk all the same.
    let copy = TempDir::new().expect("a directory");
    let name = "decisions";
    fs::copy(directory.path().join(name), copy.path().join(name)).expect("a copy");
    let survivor = open(copy.path());
    assert_eq!(decided(&survivor), [first, second], "an end may be lost");
    assert_eq!(survivor.epoch(), 2);
    assert_ne!(survivor.next_id().epoch, first.epoch);
    drop(log);
    assert_eq!(decided(&open(directory.path())), [second]);
}

#[test]
fn many_decide_at_once() {
    let directory = TempDir::new().expect("a directory");
    let log = open(directory.path());
    let ids = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..50).map(|_| decide(&log)).collect::<Vec<_>>()))
            .collect();
        let mut ids: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("it decides"))
            .collect();
        ids.sort_unstable();
        ids
    });
    assert_eq!(ids.len(), 400);
    drop(log);
    assert_eq!(decided(&open(directory.path())), ids);
}

#[test]
fn a_log_that_is_over_is_written_anew() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("decisions");
    let log = open(directory.path());
    let kept = decide(&log);
    let mut longest = 0;
    let (sender, receiver) = mpsc::channel();
    // Until it has become shorter once.
    loop {
        let length = fs::metadata(&path).expect("it is there").len();
        if length < longest {
            break;
        }
        longest = length;
        assert!(longest < 4 << 20, "it only grows");
        for _ in 0..1000 {
            let (id, sender) = (log.next_id(), sender.clone());
            let done = move |result| sender.send((id, result)).expect("somebody waits");
            log.decide(id, &[Node(0); 20], Box::new(done));
        }
        for _ in 0..1000 {
            let (id, result) = receiver.recv().expect("an answer");
            result.expect("it is written");
            log.end(id);
        }
    }
    let epoch = log.epoch();
    drop(log);
    let log = open(directory.path());
    assert_eq!((decided(&log), log.epoch()), (vec![kept], epoch + 1));
}

#[test]
fn what_a_crash_tore_is_cut_off() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("decisions");
    let first = decide(&open(directory.path()));
    let whole = fs::read(&path).expect("it is there");
    decide(&open(directory.path()));
    let longer = fs::read(&path).expect("it is there");
    for cut in (whole.len()..longer.len()).step_by(3) {
        // The new epoch, or it and the decision, are cut off in the midst.
        fs::write(&path, &longer[..cut]).expect("written");
        let log = open(directory.path());
        assert_eq!(decided(&log), [first], "{cut}");
        let next = decide(&log);
        drop(log);
        assert_eq!(decided(&open(directory.path())), [first, next], "{cut}");
    }
}

/// A process that dies leaves zeros behind its log, and what it was about to write in their place.
#[test]
fn zeros_are_no_part_of_a_log() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("decisions");
    let log = open(directory.path());
    let first = decide(&log);
    let before = fs::read(&path).expect("it is there");
    let second = decide(&log);
    let after = fs::read(&path).expect("it is there");
    assert_eq!(
        before.len(),
        after.len(),
        "a batch takes the place of zeros"
    );
    drop(log);
    let closed = fs::read(&path).expect("it is there");
    assert!(after.starts_with(&closed) && closed.len() < after.len());
    let end = |log: &[u8]| log.iter().rposition(|byte| *byte != 0).expect("a head");
    // Of the last batch only the first bytes are on disk.
    for torn in (end(&before) + 1..=end(&closed)).step_by(3) {
        let log = [&after[..torn], &vec![0; after.len() - torn]].concat();
        fs::write(&path, log).expect("written");
        let log = open(directory.path());
        assert_eq!(decided(&log), [first], "{torn}");
        let next = decide(&log);
        drop(log);
        assert_eq!(decided(&open(directory.path())), [first, next], "{torn}");
    }
    fs::write(&path, &after).expect("written");
    assert_eq!(decided(&open(directory.path())), [first, second]);
}

#[test]
fn logs_that_cannot_be_relied_on_are_refused() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("decisions");
    decide(&open(directory.path()));
    drop(open(directory.path()));
    let foreign = DecisionLog::open(directory.path(), 6).expect_err("not ours");
    assert!(
        matches!(foreign, LogError::Foreign { found: OWN, .. }),
        "{foreign}"
    );
    let mut log = fs::read(&path).expect("it is there");
    log[30] ^= 1;
    fs::write(&path, &log).expect("written");
    let damaged = DecisionLog::open(directory.path(), OWN).expect_err("damaged");
    assert!(
        damaged.to_string().contains("damaged at byte 20"),
        "{damaged}"
    );
    assert_eq!(
        fs::read(&path).expect("it is there"),
        log,
        "it is left as it is"
    );
    let nowhere = directory.path().join("nowhere");
    let absent = DecisionLog::open(&nowhere, OWN).expect_err("no directory");
    assert!(matches!(absent, LogError::Io { .. }), "{absent}");
}

/// The last decision that was asked for is written although nobody waits for the log's thread.
#[test]
fn closing_waits_for_what_was_asked_for() {
    let directory = TempDir::new().expect("a directory");
    let log = open(directory.path());
    let (sender, receiver) = mpsc::channel();
    for _ in 0..100 {
        let sender = sender.clone();
        let done = move |result: Result<(), LogError>| {
            sender.send(result.is_ok()).expect("somebody waits");
        };
        log.decide(log.next_id(), &[Node(3)], Box::new(done));
    }
    drop((log, sender));
    assert_eq!(receiver.iter().filter(|is_ok| *is_ok).count(), 100);
    assert_eq!(decided(&open(directory.path())).len(), 100);
}
