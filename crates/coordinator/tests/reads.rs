//! Reads over several nodes, compared with one server that has all rows.

use crate::common::{Pair, USER, World};
use crate::reads_support::random::{self, Queries, Random};
use crate::reads_support::{Layout, Result, result, same, tpch};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_over_nodes_are_those_of_one_server() {
    let world = World::new().await;
    let layout = Layout::new(&world).await;
    layout
        .hashed(
            "sales",
            "CREATE TABLE sales (id INT NOT NULL, cust INT NOT NULL, price DECIMAL(10,2), \
             note VARCHAR(40), made TIMESTAMP NULL, f FLOAT, PRIMARY KEY (id), KEY (cust))",
            "id",
            "INSERT INTO sales SELECT seq, seq * 7 MOD 20, seq * 13.37, CONCAT('note ', seq MOD 10), \
             IF(seq MOD 11, '2024-03-31 02:30:00' + INTERVAL seq HOUR, NULL), seq / 3 \
             FROM seq_1_to_300",
        )
        .await;
    layout
        .hashed(
            "parts",
            "CREATE TABLE parts (order_id INT NOT NULL, nr INT NOT NULL, amount INT, \
             PRIMARY KEY (order_id, nr))",
            "order_id",
            "INSERT INTO parts SELECT seq DIV 3 + 1, seq MOD 3, IF(seq MOD 5, seq, NULL) \
             FROM seq_1_to_800",
        )
        .await;
    layout
        .broadcast(
            "customers",
            "CREATE TABLE customers (id INT NOT NULL PRIMARY KEY, name VARCHAR(20) NOT NULL)",
            "INSERT INTO customers SELECT seq, CONCAT('c', seq) FROM seq_0_to_19",
        )
        .await;
    let mut pair = world.pair().await;
    for statement in [
        "SELECT * FROM sales ORDER BY id",
        "SELECT id, price FROM sales WHERE price > 1000 ORDER BY price DESC, id LIMIT 7, 5",
        "SELECT COUNT(*), SUM(price), AVG(price), MIN(note), MAX(made) FROM sales",
        "SELECT cust, COUNT(*) n, SUM(price) total FROM sales GROUP BY cust HAVING n > 10 \
         ORDER BY total DESC",
        "SELECT note, COUNT(DISTINCT id), AVG(price) + 1 FROM sales GROUP BY note ORDER BY note",
        "SELECT COUNT(DISTINCT cust) FROM sales",
        "SELECT name, SUM(amount) FROM sales JOIN parts ON order_id = sales.id \
         JOIN customers c ON c.id = cust GROUP BY name ORDER BY name",
        "SELECT o.id, p.nr FROM sales o LEFT JOIN parts p ON p.order_id = o.id AND p.nr > 1 \
         WHERE o.id BETWEEN 250 AND 300 ORDER BY 1, 2",
        "SELECT id FROM sales o WHERE EXISTS (SELECT 1 FROM parts WHERE order_id = o.id AND \
         amount > 700) ORDER BY id",
        "SELECT id FROM sales WHERE price > (SELECT AVG(price) FROM sales) ORDER BY id",
        "SELECT a.id, b.id FROM sales a, sales b WHERE a.cust = b.id ORDER BY 1, 2",
        "WITH t AS (SELECT cust, SUM(price) s FROM sales GROUP BY cust) \
         SELECT * FROM t WHERE s = (SELECT MAX(s) FROM t)",
        "SELECT id FROM sales WHERE id < 5 UNION SELECT amount FROM parts WHERE amount < 9 ORDER BY 1",
        "SELECT DISTINCT note FROM sales ORDER BY note",
        "SELECT id, RANK() OVER (PARTITION BY cust ORDER BY price) r FROM sales ORDER BY id",
        "SELECT nothing FROM sales",
        "SELECT (SELECT 1 UNION SELECT 2) FROM sales",
    ] {
        same(&mut pair, statement).await;
    }
    random_queries(&layout, &mut pair).await;
    in_transactions(&mut pair).await;
    prepared(&mut pair).await;
    views(&mut pair).await;
    routes(&mut pair).await;
    privileges(&world).await;
    queries_of_tpch(&layout, &mut pair).await;
}

/// What is told of a statement's route, without what the plan alone decides.
async fn routes(pair: &mut Pair) {
    for (statement, expected) in [
        ("SELECT 1", "single-partition statement 0"),
        ("SELECT * FROM h1 WHERE k = 7", "single-partition read 1"),
        (
            "SELECT COUNT(*) FROM h1",
            "multi-partition read 0, 1, 2; multi-partition read 0",
        ),
        ("INSERT INTO h1 (k, n) VALUES (1, 1)", "write 0, 1, 2"),
        ("DELETE FROM h1", "multi-partition write 0, 1, 2"),
    ] {
        let Result::Rows(_, rows) =
            result(&mut pair.ours, &format!("EXPLAIN ROUTE {statement}"), false).await
        else {
            panic!("{statement} is not explained");
        };
        let told = rows.into_iter().map(|row| {
            let text =
                |value: &mysql_async::Value| -> String { mysql_async::from_value(value.clone()) };
            format!("{} {}", text(&row[0]), text(&row[2]))
        });
        assert_eq!(told.collect::<Vec<_>>().join("; "), expected, "{statement}");
    }
    let refused = result(
        &mut pair.ours,
        "EXPLAIN ROUTE SELECT FOUND_ROWS() FROM h1",
        false,
    );
    assert!(matches!(refused.await, Result::Failed(1235, _)));
}

