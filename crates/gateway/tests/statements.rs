//! What is counted of statements, for a workload whose composition is known.
//!
//! `OPENPETA_SEED` replays the workload of one seed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{OTHER_PASSWORD, OTHER_USER, Setup, eventually};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params};
use openpeta_gateway::{
    DatabaseCounters, GatewayConfig, StatementCounters, StatementDigest, TimesTaken,
};

const STATEMENTS: u64 = 10_000;

const PREPARE: &str = "
CREATE DATABASE depot; -- Tables without transactions, so that no client waits for another.
GRANT ALL ON depot.* TO 'app'@'%', 'other'@'%';
CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, a MEDIUMTEXT) ENGINE=MyISAM;
INSERT INTO shop.t VALUES (1, 'first');
CREATE TABLE depot.t LIKE shop.t;
DELIMITER //
CREATE PROCEDURE shop.p() BEGIN SELECT 1; SELECT 2, 3; END//
CREATE PROCEDURE shop.fails() BEGIN SELECT 1; SELECT no_such; END//
DELIMITER ;
";

#[derive(Clone, Copy, Debug)]
enum Class {
    Read,
    Write,
    Set,
    Begin,
    Commit,
    Rollback,
    OtherTransaction,
    Other,
}

/// A statement, its class, whether it succeeds, and the database that it goes over to.
type Known = (String, Class, bool, Option<&'static str>);

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }

    fn statement(&mut self) -> Known {
        use Class::*;
        let n = self.below(1000);
        let (text, class, succeeds) = match self.below(30) {
            0 => (format!("SELECT * FROM shop.t WHERE id = {n}"), Read, true),
            1 => ("select count(*) from depot.t".into(), Read, true),
            2 => (
                format!("/* a; b */ (SELECT {n}) UNION (SELECT 2) -- c"),
                Read,
                true,
            ),
            3 => ("WITH a AS (SELECT 1) SELECT * FROM a".into(), Read, true),
            4 => ("SELECT ';', \"a;b\" /* ; */".into(), Read, true),
            5 => ("SELECT FROM t".into(), Read, false),
            6 => ("SELECT * FROM shop.no_such".into(), Read, false),
            7 => (
                format!("INSERT INTO shop.t (a) VALUES ('{n};')"),
                Write,
                true,
            ),
            8 => (
                "INSERT INTO shop.t VALUES (1, 'twice')".into(),
                Write,
                false,
            ),
            9 => (
                format!("UPDATE shop.t SET a = 'x\\';' WHERE id = {n}"),
                Write,
                true,
            ),
            10 => (format!("DELETE FROM depot.t WHERE id > {n}"), Write, true),
            11 => ("REPLACE INTO depot.t VALUES (5, NULL)".into(), Write, true),
            12 => {
                let long = "a long; 'text' ".replace('\'', "''").repeat(1 + n as usize);
                (
                    format!("INSERT INTO shop.t (a) VALUES ('{long}')"),
                    Write,
                    true,
                )
            }
            13 => ("SET @a = 1".into(), Set, true),
            14 => ("/*!40101 SET @b = 2 */".into(), Set, true),
            15 => ("SET no_such_variable = 1".into(), Set, false),
            16 => (
                "SET STATEMENT max_statement_time=100 FOR SELECT 1".into(),
                Read,
                true,
            ),
            17 => ("BEGIN".into(), Begin, true),
            18 => ("START TRANSACTION READ ONLY".into(), Begin, true),
            19 => ("COMMIT".into(), Commit, true),
            20 => ("ROLLBACK".into(), Rollback, true),
            21 => ("SAVEPOINT a".into(), OtherTransaction, true),
            22 => (
                "ROLLBACK TO SAVEPOINT no_such".into(),
                OtherTransaction,
                false,
            ),
            23 => ("SHOW TABLES FROM shop".into(), Other, true),
            24 => ("SELEC 1".into(), Other, false),
            25 => ("CALL shop.p()".into(), Other, true),
            26 => ("CALL shop.fails()".into(), Other, false),
            27 => (
                "BEGIN NOT ATOMIC SELECT 1; SELECT 2; END".into(),
                Other,
                true,
            ),
            28 => ("USE depot".into(), Other, true),
            _ => ("use `shop`".into(), Other, true),
        };
        let goes = match &text[..] {
            "USE depot" => Some("depot"),
            "use `shop`" => Some("shop"),
            _ => None,
        };
        // A read-only transaction would refuse the writes to come.
        let text = text.replace(" READ ONLY", "");
        (text, class, succeeds, goes)
    }
}

