//! `KILL` by the thread id that a client was told, where the node's is another by now.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::support::{
    OTHER_PASSWORD, OTHER_USER, PASSWORD, Raw, Reply, Setup, USER, capabilities, eventually,
};
use openpeta_gateway::GatewayConfig;
use openpeta_mysql_wire::Capabilities;

const SLEEP: &str = "SELECT SLEEP(3600)";

/// One loop, so that whoever comes finds what the one before has left.
fn start() -> Setup {
    Setup::with(GatewayConfig {
        workers: 1,
        ..GatewayConfig::default()
    })
}

/// A session whose client was greeted with the number of a connection that does not suit it.
fn misled(setup: &Setup, user: &str, password: &str) -> Raw {
    setup.raw().quit();
    setup.warm(1);
    let mut raw = Raw::greeted(setup.address);
    let found_rows = capabilities() | Capabilities::FOUND_ROWS;
    let reply = raw.try_login(user, password, "shop", found_rows);
    assert_eq!(reply.error(), None, "{}", reply.text());
    assert_ne!(number(&mut raw), raw.greeting.connection_id);
    raw
}

/// One whose node went down and came back.
fn revived(setup: &mut Setup) -> Raw {
    // So that the numbers of the node that comes back are others.
    drop((0..20).map(|_| setup.raw()).collect::<Vec<_>>());
    let mut raw = setup.raw();
    assert_eq!(raw.rows("SELECT 1").unwrap(), [["1"]]);
    setup.node.kill();
    setup.node.restart();
    assert_eq!(raw.rows("SELECT 1").unwrap(), [["1"]]);
    assert_ne!(number(&mut raw), raw.greeting.connection_id);
    raw
}

/// The node's number for a session.
fn number(raw: &mut Raw) -> u32 {
    raw.rows("SELECT CONNECTION_ID()").unwrap()[0][0]
        .parse()
        .unwrap()
}

fn sleeps(setup: &Setup, count: usize) {
    eventually("so many sleep", || {
        let list = "SELECT INFO FROM information_schema.PROCESSLIST";
        setup.node.administer(list).matches(SLEEP).count() == count
    });
}

fn fall_asleep(setup: &Setup, raw: &mut Raw) {
    raw.query(SLEEP);
    sleeps(setup, 1);
}

/// Reads the reply to a statement that was to run for an hour, up to its end.
fn wakes(raw: &mut Raw) -> Reply {
    let mut replies = (0..5).map(|_| raw.receive());
    let end = replies.find(|reply| reply.error().is_some());
    end.expect("an error in the place of the row")
}

#[test]
fn the_running_statement_of_the_session_that_was_told_the_number_ends() {
    let mut setup = start();
    let misled = misled(&setup, USER, PASSWORD);
    dies_by_the_number_told(&setup, misled);
    let revived = revived(&mut setup);
    dies_by_the_number_told(&setup, revived);
}

fn dies_by_the_number_told(setup: &Setup, mut raw: Raw) {
    let told = raw.greeting.connection_id;
    let own = number(&mut raw);
    let mut killer = setup.raw();
    for statement in [
        format!("KILL QUERY {told}"),
        format!("/* the pool */ kill soft query {told};"),
        format!("KILL QUERY {own}"),
    ] {
        fall_asleep(setup, &mut raw);
        assert_eq!(killer.execute(&statement).error(), None, "{statement}");
        assert_eq!(wakes(&mut raw).error(), Some(1317), "{statement}");
    }
    // A prepared one, run once.
    fall_asleep(setup, &mut raw);
    killer.send(0, format!("\x16KILL QUERY {told}").as_bytes());
    let prepared = killer.receive();
    assert_eq!(prepared.error(), None, "{}", prepared.text());
    let id = &prepared.payload[1..5];
    killer.send(0, &[&[0x17], id, &[0, 1, 0, 0, 0]].concat());
    assert_eq!(killer.receive().error(), None);
    assert_eq!(wakes(&mut raw).error(), Some(1317));
    // The connection.
    killer.send(0, &[&[0x0C], &told.to_le_bytes()[..]].concat());
    assert_eq!(killer.receive().error(), None);
    raw.rest();
    eventually("it is counted out", || setup.sessions() == 1);
    // Who is gone is gone.
    assert_eq!(killer.rows(&format!("KILL {told}")), Err(1094));
    killer.quit();
    eventually("nothing is left", || setup.sessions() == 0);
}

#[test]
fn one_may_kill_oneself() {
    let setup = start();
    let mut raw = misled(&setup, USER, PASSWORD);
    let told = raw.greeting.connection_id;
    assert_eq!(raw.rows(&format!("KILL QUERY {told}")), Err(1317));
    assert_eq!(raw.rows(&format!("KILL {told}")), Err(1927));
    eventually("it has ended", || setup.sessions() == 0);
}

