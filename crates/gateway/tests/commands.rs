//! Everything a session may do, through the gateway with a stock driver and a raw client.

use std::io::Write;

use crate::support::{Raw, Setup, eventually, stderr, stdout, success};
use mysql_async::prelude::Queryable;

#[tokio::test]
async fn prepared_statements_and_transactions() {
    let setup = Setup::start();
    let mut conn = setup.connect().await;
    conn.query_drop(
        "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40), data BLOB)",
    )
    .await
    .unwrap();
    let rows = (0..300_i32).map(|i| (format!("name {i}"), vec![i as u8; 100]));
    conn.exec_batch("INSERT INTO t (name, data) VALUES (?, ?)", rows)
        .await
        .unwrap();
    let found: Vec<(i32, String, Vec<u8>)> = conn
        .exec(
            "SELECT * FROM t WHERE id > ? AND name LIKE ?",
            (297, "name%"),
        )
        .await
        .unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found[2], (300, "name 299".to_owned(), vec![43; 100]));
    let none: Vec<i32> = conn
        .exec("SELECT id FROM t WHERE id < ?", (0,))
        .await
        .unwrap();
    assert!(none.is_empty());
    let mut transaction = conn
        .start_transaction(mysql_async::TxOpts::default())
        .await
        .unwrap();
    transaction.query_drop("DELETE FROM t").await.unwrap();
    assert_eq!(transaction.affected_rows(), 300);
    transaction.rollback().await.unwrap();
    let count: Option<i64> = conn.query_first("SELECT COUNT(*) FROM t").await.unwrap();
    assert_eq!(count, Some(300));
    let failed = conn
        .query_drop("INSERT INTO t (id) VALUES (1)")
        .await
        .unwrap_err();
    assert!(failed.to_string().contains("1062"), "{failed}");
    conn.ping().await.unwrap();
}

#[tokio::test]
async fn several_statements_in_one_query() {
    let setup = Setup::start();
    let mut conn = setup.connect().await;
    let mut results = conn
        .query_iter("SELECT 1; DO 2; SELECT 3, 4 FROM seq_1_to_5; SELECT no_such")
        .await
        .unwrap();
    assert_eq!(results.collect::<i32>().await.unwrap(), [1]);
    assert!(results.collect::<i32>().await.unwrap().is_empty());
    assert_eq!(results.collect::<(i32, i32)>().await.unwrap(), [(3, 4); 5]);
    assert!(results.collect::<i32>().await.is_err());
    drop(results);
    let one: Option<i32> = conn.query_first("SELECT 1").await.unwrap();
    assert_eq!(one, Some(1));
}

#[test]
fn load_data_local() {
    let setup = Setup::start();
    setup
        .node
        .administer("CREATE TABLE shop.t (a INT, b VARCHAR(100))");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for row in 0..50_000 {
        writeln!(file, "{row}\tline number {row} of the file").unwrap();
    }
    file.flush().unwrap();
    let load = format!(
        "LOAD DATA LOCAL INFILE '{}' INTO TABLE t",
        file.path().display()
    );
    let check = "; SELECT COUNT(*), SUM(a), MAX(LENGTH(b)) FROM t";
    let shown = success(
        setup
            .client()
            .args(["--local-infile=1", "-e", &(load + check)]),
    );
    assert_eq!(shown, "50000\t1249975000\t29\n");
    // A file that is not there is the client's error, and the session goes on.
    let mut script = tempfile::NamedTempFile::new().unwrap();
    let load = "LOAD DATA LOCAL INFILE '/no/such/file' INTO TABLE t; SELECT 'after';";
    script.write_all(load.as_bytes()).unwrap();
    let mut client = setup.client();
    client
        .args(["--local-infile=1", "-f"])
        .stdin(script.reopen().unwrap());
    let output = client.output().unwrap();
    assert!(
        stderr(&output).contains("'/no/such/file' not found"),
        "{output:?}"
    );
    assert_eq!(stdout(&output), "after\n");
    eventually("nothing is left", || setup.sessions() == 0);
}

