//! Which databases a statement's tables are in, as far as its words tell.

use crate::{Dialect, Lexer, Token};

/// Words behind which a table's name stands.
const BEFORE_TABLES: [&str; 7] = [
    "FROM", "JOIN", "INTO", "UPDATE", "TABLE", "REPLACE", "TRUNCATE",
];
/// Words that may stand in between.
const BETWEEN: [&str; 9] = [
    "IGNORE",
    "LOW_PRIORITY",
    "QUICK",
    "DELAYED",
    "IF",
    "NOT",
    "EXISTS",
    "TABLE",
    "INTO",
];

/// The databases of the tables that a statement names, in their order; those without a database
/// in their name are in `current`, if that is one. For telling people: it knows no views, and
/// takes what it does not know for no table.
#[must_use]
pub fn table_databases(statement: &[u8], current: &str, dialect: Dialect) -> Vec<String> {
    let mut lexer = Lexer::new(statement, dialect);
    let mut databases: Vec<String> = Vec::new();
    let mut next = lexer.next_significant();
    let mut expected = false;
    while let Some(token) = next {
        next = lexer.next_significant();
        if is_any(&token, &BEFORE_TABLES) {
            expected = true;
            continue;
        }
        if !expected || is_any(&token, &BETWEEN) {
            continue;
        }
        expected = false;
        let Some(name) = token.name(&dialect) else {
            continue;
        };
        let database = match next {
            Some(point) if point.is_symbol(".") => {
                // The table's own name.
                lexer.next_significant();
                next = lexer.next_significant();
                text(&name)
            }
            // A function, or the columns of a table.
            Some(open) if open.is_symbol("(") && name.eq_ignore_ascii_case(b"SELECT") => continue,
            _ if current.is_empty() || name.eq_ignore_ascii_case(b"SELECT") => continue,
            _ => current.to_owned(),
        };
        expected = next.is_some_and(|token| token.is_symbol(","));
        if expected {
            next = lexer.next_significant();
        }
        if !databases.contains(&database) {
            databases.push(database);
        }
    }
    databases
}

fn is_any(token: &Token<'_>, words: &[&str]) -> bool {
    words.iter().any(|word| token.is_word(word))
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_of_tables() {
        let of = |statement: &str| {
            table_databases(statement.as_bytes(), "shop", Dialect::new(101_119)).join(" ")
        };
        assert_eq!(of("SELECT a.b FROM t JOIN depot.u USING (x)"), "shop depot");
        assert_eq!(of("SELECT * FROM `a b`.t, c.d e WHERE f.g = 1"), "a b c");
        assert_eq!(
            of("INSERT IGNORE INTO depot.t (a) SELECT b FROM u"),
            "depot shop"
        );
        assert_eq!(of("UPDATE depot.t SET a = 1"), "depot");
        assert_eq!(of("DROP TABLE IF EXISTS depot.t"), "depot");
        assert_eq!(of("SELECT * FROM (SELECT 1 FROM x.y) z"), "x");
        assert_eq!(of("SELECT 1"), "");
        assert_eq!(
            table_databases(b"SELECT 1 FROM t", "", Dialect::new(0)),
            [""; 0]
        );
    }
}