/// Whoever may not make temporary tables is told so.
async fn privileges(world: &World) {
    use mysql_async::prelude::Queryable;
    let mut home = world.node(0).await;
    for (change, is_refused) in [("REVOKE", true), ("GRANT", false)] {
        let whom = if is_refused { "FROM" } else { "TO" };
        let change = format!("{change} CREATE TEMPORARY TABLES ON shop.* {whom} {USER}@'%'");
        home.query_drop(&change).await.expect(&change);
        let mut pair = world.pair().await;
        if is_refused {
            pair.refused("SELECT COUNT(*) FROM h1", "read-privilege")
                .await;
        } else {
            same(&mut pair, "SELECT COUNT(*) FROM h1").await;
        }
    }
}

async fn views(pair: &mut Pair) {
    for statement in [
        "CREATE VIEW plain_view AS SELECT k, n, d, ts, s FROM h2 WHERE n > 5",
        "CREATE VIEW groups (the_key, many, total) AS SELECT k, COUNT(*), SUM(d) FROM h2 GROUP BY k",
        "CREATE VIEW over_views AS SELECT g.*, p.n FROM groups g JOIN plain_view p ON p.k = the_key",
    ] {
        pair.same(statement).await;
    }
    for statement in [
        "SELECT * FROM plain_view ORDER BY n",
        "SELECT COUNT(*), SUM(d) FROM plain_view",
        "SELECT a.many, h1.s FROM groups AS a JOIN h1 ON h1.k = a.the_key ORDER BY the_key",
        "SELECT * FROM shop.over_views WHERE many > 1 ORDER BY n",
        "WITH groups AS (SELECT 1 AS one) SELECT * FROM groups, h1 ORDER BY k",
        "SELECT k FROM h1 WHERE EXISTS (SELECT 1 FROM plain_view WHERE k = h1.k) ORDER BY k",
        "SELECT nothing FROM plain_view",
    ] {
        let ours = result(&mut pair.ours, statement, false).await;
        let plain = result(&mut pair.plain, statement, false).await;
        assert!(ours == plain, "{statement}\n{}", ours.against(&plain));
    }
}

/// A transaction sees what it wrote itself, on every node, and nothing of what others wrote since.
async fn in_transactions(pair: &mut Pair) {
    let read = "SELECT COUNT(*), SUM(n), MAX(d) FROM h2 WHERE n >= 0";
    let join =
        "SELECT a.k, COUNT(b.n) FROM h1 a LEFT JOIN h2 b ON b.n = a.k GROUP BY a.k ORDER BY 1";
    for statement in [
        "BEGIN",
        read,
        "UPDATE h2 SET d = 12345.678, n = n + 1000 WHERE k BETWEEN 2 AND 9",
        read,
        join,
        "SELECT k, d FROM h2 WHERE k < 4 ORDER BY k, n FOR UPDATE",
        "DELETE FROM h2 WHERE k = 3",
        join,
        "ROLLBACK",
        read,
        join,
        "SET autocommit = 0",
        join,
        "DELETE FROM h2 WHERE n = 7",
        read,
        "COMMIT",
        "SET autocommit = 1",
        read,
        "START TRANSACTION READ ONLY",
        join,
        "COMMIT",
        "INSERT INTO si (k, n, d) SELECT 100 + k, SUM(n), AVG(d) FROM h2 WHERE k > 3 GROUP BY k",
        "SELECT * FROM si ORDER BY k",
        "BEGIN",
        "REPLACE si (k, n) (SELECT k, n FROM h1 WHERE k = 5)",
        "ROLLBACK",
        "SELECT COUNT(*) FROM si",
    ] {
        same(pair, statement).await;
    }
}

/// The binary protocol, with parameters.
async fn prepared(pair: &mut Pair) {
    use mysql_async::prelude::Queryable;
    for query in [
        "SELECT * FROM h1 WHERE k > ? AND s <> ? ORDER BY k",
        "SELECT i, COUNT(*), SUM(d), AVG(f), MAX(ts) FROM h2 WHERE n > ? AND s >= ? GROUP BY i ORDER BY i",
        "SELECT a.k, b.ts, b.bits FROM h1 a JOIN h2 b ON b.n = a.k WHERE b.n > ? AND a.s <> ? ORDER BY 1, 2",
    ] {
        let mut seen = Vec::new();
        for conn in [&mut pair.ours, &mut pair.plain] {
            let rows: Vec<mysql_async::Row> = conn.exec(query, (3, "apple")).await.expect(query);
            seen.push(
                rows.into_iter()
                    .map(mysql_async::Row::unwrap)
                    .collect::<Vec<_>>(),
            );
        }
        assert!(seen[0] == seen[1] && !seen[0].is_empty(), "{query}");
    }
}