#[tokio::test]
async fn packets_of_more_than_16_mib_both_ways() {
    let setup = Setup::start();
    let options = setup.options().max_allowed_packet(Some(64 << 20));
    let mut conn = mysql_async::Conn::new(options).await.unwrap();
    let text = "0123456789abcdef".repeat((20 << 20) / 16);
    let back: Option<(String, i32)> = conn
        .exec_first("SELECT ?, 7", (text.as_str(),))
        .await
        .unwrap();
    let (back, seven) = back.unwrap();
    assert_eq!(seven, 7);
    assert!(back == text);
    let exact = format!("SELECT '{}'", "e".repeat((1 << 24) - 1 - 1 - 9));
    let back: Option<String> = conn.query_first(exact.as_str()).await.unwrap();
    assert_eq!(back.unwrap().len(), (1 << 24) - 11);
    conn.ping().await.unwrap();
}

#[test]
fn kill_query_by_the_greetings_thread_id() {
    let setup = Setup::start();
    let mut victim = setup.raw();
    let id = victim.greeting.connection_id;
    victim.query("SELECT COUNT(*) FROM seq_1_to_9999999 a, seq_1_to_9999999 b");
    eventually("the statement runs", || {
        let list = "SELECT INFO FROM information_schema.PROCESSLIST";
        setup.node.administer(list).contains("seq_1_to_9999999 b")
    });
    let mut killer = setup.raw();
    assert_eq!(killer.execute(&format!("KILL QUERY {id}")).error(), None);
    // The head of the result may have come before: a count, a column and its end.
    let end = (0..4)
        .map(|_| victim.receive())
        .find(|packet| packet.error().is_some());
    assert_eq!(end.and_then(|end| end.error()), Some(1317));
    assert_eq!(victim.execute("DO 1").error(), None);
    assert_eq!(killer.execute(&format!("KILL {id}")).error(), None);
    let rest = victim.rest();
    assert!(rest.is_empty() || rest[4] == 0xFF);
    eventually("one session is left", || setup.sessions() == 1);
}

#[test]
fn long_data_and_cursors() {
    let setup = Setup::start();
    let mut raw = setup.raw();
    let statement = prepare(&mut raw, "SELECT LENGTH(?), seq FROM seq_1_to_5", 1, 2);
    let id = statement.to_le_bytes();
    for _ in 0..3 {
        let piece = [&[0x18], &id[..], &[0, 0], &[b'p'; 70_000]].concat();
        raw.send(0, &piece);
    }
    // With a read-only cursor; the parameter is a BLOB that came before.
    let execute = [&[0x17], &id[..], &[1, 1, 0, 0, 0], &[0, 1, 252, 0]].concat();
    raw.send(0, &execute);
    assert_eq!(raw.receive().payload, [2]);
    raw.receive();
    raw.receive();
    let end = raw.receive();
    assert_eq!(
        (end.payload[0], end.payload[3] & 0x40),
        (0xFE, 0x40),
        "a cursor exists"
    );
    let mut rows = 0;
    for _ in 0..3 {
        raw.send(0, &[&[0x1C], &id[..], &2_u32.to_le_bytes()].concat());
        loop {
            let packet = raw.receive();
            if packet.payload[0] == 0xFE {
                break;
            }
            rows += 1;
            // The length as a 32-bit number, after the header and the NULL bits.
            assert_eq!(packet.payload[2..6], 210_000_u32.to_le_bytes());
        }
    }
    assert_eq!(rows, 5);
    raw.send(0, &[&[0x1A], &id[..]].concat());
    assert_eq!(raw.receive().payload[0], 0);
    // Closing has no reply, so the next one belongs to the next command.
    raw.send(0, &[&[0x19], &id[..]].concat());
    raw.send(0, &[0x0E]);
    assert_eq!(raw.receive().payload[0], 0);
}

/// Prepares a statement and returns its id.
fn prepare(raw: &mut Raw, text: &str, parameters: usize, columns: usize) -> u32 {
    raw.send(0, &[b"\x16", text.as_bytes()].concat());
    let ok = raw.receive();
    assert_eq!(ok.payload[0], 0, "{}", ok.text());
    for count in [parameters, columns] {
        for _ in 0..if count == 0 { 0 } else { count + 1 } {
            raw.receive();
        }
    }
    u32::from_le_bytes(ok.payload[1..5].try_into().unwrap())
}
