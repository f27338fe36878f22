//! Each finding, and none without a cause.

use super::*;

fn text(text: &str) -> String {
    text.to_owned()
}

fn table(name: &str) -> TableFacts {
    TableFacts {
        database: text("shop"),
        name: text(name),
        engine: Some(text("InnoDB")),
        rows: 10,
        data_bytes: 1 << 20,
        ..TableFacts::default()
    }
}

fn index(name: &str, is_unique: bool, columns: &[&str]) -> IndexFacts {
    IndexFacts {
        database: text("shop"),
        table: text("t"),
        name: text(name),
        is_unique,
        kind: text("BTREE"),
        columns: columns.iter().map(|column| (text(column), None)).collect(),
    }
}

/// All is well, and all is known.
fn healthy() -> Facts {
    let status = [
        ("Innodb_buffer_pool_read_requests", "5000000"),
        ("Innodb_buffer_pool_reads", "1000"),
        ("Created_tmp_tables", "5000"),
        ("Created_tmp_disk_tables", "100"),
        ("Uptime", "1000"),
    ];
    let used = (text("shop"), text("t"), text("a"));
    Facts {
        number: None,
        status: Some(status.map(|(name, value)| (text(name), text(value))).into()),
        transactions: Some(vec![OpenTransaction {
            session: 1,
            seconds: 59,
            ..OpenTransaction::default()
        }]),
        lock_waits: Some(Vec::new()),
        metadata_waits: Some(Vec::new()),
        tables: Some(vec![table("t")]),
        indexes: Some(vec![
            index("PRIMARY", true, &["id"]),
            index("a", false, &["a"]),
        ]),
        used_indexes: Some((BTreeSet::from([used]), text("yesterday"))),
        sessions: Some((79, 100)),
        disk: Some((79, 100)),
        lock: None,
        node_failure: None,
    }
}

fn kinds(facts: &Facts) -> Vec<(&'static str, Severity)> {
    let found = findings([facts]);
    found
        .iter()
        .map(|finding| (finding.kind, finding.severity))
        .collect()
}

#[test]
fn nothing_is_found_where_all_is_well_or_nothing_known() {
    assert_eq!(findings([&healthy()]), []);
    assert_eq!(findings([&Facts::default()]), []);
}

#[test]
fn limits_are_told_in_two_steps() {
    use Severity::{Critical, Warning};
    for (used, severity) in [
        (80, Warning),
        (94, Warning),
        (95, Critical),
        (200, Critical),
    ] {
        let facts = Facts {
            sessions: Some((used, 100)),
            disk: Some((used, 100)),
            ..healthy()
        };
        let expected = [("disk-space", severity), ("connections", severity)];
        assert_eq!(kinds(&facts), expected, "{used}");
    }
}

#[test]
fn a_node_that_does_not_answer_comes_first() {
    let facts = Facts {
        node_failure: Some(text("no login within 5 seconds")),
        disk: Some((85, 100)),
        lock: Some(text("ManualLock: audit")),
        ..Facts::default()
    };
    let expected = [
        ("node-silent", Severity::Critical),
        ("locked", Severity::Critical),
        ("disk-space", Severity::Warning),
    ];
    assert_eq!(kinds(&facts), expected);
}

