//! Databases of a node, against a real server: how they come and go.

mod common;

use common::{Bed, client, db, try_sql};
use openpeta_engine::ADMIN_ACCOUNT;

#[tokio::test]
async fn only_an_empty_database_is_dropped_as_one() {
    let (bed, node) = Bed::with_node().await;
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    let socket = bed.engine.socket_path(&node).expect("short enough");
    let mut admin = client(&socket, ADMIN_ACCOUNT, common::ADMIN_PASSWORD)
        .await
        .expect("log in");
    let name = db("adb");
    for (make, unmake) in [
        ("CREATE TABLE adb.t (a INT)", "DROP TABLE adb.t"),
        ("CREATE VIEW adb.v AS SELECT 1", "DROP VIEW adb.v"),
        ("CREATE SEQUENCE adb.s", "DROP SEQUENCE adb.s"),
        ("CREATE PROCEDURE adb.p() SELECT 1", "DROP PROCEDURE adb.p"),
        (
            "CREATE EVENT adb.e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
            "DROP EVENT adb.e",
        ),
    ] {
        sql.create_database(&name).await.expect("create");
        try_sql(&mut admin, make).await.expect(make);
        assert!(
            !sql.drop_empty_database(&name).await.expect("look"),
            "{make}"
        );
        assert_eq!(sql.databases().await.expect("list"), ["adb"]);
        try_sql(&mut admin, unmake).await.expect(unmake);
        assert!(
            sql.drop_empty_database(&name).await.expect("drop"),
            "{unmake}"
        );
        assert!(sql.databases().await.expect("list").is_empty());
        assert!(sql.drop_empty_database(&name).await.expect("again"));
    }
}
