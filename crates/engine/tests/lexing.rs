//! The lexer reads what MariaDB reads: literals, names and comments out of random pieces, each
//! judged by a real server. `OPENPETA_SEED` repeats one run.

use crate::common::{ADMIN_PASSWORD, Bed, client};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row, Value};
use openpeta_engine::ADMIN_ACCOUNT;
use openpeta_sql_route::{Dialect, Lexer, Token, TokenKind};

/// Pieces of literals and of what can be taken for one.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "a", "B", "0", "1", "9", "e", "E", "x", "X", "b", "n", "N", "_", "$", "é", "😀", " ", "\n", "\t",
    ".", "..", "+", "-", "--", "-- ", "#", "/*", "*/", "/*!", "/*!50101", "/*!50701", "/*!999999",
    "/*M!", "/*M!100100", "'", "''", "\"", "\"\"", "`", "``", "\\", "\\\\", "\\'", "\\n", "\\%", "\\0",
    "x'", "X'41'", "b'01'", "0x41", "0b1", "N'", "1e5", "1.5", ".5", ",", "(", ")", "=", "<=>", "@a", "@'a'",
];

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

    fn soup(&mut self, most: usize) -> String {
        let count = 1 + self.below(most);
        (0..count)
            .map(|_| PIECES[self.below(PIECES.len())])
            .collect()
    }
}

async fn server() -> (Bed, Conn, Dialect) {
    let (bed, node) = Bed::with_node().await;
    let socket = bed.engine.socket_path(&node).expect("short enough");
    let mut conn = client(&socket, ADMIN_ACCOUNT, ADMIN_PASSWORD)
        .await
        .expect("log in");
    let version: Option<String> = conn
        .query_first("SELECT VERSION()")
        .await
        .expect("a version");
    let version = version.expect("a row");
    let number = version.split('-').next().expect("digits");
    let parts: Vec<u32> = number
        .split('.')
        .map(|part| part.parse().expect("a number"))
        .collect();
    let dialect = Dialect::new(parts[0] * 10_000 + parts[1] * 100 + parts[2]);
    (bed, conn, dialect)
}

fn seeds(usual: u64) -> std::ops::Range<u64> {
    match std::env::var("OPENPETA_SEED") {
        Ok(seed) => {
            let seed: u64 = seed.parse().expect("a number");
            seed..seed + 1
        }
        Err(_) => 0..usual,
    }
}

/// The row that a query gives; `None` when the server refuses it.
async fn row(conn: &mut Conn, query: &str) -> Option<Vec<Value>> {
    match conn.query_first::<Row, _>(query).await {
        Ok(row) => row.map(Row::unwrap),
        Err(Error::Server(_)) => None,
        Err(error) => panic!("{query:?}: {error}"),
    }
}

fn significant(text: &str, dialect: Dialect) -> (Vec<Token<'_>>, bool) {
    let mut lexer = Lexer::new(text.as_bytes(), dialect);
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next_significant() {
        tokens.push(token);
    }
    (tokens, lexer.in_executable_comment())
}

/// A text that is one string to the lexer is that string to the server, and one that holds
/// something unreadable is none.
#[tokio::test]
async fn strings_are_what_the_server_takes_them_for() {
    let (_bed, mut conn, dialect) = server().await;
    let mut agreed = 0;
    for seed in seeds(4_000) {
        let mut random = Random(seed);
        let quote = ["'", "\"", "N'"][random.below(3)];
        let mut text = format!("{quote}{}{}", random.soup(5), &quote[quote.len() - 1..]);
        if quote == "N'" {
            // These have a character set with three bytes a character at most.
            text = text.replace('😀', "é");
        }
        let (tokens, is_open) = significant(&text, dialect);
        let served = row(&mut conn, &format!("SELECT {text}")).await;
        match tokens.as_slice() {
            [token] if token.kind == TokenKind::String && !is_open => {
                let read = token.string(&dialect).expect("a string");
                let read = Value::Bytes(read.into_owned());
                assert_eq!(served, Some(vec![read]), "seed {seed}: {text:?}");
                agreed += 1;
            }
            [.., token] if token.kind == TokenKind::Invalid => {
                assert_eq!(served, None, "seed {seed}: {text:?}");
            }
            _ => {}
        }
    }
    assert!(
        agreed > 100 || std::env::var("OPENPETA_SEED").is_ok(),
        "{agreed}"
    );
}

/// The name that the lexer reads is the name that the server gives a column.
#[tokio::test]
async fn names_are_what_the_server_takes_them_for() {
    let (_bed, mut conn, dialect) = server().await;
    let mut agreed = 0;
    for seed in seeds(3_000) {
        let mut random = Random(seed);
        let quote = ["`", ""][random.below(2)];
        let text = format!("{quote}{}{quote}", random.soup(3));
        let (tokens, is_open) = significant(&text, dialect);
        let [token] = tokens.as_slice() else { continue };
        let Some(name) = token.name(&dialect).filter(|_| !is_open) else {
            continue;
        };
        let query = format!("SELECT * FROM (SELECT 1 AS {text}) AS t");
        let Ok(result) = conn.query_iter(&query).await else {
            // A keyword, or a name that is too long or ends with a space.
            continue;
        };
        let columns = result.columns().expect("a result");
        let shown = columns[0].name_ref().to_vec();
        result.drop_result().await.expect("a row");
        // The server leaves out white space that begins a column's alias.
        assert_eq!(shown, name.trim_ascii_start(), "seed {seed}: {text:?}");
        agreed += 1;
    }
    assert!(
        agreed > 100 || std::env::var("OPENPETA_SEED").is_ok(),
        "{agreed}"
    );
}

/// The tokens that the lexer sees, with single spaces between, are to the server what the text is,
/// comments of every kind included.
#[tokio::test]
async fn a_text_means_what_its_tokens_mean() {
    let (_bed, mut conn, dialect) = server().await;
    let mut agreed = 0;
    for seed in seeds(6_000) {
        let mut random = Random(seed);
        let text = format!("SELECT 1 {} + 1", random.soup(4));
        let (tokens, is_open) = significant(&text, dialect);
        let served = row(&mut conn, &text).await;
        let is_invalid = tokens
            .last()
            .is_some_and(|token| token.kind == TokenKind::Invalid);
        if is_open || is_invalid {
            assert_eq!(served, None, "seed {seed}: {text:?}");
            continue;
        }
        let words: Vec<_> = tokens
            .iter()
            .map(|token| std::str::from_utf8(token.text).expect("cut between characters"))
            .collect();
        let spaced = words.join(" ");
        // Between the parts of a name spaces change what the next part is.
        if words.contains(&".") {
            continue;
        }
        assert_eq!(
            row(&mut conn, &spaced).await,
            served,
            "seed {seed}: {text:?}"
        );
        agreed += u32::from(served.is_some());
    }
    assert!(
        agreed > 100 || std::env::var("OPENPETA_SEED").is_ok(),
        "{agreed}"
    );
}
