//! Statements of one kind have one digest, and others have others.

use openpeta_sql_route::{DIGEST_TEXT, Dialect, DigestReader, Lexer, Statement, Templates};
use proptest::prelude::*;

fn read(text: &[u8]) -> DigestReader {
    let mut reader = DigestReader::default();
    reader.begin();
    for token in Lexer::new(text, Dialect::new(101_119)) {
        reader.push(&token);
    }
    reader
}

fn digest(text: &str) -> String {
    String::from_utf8(read(text.as_bytes()).text().to_vec()).expect("cut between characters")
}

#[test]
fn normalised_texts() {
    let cases = [
        ("SELECT c FROM t WHERE id=5", "SELECT c FROM t WHERE id = ?"),
        (
            "SELECT  c\nFROM t -- x\nWHERE id = -5.5e3 /* y */",
            "SELECT c FROM t WHERE id = ?",
        ),
        ("SELECT 'a' 'b', \"c\", 0x1F, NULL", "SELECT ?, ?, ?, NULL"),
        (
            "select * from `a`.b where c in (1, 2,3)",
            "select * from `a`.b where c in (...)",
        ),
        ("x IN (1)", "x IN (...)"),
        ("x IN (-1, 'a', NULL, ?, 1 + 2)", "x IN (... + ...)"),
        ("x IN (a, 1, 2, b)", "x IN (a, ..., b)"),
        ("x IN (SELECT 1, 2)", "x IN (SELECT ...)"),
        (
            "INSERT INTO t (a, b) VALUES (1, 2)",
            "INSERT INTO t (a, b) VALUES (...)",
        ),
        (
            "INSERT INTO t VALUES (1, 'x'), (2, 'y'),(3,NULL)",
            "INSERT INTO t VALUES (...)",
        ),
        (
            "INSERT INTO t VALUES (1, NOW()), (2, NOW())",
            "INSERT INTO t VALUES (..., NOW ())",
        ),
        (
            "INSERT INTO t VALUES (1, f(2, 3)), (2, 3)",
            "INSERT INTO t VALUES (..., f (?, ?)), (...)",
        ),
        (
            "INSERT INTO t VALUES (1), (2) ON DUPLICATE KEY UPDATE a = VALUES(a), b = 1",
            "INSERT INTO t VALUES (...) ON DUPLICATE KEY UPDATE a = VALUES (a), b = ?",
        ),
        (
            "SELECT a-1, -1, -a, f(-1, +2)",
            "SELECT a - ?, ?, - a, f (?, ?)",
        ),
        (
            "SELECT COUNT(*) FROM t LIMIT 10, 20",
            "SELECT COUNT (*) FROM t LIMIT ?, ?",
        ),
        ("SET @a := @@global.b", "SET @a := @@global.b"),
        ("/*!40101 SET NAMES utf8mb4 */", "SET NAMES utf8mb4"),
        ("SELECT 'never ends", "SELECT ?"),
        ("", ""),
    ];
    for (text, normalised) in cases {
        assert_eq!(digest(text), normalised, "{text}");
    }
}

#[test]
fn the_number_of_rows_and_values_makes_no_difference() {
    let row = "(1, 'some text', NULL)";
    let one = digest(&format!("INSERT INTO t VALUES {row}"));
    let many = format!("INSERT INTO t VALUES {}", vec![row; 10_000].join(", "));
    assert_eq!(digest(&many), one);
    let list = (0..10_000)
        .map(|n| n.to_string())
        .collect::<Vec<_>>()
        .join(",");
    assert_eq!(
        digest(&format!("SELECT a IN ({list})")),
        digest("SELECT a IN (1)")
    );
}

#[test]
fn the_case_of_letters_makes_no_difference_and_all_else_does() {
    let hash = |text: &str| read(text.as_bytes()).hash();
    assert_eq!(hash("SELECT a FROM t"), hash("select A from T"));
    let others = [
        "SELECT a FROM t",
        "SELECT b FROM t",
        "SELECT a FROM t, t",
        "SELECT a",
        "",
        "DO ?",
    ];
    for (i, one) in others.iter().enumerate() {
        for other in &others[..i] {
            assert_ne!(hash(one), hash(other));
        }
    }
}

#[test]
fn long_texts_are_cut() {
    let long = format!("SELECT {}", "a + ".repeat(2000));
    let reader = read(long.as_bytes());
    assert!(reader.is_full());
    assert_eq!(reader.text().len(), DIGEST_TEXT);
    assert_eq!(
        read(format!("SELECT {}", "a".repeat(9000)).as_bytes())
            .text()
            .len(),
        DIGEST_TEXT
    );
}