#[test]
fn waits_name_who_is_in_the_way() {
    let facts = Facts {
        transactions: Some(vec![
            OpenTransaction {
                session: 7,
                account: text("alice"),
                seconds: 3_600,
                ..OpenTransaction::default()
            },
            OpenTransaction {
                session: 8,
                seconds: 1,
                ..OpenTransaction::default()
            },
        ]),
        lock_waits: Some(vec![LockWait {
            session: 8,
            seconds: 5,
            table: text("`shop`.`t`"),
            index: Some(text("PRIMARY")),
            blocker: 7,
            blocker_account: text("alice"),
            blocker_seconds: 3_600,
            ..LockWait::default()
        }]),
        metadata_waits: Some(vec![MetadataWait {
            session: 9,
            account: text("bob"),
            seconds: 10,
            statement: None,
        }]),
        ..healthy()
    };
    let found = findings([&facts]);
    let whats: Vec<_> = found
        .iter()
        .map(|finding| (finding.kind, &*finding.what))
        .collect();
    assert_eq!(
        whats,
        [
            (
                "lock-wait",
                "session 8 waits 5 s for a row lock on `shop`.`t` index PRIMARY, which session 7 \
                 (alice) holds and does nothing, in a transaction open for 3600 s"
            ),
            (
                "metadata-lock",
                "session 9 (bob) waits 10 s for the definition of a table, held by one of the \
                 sessions 7"
            ),
            (
                "long-transaction",
                "session 7 (alice) has a transaction open for 3600 s, with 0 rows changed and 0 \
                 locked; it does nothing at the moment"
            ),
        ]
    );
    assert!(found[0].action.contains("KILL 7"));
    assert!(found[1].action.contains("KILL 9"));
}

#[test]
fn tables_that_will_make_trouble_are_named() {
    let number = |next, kind: &str| TableFacts {
        next_number: Some(next),
        number_type: Some(text(kind)),
        ..table("t")
    };
    let of = |table: TableFacts| {
        kinds(&Facts {
            tables: Some(vec![table]),
            ..healthy()
        })
    };
    use Severity::{Critical, Info, Warning};
    for (engine, expected) in [
        (Some("MyISAM"), vec![("not-innodb", Warning)]),
        (None, vec![("unreadable-table", Critical)]),
        (Some("InnoDB"), vec![]),
    ] {
        let engine = engine.map(text);
        assert_eq!(
            of(TableFacts {
                engine,
                ..table("t")
            }),
            expected
        );
    }
    let free_bytes = 100 << 20;
    assert_eq!(
        of(TableFacts {
            free_bytes,
            ..table("t")
        }),
        [("fragmentation", Info)]
    );
    let large = TableFacts {
        free_bytes,
        data_bytes: 1 << 30,
        ..table("t")
    };
    assert_eq!(of(large), []);
    for (next, kind, expected) in [
        (102, "tinyint(4)", None),
        (103, "tinyint(4)", Some(Warning)),
        (122, "tinyint(4)", Some(Critical)),
        (122, "tinyint(3) unsigned", None),
        (2_147_483_647, "int(11)", Some(Critical)),
        (2_147_483_647, "int(10) unsigned", None),
        (u64::MAX, "bigint(20) unsigned", Some(Critical)),
        (u64::MAX / 4, "bigint(20)", None),
        (1 << 23, "mediumint(9)", Some(Critical)),
        (30_000, "smallint(6)", Some(Warning)),
        (u64::MAX, "double", None),
    ] {
        let expected: Vec<_> = expected
            .map(|severity| ("auto-increment", severity))
            .into_iter()
            .collect();
        assert_eq!(of(number(next, kind)), expected, "{next} {kind}");
    }
    let other = table("other");
    let facts = Facts {
        tables: Some(vec![table("t"), other]),
        ..healthy()
    };
    assert_eq!(kinds(&facts), [("no-primary-key", Warning)]);
}

