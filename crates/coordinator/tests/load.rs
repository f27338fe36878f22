//! `LOAD DATA` of clients' files into distributed tables: lines go to their nodes by themselves, and what a
//! client sees is what one server shows it.

use std::path::{Path, PathBuf};

use mysql_async::prelude::Queryable;
use mysql_async::{OptsBuilder, WhiteListFsHandler};

use crate::common::{Pair, Seen, World, see};

async fn pair(world: &World, file: &Path) -> Pair {
    let reads = |it: OptsBuilder| {
        let handler = WhiteListFsHandler::new(vec![file.to_owned()]);
        it.local_infile_handler(Some(handler))
    };
    Pair {
        ours: world.client_with(reads).await,
        plain: world.plain_with(reads).await,
    }
}

async fn create(pair: &mut Pair, body: &str, key: &str) {
    let plain = format!("CREATE TABLE {body}");
    let ours = format!("{plain} DISTRIBUTE BY HASH({key})");
    pair.both(&ours, &plain).await;
}

/// How many `LOAD DATA` the nodes have run.
async fn loads(world: &World) -> u64 {
    let mut all = 0;
    for node in 0..world.nodes.len() {
        let mut conn = world.node(node).await;
        let row: Option<(String, u64)> = conn
            .query_first("SHOW GLOBAL STATUS LIKE 'Com_load'")
            .await
            .expect("status");
        all += row.expect("a row").1;
    }
    all
}

/// Loads a file, and expects that nobody can tell it from what one server does.
async fn load(pair: &mut Pair, path: &Path, file: &[u8], statement: &str) -> Vec<Seen> {
    std::fs::write(path, file).expect("written");
    let seen = pair.same(&with_file(path, statement)).await;
    // Those about duplicates name no row, so they come before the others.
    let mut warnings = Vec::new();
    for conn in [&mut pair.ours, &mut pair.plain] {
        let rows: Vec<(String, u16, String)> = conn.query("SHOW WARNINGS").await.expect("shown");
        let (of_duplicates, others): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|(_, code, _)| *code == 1062);
        let mut of_duplicates = of_duplicates;
        of_duplicates.sort();
        warnings.push((of_duplicates, others));
    }
    assert_eq!(warnings[0], warnings[1], "{statement}");
    seen
}

fn with_file(path: &Path, statement: &str) -> String {
    statement.replace("FILE", &format!("LOCAL INFILE '{}'", path.display()))
}

