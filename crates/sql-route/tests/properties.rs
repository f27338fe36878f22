//! Any bytes give tokens that cover them; what was quoted is read back; pieces of SQL thrown
//! together never make the classifier panic or see what is not there.
//!
//! `OPENPETA_SEED` replays one case of the random test at the end.

use openpeta_sql_route::{Dialect, Encoding, Lexer, TokenKind, parse_ddl};
use proptest::prelude::*;

const MARIADB: Dialect = Dialect::new(101_119);

/// Pieces that the lexer treats in a way of their own.
#[rustfmt::skip]
const PIECES: &[&[u8]] = &[
    b"CREATE", b"TABLE", b"ALTER", b"DROP", b"INDEX", b"ON", b"IF", b"NOT", b"EXISTS", b"UNIQUE",
    b"OR REPLACE", b"TEMPORARY", b"SELECT", b"DISTRIBUTE BY", b"DISTRIBUTE_KEY", b"t", b"a.b",
    b"`x`", b"`", b"``", b"'", b"''", b"'s'", b"\"", b"\\", b"\\'", b"\\N", b"/*", b"*/", b"/*!", b"/*!50101",
    b"/*!50701", b"/*!999999", b"/*M!", b"/*M!100100", b"#", b"--", b"-- ", b"\n", b" ", b"\t", b"\0",
    b";", b".", b"..", b",", b"(", b")", b"@", b"@@", b"@'v'", b"@@`v`", b"?", b":=", b"<=>", b"<", b"=",
    b">", b"!", b"&&", b"|", b"0", b"0x", b"0x1F", b"0b1", b"x'", b"x'1F'", b"b'01'", b"N'", b"1e", b"1e5",
    b"1.5", b"1.5e", b"$", b"_utf8mb4", b"\xc3\xa9", b"\xf0\x9f\x98\x80", b"\xff", b"\xbf\x5c", b"\xa0",
];

fn dialects() -> impl Strategy<Value = Dialect> {
    let encoding = prop::sample::select(vec![
        Encoding::AsciiCompatible,
        Encoding::Gbk,
        Encoding::Big5,
        Encoding::Sjis,
    ]);
    let versions = prop::sample::select(vec![0, 50_000, 101_119, 120_000]);
    (any::<bool>(), any::<bool>(), encoding, versions).prop_map(
        |(ansi_quotes, no_backslash_escapes, encoding, server_version)| Dialect {
            server_version,
            ansi_quotes,
            no_backslash_escapes,
            encoding,
        },
    )
}

fn soups() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        9 => prop::sample::select(PIECES).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Panics unless the tokens are the text, one after the other.
fn check_cover(text: &[u8], dialect: Dialect) {
    let mut lexer = Lexer::new(text, dialect);
    let mut at = 0;
    while let Some(token) = lexer.next() {
        assert!(!token.text.is_empty());
        assert_eq!(token.text, &text[at..at + token.text.len()]);
        at += token.text.len();
        assert_eq!(at, lexer.position());
        assert!(token.kind != TokenKind::Invalid || at == text.len());
        let _ = (token.name(&dialect), token.string(&dialect));
    }
    assert_eq!(at, text.len());
}

/// A value between quotes as a client would write it.
fn quoted(value: &str, quote: char, escapes: bool) -> String {
    let mut text = String::from(quote);
    for character in value.chars() {
        if character == quote || (escapes && character == '\\') {
            text.push(if escapes { '\\' } else { quote });
        }
        text.push(character);
    }
    text.push(quote);
    text
}

fn only_token(text: &str, dialect: Dialect) -> openpeta_sql_route::Token<'_> {
    let mut lexer = Lexer::new(text.as_bytes(), dialect);
    let token = lexer.next().expect("a token");
    assert_eq!(lexer.next(), None, "{text}");
    token
}

