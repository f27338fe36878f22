//! What statements are, where they end, and that neither depends on how a text is cut.

use openpeta_sql_route::{
    DatabaseChange, Dialect, Lexer, PieceLexer, Results, Statement, StatementClass as Class,
    StatementReader, Token, TokenKind,
};
use proptest::prelude::*;

const MARIADB: Dialect = Dialect::new(101_119);

fn statements(text: &[u8], dialect: Dialect) -> Vec<Statement> {
    let mut reader = StatementReader::new(dialect);
    let mut found: Vec<_> = Lexer::new(text, dialect)
        .filter_map(|token| reader.push(&token))
        .collect();
    found.extend(reader.end());
    found
}

fn statements_of_pieces<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    dialect: Dialect,
) -> Vec<Statement> {
    let mut reader = StatementReader::new(dialect);
    let mut lexer = PieceLexer::new(dialect);
    let mut found = Vec::new();
    for piece in pieces {
        lexer.push(piece, |token| found.extend(reader.push(token)));
    }
    lexer.end(|token| found.extend(reader.push(token)));
    found.extend(reader.end());
    found
}

fn classes(text: &str) -> Vec<Class> {
    let found = statements(text.as_bytes(), MARIADB);
    found.into_iter().map(|statement| statement.class).collect()
}

#[test]
fn classes_of_single_statements() {
    use Class::*;
    let cases: &[(Class, &[&str])] = &[
        (
            Read,
            &[
                "SELECT 1",
                "select c from t where id=5;",
                "  \n\t/* hint */ SELECT 1",
                "-- a line\nSELECT 1",
                "# a line\nSELECT 1",
                "/*!40001 SELECT */ * FROM t",
                "/*!999999 INSERT */ SELECT 1",
                "(SELECT 1) UNION (SELECT 2)",
                "((SELECT 1))",
                "VALUES (1), (2)",
                "WITH a AS (SELECT 1), b (x) AS (SELECT 2) SELECT * FROM a, b",
                "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT * FROM r",
                "SELECT * FROM t FOR UPDATE",
                "SELECT 'INSERT; DELETE' FROM `update;`",
                "SELECT/**/1",
                "SET STATEMENT max_statement_time=10, sort_buffer_size=(1+1) FOR SELECT 1",
            ],
        ),
        (
            Write,
            &[
                "INSERT INTO t VALUES (1)",
                "insert into t select * from u",
                "REPLACE t VALUES (1)",
                "UPDATE t SET a = 1",
                "DELETE FROM t",
                "LOAD DATA LOCAL INFILE 'x' INTO TABLE t",
                "LOAD XML INFILE 'x' INTO TABLE t",
                "WITH a AS (SELECT 1) DELETE FROM t WHERE id IN (SELECT * FROM a)",
                "SET STATEMENT max_statement_time=1 FOR INSERT INTO t VALUES (1)",
            ],
        ),
        (
            Set,
            &[
                "SET autocommit=0",
                "SET NAMES utf8mb4",
                "/*!40101 SET NAMES utf8mb4 */",
                "SET @a = (SELECT 1)",
                "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
                "SET PASSWORD = 'x'",
            ],
        ),
        (
            Begin,
            &[
                "BEGIN",
                "begin work",
                "START TRANSACTION",
                "START TRANSACTION READ ONLY",
            ],
        ),
        (Commit, &["COMMIT", "COMMIT AND CHAIN", "commit work;"]),
        (
            Rollback,
            &["ROLLBACK", "ROLLBACK WORK", "ROLLBACK AND NO CHAIN"],
        ),
        (
            OtherTransaction,
            &[
                "SAVEPOINT a",
                "ROLLBACK TO a",
                "ROLLBACK WORK TO SAVEPOINT a",
                "RELEASE SAVEPOINT a",
                "XA START 'x'",
                "XA BEGIN 'x'",
            ],
        ),
        (
            Other,
            &[
                "",
                "   ",
                "/* nothing */",
                "SHOW TABLES",
                "EXPLAIN SELECT 1",
                "CREATE TABLE t (a INT)",
                "START SLAVE",
                "LOAD INDEX INTO CACHE t",
                "CALL p()",
                "DO 1",
                "USE shop",
                "TRUNCATE t",
                "SELEC 1",
                "'SELECT'",
                "`SELECT` 1",
                "42",
                "\0SELECT 1",
                "BEGIN NOT ATOMIC SELECT 1; SELECT 2; END",
                "IF 1 THEN SELECT 1; END IF",
                "SET STATEMENT max_statement_time=1 FOR SHOW TABLES",
                "SELECTED 1",
                "AN_UNKNOWN_WORD_THAT_IS_LONG 1",
            ],
        ),
    ];
    for (class, texts) in cases {
        for text in *texts {
            assert_eq!(classes(text), [*class], "{text}");
            assert_eq!(
                Statement::of(text.as_bytes(), MARIADB).class,
                *class,
                "{text}"
            );
        }
    }
}

