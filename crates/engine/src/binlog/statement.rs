//! What a statement in a binary log is about: whether it takes part in what becomes of one
//! database.
//!
//! Whoever applies the log leaves out tables of other databases by itself. It cannot do so with
//! what has no table: accounts, stored programs, databases. So these are told apart here.

use openpeta_sql_route::{Dialect, Lexer, Token};

use super::event::QueryEvent;

/// What a statement is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A bracket of a transaction.
    Bracket(Bracket),
    /// It may concern the database.
    Wanted,
    /// It concerns an event of the database.
    Event(EventChange),
    /// It concerns something else.
    Foreign,
}

/// Brackets of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bracket {
    /// A begin, or a mark in between.
    Inner,
    /// A commit or rollback.
    End,
}

/// What happens to an event. Names are in lower case, as they are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventChange {
    pub(super) name: String,
    pub(super) kind: EventChangeKind,
    /// Whether it is to run from then on, if that is said.
    pub(super) is_enabled: Option<bool>,
    /// Its new name, if it gets one.
    pub(super) renamed: Option<String>,
}

/// The kinds of what happens to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventChangeKind {
    /// `CREATE`, also `OR REPLACE`.
    Create,
    /// `CREATE IF NOT EXISTS`.
    CreateIfMissing,
    /// `ALTER`.
    Alter,
    /// `DROP`.
    Drop,
}

/// The account that a statement says an object is to run as: name and host.
pub(super) type Definer = (String, String);

/// The definer that a statement names.
pub(super) fn definer(query: &QueryEvent<'_>, server_version: u32) -> Option<Definer> {
    let mut words = Words::new(query.statement, query.dialect(server_version));
    if !words.skip_word("CREATE") && !words.skip_word("ALTER") {
        return None;
    }
    // What stands before it is no name and no string.
    while let Some(token) = words.next() {
        if token.is_word("DEFINER") {
            return words.account();
        }
        let is_before = token.kind == openpeta_sql_route::TokenKind::Word || token.is_symbol("=");
        if !is_before || token.is_word("AS") {
            return None;
        }
    }
    None
}

/// Whether a statement undoes an XA transaction.
pub(super) fn is_xa_rollback(query: &QueryEvent<'_>, server_version: u32) -> bool {
    let mut words = Words::new(query.statement, query.dialect(server_version));
    ["XA", "ROLLBACK"]
        .iter()
        .all(|word| words.next().is_some_and(|token| token.is_word(word)))
}

/// Tells what a statement is to `database`.
pub(super) fn meaning(query: &QueryEvent<'_>, database: &str, server_version: u32) -> Meaning {
    let mut words = Words::new(query.statement, query.dialect(server_version));
    let scope = Scope { query, database };
    let Some(first) = words.next() else {
        return Meaning::Foreign;
    };
    match keyword(&first).as_str() {
        "BEGIN" | "START" | "SAVEPOINT" | "RELEASE" => Meaning::Bracket(Bracket::Inner),
        "COMMIT" => Meaning::Bracket(Bracket::End),
        "ROLLBACK" => Meaning::Bracket(match words.next() {
            Some(word) if word.is_word("TO") => Bracket::Inner,
            _ => Bracket::End,
        }),
        "XA" => Meaning::Bracket(match words.next() {
            Some(word) if word.is_word("COMMIT") || word.is_word("ROLLBACK") => Bracket::End,
            _ => Bracket::Inner,
        }),
        "GRANT" | "REVOKE" | "FLUSH" | "INSTALL" | "UNINSTALL" => Meaning::Foreign,
        "SET" => match words.next() {
            Some(word) if word.is_word("STATEMENT") => {
                // The statement proper follows the settings.
                while words.next().is_some_and(|token| !token.is_word("FOR")) {}
                let inner = QueryEvent {
                    statement: words.rest(),
                    ..*query
                };
                meaning(&inner, database, server_version)
            }
            _ => Meaning::Foreign,
        },
        "RENAME" if words.peek().is_some_and(|word| word.is_word("USER")) => Meaning::Foreign,
        "CREATE" => definition(Verb::Create, &mut words, &scope),
        "ALTER" => definition(Verb::Alter, &mut words, &scope),
        "DROP" => definition(Verb::Drop, &mut words, &scope),
        _ => scope.by_names(),
    }
}

/// Whether a statement has a name in it, of whatever it is.
pub(super) fn names(query: &QueryEvent<'_>, name: &str, server_version: u32) -> bool {
    let dialect = query.dialect(server_version);
    let mut words = Words::new(query.statement, dialect);
    std::iter::from_fn(|| words.next())
        .any(|token| token.name(&dialect).as_deref() == Some(name.as_bytes()))
}

