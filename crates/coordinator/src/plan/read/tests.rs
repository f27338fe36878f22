//! What is left to nodes, and what is gathered.

use super::*;

fn table(definition: &str, key: Option<&str>) -> Table {
    let mut table = Table::from_definition(definition).expect("readable");
    table.nodes = vec![0, 1, 2];
    table.placement = match key {
        Some(key) => Placement::Hash {
            column: table.column(key).expect("a column"),
            domain: "integer:0,1,2".into(),
        },
        None => Placement::Broadcast,
    };
    table
}

fn tables() -> Tables {
    let orders = table(
        "CREATE TABLE `o` (\n  `id` int(11) NOT NULL,\n  `cust` int(11) NOT NULL,\n  \
         `price` decimal(10,2) DEFAULT NULL,\n  `note` text DEFAULT NULL,\n  PRIMARY KEY (`id`),\n  \
         KEY `cust` (`cust`)\n) ENGINE=InnoDB",
        Some("id"),
    );
    let parts = table(
        "CREATE TABLE `p` (\n  `order_id` int(11) NOT NULL,\n  `nr` int(11) NOT NULL,\n  \
         `amount` int(11) DEFAULT NULL,\n  PRIMARY KEY (`order_id`,`nr`)\n) ENGINE=InnoDB",
        Some("order_id"),
    );
    let customers = table(
        "CREATE TABLE `c` (\n  `id` int(11) NOT NULL,\n  `name` varchar(9) NOT NULL,\n  \
         PRIMARY KEY (`id`)\n) ENGINE=InnoDB",
        None,
    );
    let named = |name: &str, table: Table| (("shop".to_owned(), name.to_owned()), table);
    Tables::from([named("o", orders), named("p", parts), named("c", customers)])
}

fn planned(statement: &str) -> ReadPlan {
    let mut facts = Facts::new(101_119);
    facts.database = Some("shop".into());
    plan_over(statement.as_bytes(), &tables(), &facts).expect("planned")
}

/// What is gathered by the first recipe.
fn gathered(statement: &str) -> String {
    let plan = planned(statement);
    let fills = &plan.recipes.first().expect("one").fills;
    let about: Vec<_> = fills.iter().map(|fill| &*fill.about).collect();
    about.join("; ")
}

fn behind(statement: &str) -> String {
    let plan = planned(statement);
    let fill = plan.recipes[0].fills.first().expect("one");
    String::from_utf8_lossy(&fill.behind).into_owned()
}

#[test]
fn nodes_do_what_they_can_do_alone() {
    for (statement, expected) in [
        ("SELECT * FROM o", "rows"),
        ("SELECT DISTINCT note FROM o", "distinct rows"),
        ("SELECT COUNT(*) FROM o", "parts of groups"),
        (
            "SELECT cust, AVG(price) FROM o GROUP BY 1 HAVING COUNT(*) > 1",
            "parts of groups",
        ),
        ("SELECT COUNT(DISTINCT id) FROM o", "parts of groups"),
        ("SELECT COUNT(DISTINCT cust) FROM o", "joined rows"),
        ("SELECT GROUP_CONCAT(note) FROM o", "joined rows"),
        (
            "SELECT note, RANK() OVER (ORDER BY price) FROM o",
            "joined rows",
        ),
        ("SELECT price, NOW() FROM o", "joined rows"),
        (
            "SELECT SUM(amount) FROM o JOIN p ON order_id = id",
            "parts of groups",
        ),
        (
            "SELECT SUM(amount) FROM o, p, c WHERE o.id = order_id AND cust = c.id",
            "parts of groups",
        ),
        ("SELECT name FROM o LEFT JOIN c ON c.id = cust", "rows"),
        (
            "SELECT 1 FROM o LEFT JOIN p ON p.order_id = o.id AND nr = 1",
            "rows",
        ),
        (
            "SELECT id FROM o WHERE EXISTS (SELECT 1 FROM p WHERE order_id = o.id)",
            "rows",
        ),
        (
            "SELECT id FROM o WHERE id NOT IN (SELECT order_id FROM p)",
            "rows",
        ),
        (
            "SELECT id FROM o WHERE id IN (SELECT order_id FROM p GROUP BY order_id HAVING SUM(nr) > 1)",
            "rows",
        ),
        (
            "SELECT n FROM (SELECT COUNT(*) n, order_id FROM p GROUP BY order_id) d WHERE n > 1",
            "rows",
        ),
        (
            "SELECT 1 FROM (SELECT cust, COUNT(*) n FROM o GROUP BY cust) d",
            "parts of groups",
        ),
        ("SELECT id FROM o UNION SELECT nr FROM p", "rows; rows"),
    ] {
        assert_eq!(gathered(statement), expected, "{statement}");
    }
}

