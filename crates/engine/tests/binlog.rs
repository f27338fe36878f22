//! The archive of a binary log, and databases brought to a later moment out of it: at each second
//! the content is what it was.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::beds::Beds;
use crate::common::db;
use jiff::Timestamp;
use mysql_async::prelude::Queryable;
use openpeta_engine::{
    BackupKeys, EngineError, LogAfter, LogQuery, Logged, LoggedTransaction, Manifest, ReplayRange,
    ReplayUntil, Replayed,
};

/// A database with one of everything.
const SCHEMA: &str = include_str!("data/backup_schema.sql");

/// Two nodes and an archive of the first one's log.
struct Archived {
    beds: Beds,
    archive: PathBuf,
}

impl Archived {
    async fn new() -> Self {
        Self::with(BackupKeys::default()).await
    }

    /// With finished copies encrypted.
    async fn with(keys: BackupKeys) -> Self {
        let beds = Beds::with(|config| config.backup_keys = keys).await;
        let archive = beds.bed.dir.path().join("archive");
        let archived = Self { beds, archive };
        archived.archive(true).await;
        archived
    }

    /// Copies what is new; how many bytes that were.
    async fn archive(&self, is_first: bool) -> u64 {
        let engine = &self.beds.bed.engine;
        let archived = engine.archive_log(&self.beds.from, &self.archive, is_first);
        archived.await.expect("archived").added_bytes
    }