fn lines(numbers: impl IntoIterator<Item = i64>, line: impl Fn(i64) -> String) -> Vec<u8> {
    let lines: String = numbers.into_iter().map(line).collect();
    lines.into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_loaded_as_on_one_server() {
    let world = World::new().await;
    let path = world.dir.path().join("lines");
    let mut pair = pair(&world, &path).await;
    create(&mut pair, "t (k INT PRIMARY KEY, v VARCHAR(8), n INT)", "k").await;
    let before = loads(&world).await;
    let all = lines(0..20_000, |k| format!("{k}\tline {}\t{}\n", k % 100, -k));
    load(&mut pair, &path, &all, "LOAD DATA FILE INTO TABLE t").await;
    world.same_rows("t").await;
    // Each node has read lines, and home no others.
    assert_eq!(loads(&world).await - before, 3);
    for rows in world.rows_by_node("t").await {
        assert!((2000..10_000).contains(&rows.len()), "{}", rows.len());
    }
    // Some are there already, some values do not fit, and numbers are none.
    let again = lines(19_990..20_035, |k| match k % 7 {
        0 => format!("{k}\ttoo long for it\tx{k}\n"),
        1 => format!("{k}\t\\N\t\\N\n"),
        _ => format!("{k}\ta\\\tb\\\\\t1\n"),
    });
    load(&mut pair, &path, &again, "LOAD DATA FILE INTO TABLE t").await;
    load(
        &mut pair,
        &path,
        &again[..again.len() - 3],
        "LOAD DATA FILE IGNORE INTO TABLE t LINES TERMINATED BY '\\n' IGNORE 3 LINES",
    )
    .await;
    world.same_rows("t").await;
    pair.same("SET sql_mode = ''").await;
    let replace = "LOAD DATA FILE REPLACE INTO TABLE t (k, v)";
    let two = lines(19_000..21_000, |k| format!("{k}\tnew {k}\n"));
    load(&mut pair, &path, &two, replace).await;
    world.same_rows("t").await;
    load(&mut pair, &path, b"", replace).await;
    let broken = "LOAD DATA FILE INTO TABLE t (k, nothing)";
    let seen = load(&mut pair, &path, b"1\t2\n", broken).await;
    assert!(matches!(seen[..], [Seen::Failed(1054, _)]), "{seen:?}");
    pair.same("SELECT COUNT(*) FROM t").await;

    csv(&world, &mut pair, &path).await;
    odd_lines(&world, &mut pair, &path).await;
    transactions(&world, &mut pair, &path).await;
    words_and_ids(&world, &mut pair, &path).await;
}

async fn csv(world: &World, pair: &mut Pair, path: &Path) {
    create(pair, "c (v VARCHAR(60), k BIGINT PRIMARY KEY)", "k").await;
    let mut file = b"the value,\"the\r\nkey\"\r\nsecond head\r\n".to_vec();
    for k in -500..500 {
        let line = match k % 5 {
            0 => format!("\"with, a \"\"quote\"\"\r\nand a line {k}\",{k}\r\n"),
            1 => format!("plain \" {k},\"{k}\"\r\n"),
            2 => format!("\"{k}\\\"\\\\\",{k}\r\n"),
            3 => format!("NULL,{k}\r\n"),
            _ => format!(",{k}\r\n"),
        };
        file.extend_from_slice(line.as_bytes());
    }
    let statement = "LOAD DATA FILE INTO TABLE c CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' \
                     OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY '\\r\\n' IGNORE 3 LINES";
    let before = loads(world).await;
    load(pair, path, &file, statement).await;
    world.same_rows("c").await;
    assert_eq!(loads(world).await - before, 3);
    // A file whose last line has no end, and other signs.
    let file = lines(1000..1100, |k| format!("'x|{k}'|{k};"));
    let statement = "LOAD DATA FILE INTO TABLE c FIELDS TERMINATED BY '|' ENCLOSED BY '\\'' \
                     ESCAPED BY '' LINES TERMINATED BY ';'";
    load(pair, path, &file[..file.len() - 1], statement).await;
    world.same_rows("c").await;
}

/// From a line on whose node is not certain, rows are made at home.
async fn odd_lines(world: &World, pair: &mut Pair, path: &Path) {
    create(pair, "o (k SMALLINT PRIMARY KEY, v VARCHAR(8))", "k").await;
    for (odd, of_tail) in [
        ("0017\tzeros\n", 400),
        (" 18\tspace\n", 500),
        ("19\n", 600),
        ("20\tx\tmore\n", 700),
        ("99999\tgreat\n", 800),
        ("x\tnone\n", 900),
        ("\\N\tnull\n", 1000),
        ("\n", 1100),
        ("1\\7\ta\\\n", 1200),
    ] {
        pair.same("DELETE FROM o").await;
        let mut file = lines(20..320, |k| format!("{k}\tline {k} long\n"));
        file.extend_from_slice(odd.as_bytes());
        file.extend(lines(310..of_tail, |k| format!("{k}\tline {k}\n")));
        load(pair, path, &file, "LOAD DATA FILE INTO TABLE o").await;
        world.same_rows("o").await;
    }
}

async fn transactions(world: &World, pair: &mut Pair, path: &Path) {
    create(pair, "x (k INT PRIMARY KEY, n TINYINT NOT NULL)", "k").await;
    let good = lines(0..300, |k| format!("{k}\t{}\n", k % 100));
    let mut wrong = lines(200..500, |k| format!("{k}\t7\n"));
    wrong.extend_from_slice(b"500\tx\n");
    let mut late = wrong[..200].to_vec();
    late.extend_from_slice(b"\n010\t1\n11\t2\n12\tx\n");
    pair.same("SET sql_mode = 'STRICT_TRANS_TABLES'").await;
    let (into, replace) = (
        "LOAD DATA FILE INTO TABLE x",
        "LOAD DATA FILE REPLACE INTO TABLE x",
    );
    for end in ["ROLLBACK", "COMMIT"] {
        pair.same("BEGIN").await;
        pair.same("INSERT INTO x VALUES (1000, 1), (1001, 1)").await;
        load(pair, path, &good, into).await;
        pair.same("SELECT COUNT(*), SUM(n) FROM x").await;
        for file in [&wrong, &late] {
            // It is as if it had never been, and the transaction goes on.
            let seen = load(pair, path, file, replace).await;
            assert!(matches!(seen[..], [Seen::Failed(..)]), "{seen:?}");
            pair.same("SELECT COUNT(*), SUM(n) FROM x").await;
        }
        pair.same("INSERT INTO x VALUES (1002, 1)").await;
        pair.same(end).await;
        world.same_rows("x").await;
    }
    for file in [&wrong, &late] {
        let seen = load(pair, path, file, replace).await;
        assert!(matches!(seen[..], [Seen::Failed(..)]), "{seen:?}");
        world.same_rows("x").await;
    }
    // Nothing of it is left that somebody would have to wait for.
    for node in 0..world.nodes.len() {
        let mut conn = world.node(node).await;
        let branches: Vec<mysql_async::Row> = conn.query("XA RECOVER").await.expect("listed");
        assert!(branches.is_empty(), "{branches:?}");
    }
    pair.same("SET sql_mode = ''").await;
}

async fn words_and_ids(world: &World, pair: &mut Pair, path: &Path) {
    create(pair, "w (w VARCHAR(12) PRIMARY KEY, n INT)", "w").await;
    let file = lines(0..600, |k| match k % 6 {
        0 => format!("Wörd {k}\t{k}\n"),
        1 => format!("WORD {k}  \t{k}\n"),
        2 if k > 480 => format!("{k} much too long\t{k}\n"),
        _ => format!("word {k}\t{k}\n"),
    });
    load(pair, path, &file, "LOAD DATA FILE INTO TABLE w").await;
    world.same_rows("w").await;
    let word = |k: u8| [0xE4, b'a' + k % 26, b'0' + k / 26, b'\t', b'1', b'\n'];
    let latin: Vec<u8> = (0..100).flat_map(word).collect();
    let statement = "LOAD DATA FILE INTO TABLE w CHARACTER SET latin1";
    load(pair, path, &latin, statement).await;
    world.same_rows("w").await;

    let body = "i (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(8))";
    create(pair, body, "id").await;
    let file = lines(1..300, |k| format!("{k}\tline {k}\n"));
    load(pair, path, &file, "LOAD DATA FILE INTO TABLE i").await;
    world.same_rows("i").await;
    load(
        pair,
        path,
        b"\\N\tone\n0\ttwo\n400\tx\n",
        "LOAD DATA FILE INTO TABLE i",
    )
    .await;
    load(
        pair,
        path,
        b"three\nfour\n",
        "LOAD DATA FILE INTO TABLE i (v)",
    )
    .await;
    world.same_rows("i").await;
}

/// A file that comes slowly, all of it for one node, does not cost the others their patience.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_waits_as_long_as_lines_are_for_others() {
    let world = World::new().await;
    for node in 0..world.nodes.len() {
        let mut conn = world.node(node).await;
        conn.query_drop("SET GLOBAL net_read_timeout = 1")
            .await
            .expect("set");
    }
    let path: PathBuf = world.dir.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a pipe");
    let mut pair = pair(&world, &path).await;
    let ours = &mut pair.ours;
    for statement in [
        "SET net_read_timeout = 600",
        "CREATE TABLE t (k INT PRIMARY KEY) DISTRIBUTE BY HASH(k)",
    ] {
        ours.query_drop(statement).await.expect(statement);
    }
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || {
            use std::io::Write;
            let mut pipe = std::fs::File::create(path).expect("opened");
            pipe.write_all(b"1\n").expect("written");
            // Longer than a node would wait by itself.
            std::thread::sleep(std::time::Duration::from_secs(3));
            pipe.write_all(b"2\n3\n4\n5\n6\n7\n").expect("written");
        })
    };
    let statement = with_file(&path, "LOAD DATA FILE INTO TABLE t");
    let seen = see(ours, &statement).await;
    writer.join().expect("it ends");
    assert!(
        matches!(seen[..], [Seen::Done { affected: 7, .. }]),
        "{seen:?}"
    );
    assert_eq!(world.rows("t").await.len(), 7);
}