#[test]
fn what_is_not_certain_is_gathered_whole() {
    for (statement, expected) in [
        (
            "SELECT 1 FROM o JOIN p ON p.nr = o.id",
            "all rows of o, 1 of 4 columns; all rows of p, 2 of 3 columns",
        ),
        (
            "SELECT c.id FROM c LEFT JOIN o ON o.cust = c.id",
            "rows that can matter of o, 2 of 4 columns",
        ),
        (
            "SELECT c.id FROM c WHERE EXISTS (SELECT * FROM o WHERE cust = c.id)",
            "rows that can matter of o, 2 of 4 columns",
        ),
        (
            "SELECT id FROM o WHERE price > (SELECT AVG(price) FROM o)",
            "parts of groups; all rows of o, 2 of 4 columns",
        ),
        (
            "SELECT * FROM o WHERE cust = 5 FOR UPDATE",
            "rows that can matter of o, 4 of 4 columns",
        ),
        (
            "SELECT * FROM o NATURAL JOIN p",
            "all rows of o, 4 of 4 columns; all rows of p, 3 of 3 columns",
        ),
        (
            "SELECT /*! 1, */ id FROM o",
            "all rows of o, 4 of 4 columns; all rows of p, 3 of 3 columns",
        ),
        (
            "SELECT id FROM o WHERE price = ?",
            "all rows of o, 2 of 4 columns",
        ),
        (
            "SELECT id FROM o WHERE rand() < 0.5",
            "all rows of o, 1 of 4 columns",
        ),
        (
            "SELECT id FROM o WHERE cust = @x AND id > 5",
            "rows that can matter of o, 2 of 4 columns",
        ),
    ] {
        assert_eq!(gathered(statement), expected, "{statement}");
    }
}

#[test]
fn every_plan_ends_with_the_statement_as_it_is() {
    let plan = planned("SELECT cust, COUNT(*) FROM o WHERE id > 7 GROUP BY cust");
    let statements: Vec<_> = plan
        .recipes
        .iter()
        .map(|it| it.statement.is_some())
        .collect();
    assert_eq!(statements, [true, true, false]);
    let fill = &plan.plain().fills[0];
    assert_eq!(
        String::from_utf8_lossy(&fill.create),
        "SET STATEMENT time_zone='+00:00',sql_mode='ALLOW_INVALID_DATES' FOR \
         CREATE TEMPORARY TABLE `shop`.`o` (`id` int(11) NOT NULL, `cust` int(11) NOT NULL, \
         `price` decimal(10,2) DEFAULT NULL, `note` text DEFAULT NULL, PRIMARY KEY (`id`), \
         KEY `cust` (`cust`)) ENGINE=InnoDB "
    );
    assert_eq!(
        String::from_utf8_lossy(&fill.behind),
        " FROM `shop`.`o` AS `__row` WHERE ((`__row`.`id` > 7\n)) LIMIT 18446744073709551615"
    );
}

#[test]
fn rows_that_join_nothing_do_not_matter() {
    let semi = " FROM `shop`.`o` AS `__row` WHERE (EXISTS (SELECT 1 FROM `shop`.`c` AS `__other_";
    let found = behind(
        "SELECT c.id FROM c WHERE name > 'm' AND NOT EXISTS (SELECT 1 FROM o WHERE cust = c.id)",
    );
    let expected = "0` WHERE (`__other_0`.`name` > 'm'\n) AND `__other_0`.`id` = `__row`.`cust`))";
    assert_eq!(
        found,
        format!("{semi}{expected} LIMIT 18446744073709551615")
    );
    // The row that is missing matters as well.
    let found = behind("SELECT 1 FROM c LEFT JOIN o ON o.cust = c.id WHERE o.note IS NULL");
    let expected = "0` WHERE `__other_0`.`id` = `__row`.`cust`))";
    assert_eq!(
        found,
        format!("{semi}{expected} LIMIT 18446744073709551615")
    );
}