/// The session's database and the one that is wanted.
struct Scope<'a> {
    query: &'a QueryEvent<'a>,
    database: &'a str,
}

impl Scope<'_> {
    fn is_current(&self) -> bool {
        self.query.database == self.database.as_bytes()
    }

    /// By the session's database and the databases in front of names.
    fn by_names(&self) -> Meaning {
        if self.is_current() {
            return Meaning::Wanted;
        }
        let dialect = self.query.dialect(u32::MAX);
        let mut words = Words::new(self.query.statement, dialect);
        while let Some(token) = words.next() {
            let is_named = token.name(&dialect).as_deref() == Some(self.database.as_bytes());
            if is_named && words.peek().is_some_and(|next| next.is_symbol(".")) {
                return Meaning::Wanted;
            }
        }
        Meaning::Foreign
    }

    /// By the one name of an object that is no table.
    fn by_target(&self, target: &Target) -> Meaning {
        let is_ours = match &target.database {
            Some(database) => database == self.database,
            None => self.is_current(),
        };
        if is_ours {
            Meaning::Wanted
        } else {
            Meaning::Foreign
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Alter,
    Drop,
}

/// A `CREATE`, `ALTER` or `DROP`.
fn definition(verb: Verb, words: &mut Words<'_>, scope: &Scope<'_>) -> Meaning {
    while let Some(token) = words.next() {
        match keyword(&token).as_str() {
            // The account may be called like an object.
            "DEFINER" => drop(words.account()),
            "DATABASE" | "SCHEMA" => return database_definition(words, scope),
            "PROCEDURE" | "FUNCTION" => return scope.by_target(&words.target()),
            "PACKAGE" => {
                words.skip_word("BODY");
                return scope.by_target(&words.target());
            }
            "EVENT" => return event_definition(verb, words, scope),
            "USER" | "ROLE" | "SERVER" | "TABLESPACE" | "LOGFILE" => return Meaning::Foreign,
            "TABLE" | "VIEW" | "INDEX" | "TRIGGER" | "SEQUENCE" => return scope.by_names(),
            _ => {}
        }
    }
    scope.by_names()
}

fn database_definition(words: &mut Words<'_>, scope: &Scope<'_>) -> Meaning {
    words.skip_existence();
    let named = words.peek().and_then(|token| {
        let is_option = ["CHARACTER", "CHARSET", "COLLATE", "DEFAULT", "COMMENT"]
            .iter()
            .any(|word| token.is_word(word));
        token.name(&words.dialect).filter(|_| !is_option)
    });
    let is_ours = match named {
        Some(name) => *name == *scope.database.as_bytes(),
        None => scope.is_current(),
    };
    if is_ours {
        Meaning::Wanted
    } else {
        Meaning::Foreign
    }
}

fn event_definition(verb: Verb, words: &mut Words<'_>, scope: &Scope<'_>) -> Meaning {
    let target = words.target();
    if scope.by_target(&target) == Meaning::Foreign {
        return Meaning::Foreign;
    }
    let mut change = EventChange {
        name: target.name.to_lowercase(),
        kind: match verb {
            Verb::Create if target.has_existence => EventChangeKind::CreateIfMissing,
            Verb::Create => EventChangeKind::Create,
            Verb::Alter => EventChangeKind::Alter,
            Verb::Drop => EventChangeKind::Drop,
        },
        is_enabled: None,
        renamed: None,
    };
    while let Some(token) = words.next() {
        match keyword(&token).as_str() {
            // What follows is what the event does.
            "DO" => break,
            "ENABLE" => change.is_enabled = Some(true),
            "DISABLE" => change.is_enabled = Some(false),
            "RENAME" => {
                words.skip_word("TO");
                change.renamed = Some(words.target().name.to_lowercase());
            }
            _ => {}
        }
    }
    Meaning::Event(change)
}

/// A word in upper case; nothing for other tokens.
fn keyword(token: &Token<'_>) -> String {
    match token.kind {
        openpeta_sql_route::TokenKind::Word => {
            String::from_utf8_lossy(token.text).to_ascii_uppercase()
        }
        _ => String::new(),
    }
}

/// A name without its quotes; a quote inside is doubled.
fn unquoted(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let Some(quote) = text.chars().next().filter(|first| "`'\"".contains(*first)) else {
        return text.into_owned();
    };
    let inner = text[1..].strip_suffix(quote).unwrap_or(&text[1..]);
    inner.replace(&format!("{quote}{quote}"), &quote.to_string())
}

/// The name of an object.
struct Target {
    database: Option<String>,
    name: String,
    /// `IF EXISTS` or `IF NOT EXISTS` stood before it.
    has_existence: bool,
}

/// The tokens of a statement that matter.
struct Words<'a> {
    text: &'a [u8],
    lexer: Lexer<'a>,
    dialect: Dialect,
}