proptest! {
    #[test]
    fn tokens_cover_any_bytes(
        text in prop::collection::vec(any::<u8>(), 0..200),
        dialect in dialects(),
    ) {
        check_cover(&text, dialect);
    }

    #[test]
    fn tokens_cover_soups(text in soups(), dialect in dialects()) {
        check_cover(&text, dialect);
    }

    #[test]
    fn strings_are_read_back(value in ".{0,40}", double in any::<bool>(), escapes in any::<bool>()) {
        let dialect = Dialect { no_backslash_escapes: !escapes, ..MARIADB };
        let quote = if double { '"' } else { '\'' };
        let text = quoted(&value, quote, escapes);
        let token = only_token(&text, dialect);
        prop_assert_eq!(token.kind, TokenKind::String);
        prop_assert_eq!(token.string(&dialect).expect("a string"), value.as_bytes());
    }

    #[test]
    fn names_are_read_back(name in "[^\0]{1,40}") {
        let text = quoted(&name, '`', false);
        let token = only_token(&text, MARIADB);
        prop_assert_eq!(token.kind, TokenKind::QuotedName);
        prop_assert_eq!(token.name(&MARIADB).expect("a name"), name.as_bytes());
    }

    #[test]
    fn a_quoted_table_is_found_whatever_its_name(name in "[^\0]{1,40}", schema in "[^\0]{1,20}") {
        let (table, database) = (quoted(&name, '`', false), quoted(&schema, '`', false));
        let text = format!("CREATE TABLE {database}.{table} (a INT)");
        let ddl = parse_ddl(&text, MARIADB).expect("a statement");
        prop_assert_eq!(ddl.table, name);
        prop_assert_eq!(ddl.schema.expect("named"), schema);
        prop_assert_eq!(ddl.statement, &text);
    }

    #[test]
    fn the_classifier_takes_any_text(text in soups(), dialect in dialects()) {
        let text = String::from_utf8_lossy(&text);
        if let Ok(ddl) = parse_ddl(&text, dialect) {
            prop_assert!(text.contains(ddl.statement));
            // Taken again it is the same.
            let again = parse_ddl(ddl.statement, dialect);
            prop_assert_eq!(again, Ok(ddl.clone()));
        }
    }
}

/// Numbers that look random and follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

/// Statements that work, then cut, doubled and mixed with each other and with noise.
#[test]
fn mangled_statements_never_panic() {
    const STATEMENTS: &[&str] = &[
        "CREATE TABLE IF NOT EXISTS `a``b`.c (id INT PRIMARY KEY, s TEXT DEFAULT 'it''s \\' ;') ENGINE=InnoDB /*!50100 PARTITION BY KEY (id) */",
        "ALTER ONLINE TABLE t ADD COLUMN x DECIMAL(10,2) DEFAULT -1.5e3 COMMENT \"q\" , ALGORITHM=INPLACE;",
        "CREATE UNIQUE INDEX i USING BTREE ON db.t (a, b(10)) -- done",
        "DROP INDEX /* which */ i ON t # this",
        "INSERT INTO t VALUES (0x1F, X'1F', b'01', N'é', _utf8mb4'x', @v, @@global.v, NULL, ?, \\N)",
    ];
    let seeds = match std::env::var("OPENPETA_SEED") {
        Ok(seed) => {
            let seed: u64 = seed.parse().expect("a number");
            seed..seed + 1
        }
        Err(_) => 0..20_000,
    };
    for seed in seeds {
        let mut random = Random(seed);
        let mut text = STATEMENTS[random.below(STATEMENTS.len())]
            .as_bytes()
            .to_vec();
        for _ in 0..1 + random.below(6) {
            let at = random.below(text.len() + 1);
            match random.below(4) {
                0 => text.truncate(at),
                1 => {
                    let piece = PIECES[random.below(PIECES.len())];
                    text.splice(at..at, piece.iter().copied());
                }
                2 => {
                    let end = text.len().min(at + random.below(8));
                    text.drain(at..end);
                }
                _ => {
                    let other = STATEMENTS[random.below(STATEMENTS.len())].as_bytes();
                    text.extend_from_slice(&other[random.below(other.len())..]);
                }
            }
        }
        let result = std::panic::catch_unwind(|| {
            check_cover(&text, MARIADB);
            let _ = parse_ddl(&String::from_utf8_lossy(&text), MARIADB);
        });
        assert!(
            result.is_ok(),
            "seed {seed}: {:?}",
            String::from_utf8_lossy(&text)
        );
    }
}