/// The session goes on, and nothing of the file is anywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ends_in_the_midst_of_a_file_fails_the_statement() {
    let world = World::new().await;
    let path = world.dir.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a pipe");
    let mut pair = pair(&world, &path).await;
    let ours = &mut pair.ours;
    let create = "CREATE TABLE t (k INT PRIMARY KEY) DISTRIBUTE BY HASH(k)";
    ours.query_drop(create).await.expect("created");
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (go_on, goes_on) = std::sync::mpsc::channel();
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || {
            use std::io::Write;
            let mut pipe = std::fs::File::create(path).expect("opened");
            pipe.write_all(b"1\n2\n3\n").expect("written");
            begun.send(()).expect("heard");
            goes_on.recv().expect("told");
            for number in 4..200_000 {
                writeln!(pipe, "{number}").expect("written");
            }
        })
    };
    let statement = with_file(&path, "LOAD DATA FILE INTO TABLE t");
    let killed = async {
        let begun = tokio::task::spawn_blocking(move || has_begun.recv());
        begun.await.expect("no panic").expect("it begins");
        world.kill_node(1).await;
        go_on.send(()).expect("it waits");
    };
    let (seen, ()) = tokio::join!(see(ours, &statement), killed);
    writer.join().expect("it ends");
    assert!(matches!(seen[..], [Seen::Failed(1429, _)]), "{seen:?}");
    world.start_node(1).await;
    assert!(world.rows("t").await.is_empty());
    // The session is there, and so is the node.
    ours.query_drop("INSERT INTO t VALUES (1), (2), (3), (4)")
        .await
        .expect("inserted");
    assert_eq!(world.rows("t").await.len(), 4);
}