/// `OPENPETA_TPCH` is the scale, of which 1000 make the benchmark's own; with it, times are told.
#[expect(clippy::print_stderr, reason = "how long it took is of interest")]
async fn queries_of_tpch(layout: &Layout<'_>, pair: &mut Pair) {
    let scale = std::env::var("OPENPETA_TPCH");
    let is_measured = scale.is_ok();
    let scale = scale.unwrap_or("1".into());
    for (table, create, key, fill) in tpch::TABLES {
        let fill = fill.replace("{s}", &scale);
        match key {
            Some(key) => layout.hashed(table, create, key, &fill).await,
            None => layout.broadcast(table, create, &fill).await,
        }
    }
    let rounds = if is_measured { 5 } else { 1 };
    let mut ratios = Vec::new();
    for (number, query) in tpch::QUERIES.iter().enumerate() {
        let name = format!("query {}", number + 1);
        let (ratio, told) = compared(pair, &name, query, rounds).await;
        ratios.push(ratio);
        if is_measured {
            eprintln!("{told}");
        }
    }
    let product: f64 = ratios.iter().product();
    let mean = product.powf(1.0 / ratios.len() as f64);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    if is_measured {
        eprintln!("geometric mean {mean:.2} (at most 2 wanted), greatest {most:.2} (10)");
    }
    for (name, wanted, query) in tpch::OTHERS {
        let (_, told) = compared(pair, name, query, rounds).await;
        if is_measured {
            eprintln!("{told} (at most {wanted} wanted)");
        }
    }
}

/// Expects the same of both; tells the ratio of the times, ours to the plain server's, measured in turns, as
/// the median of some rounds.
async fn compared(pair: &mut Pair, name: &str, query: &str, rounds: usize) -> (f64, String) {
    let mut ratios = Vec::new();
    let mut least = [f64::MAX; 2];
    for _ in 0..rounds {
        let begin = std::time::Instant::now();
        let ours = result(&mut pair.ours, query, false).await;
        let between = std::time::Instant::now();
        let plain = result(&mut pair.plain, query, false).await;
        let times = [between - begin, between.elapsed()].map(|time| time.as_secs_f64());
        ratios.push(times[0] / times[1]);
        least = [least[0].min(times[0]), least[1].min(times[1])];
        assert!(ours == plain, "{name}\n{}", ours.against(&plain));
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    let [ours, plain] = least.map(|time| time * 1000.0);
    (
        ratio,
        format!("{name}: {ratio:.2}, {ours:.1} ms to {plain:.1} ms"),
    )
}

/// `OPENPETA_READS` says how many, `OPENPETA_SEED` which; `OPENPETA_QUERY` is run over the same rows instead.
#[expect(clippy::print_stderr, reason = "how many were refused is of interest")]
async fn random_queries(layout: &Layout<'_>, pair: &mut Pair) {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let (count, seed) = (number("OPENPETA_READS", 300), number("OPENPETA_SEED", 1));
    let mut random = Random::new(seed);
    for (table, primary, rows, repeats) in [("h1", "k", 40, false), ("h2", "k, n", 50, true)] {
        let fill = random::rows(&mut random, table, rows, repeats);
        let create = random::create(table, primary);
        layout.hashed(table, &create, "k", &fill).await;
    }
    let fill = random::rows(&mut random, "bc", 12, true);
    layout
        .broadcast("bc", &random::create("bc", "n, k"), &fill)
        .await;
    let fill = random::rows(&mut random, "si", 9, false);
    layout.single(&random::create("si", "k"), &fill).await;
    if let Ok(query) = std::env::var("OPENPETA_QUERY") {
        for query in [&format!("EXPLAIN ROUTE {query}"), &query] {
            let ours = result(&mut pair.ours, query, false).await;
            let plain = result(&mut pair.plain, query, false).await;
            eprintln!("{query}\nours {ours:#?}\nplain {plain:#?}");
        }
        return;
    }
    let (mut refused, mut failed) = (0, 0);
    for number in 0..count {
        let query = Queries {
            random: &mut random,
        }
        .query();
        let mut ours = result(&mut pair.ours, &query.text, false).await;
        let mut plain = result(&mut pair.plain, &query.text, false).await;
        if !query.is_ordered {
            ours.sort();
            plain.sort();
        }
        match (&ours, &plain) {
            (Result::Failed(1235, message), Result::Rows(..))
                if message.starts_with("OpenPeta") =>
            {
                refused += 1;
            }
            _ => {
                failed += u64::from(matches!(plain, Result::Failed(..)));
                assert!(
                    ours == plain,
                    "seed {seed}, query {number}: {}\n{}",
                    query.text,
                    ours.against(&plain)
                );
            }
        }
    }
    eprintln!("{count} queries, {failed} failed on both, {refused} refused");
    assert!(
        refused * 100 <= count * 3,
        "{refused} of {count} were refused"
    );
}
