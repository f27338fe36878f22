//! How statements are split, token by token.

use openpeta_sql_route::{Dialect, Encoding, Lexer, TokenKind};

const MARIADB: Dialect = Dialect::new(101_119);

/// The significant tokens of a text, each as its kind and bytes.
fn tokens_in(text: &[u8], dialect: Dialect) -> Vec<(TokenKind, &[u8])> {
    Lexer::new(text, dialect)
        .filter(|token| token.kind.is_significant())
        .map(|token| (token.kind, token.text))
        .collect()
}

fn tokens(text: &str) -> Vec<(TokenKind, &str)> {
    tokens_in(text.as_bytes(), MARIADB)
        .into_iter()
        .map(|(kind, text)| {
            (
                kind,
                std::str::from_utf8(text).expect("cut between characters"),
            )
        })
        .collect()
}

/// The kinds of all tokens of a text, comments and white space included.
fn kinds(text: &str) -> Vec<TokenKind> {
    Lexer::new(text.as_bytes(), MARIADB)
        .map(|token| token.kind)
        .collect()
}

#[test]
fn a_statement_of_everything() {
    use TokenKind::*;
    let text = "SELECT t.`a``b`, @x, @'y', @@global.z, N'é', 'it''s' \"\\\"\" FROM db.1t \
                WHERE a<=>1.5e3 AND b:=0x1F||B'01' -- the end";
    let expected = vec![
        (Word, "SELECT"),
        (Word, "t"),
        (Symbol, "."),
        (QuotedName, "`a``b`"),
        (Symbol, ","),
        (UserVariable, "@x"),
        (Symbol, ","),
        (UserVariable, "@'y'"),
        (Symbol, ","),
        (SystemVariable, "@@global"),
        (Symbol, "."),
        (Word, "z"),
        (Symbol, ","),
        (String, "N'é'"),
        (Symbol, ","),
        (String, "'it''s'"),
        (String, "\"\\\"\""),
        (Word, "FROM"),
        (Word, "db"),
        (Symbol, "."),
        (Word, "1t"),
        (Word, "WHERE"),
        (Word, "a"),
        (Symbol, "<=>"),
        (Float, "1.5e3"),
        (Word, "AND"),
        (Word, "b"),
        (Symbol, ":="),
        (Hex, "0x1F"),
        (Symbol, "||"),
        (Bit, "B'01'"),
    ];
    assert_eq!(tokens(text), expected);
}

#[test]
fn numbers_and_names_that_begin_with_digits() {
    use TokenKind::*;
    for (text, kind) in [
        ("0", Integer),
        ("007", Integer),
        ("1.", Decimal),
        (".5", Decimal),
        ("1.5", Decimal),
        ("1e10", Float),
        ("1E-10", Float),
        ("1.5e+3", Float),
        (".5e3", Float),
        ("0xAf", Hex),
        ("X'AF'", Hex),
        ("x''", Hex),
        ("0b01", Bit),
        ("b'01'", Bit),
        ("0x", Word),
        ("0X1F", Word),
        ("0xfg", Word),
        ("0b12", Word),
        ("1e", Word),
        ("1abc", Word),
        ("1$", Word),
        ("1é", Word),
        ("_1", Word),
    ] {
        assert_eq!(tokens(text), [(kind, text)], "{text}");
    }
    assert_eq!(
        tokens("1..10"),
        [(Integer, "1"), (Symbol, ".."), (Integer, "10")]
    );
    assert_eq!(tokens("1e+"), [(Word, "1e"), (Symbol, "+")]);
    assert_eq!(tokens("-1"), [(Symbol, "-"), (Integer, "1")]);
    assert_eq!(tokens("a .5"), [(Word, "a"), (Decimal, ".5")]);
}

#[test]
fn a_point_behind_a_name_leads_to_a_name() {
    use TokenKind::*;
    for (text, name) in [
        ("a.5", "5"),
        ("a.1e3", "1e3"),
        ("a.0x1F", "0x1F"),
        ("`a`.x'41'", "x"),
        ("a.n'x'", "n"),
    ] {
        let tokens = tokens(text);
        assert_eq!(tokens[1], (Symbol, "."), "{text}");
        assert_eq!(tokens[2], (Word, name), "{text}");
    }
}

#[test]
fn comments_are_not_statements() {
    for text in [
        "# one",
        "-- two",
        "--",
        "--\t",
        "--\n",
        "/* three */",
        "/**/",
        "/*/ */",
        "/*!99999 future */",
        "/*!50701 of MySQL 5.7 */",
        "/*!999999 future /* nested */ */",
        "/*M!999999 future */",
    ] {
        assert_eq!(tokens(text), [], "{text}");
        assert!(
            kinds(text)
                .iter()
                .all(|kind| matches!(kind, TokenKind::Comment | TokenKind::Space))
        );
    }
    // No white space behind the dashes: two times minus.
    assert_eq!(tokens("1--1").len(), 4);
    assert_eq!(tokens("--x")[2], (TokenKind::Word, "x"));
    assert_eq!(tokens("# one\nx"), [(TokenKind::Word, "x")]);
}

