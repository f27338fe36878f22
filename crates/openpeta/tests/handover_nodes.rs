//! One process takes over from another, under sessions whose transactions are over several nodes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use openpeta_testkit::{Api, Login, Service, Session, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_openpeta");
const ACCOUNTS: usize = 24;
const EACH: usize = 1000;

fn service(drain_seconds: i64) -> (Service, Api, String, Login) {
    let mut service = Service::new(BINARY);
    service.set("gateway", "upgrade_drain_seconds", drain_seconds);
    service.start();
    let api = service.api();
    let order = api.order(&[("NodeNumber", "2")]);
    let instance = order.expect("an order is taken");
    let login = api.wait_active(&instance);
    let mut session = login.connect().expect("a session");
    let rows: Vec<_> = (0..ACCOUNTS).map(|id| format!("({id}, {EACH})")).collect();
    for statement in [
        "CREATE TABLE account (id INT PRIMARY KEY, money INT NOT NULL) DISTRIBUTE BY HASH(id)",
        &format!("INSERT INTO account VALUES {}", rows.join(", ")),
    ] {
        session.query(statement).expect(statement);
    }
    (service, api, instance, login)
}

/// Moves money between accounts on two nodes; the first statements of the transaction.
fn begin(session: &mut Session, from: usize, amount: usize) {
    for statement in [
        "BEGIN".to_owned(),
        format!("UPDATE account SET money = money - {amount} WHERE id = {from}"),
    ] {
        session.query(&statement).expect("it goes on");
    }
}

/// The last ones.
fn end(session: &mut Session, from: usize, amount: usize) {
    for statement in [
        format!(
            "UPDATE account SET money = money + {amount} WHERE id = {}",
            from + 1
        ),
        "COMMIT".to_owned(),
    ] {
        session.query(&statement).expect("the transaction is whole");
    }
}

fn money(session: &mut Session, account: usize) -> usize {
    let money = session.value(&format!("SELECT money FROM account WHERE id = {account}"));
    money.expect("a balance").parse().expect("a number")
}

/// No money came or went, and nothing is in doubt: all rows can be locked.
fn assert_whole(login: &Login) {
    let mut session = login.connect_when_possible();
    session.query("BEGIN").expect("a transaction");
    let sum = session.value("SELECT SUM(money) FROM account FOR UPDATE");
    assert_eq!(sum.expect("a sum"), (ACCOUNTS * EACH).to_string());
    session.query("COMMIT").expect("its end");
}

/// Ends the loops of a test that fails.
struct Guard<'a>(&'a AtomicBool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nobody_over_several_nodes_notices_an_upgrade() {
    const UPGRADES: usize = 3;
    let (mut service, api, instance, login) = service(3600);
    let stop = AtomicBool::new(false);
    let (logins, transfers) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let go_on = || {
        for count in [&logins, &transfers] {
            let before = count.load(Ordering::Relaxed);
            wait_for("a few more", || {
                assert!(!stop.load(Ordering::Relaxed), "it has failed");
                (count.load(Ordering::Relaxed) > before + 5).then_some(())
            });
        }
    };
    thread::scope(|scope| {
        let _guard = Guard(&stop);
        let (stop, logins, transfers, login) = (&stop, &logins, &transfers, &login);
        for _ in 0..2 {
            scope.spawn(move || {
                let _guard = Guard(stop);
                while !stop.load(Ordering::Relaxed) {
                    let mut session = login.connect().expect("a login never fails");
                    let count = session.value("SELECT COUNT(*) FROM account");
                    assert_eq!(count.expect("nor does a read"), ACCOUNTS.to_string());
                    logins.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // One stays with the process that it began with, one comes anew each time.
        for (from, stays) in [(10, true), (20, false)] {
            scope.spawn(move || {
                let _guard = Guard(stop);
                let mut kept = None;
                while !stop.load(Ordering::Relaxed) {
                    let mut session = kept
                        .take()
                        .unwrap_or_else(|| login.connect().expect("a login never fails"));
                    begin(&mut session, from, 1);
                    end(&mut session, from, 1);
                    transfers.fetch_add(1, Ordering::Relaxed);
                    kept = stays.then_some(session);
                }
            });
        }
        go_on();
        let mut earlier = Vec::new();
        for upgrade in 1..=UPGRADES {
            let mut writer = login.connect().expect("a session");
            begin(&mut writer, 0, 5);
            let mut undone = login.connect().expect("a session");
            begin(&mut undone, 4, 7);
            let old = service.replace();
            go_on();
            // What is not committed is seen by nobody, and what is by all.
            let mut other = login.connect().expect("a session");
            assert_eq!(money(&mut other, 1), EACH + 5 * (upgrade - 1));
            end(&mut writer, 0, 5);
            undone.query("ROLLBACK").expect("it is undone");
            assert_eq!(money(&mut other, 1), EACH + 5 * upgrade);
            for account in [0, 4] {
                let change = if account == 0 { 5 * upgrade } else { 0 };
                assert_eq!(money(&mut writer, account), EACH - change);
                assert_eq!(money(&mut other, account), EACH - change);
            }
            // The process that it has stays for it.
            begin(&mut writer, 6, 1);
            end(&mut writer, 6, 1);
            earlier.push(old);
        }
        stop.store(true, Ordering::Relaxed);
        for process in earlier {
            assert_eq!(process.wait(), Some(0));
        }
    });
    assert_whole(&login);
    api.delete(&instance);
    service.assert_nothing_left();
}

#[test]
fn transactions_over_nodes_come_to_their_end_when_the_time_is_over() {
    let (mut service, api, instance, login) = service(0);
    let mut resting = login.connect().expect("a session");
    let mut writer = login.connect().expect("a session");
    begin(&mut writer, 0, 9);
    let old = service.replace();
    wait_for("the end of its time", || resting.query("DO 1").err());
    end(&mut writer, 0, 9);
    assert!(writer.query("SELECT 1").is_err(), "its process ends");
    assert_eq!(old.wait(), Some(0));
    let mut session = login.connect().expect("a session");
    assert_eq!(money(&mut session, 1), EACH + 9);
    // One that is cut off, with its process and its successor, is undone.
    let mut lost = login.connect().expect("a session");
    begin(&mut lost, 2, 9);
    let old = service.replace();
    service.kill();
    assert_eq!(old.wait(), Some(0));
    assert!(lost.query("COMMIT").is_err());
    service.start();
    let mut session = login.connect_when_possible();
    assert_eq!(money(&mut session, 2), EACH);
    assert_whole(&login);
    service.api().delete(&instance);
    drop(api);
    service.assert_nothing_left();
}
