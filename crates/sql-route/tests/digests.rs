//! Statements of one kind have one digest, and others have others.

use openpeta_sql_route::{DIGEST_TEXT, Dialect, DigestReader, Lexer};
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

proptest! {
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