/// What has to have been counted, by database.
#[derive(Default)]
struct Expected {
    databases: BTreeMap<String, StatementCounters>,
    statements: u64,
}

impl Expected {
    fn add(&mut self, database: &str, class: Class, succeeds: bool) {
        self.statements += 1;
        let counters = self.databases.entry(database.to_owned()).or_default();
        *match succeeds {
            true => &mut counters.finished,
            false => &mut counters.failed,
        } += 1;
        *match class {
            Class::Read => &mut counters.single_reads,
            Class::Write => &mut counters.single_writes,
            Class::Set => &mut counters.set,
            Class::Begin => &mut counters.begins,
            Class::Commit => &mut counters.commits,
            Class::Rollback => &mut counters.rollbacks,
            Class::OtherTransaction => &mut counters.other_transaction,
            Class::Other => &mut counters.other,
        } += 1;
    }
}

/// Counts without times, which no test can know.
fn untimed(counters: &StatementCounters) -> StatementCounters {
    StatementCounters {
        read_time: Duration::ZERO,
        longest_read: Duration::ZERO,
        write_time: Duration::ZERO,
        longest_write: Duration::ZERO,
        reads_by_time: TimesTaken::default(),
        writes_by_time: TimesTaken::default(),
        ..*counters
    }
}

fn counted(setup: &Setup) -> BTreeMap<String, StatementCounters> {
    let databases = setup.gateway.database_counters(&setup.route.instance_id);
    databases
        .unwrap()
        .iter()
        .map(|database| (database.name.clone(), untimed(&database.statements)))
        .collect()
}

/// One client and the database that it is in.
struct Client {
    conn: Conn,
    database: &'static str,
}

impl Client {
    /// Runs some statements in one text.
    async fn several(&mut self, random: &mut Random, expected: &mut Expected) {
        let count = 1 + random.below(5);
        let statements: Vec<Known> = (0..count).map(|_| random.statement()).collect();
        let texts: Vec<&str> = statements.iter().map(|known| known.0.as_str()).collect();
        // A comment to the end of a line does not end with the semicolon.
        let text = texts.join("\n;");
        let outcome = self.conn.query_drop(&text).await;
        let mut all_succeed = true;
        for (_, class, succeeds, goes) in statements {
            expected.add(self.database, class, succeeds);
            self.database = goes.unwrap_or(self.database);
            if !succeeds {
                all_succeed = false;
                break;
            }
        }
        assert_eq!(outcome.is_ok(), all_succeed, "{text}: {outcome:?}");
    }

    /// Runs a prepared statement, which prepares it at first.
    async fn prepared(&mut self, random: &mut Random, expected: &mut Expected) {
        let n = random.below(1000);
        let (text, class, succeeds, parameters) = match random.below(6) {
            // Many texts, so that the driver closes statements again.
            0 => (format!("SELECT {n} + ?"), Class::Read, true, vec![n]),
            1 => (
                "SELECT * FROM shop.t WHERE id = ?".into(),
                Class::Read,
                true,
                vec![n],
            ),
            2 => (
                "INSERT INTO depot.t (a) VALUES (?)".into(),
                Class::Write,
                true,
                vec![n],
            ),
            3 => (
                "INSERT INTO shop.t (id) VALUES (?)".into(),
                Class::Write,
                false,
                vec![1],
            ),
            4 => ("CALL shop.p()".into(), Class::Other, true, vec![]),
            _ => ("SET @a = ?".into(), Class::Set, true, vec![n]),
        };
        let parameters = match parameters[..] {
            [] => Params::Empty,
            [n, ..] => (n,).into(),
        };
        let outcome = self.conn.exec_drop(&text, parameters).await;
        assert_eq!(outcome.is_ok(), succeeds, "{text}: {outcome:?}");
        expected.add(self.database, class, succeeds);
    }
}