const MARIADB: Dialect = Dialect::new(101_119);

fn remember(templates: &mut Templates<u32>, text: &str, known: u32) {
    templates.begin();
    let mut lexer = Lexer::new(text.as_bytes(), MARIADB);
    while let Some(token) = lexer.next() {
        templates.push(&token, lexer.position());
    }
    templates.remember(text.as_bytes(), MARIADB, known);
}

#[test]
fn a_text_is_known_again_whatever_its_values() {
    let mut templates = Templates::default();
    remember(
        &mut templates,
        "SELECT c FROM t WHERE id=5 AND s = 'abc' LIMIT 10",
        1,
    );
    remember(&mut templates, "DO 1", 2);
    let find = |text: &str| templates.find(text.as_bytes(), MARIADB);
    assert_eq!(
        find("SELECT c FROM t WHERE id=77777 AND s = '' LIMIT 0"),
        Some(1)
    );
    assert_eq!(find("DO 23"), Some(2));
    for other in [
        "",
        "DO ",
        "DO 1.5",
        "DO 1e5",
        "DO 1x",
        "DO -1",
        "DO 1;",
        "DO 0x1",
        "do 1",
        "SELECT c FROM t WHERE id=5 AND s = 'a''c' LIMIT 10",
        "SELECT c FROM t WHERE id=5 AND s = 'a\\' LIMIT 10",
        "SELECT c FROM t WHERE id=5 AND s = 'abc LIMIT 10",
        "SELECT c FROM t WHERE id=5 AND s = \"abc\" LIMIT 10",
    ] {
        assert_eq!(find(other), None, "{other}");
    }
    let quotes = Dialect {
        ansi_quotes: true,
        ..MARIADB
    };
    assert_eq!(templates.find(b"DO 1", quotes), None);
    for n in 0..20 {
        remember(&mut templates, &format!("SELECT c{n}"), n);
    }
    assert_eq!(templates.find(b"DO 1", MARIADB), None);
    assert_eq!(templates.find(b"SELECT c19", MARIADB), Some(19));
}

/// Texts of few pieces, so that many are alike but for their values.
fn alike() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "SELECT ", "SET ", "a", "=", "1", "22", "'x'", "'y y'", "''", "'", "\\", ".", "e", "x",
        ";", " ", "/*", "*/", "--", "-", "(", ",", ")", "IN ", "VALUES ", "0x", "@",
    ];
    prop::collection::vec(prop::sample::select(PIECES), 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn what_is_taken_for_known_is_the_same(texts in prop::collection::vec(alike(), 2..40)) {
        let mut templates = Templates::default();
        for (known, text) in texts.iter().enumerate() {
            if let Some(found) = templates.find(text.as_bytes(), MARIADB) {
                let before = &texts[found as usize];
                prop_assert_eq!(digest(text), digest(before));
                let [of_text, of_before] = [text, before].map(|t| Statement::of(t.as_bytes(), MARIADB));
                prop_assert_eq!(of_text, of_before);
            } else {
                remember(&mut templates, text, known as u32);
            }
        }
    }

    #[test]
    fn any_bytes_have_a_digest(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let reader = read(&text);
        prop_assert!(reader.text().len() <= DIGEST_TEXT);
        prop_assert_eq!(reader.hash(), read(&text).hash());
    }

    #[test]
    fn values_make_no_difference(a in any::<i64>(), b in "[a-z ;,()]{0,30}", n in 1_usize..40) {
        let text = format!("SELECT * FROM t WHERE a = {a} AND b = '{b}' AND c IN ({a}{})", ", 1".repeat(n));
        prop_assert_eq!(digest(&text), "SELECT * FROM t WHERE a = ? AND b = ? AND c IN (...)");
    }

    #[test]
    fn white_space_and_comments_make_no_difference(
        gaps in prop::collection::vec(
            prop::sample::select(vec![" ", "\n", "\t ", "/* a */", " -- b\n", "#\n"]),
            9,
        ),
    ) {
        let words = ["UPDATE", "t", "SET", "a", "=", "f", "(", "1", ")"];
        let text: String = words.iter().zip(&gaps).flat_map(|(word, gap)| [*word, *gap]).collect();
        prop_assert_eq!(digest(&text), "UPDATE t SET a = f (?)");
    }
}
