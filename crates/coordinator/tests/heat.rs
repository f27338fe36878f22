//! How much each partition is used is counted as statements come.

use mysql_async::prelude::Queryable;

use crate::common::{DATABASE, USER, World};

/// Reads, rows that they read, writes, rows that they wrote.
type Counts = (u64, u64, u64, u64);

fn totals(world: &World) -> Vec<Counts> {
    let told = world
        .coordinators()
        .heat(&world.route.instance_id, DATABASE)
        .unwrap_or_default();
    let of = |its: &openpeta_coordinator::PartitionHeat| {
        let its = its.total;
        (its.reads, its.rows_read, its.writes, its.rows_written)
    };
    told.iter().map(of).collect()
}

/// A client has its answer before the statement is counted.
async fn assert_totals(world: &World, expected: &[Counts]) {
    let begun = std::time::Instant::now();
    while totals(world) != expected && begun.elapsed().as_secs() < 30 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(totals(world), expected);
}

type Told = (String, String, u16, u16, u64, u64, String, f64, f64);

/// What accounts of type Super are told of partitions.
async fn partitions_are_told(world: &mut World) {
    let mut conn = world.client().await;
    let denied = conn.query_drop("SHOW OPENPETA PARTITIONS").await;
    assert!(
        denied
            .expect_err("not for all")
            .to_string()
            .contains("1227")
    );
    let mut route = (*world.route).clone();
    route.super_accounts.insert(USER.to_owned());
    world.route = std::sync::Arc::new(route);
    world.coordinators().publish(&world.route).expect("served");
    let sharding = world.route.sharding.as_ref().expect("spread");
    let places = sharding.databases[DATABASE].clone();
    for statement in [
        "CREATE TABLE few (id INT PRIMARY KEY, t CHAR(200)) DISTRIBUTE BY HASH(id)",
        "CREATE TABLE all_over (id INT PRIMARY KEY) DISTRIBUTE BY BROADCAST",
        "INSERT INTO few SELECT seq, '' FROM seq_0_to_99",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    for question in [
        "SHOW OPENPETA PARTITIONS",
        "show openpeta partitions count;",
    ] {
        let told: Vec<Told> = conn.query(question).await.expect("told");
        let few: Vec<&Told> = told.iter().filter(|row| row.1 == "few").collect();
        assert!(
            told.iter()
                .all(|row| row.0 == DATABASE && row.1 != "all_over"),
            "{told:?}"
        );
        assert_eq!(few.len(), places.len(), "{told:?}");
        for (at, row) in few.iter().enumerate() {
            assert_eq!((usize::from(row.2), row.3), (at, places[at]), "{row:?}");
            assert!(row.4 >= 1 && row.5 > 0 && row.6 == "YES", "{row:?}");
        }
        assert_eq!(few.iter().map(|row| row.4).sum::<u64>(), 100, "{told:?}");
        // Of a key the partition is its remainder: 100 rows are not alike in 24 of them.
        assert_eq!((few[0].4, few[places.len() - 1].4), (5, 4), "{told:?}");
    }
    let wrong = conn.query_drop("SHOW OPENPETA PARTITIONS NOW").await;
    assert!(
        wrong
            .expect_err("no such form")
            .to_string()
            .contains("1064")
    );
    conn.query_drop("DROP TABLE few, all_over")
        .await
        .expect("dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_and_rows_are_counted_for_their_partitions() {
    let mut world = World::new().await;
    partitions_are_told(&mut world).await;
    world.close();
    world.open();
    let sharding = world.route.sharding.as_ref().expect("spread");
    let count = sharding.databases[DATABASE].len();
    assert!(count >= 4, "{count}");
    let mut conn = world.client().await;
    let rows: Vec<_> = (0..2 * count).map(|id| format!("({id}, 0)")).collect();
    for statement in [
        "CREATE TABLE warm (id INT PRIMARY KEY, n INT) DISTRIBUTE BY HASH(id)",
        &format!("INSERT INTO warm VALUES {}", rows.join(", ")),
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    let mut expected: Vec<Counts> = vec![(0, 0, 1, 2); count];
    assert_totals(&world, &expected).await;
    for _ in 0..3 {
        let found: Option<i32> = conn
            .query_first("SELECT n FROM warm WHERE id = 0")
            .await
            .expect("read");
        assert_eq!(found, Some(0));
    }
    let found: Option<i32> = conn
        .exec_first("SELECT n FROM warm WHERE id = ?", (0,))
        .await
        .expect("read");
    assert_eq!(found, Some(0));
    (expected[0].0, expected[0].1) = (4, 4);
    assert_totals(&world, &expected).await;
    // However often they were planned, and prepared or not.
    for n in [3, 7] {
        conn.query_drop(format!("UPDATE warm SET n = {n} WHERE id = 1"))
            .await
            .expect("written");
        conn.exec_drop("UPDATE warm SET n = n + ? WHERE id = ?", (1, 1))
            .await
            .expect("written");
    }
    (expected[1].2, expected[1].3) = (5, 6);
    // Locks a row, and writes none.
    for _ in 0..2 {
        conn.query_drop("SELECT n FROM warm WHERE id = 2 FOR UPDATE")
            .await
            .expect("read");
        conn.exec_drop("SELECT n FROM warm WHERE id = ? FOR UPDATE", (2,))
            .await
            .expect("read");
    }
    (expected[2].0, expected[2].1) = (4, 4);
    conn.query_drop("UPDATE warm SET n = n + 1 WHERE id IN (2, 3)")
        .await
        .expect("written");
    for partition in [2, 3] {
        expected[partition].2 += 1;
        expected[partition].3 += 1;
    }
    assert_totals(&world, &expected).await;
    let sum: Option<i64> = conn
        .query_first("SELECT CAST(SUM(n) AS SIGNED) FROM warm")
        .await
        .expect("read");
    assert_eq!(sum, Some(10));
    conn.query_drop("DELETE FROM warm").await.expect("written");
    for its in &mut expected {
        its.0 += 1;
        its.2 += 1;
        its.3 += 2;
    }
    assert_totals(&world, &expected).await;
    conn.query_drop("INSERT INTO warm SELECT 1, 1 UNION SELECT 3, 3")
        .await
        .expect("written");
    for partition in [1, 3] {
        expected[partition].2 += 1;
        expected[partition].3 += 1;
    }
    assert_totals(&world, &expected).await;
    // What fails is no use. What comes behind it is counted after it.
    let failed = conn.query_drop("INSERT INTO warm VALUES (1, 1)").await;
    failed.expect_err("it is there");
    conn.query_drop("DELETE FROM warm WHERE id = 3")
        .await
        .expect("written");
    expected[3].2 += 1;
    expected[3].3 += 1;
    assert_totals(&world, &expected).await;
}