async fn workload(setup: &Setup, seed: u64) {
    let mut random = Random(seed);
    let options = || setup.options().stmt_cache_size(5).setup::<&str>(vec![]);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let conn = Conn::new(options()).await.unwrap();
        clients.push(Client {
            conn,
            database: "shop",
        });
    }
    // What the driver itself asks at its connects.
    let before = counted(setup);
    let mut expected = Expected {
        databases: before,
        statements: 0,
    };
    while expected.statements < STATEMENTS {
        let at = random.below(3) as usize;
        let client = &mut clients[at];
        match random.below(100) {
            0 => client.conn.ping().await.unwrap(),
            1..50 => client.several(&mut random, &mut expected).await,
            _ => client.prepared(&mut random, &mut expected).await,
        }
    }
    assert_eq!(counted(setup), expected.databases, "OPENPETA_SEED={seed}");
    let total = untimed(&setup.counters().statements);
    assert!(total.queries() >= STATEMENTS);
    let reads: u64 = expected.databases.values().map(|c| c.single_reads).sum();
    assert_eq!(total.single_reads, reads);
    let digests = setup.gateway.digests(&setup.route.instance_id).unwrap();
    let sum = |of: fn(&StatementDigest) -> u64| digests.iter().map(of).sum::<u64>();
    assert_eq!(sum(|digest| digest.count), total.queries());
    assert_eq!(sum(|digest| digest.errors), total.failed);
    assert!(
        digests.len() < 60,
        "one a kind of statement: {}",
        digests.len()
    );
    for client in clients {
        client.conn.disconnect().await.unwrap();
    }
}

#[tokio::test]
async fn a_known_workload_is_counted_exactly() {
    let setup = Setup::start();
    setup.node.run_script(PREPARE);
    let seed = std::env::var("OPENPETA_SEED").map_or(7, |seed| seed.parse().unwrap());
    workload(&setup, seed).await;
    let databases = || {
        setup
            .gateway
            .database_counters(&setup.route.instance_id)
            .unwrap()
    };
    eventually("nobody is in a database anymore", || {
        databases().iter().all(|database| database.sessions == 0)
    });
    let times = setup.counters().statements;
    assert!(times.longest_read > Duration::ZERO && times.longest_read <= times.read_time);
    assert!(times.longest_write > Duration::ZERO && times.longest_write <= times.write_time);
    let taken = setup.gateway.take_counters(&setup.route.instance_id);
    let taken = taken.unwrap();
    assert_eq!(taken.instance.statements, times);
    let of = |database: &DatabaseCounters| database.statements.longest_read;
    let longest = taken.databases.iter().map(of).max().unwrap();
    assert!(longest > Duration::ZERO && longest <= times.longest_read);
    let after = setup.counters().statements;
    assert_eq!(
        (after.longest_read, after.longest_write),
        (Duration::ZERO, Duration::ZERO)
    );
    assert_eq!(after.read_time, times.read_time);
}

/// The counters of a database.
fn database(setup: &Setup, name: &str) -> DatabaseCounters {
    let databases = setup.gateway.database_counters(&setup.route.instance_id);
    let found = databases.unwrap().into_iter().find(|d| d.name == name);
    found.unwrap_or_default()
}