#[test]
fn what_all_places_want_of_a_row_stands_alone() {
    let query = "SELECT SUM(price) FROM o, c WHERE c.id = o.cust AND name = 'x' \
                 AND price < (SELECT AVG(price) FROM o WHERE cust = c.id)";
    let common = " FROM `shop`.`o` AS `__row` WHERE (EXISTS (SELECT 1 FROM `shop`.`c` AS `__other_0` \
                  WHERE (`__other_0`.`name` = 'x'\n) AND `__other_0`.`id` = `__row`.`cust`))";
    let end = " LIMIT 18446744073709551615";
    assert_eq!(behind(query), format!("{common}{end}"));
    // What one of them wants besides says nothing where the other takes each.
    let query = query.replace("AND price <", "AND note = 'y' AND price <");
    assert_eq!(behind(&query), format!("{common}{end}"));
    let query = query.replace("cust = c.id)", "cust = c.id AND price > 5)");
    let some = "((((`__row`.`note` = 'y'\n))) OR (((`__row`.`price` > 5\n))))";
    assert_eq!(behind(&query), format!("{common} AND {some}{end}"));
}

#[test]
fn rows_come_once_where_it_does_not_matter_how_often() {
    for (query, expected) in [
        (
            "SELECT name FROM c WHERE NOT EXISTS (SELECT * FROM o WHERE cust = LENGTH(name))",
            true,
        ),
        (
            "SELECT name FROM c WHERE LENGTH(name) IN (SELECT cust FROM o)",
            true,
        ),
        // Numbers of rows.
        (
            "SELECT name FROM c WHERE LENGTH(name) IN (SELECT COUNT(cust) FROM o)",
            false,
        ),
        (
            "SELECT name FROM c WHERE LENGTH(name) IN (SELECT cust FROM o GROUP BY cust HAVING COUNT(*) > 1)",
            false,
        ),
        (
            "SELECT name, (SELECT COUNT(cust) FROM o) FROM c WHERE EXISTS (SELECT 1 FROM o WHERE cust = LENGTH(name))",
            false,
        ),
        // They are different anyway, or may be though they are equal.
        (
            "SELECT name FROM c WHERE EXISTS (SELECT 1 FROM o WHERE o.id = LENGTH(name))",
            false,
        ),
        (
            "SELECT name FROM c WHERE EXISTS (SELECT 1 FROM o WHERE BINARY note = name)",
            false,
        ),
    ] {
        let plan = planned(query);
        let once = |fill: &Fill| fill.before == b"SELECT DISTINCT ";
        assert_eq!(plan.plain().fills.iter().any(once), expected, "{query}");
    }
}

#[test]
fn nodes_cut_off_what_cannot_be_among_the_first() {
    assert_eq!(
        behind("SELECT id AS x FROM o ORDER BY price DESC, x LIMIT 3, 4"),
        " FROM o ORDER BY (price) DESC, (id) LIMIT 7"
    );
    assert_eq!(behind("SELECT id FROM o ORDER BY id"), " FROM o");
    assert_eq!(
        behind("SELECT SQL_CALC_FOUND_ROWS id FROM o LIMIT 1"),
        " FROM o"
    );
}

#[test]
fn what_the_rows_do_not_answer_is_refused() {
    let mut facts = Facts::new(101_119);
    facts.database = Some("shop".into());
    let refused = plan_over(b"SELECT id, FOUND_ROWS() FROM o", &tables(), &facts);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .starts_with("OpenPeta: session-function: ")
    );
}

#[test]
fn rows_are_locked_whatever_stands_around() {
    for (statement, clause) in [
        ("SELECT * FROM o FOR UPDATE", "FOR UPDATE"),
        ("SELECT id FROM o LOCK IN SHARE MODE", "LOCK IN SHARE MODE"),
        ("SELECT * FROM o WHERE id > 1 FOR UPDATE", "FOR UPDATE"),
        ("SELECT * FROM o PARTITION (p) FOR UPDATE", "FOR UPDATE"),
        (
            "SELECT /*!40001 SQL_NO_CACHE */ * FROM o FOR UPDATE",
            "FOR UPDATE",
        ),
    ] {
        let plan = planned(statement);
        assert!(plan.locks, "{statement}");
        let recipe = plan.plain();
        assert!(!recipe.fills.is_empty(), "{statement}");
        for fill in &recipe.fills {
            let behind = String::from_utf8_lossy(&fill.behind).into_owned();
            assert!(behind.trim_end().ends_with(clause), "{statement}: {behind}");
        }
    }
    assert!(!planned("SELECT * FROM o").locks);
}