impl<'a> Words<'a> {
    const fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Self {
            text,
            lexer: Lexer::new(text, dialect),
            dialect,
        }
    }

    fn next(&mut self) -> Option<Token<'a>> {
        self.lexer.next_significant()
    }

    fn peek(&self) -> Option<Token<'a>> {
        self.lexer.clone().next_significant()
    }

    /// What was not read yet.
    fn rest(&self) -> &'a [u8] {
        self.text.get(self.lexer.position()..).unwrap_or_default()
    }

    /// Passes over a word if it comes next; whether it did.
    fn skip_word(&mut self, word: &str) -> bool {
        let comes = self.peek().is_some_and(|token| token.is_word(word));
        if comes {
            self.next();
        }
        comes
    }

    fn skip_existence(&mut self) -> bool {
        let has_existence = self.skip_word("IF");
        if has_existence {
            self.skip_word("NOT");
            self.skip_word("EXISTS");
        }
        has_existence
    }

    /// Reads `= name@host`.
    fn account(&mut self) -> Option<Definer> {
        self.next().filter(|token| token.is_symbol("="))?;
        let name = self.next()?;
        let host = self.peek().filter(|token| token.text.starts_with(b"@"));
        let host = match host {
            None => String::new(),
            Some(token) => {
                self.next();
                // The point of a host's name begins a new token.
                let mut host = unquoted(&token.text[1..]);
                while self.peek().is_some_and(|point| point.is_symbol(".")) {
                    self.next();
                    let part = self.next()?;
                    host = format!("{host}.{}", String::from_utf8_lossy(part.text));
                }
                host
            }
        };
        Some((unquoted(name.text), host))
    }

    fn target(&mut self) -> Target {
        let has_existence = self.skip_existence();
        let mut parts = Vec::new();
        loop {
            let token = self.next();
            let name = token.and_then(|token| token.name(&self.dialect));
            parts.push(String::from_utf8_lossy(&name.unwrap_or_default()).into_owned());
            if parts.len() == 2 || !self.peek().is_some_and(|token| token.is_symbol(".")) {
                break;
            }
            self.next();
        }
        Target {
            name: parts.pop().unwrap_or_default(),
            database: parts.pop(),
            has_existence,
        }
    }
}

#[cfg(test)]
mod tests {
    use openpeta_sql_route::Encoding;

    use super::*;

    fn of(current: &str, statement: &str) -> Meaning {
        let query = QueryEvent {
            database: current.as_bytes(),
            statement: statement.as_bytes(),
            ansi_quotes: false,
            no_backslash_escapes: false,
            encoding: Encoding::AsciiCompatible,
        };
        meaning(&query, "shop", 101_119)
    }

    #[test]
    fn what_concerns_a_database() {
        let wanted = [
            ("shop", "CREATE TABLE t (a INT)"),
            ("other", "CREATE TABLE shop.t (a INT)"),
            ("", "CREATE TABLE `shop` . `t` LIKE x.y"),
            ("other", "RENAME TABLE a.b TO c.d, shop.t TO shop.u"),
            (
                "other",
                "DROP TABLE IF EXISTS x.y,`shop`.`t` /* generated by server */",
            ),
            ("shop", "TRUNCATE other.t"),
            ("shop", "CREATE DEFINER=`a`@`%` PROCEDURE p() SELECT 1"),
            (
                "x",
                "CREATE DEFINER=event@localhost PROCEDURE shop.p() SELECT 1",
            ),
            (
                "x",
                "CREATE OR REPLACE DEFINER=`procedure`@`h` PACKAGE BODY shop.p AS x",
            ),
            ("x", "DROP FUNCTION IF EXISTS `shop`.f"),
            ("x", "CREATE DATABASE IF NOT EXISTS shop"),
            ("shop", "ALTER DATABASE CHARACTER SET latin1"),
            ("x", "drop schema `shop`"),
            (
                "x",
                "SET STATEMENT max_statement_time=1 FOR CREATE TABLE shop.t (a INT)",
            ),
            (
                "shop",
                "CREATE ALGORITHM=MERGE DEFINER=`a`@`%` SQL SECURITY INVOKER VIEW v AS SELECT 1",
            ),
            ("x", "CREATE UNIQUE INDEX i ON shop.t (a)"),
            (
                "x",
                "CREATE TRIGGER shop.x BEFORE INSERT ON shop.t FOR EACH ROW SET @a=1",
            ),
            ("shop", "INSERT INTO t SELECT RAND()"),
        ];
        for (current, statement) in wanted {
            assert_eq!(of(current, statement), Meaning::Wanted, "{statement}");
        }
        let foreign = [
            ("other", "CREATE TABLE t (a INT)"),
            (
                "other",
                "CREATE TABLE t (shop INT, a VARCHAR(9) DEFAULT 'shop.t') -- shop.t",
            ),
            ("shop", "CREATE PROCEDURE other.p() SELECT 1 FROM shop.t"),
            (
                "x",
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.t",
            ),
            ("shop", "CREATE USER a"),
            ("shop", "DROP ROLE shop"),
            ("shop", "GRANT ALL ON shop.* TO a"),
            ("shop", "SET PASSWORD FOR 'a' = 'x'"),
            ("shop", "RENAME USER a TO b"),
            ("shop", "CREATE DATABASE other"),
            ("shop", "DROP DATABASE IF EXISTS other"),
            ("shop", "FLUSH TABLES"),
            ("x", "INSERT INTO t VALUES ('shop.t')"),
            ("x", ""),
        ];
        for (current, statement) in foreign {
            assert_eq!(of(current, statement), Meaning::Foreign, "{statement}");
        }
    }