#[test]
fn executable_comments_are_statements() {
    use TokenKind::*;
    for text in [
        "/*! DROP */",
        "/*!DROP*/",
        "/*!32302 DROP */",
        "/*!50101DROP*/",
        "/*!100000 DROP */",
        "/*!101119 DROP */",
        "/*!1234 DROP */",
        "/*M! DROP */",
        "/*M!50701 DROP */",
        "/*M!100100 DROP */",
    ] {
        let tokens = tokens(text);
        assert_eq!(tokens.last(), Some(&(Word, "DROP")), "{text}");
        let kinds = kinds(text);
        assert_eq!(kinds[0], ExecutableStart, "{text}");
        assert_eq!(kinds.last(), Some(&ExecutableEnd), "{text}");
    }
    // Outside of such a comment its end is two operators.
    assert_eq!(kinds("*/"), [Symbol, Symbol]);
    // A comment inside does not end it; a line comment hides its end.
    assert_eq!(tokens("/*! a /* b */ c */ d").len(), 3);
    let mut lexer = Lexer::new(b"/*! a # */", MARIADB);
    while lexer.next().is_some() {}
    assert!(lexer.in_executable_comment());
}

#[test]
fn what_the_server_cannot_read_is_invalid_to_the_end() {
    for text in [
        "'abc",
        "\"abc",
        "`abc",
        "'abc\\'",
        "'abc''",
        "`a``",
        "/* abc",
        "/*!99999 abc",
        "/*!99999 a /* b */",
        "x'1'",
        "x'1g'",
        "b'2'",
        "1.5e",
        "1.5e+x",
        "@@",
        "@@ x",
        "@'abc",
        "`a\0b`",
        "\0",
        "N'",
    ] {
        let text = format!("a {text}");
        let all: Vec<_> = Lexer::new(text.as_bytes(), MARIADB).collect();
        let last = all.last().expect("not empty");
        assert_eq!(last.kind, TokenKind::Invalid, "{text:?}");
        assert_eq!(all.len(), 3, "{text:?}: {all:?}");
    }
}

#[test]
fn the_mode_of_the_session_changes_quotes() {
    use TokenKind::*;
    let ansi = Dialect {
        ansi_quotes: true,
        ..MARIADB
    };
    assert_eq!(tokens_in(b"\"a\"\"b\"", ansi)[0].0, QuotedName);
    assert_eq!(tokens("\"a\"\"b\"")[0].0, String);
    let no_escapes = Dialect {
        no_backslash_escapes: true,
        ..MARIADB
    };
    let text = br"'a\' 'b'";
    assert_eq!(
        tokens_in(text, no_escapes),
        [(String, &br"'a\'"[..]), (String, b"'b'")]
    );
    assert_eq!(tokens_in(text, MARIADB)[0], (String, &br"'a\' '"[..]));
}

#[test]
fn the_second_byte_of_a_character_is_no_quote() {
    // 0x5C is the backslash, 0x60 the backtick.
    for (encoding, character) in [
        (Encoding::Gbk, [0xbf, 0x5c]),
        (Encoding::Big5, [0xb3, 0x5c]),
        (Encoding::Sjis, [0x83, 0x5c]),
    ] {
        let dialect = Dialect {
            encoding,
            ..MARIADB
        };
        let text = [b"'", &character[..], b"' OR 1"].concat();
        let tokens = tokens_in(&text, dialect);
        assert_eq!(tokens.len(), 3, "{encoding:?}");
        let string = Lexer::new(&text, dialect).next().expect("a token");
        assert_eq!(string.string(&dialect).expect("a string"), &character[..]);
        // In another encoding the backslash escapes the quote.
        assert_eq!(tokens_in(&text, MARIADB)[0].0, TokenKind::Invalid);
        let name = [b"`", &[character[0], 0x60][..], b"`"].concat();
        let token = Lexer::new(&name, dialect).next().expect("a token");
        assert_eq!(token.text, name, "{encoding:?}");
        assert_eq!(
            token.name(&dialect).expect("a name"),
            &[character[0], 0x60][..]
        );
    }
}

#[test]
fn quoted_text_means_what_was_quoted() {
    let value = |text: &str| {
        let token = Lexer::new(text.as_bytes(), MARIADB)
            .next()
            .expect("a token");
        let bytes = token.string(&MARIADB).or(token.name(&MARIADB));
        String::from_utf8(bytes.expect("quoted").into_owned()).expect("UTF-8")
    };
    assert_eq!(value("'it''s'"), "it's");
    assert_eq!(
        value(r"'a\'b\\c\nd\te\0f\Zg\%h\_i\q'"),
        "a'b\\c\nd\te\0f\u{1a}g\\%h\\_iq"
    );
    assert_eq!(value("\"a\"\"b'\""), "a\"b'");
    assert_eq!(value("`a``b\\`"), "a`b\\");
    assert_eq!(value("N'x'"), "x");
    assert_eq!(value("plain"), "plain");
}
