//! Statements that the gateway answers itself.

use crate::support;

use std::collections::BTreeMap;
use std::io::Write;

use crate::support::{OTHER_PASSWORD, OTHER_USER, Setup, USER, success};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use openpeta_mysql_wire::put_packet;

async fn rows(conn: &mut Conn, statement: &str) -> Vec<Vec<Option<String>>> {
    let rows: Vec<Row> = conn.query(statement).await.unwrap();
    rows.into_iter()
        .map(|row| {
            row.unwrap()
                .into_iter()
                .map(mysql_async::from_value)
                .collect()
        })
        .collect()
}

async fn named(conn: &mut Conn, statement: &str) -> BTreeMap<String, Option<String>> {
    let pair = |row: Vec<Option<String>>| (row[0].clone().unwrap(), row[1].clone());
    rows(conn, statement).await.into_iter().map(pair).collect()
}

#[tokio::test]
async fn a_super_account_looks_into_the_gateway() {
    let setup = Setup::start();
    let mut conn = setup.connect().await;
    let number = |status: &BTreeMap<String, Option<String>>, name: &str| -> u64 {
        status[name].as_ref().unwrap().parse().unwrap()
    };
    let before = named(&mut conn, "SHOW OPENPETA STATUS").await;
    for n in 0..3 {
        conn.query_drop(format!("SELECT {n} + 1")).await.unwrap();
    }
    conn.query_drop("SELECT no_such").await.unwrap_err();
    let after = named(&mut conn, "show openpeta status;").await;
    for (name, more) in [
        ("Single_partition_reads", 4),
        ("Statements_failed", 1),
        ("Statements", 4),
        // This one, too.
        ("Commands", 5),
    ] {
        assert_eq!(number(&after, name), number(&before, name) + more, "{name}");
    }
    let digests = rows(&mut conn, "SHOW OPENPETA DIGESTS LIMIT 100").await;
    let sums = digests
        .iter()
        .find(|row| row[11].as_deref() == Some("SELECT ? + ?"));
    assert_eq!(sums.unwrap()[1].as_deref(), Some("3"));
    assert_eq!(
        rows(&mut conn, "SHOW OPENPETA DIGESTS LIMIT 1").await.len(),
        1
    );
    let route = named(&mut conn, "SHOW OPENPETA ROUTE").await;
    assert_eq!(route["Instance"].as_deref(), Some("pd-gatewaytest"));
    assert_eq!(
        (route["Max_connections"].as_deref(), &route["Write_lock"]),
        (Some("100"), &None)
    );

    let mut second = setup.connect().await;
    second.query_drop("USE information_schema").await.unwrap();
    let sessions = rows(&mut conn, "SHOW OPENPETA SESSIONS").await;
    assert_eq!(sessions.len(), 2);
    let of = |conn: &Conn| {
        let id = conn.id().to_string();
        sessions
            .iter()
            .find(|row| row[0].as_deref() == Some(&id))
            .unwrap()
    };
    assert_eq!(of(&conn)[1].as_deref(), Some(USER));
    assert_eq!(of(&conn)[3].as_deref(), Some("shop"));
    assert_eq!(of(&second)[3].as_deref(), Some("information_schema"));
    second.disconnect().await.unwrap();
    let id = &setup.route.instance_id;
    support::eventually("one is left", || setup.gateway.session_list(id).len() == 1);
    conn.query_drop("SHOW OPENPETA NOTHING").await.unwrap_err();
    conn.query_drop("DO 1").await.unwrap();
}

#[tokio::test]
async fn routes_are_explained() {
    let setup = Setup::start();
    let mut conn = setup.connect().await;
    let explained = rows(
        &mut conn,
        "EXPLAIN ROUTE SELECT * FROM t JOIN depot.u; INSERT INTO depot.t VALUES (1); COMMIT",
    )
    .await;
    let told: Vec<_> = explained
        .iter()
        .map(|row| (row[0].as_deref().unwrap(), row[1].as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            ("single-partition read", Some("shop, depot")),
            ("single-partition write", Some("depot")),
            ("commit", None),
        ]
    );
}

#[tokio::test]
async fn other_accounts_may_not_and_other_statements_pass() {
    let setup = Setup::start();
    let options = setup
        .options()
        .user(Some(OTHER_USER))
        .pass(Some(OTHER_PASSWORD));
    let mut conn = Conn::new(options).await.unwrap();
    for statement in ["SHOW OPENPETA STATUS", "EXPLAIN ROUTE SELECT 1"] {
        let error = conn.query_drop(statement).await.unwrap_err().to_string();
        assert!(error.contains("1227") && error.contains("42000"), "{error}");
    }
    // The node knows nothing of these.
    for statement in ["SHOW OPENPETA", "SHOW  OPENPETA STATUS", "EXPLAIN ROUTES"] {
        let error = conn.query_drop(statement).await.unwrap_err().to_string();
        assert!(!error.contains("1227"), "{error}");
    }
    conn.query_drop("SHOW TABLES").await.unwrap();
    let clients = success(setup.client().args(["-e", "SHOW OPENPETA ROUTE"]));
    assert!(clients.contains("pd-gatewaytest"), "{clients}");
}

/// Replies come in the order of the statements, also when they are sent together or in pieces.
#[test]
fn a_statement_sent_ahead_waits_its_turn() {
    let setup = Setup::start();
    let mut raw = setup.raw();
    let mut wire = Vec::new();
    put_packet(&mut wire, 0, b"\x03DO SLEEP(0.1)");
    put_packet(&mut wire, 0, b"\x03SHOW OPENPETA ROUTE");
    put_packet(&mut wire, 0, b"\x03SHOW OPENPETA NOTHING");
    put_packet(&mut wire, 0, b"\x0e");
    for size in [1, 7, wire.len()] {
        for piece in wire.chunks(size) {
            raw.stream.write_all(piece).unwrap();
        }
        // An OK, two columns, their definitions, an EOF, six rows, an EOF, an error and an OK.
        let kinds: Vec<_> = (0..13).map(|_| raw.receive()).collect();
        let ends: Vec<u8> = kinds.iter().map(|reply| reply.payload[0]).collect();
        assert_eq!(
            (ends[0], ends[1], ends[4], ends[11], ends[12]),
            (0, 2, 0xFE, 0xFE, 0xFF)
        );
        let sequences: Vec<u8> = kinds[1..12].iter().map(|reply| reply.sequence).collect();
        assert_eq!(sequences, (1..12).collect::<Vec<u8>>());
        assert_eq!(kinds[12].error(), Some(1064));
        assert_eq!(raw.receive().payload[0], 0);
    }
}