#[test]
fn commands_that_are_no_statements_change_what_is_counted() {
    let setup = Setup::start();
    setup.node.run_script(PREPARE);
    let mut raw = setup.raw();
    assert_eq!(database(&setup, "shop").sessions, 1);
    // COM_INIT_DB, which fails, then does not.
    raw.send(0, b"\x02no_such");
    assert!(raw.receive().error().is_some());
    raw.send(0, b"\x02depot");
    assert_eq!(raw.receive().error(), None);
    assert_eq!(
        (
            database(&setup, "shop").sessions,
            database(&setup, "depot").sessions
        ),
        (0, 1)
    );
    raw.execute("DO 1");
    let depot = database(&setup, "depot");
    assert_eq!((depot.statements.other, depot.commands), (1, 1));
    // COM_SET_OPTION: one statement a text, then several again.
    raw.send(0, &[0x1B, 1, 0]);
    raw.receive();
    assert!(raw.execute("DO 1; DO 2").error().is_some());
    assert_eq!(database(&setup, "depot").statements.failed, 1);
    raw.send(0, &[0x1B, 0, 0]);
    raw.receive();
    raw.execute("DO 1; DO 2");
    raw.receive();
    assert_eq!(database(&setup, "depot").statements.finished, 3);
    // COM_RESET_CONNECTION keeps the database.
    raw.send(0, &[0x1F]);
    assert_eq!(raw.receive().error(), None);
    raw.execute("DO 1");
    assert_eq!(database(&setup, "depot").statements.finished, 4);
    let mut found = raw.execute("SELECT DATABASE()").text();
    while !found.contains("depot") {
        found = raw.receive().text();
    }
    raw.receive();
    // An empty text and one of comments alone.
    assert_eq!(raw.execute("").error(), Some(1065));
    assert_eq!(raw.execute("/* nothing */").error(), None);
    raw.execute("DO 1; -- nothing");
    raw.receive();
    let depot = database(&setup, "depot").statements;
    assert_eq!((depot.finished, depot.failed, depot.other), (8, 2, 9));
    // No database at all.
    let dropped = "CREATE DATABASE gone";
    setup
        .node
        .administer(&format!("{dropped}; GRANT ALL ON gone.* TO 'app'@'%'"));
    raw.execute("USE gone");
    raw.execute("DROP DATABASE gone");
    let before = setup.counters().statements.queries();
    raw.execute("DO 1");
    assert_eq!(database(&setup, "gone").statements.queries(), 1);
    assert_eq!(database(&setup, "gone").sessions, 0);
    assert_eq!(setup.counters().statements.queries(), before + 1);
}

#[tokio::test]
async fn another_user_begins_with_no_prepared_statements_in_another_database() {
    let setup = Setup::start();
    setup.node.run_script(PREPARE);
    let mut conn = setup.connect().await;
    conn.exec_drop("SELECT ?", (1,)).await.unwrap();
    let reads = database(&setup, "shop").statements.single_reads;
    let change = mysql_async::ChangeUserOpts::new()
        .with_user(Some(OTHER_USER.to_owned()))
        .with_pass(Some(OTHER_PASSWORD.to_owned()))
        .with_db_name(Some("depot".to_owned()));
    conn.change_user(change).await.unwrap();
    conn.exec_drop("SELECT ?", (1,)).await.unwrap();
    assert_eq!(database(&setup, "shop").statements.single_reads, reads);
    assert!(database(&setup, "depot").statements.single_reads >= 1);
    assert_eq!(
        (
            database(&setup, "shop").sessions,
            database(&setup, "depot").sessions
        ),
        (0, 1)
    );
}

/// A statement sent ahead of the reply to its preparation, as MariaDB's own clients do.
#[test]
fn a_statement_is_executed_before_its_id_is_known() {
    let setup = Setup::start();
    let mut raw = setup.raw();
    raw.send(0, b"\x16DELETE FROM mysql_no_such WHERE 1");
    assert!(raw.receive().error().is_some());
    let execute = [&[0x17][..], &[0xFF; 4], &[0, 1, 0, 0, 0]].concat();
    let mut both = Vec::new();
    openpeta_mysql_wire::put_packet(&mut both, 0, b"\x16SELECT 1");
    openpeta_mysql_wire::put_packet(&mut both, 0, &execute);
    openpeta_mysql_wire::put_packet(&mut both, 0, b"\x03DO 1");
    raw.stream.write_all(&both).unwrap();
    let mut oks = 0;
    while oks < 1 {
        let reply = raw.receive();
        // The OK of DO has the length of one without a text.
        oks += u32::from(reply.payload.len() == 7 && reply.payload[0] == 0);
    }
    let statements = setup.counters().statements;
    assert_eq!((statements.single_reads, statements.single_writes), (1, 0));
    assert_eq!((statements.other, statements.failed), (1, 0));
}