    /// Waits for the next second and returns it: all that was committed is before it.
    async fn next_second(&self) -> Timestamp {
        let begun = Timestamp::now().as_second();
        loop {
            let now = Timestamp::now().as_second();
            if now > begun {
                return Timestamp::from_second(now).expect("a time");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Loads a set and brings it to a second.
    async fn restore(
        &self,
        name: &str,
        manifest: &Manifest,
        until: Timestamp,
    ) -> Result<Replayed, EngineError> {
        self.beds
            .load(name, manifest)
            .await
            .expect("it can be loaded");
        self.replay(manifest, until).await
    }

    async fn replay(&self, manifest: &Manifest, until: Timestamp) -> Result<Replayed, EngineError> {
        self.replay_until(manifest, ReplayUntil::Second(until))
            .await
    }

    async fn replay_until(
        &self,
        manifest: &Manifest,
        until: ReplayUntil,
    ) -> Result<Replayed, EngineError> {
        let range = ReplayRange {
            archive: &self.archive,
            from: &manifest.binlog,
            until,
        };
        let engine = &self.beds.bed.engine;
        let (to, name) = (&self.beds.to, db("shop"));
        engine.replay_log(to, &name, range, &|_, _, _| {}).await
    }

    /// The transactions of the database `shop` that are in the archive.
    async fn search(&self, change: impl FnOnce(&mut LogQuery)) -> Vec<LoggedTransaction> {
        let mut query = LogQuery {
            from: Timestamp::UNIX_EPOCH,
            until: Timestamp::MAX,
            table: None,
            limit: 1_000,
        };
        change(&mut query);
        let engine = &self.beds.bed.engine;
        let found = engine.search_log(&self.archive, &db("shop"), query).await;
        found.expect("it can be read")
    }

    async fn rotate(&self) -> String {
        let mut sql = self
            .beds
            .bed
            .engine
            .sql(&self.beds.from)
            .await
            .expect("connect");
        let current = sql.rotate_binlogs().await.expect("rotated");
        current.expect("a log")
    }

    fn copies(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.archive)
            .expect("it is there")
            .map(|entry| {
                entry
                    .expect("a file")
                    .file_name()
                    .into_string()
                    .expect("text")
            })
            .filter(|name| name != "marks")
            .collect();
        names.sort();
        names
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_everything_comes_out_of_the_log() {
    let archived = Archived::new().await;
    let beds = &archived.beds;
    let empty = beds.take("1").await.manifest;
    beds.script(&beds.from, SCHEMA.as_bytes());
    let full = beds.take("2").await.manifest;
    let until = archived.next_second().await;
    beds.script(
        &beds.from,
        b"DROP TABLE zero_id; INSERT INTO no_key VALUES ('late', 1);",
    );
    archived.archive(false).await;

    let replayed = archived.restore("1", &empty, until).await.expect("applied");
    assert!(replayed.groups > 30, "{replayed:?}");
    assert!(replayed.gtid.starts_with("0-"), "{replayed:?}");
    // A set does not have it, the log does.
    beds.script(&beds.to, b"DROP VIEW v_invalid");
    beds.verify(&full).await.expect("it is the same");
    assert!(beds.bed.engine.is_replay_begun(&beds.to).expect("look"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_moment_comes_back() {
    let archived = Archived::new().await;
    let beds = &archived.beds;
    let base = "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(200));
        CREATE TABLE no_key (v INT); CREATE DATABASE other; CREATE TABLE other.t (id INT);
        CREATE EVENT off ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM t;
        CREATE EVENT on_ ON SCHEDULE EVERY 1 DAY DO DELETE FROM t WHERE id < 0;
        INSERT INTO t (v) SELECT seq FROM seq_1_to_500;";
    beds.script(&beds.from, base.as_bytes());
    let set = beds.take("base").await.manifest;
    // What concerns the database, what concerns others, and both at once.
    let rounds = [
        "INSERT INTO t (v) VALUES ('one'); INSERT INTO no_key VALUES (1), (1);
         INSERT INTO other.t VALUES (1);",
        "CREATE TABLE u (id INT PRIMARY KEY) SELECT id FROM t WHERE id < 20;
         BEGIN; UPDATE t SET v='x' WHERE id < 300; INSERT INTO other.t VALUES (2);
         SAVEPOINT a; DELETE FROM t WHERE id > 400; ROLLBACK TO a; COMMIT;
         CREATE USER someone; GRANT SELECT ON shop.* TO someone;
         ALTER EVENT off RENAME TO still_off; ALTER EVENT on_ DISABLE; ALTER EVENT on_ ENABLE;",
        "USE other; CREATE TABLE shop.from_other (a INT PRIMARY KEY); CREATE TABLE o2 (a INT);
         CREATE PROCEDURE p() SELECT 1 FROM shop.t; INSERT INTO shop.from_other VALUES (7);
         CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.t; DROP DATABASE other;",
        "XA START 'a'; INSERT INTO t (v) VALUES ('xa'); XA END 'a'; XA PREPARE 'a'; XA COMMIT 'a';
         XA START 'b'; INSERT INTO t (v) VALUES ('lost'); XA END 'b'; XA PREPARE 'b';",
        "SET SESSION sql_mode='ANSI_QUOTES'; CREATE TABLE \"q\"\"q\" (\"a b\" INT);
         INSERT INTO \"q\"\"q\" VALUES (1); DROP TABLE u;
         CREATE SEQUENCE s CACHE 5; DO NEXTVAL(s), NEXTVAL(s);
         TRUNCATE no_key; DROP EVENT still_off; CREATE VIEW w AS SELECT * FROM t;",
    ];
    let mut moments = vec![(archived.next_second().await, set.clone())];
    for (number, round) in rounds.iter().enumerate() {
        beds.script(&beds.from, round.as_bytes());
        let truth = beds.take(&format!("round-{number}")).await.manifest;
        if number % 2 == 0 {
            archived.rotate().await;
        }
        moments.push((archived.next_second().await, truth));
        archived.archive(false).await;
    }
    let mut copies = archived.copies();
    let newest = copies.pop().expect("the one being written");
    assert!(
        copies.iter().all(|name| name.ends_with(".zst")),
        "{copies:?}"
    );
    assert!(!newest.ends_with(".zst"));
    for (until, truth) in &moments {
        let replayed = archived
            .restore("base", &set, *until)
            .await
            .expect("applied");
        beds.verify(truth)
            .await
            .unwrap_or_else(|error| panic!("{until}: {error}; {replayed:?}"));
    }
    // The node is as new: nobody applies anything any more, its log begins with it.
    let mut conn = beds.connect(&beds.to).await;
    let slaves: Vec<mysql_async::Row> = conn.query("SHOW SLAVE STATUS").await.expect("told");
    assert!(slaves.is_empty());
    let settings: Option<(u8, u32, String, String)> = conn
        .query_first(
            "SELECT @@GLOBAL.gtid_strict_mode, @@GLOBAL.slave_parallel_threads,
                    @@GLOBAL.replicate_wild_do_table, @@GLOBAL.gtid_binlog_pos",
        )
        .await
        .expect("told");
    assert_eq!(settings, Some((1, 0, String::new(), String::new())));
    let prepared: Vec<mysql_async::Row> = conn.query("XA RECOVER").await.expect("told");
    assert!(prepared.is_empty());
}

/// A set, something in the log, and a second after it.
async fn with_rows(archived: &Archived) -> (Manifest, Timestamp) {
    let beds = &archived.beds;
    beds.script(&beds.from, b"CREATE TABLE t (id INT PRIMARY KEY);");
    let set = beds.take("base").await.manifest;
    for id in 0..3 {
        let insert = format!("INSERT INTO t SELECT {id} * 1000 + seq FROM seq_1_to_500;");
        beds.script(&beds.from, insert.as_bytes());
        archived.rotate().await;
    }
    beds.script(&beds.from, b"INSERT INTO t VALUES (9000);");
    (set, archived.next_second().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_and_gaps_are_found_before_anything_is_applied() {
    let keys = BackupKeys::parse(&"5a".repeat(32)).expect("a key");
    let mut archived = Archived::with(keys.clone()).await;
    let (set, until) = with_rows(&archived).await;
    archived.archive(false).await;
    let good = archived.restore("base", &set, until).await.expect("whole");
    assert_eq!(good.groups, 4);
    archived
        .beds
        .load("base", &set)
        .await
        .expect("it can be loaded");
    let copies = archived.copies();
    assert_eq!(copies.len(), 4, "{copies:?}");
    let encrypted = copies.iter().filter(|name| name.ends_with(".zst.enc"));
    assert_eq!(encrypted.count(), 3, "{copies:?}");
    archived
        .beds
        .reopen(|config| config.backup_keys = BackupKeys::default())
        .await;
    let error = archived.replay(&set, until).await.expect_err("no key");
    assert!(matches!(error, EngineError::NoKey { .. }), "{error}");
    archived
        .beds
        .reopen(|config| config.backup_keys = keys)
        .await;
    for name in &copies {
        let path = archived.archive.join(name);
        let right = fs::read(&path).expect("a file");
        let mut wrong = right.clone();
        let middle = right.len() / 2;
        wrong[middle] ^= 4;
        fs::write(&path, &wrong).expect("it is ours");
        let error = archived.replay(&set, until).await.expect_err("damaged");
        assert!(error.to_string().contains(name.as_str()), "{error}");
        fs::remove_file(&path).expect("it is there");
        let result = archived.replay(&set, until).await;
        // Without the last one the log ends earlier, which nobody can know from the archive.
        if name != copies.last().expect("some") {
            let error = result.expect_err("a gap");
            assert!(matches!(error, EngineError::LogGap { .. }), "{error}");
        }
        fs::write(&path, &right).expect("it is ours");
        archived
            .beds
            .load("base", &set)
            .await
            .expect("it can be loaded");
        archived
            .beds
            .verify(&set)
            .await
            .expect("nothing was applied");
    }
    assert_eq!(
        archived.replay(&set, until).await.expect("whole again"),
        good
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_takes_what_is_new_and_lets_go_of_what_is_old() {
    let archived = Archived::new().await;
    let beds = &archived.beds;
    let engine = &beds.bed.engine;
    assert_eq!(archived.archive(false).await, 0, "nothing is new");
    let (set, until) = with_rows(&archived).await;
    assert!(archived.archive(false).await > 4_000);
    assert_eq!(archived.archive(false).await, 0, "nothing is new");

    // What was not synced is not trusted after a start.
    let newest = archived
        .archive
        .join(archived.copies().last().expect("some"));
    let right = fs::read(&newest).expect("a file");
    let mut file = OpenOptions::new().append(true).open(&newest).expect("ours");
    file.write_all(&[0; 512]).expect("written");
    archived.archive(true).await;
    assert_eq!(fs::read(&newest).expect("a file"), right);
    assert_eq!(
        archived
            .restore("base", &set, until)
            .await
            .expect("whole")
            .groups,
        4
    );

    // Files before the position of the oldest set go.
    let before = archived.copies();
    let later = beds.take("later").await.manifest;
    let purge = engine.purge_log_archive(&beds.from, &archived.archive, &later.binlog);
    purge.await.expect("purged");
    assert!(archived.copies().len() < before.len(), "{before:?}");
    let goes_on = |set: &Manifest| engine.archive_goes_on_from(&archived.archive, &set.binlog);
    assert!(!goes_on(&set).expect("look"));
    assert!(goes_on(&later).expect("look"));

    // The node purges a log whose end was not copied: what follows it is not taken for all.
    beds.script(&beds.from, b"INSERT INTO t VALUES (9001);");
    let mut sql = engine.sql(&beds.from).await.expect("connect");
    sql.purge_binlogs().await.expect("purged");
    beds.script(&beds.from, b"INSERT INTO t VALUES (9002);");
    archived.archive(false).await;
    assert!(!goes_on(&later).expect("look"));
    let now = beds.take("now").await.manifest;
    assert!(goes_on(&now).expect("look"));
    let removed = engine.destroy_log_archive(&beds.from, &archived.archive);
    removed.await.expect("removed");
    assert!(!Path::new(&archived.archive).exists());
}

/// Text of everything that changed a table, to be compared.
fn told(found: &[LoggedTransaction]) -> Vec<(String, String)> {
    let text = |one: &LoggedTransaction| {
        let tables = one.tables.iter().map(|(table, rows)| {
            let openpeta_engine::ChangedRows {
                inserted,
                updated,
                deleted,
                is_more,
            } = rows;
            format!(
                "{table} +{inserted} ~{updated} -{deleted}{}",
                if *is_more { " ?" } else { "" }
            )
        });
        (
            tables.collect::<Vec<_>>().join(", "),
            one.statements.join("; "),
        )
    };
    found.iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_transaction_is_found_and_stopped_before() {
    let archived = Archived::new().await;
    let beds = &archived.beds;
    // Each type of column whose length the log tells in a way of its own.
    let base = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300), w VARCHAR(20), c CHAR(5),
          d DECIMAL(20,7), e ENUM('a','b'), s SET('x','y','z'), f FLOAT, g DOUBLE, b BIT(13),
          dt DATETIME(6), ts TIMESTAMP(3) NULL, ti TIME(1), y YEAR, da DATE, bl LONGBLOB, j JSON,
          i1 TINYINT, i2 SMALLINT, i3 MEDIUMINT, i8 BIGINT, p POINT, n6 INET6, bi BINARY(200),
          big CHAR(255) CHARACTER SET utf8mb4, vb VARBINARY(70), ct TEXT COMPRESSED,
          cv VARCHAR(100) COMPRESSED);
        CREATE DATABASE other; USE other; CREATE TABLE t (id INT PRIMARY KEY);";
    beds.script(&beds.from, base.as_bytes());
    let set = beds.take("base").await.manifest;
    let full = "'2026-01-02 03:04:05.678901','2026-01-02 03:04:05.678','03:04:05.6',2026,
          '2026-01-02',REPEAT('b',70000),'{}',-1,-1,-1,-1,POINT(1,2),'::1','bin',
          REPEAT('\u{20ac}',200),'v',REPEAT('c',900),REPEAT('d',90)";
    let work = format!(
        "INSERT INTO t SELECT seq, REPEAT('v', seq * 20), 'w', 'c', -1.5, 'b', 'x,z', 1.5, 2.5, 4097,
          {full} FROM seq_1_to_10;
         INSERT INTO t (id) SELECT seq + 100 FROM seq_1_to_2000;
         BEGIN; UPDATE t SET v='new', e=NULL WHERE id < 150; INSERT INTO other.t VALUES (1); COMMIT;
         INSERT INTO other.t VALUES (2);
         DELETE FROM t WHERE id > 1000;
         TRUNCATE t; ALTER TABLE t ADD KEY (v);"
    );
    beds.script(&beds.from, work.as_bytes());
    archived.rotate().await;
    beds.script(
        &beds.from,
        b"INSERT INTO t (id) VALUES (7); CREATE TABLE u (id INT);",
    );
    archived.archive(false).await;

    let all = archived.search(|_| {}).await;
    let found = told(&all);
    let changes: Vec<_> = found.iter().map(|(rows, _)| rows.as_str()).collect();
    assert_eq!(
        changes,
        [
            "",
            "",
            "t +10 ~0 -0",
            "t +2000 ~0 -0",
            "t +0 ~59 -0",
            "t +0 ~0 -1100",
            "",
            "",
            "t +1 ~0 -0",
            ""
        ]
    );
    assert_eq!(found[5].1, "DELETE FROM t WHERE id > 1000");
    assert_eq!(found[6].1, "TRUNCATE t");
    assert!(
        found[2].1.chars().count() <= 201 && found[2].1.ends_with('…'),
        "{}",
        found[2].1
    );
    assert!(all.iter().all(|one| one.bytes > 0));
    let of_u = archived
        .search(|query| query.table = Some("u".into()))
        .await;
    assert_eq!(of_u, all[9..]);
    let of_t = archived
        .search(|query| query.table = Some("t".into()))
        .await;
    assert_eq!(of_t, all[1..9]);
    assert_eq!(archived.search(|query| query.limit = 3).await, all[..3]);
    assert_eq!(archived.search(|query| query.until = all[0].at).await, []);
    let after = all[9].at.saturating_add(Duration::from_secs(1));
    let late = after.expect("a time");
    assert_eq!(archived.search(|query| query.from = late).await, []);

    // Before the rows went, and with that.
    let bad = all[5].gtid;
    for (until, rows) in [
        (ReplayUntil::Before(bad), 2_010),
        (ReplayUntil::Through(bad), 910),
        (ReplayUntil::Before(all[2].gtid), 0),
        (ReplayUntil::Through(all[8].gtid), 1),
    ] {
        beds.load("base", &set).await.expect("it can be loaded");
        let replayed = archived.replay_until(&set, until).await.expect("applied");
        let mut conn = beds.connect(&beds.to).await;
        let found: Option<u64> = conn
            .query_first("SELECT COUNT(*) FROM t")
            .await
            .expect("there");
        assert_eq!(found, Some(rows), "{until:?} {replayed:?}");
    }

    // What the log does not have is told before anything is applied.
    beds.load("base", &set).await.expect("it can be loaded");
    let engine = &beds.bed.engine;
    let last = all[9].gtid;
    let named = |server: u32, sequence: u64| openpeta_types::Gtid {
        server: last.server.wrapping_add(server),
        sequence,
        ..last
    };
    for (gtid, logged) in [
        (bad, Logged::Yes),
        (all[2].gtid, Logged::Yes),
        (last, Logged::Yes),
        (named(0, last.sequence + 1), Logged::NotYet),
        (named(1, bad.sequence), Logged::Never),
        (named(1, last.sequence), Logged::Never),
        // It is in the set.
        (all[0].gtid, Logged::Never),
    ] {
        let found = engine
            .find_logged(&archived.archive, &set.binlog, gtid)
            .await;
        assert_eq!(found.expect("it can be read"), logged, "{gtid}");
        if logged != Logged::Yes {
            let error = archived
                .replay_until(&set, ReplayUntil::Through(gtid))
                .await;
            let error = error.expect_err("it is not there");
            assert!(
                matches!(error, EngineError::NoSuchTransaction { gtid: named } if named == gtid),
                "{error}"
            );
            beds.verify(&set).await.expect("nothing was applied");
        }
    }
}

/// Waits for something, a few seconds at most.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(std::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The service is killed and started again, the node goes on: the server still applies what nobody
/// waits for any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_nobody_waits_for_any_more_is_ended_by_the_next_one() {
    let archived = Archived::new().await;
    let beds = &archived.beds;
    beds.script(
        &beds.from,
        b"CREATE TABLE t (id INT PRIMARY KEY) SELECT seq AS id FROM seq_1_to_100;",
    );
    let set = beds.take("base").await.manifest;
    beds.script(
        &beds.from,
        b"CREATE DEFINER=nobody@localhost VIEW v AS SELECT id FROM t;
          UPDATE t SET id = id + 1000 WHERE id < 50; DELETE FROM t WHERE id > 90;",
    );
    archived.rotate().await;
    beds.script(
        &beds.from,
        b"INSERT INTO t SELECT seq FROM seq_5000_to_6000;",
    );
    let truth = beds.take("truth").await.manifest;
    let second = archived.next_second().await;
    archived.archive(false).await;
    beds.load("base", &set).await.expect("it can be loaded");
    // Somebody keeps a row, so that it cannot come to an end.
    let mut keeper = beds.connect(&beds.to).await;
    for statement in ["BEGIN", "SELECT id FROM t WHERE id = 7 FOR UPDATE"] {
        keeper.query_drop(statement).await.expect(statement);
    }
    let cut_off = async {
        let mut conn = beds.connect(&beds.to).await;
        let query = "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
                     WHERE USER = 'system user' AND INFO LIKE 'UPDATE t%'";
        until("nothing is applied", async || {
            conn.query_first(query).await.expect("told") == Some(1_u32)
        })
        .await;
    };
    tokio::select! {
        replayed = archived.replay(&set, second) => panic!("a row is kept: {replayed:?}"),
        () = cut_off => {}
    }
    let engine = &beds.bed.engine;
    assert!(engine.is_replay_begun(&beds.to).expect("it is there"));
    keeper.query_drop("ROLLBACK").await.expect("it was begun");
    drop(keeper);
    // As the task does that is gone on with.
    let ended = engine.end_replay(&beds.to, &db("shop")).await;
    ended.expect("it can be ended");
    let again = async {
        beds.load("base", &set).await.expect("it can be loaded");
        archived.replay(&set, second).await.expect("applied")
    };
    let replayed = tokio::time::timeout(Duration::from_secs(60), again).await;
    assert_eq!(replayed.expect("it comes to an end").groups, 4);
    beds.verify(&truth).await.expect("all is there");
    let mut conn = beds.connect(&beds.to).await;
    let users = "SELECT COUNT(*) FROM mysql.global_priv WHERE User = 'nobody'";
    assert_eq!(conn.query_first(users).await.expect("told"), Some(0_u32));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_before_a_set_has_nothing_to_add_to_it() {
    let archived = Archived::new().await;
    let beds = &archived.beds;
    let engine = &beds.bed.engine;
    let after = |set: &Manifest| {
        let after = engine.archive_after(&archived.archive, &set.binlog);
        after.expect("readable")
    };
    beds.script(&beds.from, b"CREATE TABLE t (id INT PRIMARY KEY);");
    let early = beds.take("early").await.manifest;
    archived.archive(false).await;
    beds.script(&beds.from, b"INSERT INTO t VALUES (1);");
    let late = beds.take("late").await.manifest;
    assert_eq!(after(&early), LogAfter::GoesOn);
    assert_eq!(after(&late), LogAfter::EndsBefore);
    archived.rotate().await;
    beds.script(&beds.from, b"INSERT INTO t VALUES (2);");
    let last = beds.take("last").await.manifest;
    assert_eq!(after(&last), LogAfter::EndsBefore, "in an earlier file");
    archived.archive(false).await;
    for set in [&early, &late, &last] {
        assert_eq!(after(set), LogAfter::GoesOn);
    }
    fs::remove_file(archived.archive.join(&archived.copies()[0])).expect("it is there");
    assert_eq!(after(&early), LogAfter::Gap);
    assert_eq!(after(&last), LogAfter::GoesOn);
}

/// The clock is put back: a set says that it was taken after a second, although the log was written on
/// before that second came again.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_of_the_log_tells_on_which_side_of_a_second_a_set_is() {
    let archived = Archived::new().await;
    let beds = &archived.beds;
    let engine = &beds.bed.engine;
    beds.script(&beds.from, b"CREATE TABLE t (id INT PRIMARY KEY);");
    let set = beds.take("set").await.manifest;
    let side = |second: i64| {
        let time = Timestamp::from_second(second).expect("a time");
        let side = engine.is_before_second(&archived.archive, &set.binlog, time);
        side.expect("readable")
    };
    let now = set.taken_at.as_second();
    engine
        .mark_log(&beds.from, &archived.archive)
        .await
        .expect("marked");
    assert_eq!(side(now + 60), Some(true));
    assert_eq!(side(now - 60), Some(false), "the log was shorter");
    // An hour back, and on.
    beds.script(&beds.from, b"INSERT INTO t VALUES (1);");
    archived.archive(false).await;
    let newest = archived.copies().pop().expect("one");
    let bytes = fs::metadata(archived.archive.join(&newest))
        .expect("a file")
        .len();
    let number: u64 = newest.trim_start_matches("bin.").parse().expect("a number");
    let path = archived.archive.join("marks");
    let mut marks = fs::read_to_string(&path).expect("there");
    let at = (now - 3_600) * 1_000_000;
    marks.push_str(&format!("{at} {} {number} {bytes}\n", at + 9));
    fs::write(&path, marks).expect("ours");
    assert_eq!(side(now - 60), Some(true), "the second came again");
    assert_eq!(side(now - 7_200), Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_applied_up_to_a_place_in_it() {
    let archived = Archived::new().await;
    let (engine, from) = (&archived.beds.bed.engine, &archived.beds.from);
    let mut conn = archived.beds.connect(from).await;
    let begin = "CREATE TABLE t (id INT PRIMARY KEY)";
    conn.query_drop(begin).await.expect(begin);
    let set = archived.beds.take("1").await.manifest;
    let mut places = Vec::new();
    for id in 1..=4 {
        // Files begin anew in between, and one place is at the begin of a file.
        if id % 2 == 0 {
            archived.rotate().await;
        }
        let mut sql = engine.sql(from).await.expect("connect");
        places.push((id - 1, sql.binlog_position(from).await.expect("told")));
        sql.close().await;
        let insert = format!("INSERT INTO t VALUES ({id})");
        conn.query_drop(&insert).await.expect(&insert);
    }
    archived.archive(false).await;
    let mut sql = engine.sql(from).await.expect("connect");
    let now = sql.binlog_position(from).await.expect("told");
    places.push((4, now.clone()));
    assert!(set.binlog.leads_to(&places[0].1) && !places[1].1.leads_to(&places[0].1));
    for (rows, place) in &places {
        archived
            .beds
            .load("1", &set)
            .await
            .expect("it can be loaded");
        let until = ReplayUntil::at(place).expect("a position");
        let replayed = archived.replay_until(&set, until).await.expect("applied");
        assert_eq!(replayed.groups, *rows, "{place:?}");
        let mut restored = archived.beds.connect(&archived.beds.to).await;
        let count: Option<u64> = restored
            .query_first("SELECT COUNT(*) FROM t")
            .await
            .expect("a table");
        assert_eq!(count, Some(*rows), "{place:?}");
    }
    // What was not archived is missed, not passed over.
    conn.query_drop("INSERT INTO t VALUES (5)")
        .await
        .expect("a table");
    let later = sql.binlog_position(from).await.expect("told");
    sql.close().await;
    assert_ne!(later, now);
    archived
        .beds
        .load("1", &set)
        .await
        .expect("it can be loaded");
    let until = ReplayUntil::at(&later).expect("a position");
    let refused = archived
        .replay_until(&set, until)
        .await
        .expect_err("it ends before");
    assert!(matches!(refused, EngineError::LogGap { .. }), "{refused}");
}