    #[test]
    fn brackets_of_transactions() {
        let bracket = |statement: &str| match of("shop", statement) {
            Meaning::Bracket(bracket) => bracket,
            other => panic!("{statement}: {other:?}"),
        };
        assert_eq!(bracket("BEGIN"), Bracket::Inner);
        assert_eq!(bracket("COMMIT"), Bracket::End);
        assert_eq!(bracket("ROLLBACK"), Bracket::End);
        assert_eq!(bracket("ROLLBACK TO `a`"), Bracket::Inner);
        assert_eq!(bracket("SAVEPOINT `a`"), Bracket::Inner);
        assert_eq!(bracket("XA END X'78',X'',1"), Bracket::Inner);
        assert_eq!(bracket("XA COMMIT X'78',X'',1"), Bracket::End);
        assert_eq!(bracket("XA ROLLBACK X'78',X'',1"), Bracket::End);
    }

    #[test]
    fn definers() {
        let definer = |statement: &str| {
            let query = QueryEvent {
                database: b"shop",
                statement: statement.as_bytes(),
                ansi_quotes: false,
                no_backslash_escapes: false,
                encoding: Encoding::AsciiCompatible,
            };
            definer(&query, 101_119).map(|(name, host)| format!("{name} at {host}"))
        };
        let found = |text: &str| Some(text.to_owned());
        assert_eq!(
            definer(
                "CREATE ALGORITHM=UNDEFINED DEFINER=`a``b`@`%` SQL SECURITY DEFINER VIEW v AS SELECT 1"
            ),
            found("a`b at %")
        );
        assert_eq!(
            definer("CREATE OR REPLACE DEFINER=root@localhost PROCEDURE p() SELECT 1"),
            found("root at localhost")
        );
        assert_eq!(
            definer("ALTER DEFINER='a'@'10.0.0.1' EVENT e ENABLE"),
            found("a at 10.0.0.1")
        );
        assert_eq!(
            definer("CREATE DEFINER=`a role` PROCEDURE p() SELECT 1"),
            found("a role at ")
        );
        assert_eq!(definer("CREATE TABLE t (definer INT)"), None);
        assert_eq!(definer("CREATE VIEW v AS SELECT definer = a FROM t"), None);
        assert_eq!(definer("DROP EVENT e"), None);
    }

    #[test]
    fn changes_of_events() {
        let change = |statement: &str| match of("shop", statement) {
            Meaning::Event(change) => (change.name, change.kind, change.is_enabled, change.renamed),
            other => panic!("{statement}: {other:?}"),
        };
        let name = || "e".to_owned();
        assert_eq!(
            change("CREATE DEFINER=`a`@`%` EVENT E ON SCHEDULE EVERY 1 DAY DO SET @enable=1"),
            (name(), EventChangeKind::Create, None, None)
        );
        assert_eq!(
            change(
                "CREATE EVENT IF NOT EXISTS `e` ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE COMMENT 'ENABLE' DO BEGIN END"
            ),
            (name(), EventChangeKind::CreateIfMissing, Some(false), None)
        );
        assert_eq!(
            change("ALTER EVENT shop.e ON COMPLETION PRESERVE RENAME TO shop.`F` ENABLE"),
            (
                name(),
                EventChangeKind::Alter,
                Some(true),
                Some("f".to_owned())
            )
        );
        assert_eq!(
            change("DROP EVENT IF EXISTS shop.e"),
            (name(), EventChangeKind::Drop, None, None)
        );
    }
}