#[test]
fn whom_one_may_kill_the_node_decides() {
    let setup = start();
    let mut other = misled(&setup, OTHER_USER, OTHER_PASSWORD);
    let mut killer = setup.raw();
    let told = other.greeting.connection_id;
    assert_eq!(killer.rows(&format!("KILL {told}")), Err(1095));
    assert_eq!(other.rows("SELECT 1").unwrap(), [["1"]]);
    setup
        .node
        .administer("GRANT CONNECTION ADMIN ON *.* TO 'app'@'%'");
    let mut killer = Raw::login(setup.address, USER, PASSWORD, "shop");
    fall_asleep(&setup, &mut other);
    assert_eq!(killer.execute(&format!("KILL QUERY {told}")).error(), None);
    assert_eq!(wakes(&mut other).error(), Some(1317));
}

#[test]
fn errors_are_those_of_a_direct_connection() {
    let setup = start();
    let mut direct = Raw::direct(&setup.node.socket);
    let reply = direct.try_login(USER, "backend-app", "shop", capabilities());
    assert_eq!(reply.error(), None, "{}", reply.text());
    let _misled = misled(&setup, USER, PASSWORD);
    let mut raw = setup.raw();
    for statement in [
        "KILL 3999999999",
        "KILL QUERY 3999999999",
        "KILL QUERY ID 3999999999",
        "KILL USER nobody",
        "KILL",
        "KILL 'x'",
        "KILL 99999999999999999999",
    ] {
        assert_eq!(raw.execute(statement), direct.execute(statement));
    }
    let kill = [&[0x0C], &3_999_999_999_u32.to_le_bytes()[..]].concat();
    raw.send(0, &kill);
    direct.send(0, &kill);
    assert_eq!(raw.receive(), direct.receive());
}

#[test]
fn no_two_sessions_are_told_the_same_number() {
    let mut setup = Setup::start();
    let mut before: Vec<_> = (0..20).map(|_| setup.raw()).collect();
    setup.node.kill();
    setup.node.restart();
    let told = |sessions: &[Raw]| -> HashSet<u32> {
        sessions
            .iter()
            .map(|raw| raw.greeting.connection_id)
            .collect()
    };
    let after: Vec<_> = (0..15).map(|_| setup.raw()).collect();
    let (old, new) = (told(&before), told(&after));
    assert!(old.is_disjoint(&new), "{old:?} {new:?}");
    // The node counts from the beginning: without care these numbers would be the same.
    assert!(new.iter().min() < old.iter().max().map(|id| id + 5).as_ref());
    let numbers: HashSet<u32> = before.iter_mut().map(number).collect();
    for (raw, number) in before.iter_mut().zip(0..) {
        let own = self::number(raw);
        let its = raw.greeting.connection_id;
        assert!(own == its || !old.contains(&own), "{number}: {own}");
    }
    assert_eq!(numbers.len(), 20);
    assert!(numbers.is_disjoint(&new));
}

/// The stock client, which reads statements from its standard input.
struct Client {
    process: Child,
    input: ChildStdin,
}

impl Client {
    fn start(setup: &Setup) -> Self {
        let mut process = setup
            .client()
            .args(["--force", "--unbuffered", "--skip-reconnect"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        Self { process, input }
    }

    /// Reads what it prints up to this line; it has words of its own about Ctrl-C.
    fn says(&mut self, line: &str) {
        let output = self.process.stdout.as_mut().unwrap();
        let mut said = Vec::new();
        while !said.ends_with(line.as_bytes()) {
            let mut byte = [0; 1];
            let read = output.read_exact(&mut byte);
            read.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&said)));
            said.extend(byte);
        }
    }

    /// Ctrl-C.
    fn interrupt(&self) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(sent.success());
    }

    fn end(self) -> String {
        drop(self.input);
        let output = self.process.wait_with_output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }
}

#[test]
fn ctrl_c_in_the_stock_client_ends_its_statement() {
    let mut setup = start();
    // Its kind does not suit the connection that waits.
    setup.raw().quit();
    setup.warm(1);
    for down in [false, true] {
        let mut client = Client::start(&setup);
        client.input.write_all(b"SELECT 'ready';\n").unwrap();
        client.says("ready\n");
        if down {
            setup.node.kill();
            setup.node.restart();
            client.input.write_all(b"SELECT 'again';\n").unwrap();
            client.says("again\n");
        }
        let mut bystander = setup.raw();
        bystander.query(SLEEP);
        sleeps(&setup, 1);
        client
            .input
            .write_all(format!("{SLEEP};\n").as_bytes())
            .unwrap();
        sleeps(&setup, 2);
        client.interrupt();
        sleeps(&setup, 1);
        client.input.write_all(b"SELECT 'after';\n").unwrap();
        client.says("after\n");
        let rest = client.end();
        assert!(rest.contains("1317"), "{rest}");
    }
    assert!(setup.counters().warm_unfit > 0);
    assert_eq!(setup.counters().revived, 1);
}