#[test]
fn several_statements_in_a_text() {
    use Class::*;
    let cases: &[(&str, &[Class])] = &[
        ("SELECT 1; DO 2;", &[Read, Other]),
        ("SELECT 1;  \n", &[Read]),
        ("SELECT 1; -- done", &[Read, Other]),
        (
            "BEGIN; INSERT INTO t VALUES (';'); COMMIT",
            &[Begin, Write, Commit],
        ),
        (
            "SELECT \"a;b\", `c;d` /* e;f */ -- g;h\n; SET @a=1",
            &[Read, Set],
        ),
        ("SELECT 1;;SELECT 2", &[Read, Other, Read]),
        (
            "CREATE PROCEDURE p() BEGIN DECLARE a INT; SELECT CASE a WHEN 1 THEN 2 END; IF a THEN \
             SELECT 1; ELSEIF b THEN SELECT IF(a, 1, 2); END IF; l: LOOP LEAVE l; END LOOP l; \
             CASE a WHEN 1 THEN SELECT 1; END CASE; END; SELECT 1",
            &[Other, Read],
        ),
        ("CREATE PROCEDURE p() SELECT 1; SELECT 2", &[Other, Read]),
        (
            "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW IF NEW.a THEN SET NEW.b = 1; END IF; \
             UPDATE t SET a = 1",
            &[Other, Write],
        ),
        (
            "CREATE OR REPLACE DEFINER=`a`@`%` FUNCTION f(x INT) RETURNS INT DETERMINISTIC BEGIN \
             WHILE x > 0 DO SET x = x - 1; END WHILE; RETURN x; END; COMMIT",
            &[Other, Commit],
        ),
        (
            "CREATE EVENT IF NOT EXISTS e ON SCHEDULE EVERY 1 HOUR DO BEGIN REPEAT SET @a = 1; \
             UNTIL 1 END REPEAT; END; ROLLBACK",
            &[Other, Rollback],
        ),
        (
            "BEGIN NOT ATOMIC SELECT 1; BEGIN SELECT 2; END; END; SELECT 3",
            &[Other, Read],
        ),
        (
            "a: BEGIN NOT ATOMIC SELECT 1; END a; SELECT 3",
            &[Other, Read],
        ),
        (
            "FOR i IN 1..3 DO SELECT i; END FOR; SELECT 3",
            &[Other, Read],
        ),
        (
            "XA BEGIN 'x'; XA END 'x'",
            &[OtherTransaction, OtherTransaction],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(classes(text), *expected, "{text}");
    }
}

#[test]
fn what_changes_the_database() {
    let of = |text: &str| {
        Statement::of(text.as_bytes(), MARIADB)
            .database
            .map(|change| *change)
    };
    let changes_to = |name: &str| Some(DatabaseChange::Use(name.into()));
    assert_eq!(of("USE shop"), changes_to("shop"));
    assert_eq!(of("use /* this */ `a``b`;"), changes_to("a`b"));
    assert_eq!(of("USE"), None);
    assert_eq!(of("SELECT 1"), None);
    for text in ["DROP DATABASE shop", "drop schema if exists `shop`"] {
        assert_eq!(of(text), Some(DatabaseChange::Drop(b"shop".into())));
    }
    assert_eq!(of("DROP TABLE shop"), None);
}

#[test]
fn statements_of_many_results() {
    let of = |text: &str| Statement::of(text.as_bytes(), MARIADB).results;
    for text in [
        "CALL p()",
        "BEGIN NOT ATOMIC SELECT 1; END",
        "WHILE 1 DO SELECT 1; END WHILE",
    ] {
        assert_eq!(of(text), Results::ManyThenOk, "{text}");
    }
    for text in [
        "SELECT 1",
        "BEGIN",
        "CREATE PROCEDURE p() BEGIN SELECT 1; END",
    ] {
        assert_eq!(of(text), Results::One, "{text}");
    }
}

/// Pieces of SQL, and literals and comments that are longer than the lexer keeps.
fn soups() -> impl Strategy<Value = Vec<u8>> {
    #[rustfmt::skip]
    const PIECES: &[&[u8]] = &[
        b"SELECT", b"INSERT", b"SET", b"BEGIN", b"END", b"IF", b"THEN", b"CASE", b"USE", b"WITH", b"AS",
        b"STATEMENT", b"FOR", b"NOT", b"CREATE", b"PROCEDURE", b"ROLLBACK", b"TO", b"DROP DATABASE", b"a",
        b"a.b", b"1.5e3", b"0x1F", b"x'1F'", b"'", b"''", b"\\'", b"\\", b"\"", b"`", b"``", b"/*", b"*/",
        b"/*!", b"/*!50701", b"/*!999999", b"/*M!100100", b"/*M!999999", b"#", b"-- ", b"--", b"\n", b" ", b";",
        b";", b";", b"(", b")", b":", b"@", b"@@", b"@'", b"?", b"\xc3\xa9", b"\x81\x5c", b"\x81'", b"\0",
    ];
    let long = (prop::sample::select(PIECES), 900_usize..3000)
        .prop_map(|(piece, len)| piece.iter().copied().cycle().take(len).collect::<Vec<u8>>());
    let filler = (prop::sample::select(&b"a1 *'\\"[..]), 900_usize..3000)
        .prop_map(|(byte, len)| vec![byte; len]);
    let piece = prop_oneof![
        20 => prop::sample::select(PIECES).prop_map(<[u8]>::to_vec),
        1 => long,
        1 => filler,
    ];
    prop::collection::vec((piece, any::<bool>()), 0..30).prop_map(|pieces| {
        let spaced = pieces.into_iter().flat_map(|(mut piece, space)| {
            piece.extend(space.then_some(b' '));
            piece
        });
        spaced.collect()
    })
}

fn dialects() -> impl Strategy<Value = Dialect> {
    use openpeta_sql_route::Encoding;
    let encoding = prop::sample::select(vec![
        Encoding::AsciiCompatible,
        Encoding::AsciiCompatible,
        Encoding::Gbk,
        Encoding::Sjis,
    ]);
    (any::<bool>(), any::<bool>(), encoding).prop_map(|(ansi_quotes, plain, encoding)| Dialect {
        ansi_quotes,
        no_backslash_escapes: plain,
        encoding,
        ..MARIADB
    })
}

/// Kind and, unless it is long, text of every token but white space and comments.
fn outline(token: &Token<'_>) -> Option<(TokenKind, Vec<u8>)> {
    let text = match token.kind {
        TokenKind::Space | TokenKind::Comment => return None,
        TokenKind::Invalid => Vec::new(),
        _ => token.text.to_vec(),
    };
    Some((token.kind, text))
}

fn cut<'a>(text: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = text;
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let size = (*sizes.next()?).min(rest.len());
        let (piece, after) = rest.split_at(size);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn pieces_make_no_difference(
        text in soups(),
        dialect in dialects(),
        sizes in prop::collection::vec(1_usize..700, 1..12),
    ) {
        // A name that is too long to be one is not kept whole.
        let outline = |found: Vec<Statement>| -> Vec<_> {
            let named = |s: &Statement| s.database.is_some() && text.len() < 900;
            found.iter().map(|s| (s.class, s.results, named(s))).collect()
        };
        let found = statements_of_pieces(cut(&text, &sizes), dialect);
        prop_assert_eq!(outline(found), outline(statements(&text, dialect)));
    }

    #[test]
    fn tokens_of_pieces_are_those_of_the_whole(
        text in prop::collection::vec(any::<u8>(), 0..300),
        dialect in dialects(),
        sizes in prop::collection::vec(1_usize..40, 1..12),
    ) {
        let whole: Vec<_> = Lexer::new(&text, dialect).filter_map(|t| outline(&t)).collect();
        let mut found = Vec::new();
        let mut lexer = PieceLexer::new(dialect);
        for piece in cut(&text, &sizes) {
            lexer.push(piece, |token| found.extend(outline(token)));
        }
        lexer.end(|token| found.extend(outline(token)));
        prop_assert_eq!(found, whole);
    }

    #[test]
    fn what_stands_before_a_statement_does_not_matter(
        before in prop::collection::vec(
            prop::sample::select(vec![" ", "\t", "\n", "/* a; */", "-- b;\n", "#\n", "/**/", "("]),
            0..8,
        ),
        after in "[ a-z0-9]{0,20}",
    ) {
        let text = format!("{}SELECT {after}", before.concat());
        prop_assert_eq!(classes(&text), [Class::Read]);
    }
}