#[test]
fn indexes_that_cost_and_give_nothing_are_named() {
    let of = |indexes: Vec<IndexFacts>| {
        let facts = Facts {
            indexes: Some([vec![index("PRIMARY", true, &["id"])], indexes].concat()),
            used_indexes: None,
            ..healthy()
        };
        let found = findings([&facts]).into_iter();
        found
            .map(|finding| {
                assert_eq!(finding.kind, "redundant-index");
                finding
                    .action
                    .rsplit(' ')
                    .next()
                    .expect("a name")
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(
        of(vec![
            index("a", false, &["a"]),
            index("ab", false, &["a", "b"])
        ]),
        ["a"]
    );
    assert_eq!(
        of(vec![
            index("b", false, &["b"]),
            index("ab", false, &["a", "b"])
        ]),
        none
    );
    assert_eq!(
        of(vec![index("x", false, &["a"]), index("y", false, &["a"])]),
        ["y"]
    );
    assert_eq!(of(vec![index("i", false, &["id"])]), ["i"]);
    assert_eq!(of(vec![index("i", true, &["id"])]), ["i"]);
    assert_eq!(
        of(vec![index("u", true, &["a"]), index("n", false, &["a"])]),
        ["n"]
    );
    // What is unique forbids something that a longer one does not.
    assert_eq!(
        of(vec![
            index("u", true, &["a"]),
            index("ab", false, &["a", "b"])
        ]),
        none
    );
    let text_index = IndexFacts {
        kind: text("FULLTEXT"),
        ..index("f", false, &["a"])
    };
    assert_eq!(of(vec![index("a", false, &["a"]), text_index]), none);
    let mut prefix = index("p", false, &["a"]);
    prefix.columns[0].1 = Some(10);
    assert_eq!(of(vec![index("ab", false, &["a", "b"]), prefix]), none);
    let elsewhere = IndexFacts {
        table: text("other"),
        ..index("a", false, &["a"])
    };
    assert_eq!(of(vec![index("a", false, &["a"]), elsewhere]), none);

    let facts = Facts {
        used_indexes: Some((BTreeSet::new(), text("yesterday"))),
        ..healthy()
    };
    let found = findings([&facts]);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].what,
        "index a of shop.t was not read since yesterday"
    );
}

#[test]
fn counters_speak_once_there_is_enough_to_count() {
    let with = |name: &str, value: &str| {
        let mut facts = healthy();
        let status = facts.status.as_mut().expect("there");
        status.insert(text(name), text(value));
        kinds(&facts)
    };
    use Severity::Info;
    assert_eq!(
        with("Innodb_buffer_pool_reads", "300000"),
        [("buffer-pool", Info)]
    );
    assert_eq!(
        with("Created_tmp_disk_tables", "2000"),
        [("temporary-tables", Info)]
    );
    assert_eq!(with("Innodb_buffer_pool_read_requests", "1000"), []);
    assert_eq!(with("Created_tmp_tables", "100"), []);
}

#[test]
fn many_of_a_kind_are_told_in_short() {
    let facts = Facts {
        tables: Some((0..100).map(|place| table(&format!("t{place}"))).collect()),
        indexes: Some(Vec::new()),
        used_indexes: None,
        ..healthy()
    };
    let found = findings([&facts]);
    assert_eq!(found.len(), MOST_OF_A_KIND);
    assert!(
        found
            .last()
            .expect("some")
            .what
            .ends_with("(and 80 more of this kind)")
    );
}

#[test]
fn what_is_one_nodes_is_told_of_it_and_what_all_have_once() {
    let of = |number, failure: Option<&str>| Facts {
        number: Some(number),
        node_failure: failure.map(text),
        tables: Some(vec![TableFacts {
            engine: Some(text("Aria")),
            free_bytes: 100 << 20,
            ..table("t")
        }]),
        transactions: Some(vec![OpenTransaction {
            session: 7,
            account: text("alice"),
            seconds: 60,
            ..OpenTransaction::default()
        }]),
        disk: Some((u64::from(number) * 90, 100)),
        ..healthy()
    };
    let found = findings([&of(0, None), &of(1, Some("it has ended"))]);
    let whats: Vec<_> = found
        .iter()
        .map(|finding| {
            (
                finding.kind,
                finding.what.split(' ').take(2).collect::<Vec<_>>(),
            )
        })
        .collect();
    let (zero, one) = (vec!["node", "0:"], vec!["node", "1:"]);
    assert_eq!(
        whats,
        [
            ("node-silent", one.clone()),
            ("long-transaction", zero.clone()),
            ("not-innodb", vec!["table", "shop.t"]),
            ("disk-space", one.clone()),
            ("long-transaction", one.clone()),
            ("fragmentation", zero),
            ("fragmentation", one),
        ]
    );
    assert!(found[1].action.contains("KILL 7"));
    assert!(!found[4].action.contains("KILL 7"), "{}", found[4].action);
}