fn digests(setup: &Setup) -> BTreeMap<String, StatementDigest> {
    let digests = setup.gateway.digests(&setup.route.instance_id).unwrap();
    digests
        .into_iter()
        .map(|digest| (digest.text.clone(), digest))
        .collect()
}

#[tokio::test]
async fn digests_tell_rows_errors_and_times() {
    let setup = Setup::start();
    setup.node.run_script(PREPARE);
    let mut conn = setup.connect().await;
    for n in 0..20 {
        let text =
            format!("SELECT seq FROM seq_1_to_5 WHERE seq IN ({n}, 2, 3); SELECT SLEEP(0.0{n})");
        conn.query_drop(text).await.unwrap();
    }
    conn.query_drop("INSERT INTO t (a) VALUES ('a'), ('b'),('c')")
        .await
        .unwrap();
    conn.query_drop("insert into T (a) values ('a')")
        .await
        .unwrap_err();
    conn.query_drop("INSERT INTO t (a) VALUES ('d')")
        .await
        .unwrap();
    conn.exec_drop("SELECT a FROM t WHERE id < ?", (3,))
        .await
        .unwrap();
    conn.query_drop("SELECT a FROM t WHERE id < 4")
        .await
        .unwrap();
    conn.query_drop("CALL p()").await.unwrap();
    let digests = digests(&setup);
    let counts = |text: &str| {
        let d = &digests[text];
        (d.count, d.errors, d.rows_sent, d.rows_affected)
    };
    // 1, 4 and 5 besides 2 and 3.
    assert_eq!(
        counts("SELECT seq FROM seq_1_to_5 WHERE seq IN (...)"),
        (20, 0, 43, 0)
    );
    // The case of letters makes no other digest.
    assert_eq!(counts("INSERT INTO t (a) VALUES (...)"), (3, 1, 0, 4));
    assert_eq!(counts("SELECT a FROM t WHERE id < ?"), (2, 0, 5, 0));
    assert_eq!(counts("CALL p ()").0, 1);
    assert_eq!(counts("CALL p ()").2, 2);
    let sleep = &digests["SELECT SLEEP (?)"];
    assert_eq!(sleep.count, 20);
    assert!(sleep.longest >= Duration::from_millis(19) && sleep.total_time >= sleep.longest);
    assert!(sleep.shortest <= sleep.p50 && sleep.p50 <= sleep.p95);
    assert!(sleep.p95 <= sleep.p99 && sleep.p99 <= sleep.longest);
}

#[tokio::test]
async fn a_limit_of_digests_holds_for_all_loops_together() {
    let config = |digests| GatewayConfig {
        digests,
        ..GatewayConfig::default()
    };
    for limit in [0, 3] {
        let setup = Setup::with(config(limit));
        for _ in 0..4 {
            let mut conn = setup.connect().await;
            for n in 0..20 {
                conn.query_drop(format!("SELECT {n} AS c{n}"))
                    .await
                    .unwrap();
            }
        }
        let digests = setup.gateway.digests(&setup.route.instance_id).unwrap();
        let count: u64 = digests.iter().map(|digest| digest.count).sum();
        if limit == 0 {
            assert_eq!(digests, []);
        } else {
            assert_eq!(
                digests.iter().filter(|digest| digest.digest != 0).count(),
                limit
            );
            assert_eq!(count, setup.counters().statements.queries());
        }
    }
}
