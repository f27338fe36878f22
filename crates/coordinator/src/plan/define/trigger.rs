//! Triggers of distributed tables: one that looks at its row alone does on the row's node what it does on one
//! server, so each node has it. Any other is refused.

use openpeta_sql_route::{Token, TokenKind};

use super::{Define, full, unreadable};
use crate::Refusal;
use crate::catalogue::{Catalogue, Table};
use crate::plan::Facts;
use crate::plan::read::is_steady_call;
use crate::plan::text::{Tokens, table_name};

/// Words that a body may not have: statements about anything but the row, and values that depend on more.
const FORBIDDEN: &[&str] = &[
    "ALTER",
    "ANALYZE",
    "BACKUP",
    "BINLOG",
    "CACHE",
    "CALL",
    "CHANGE",
    "CHECK",
    "CHECKSUM",
    "CLOSE",
    "COMMIT",
    "CREATE",
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "CURSOR",
    "DEALLOCATE",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DROP",
    "EXECUTE",
    "EXPLAIN",
    "FETCH",
    "FLUSH",
    "FROM",
    "GET",
    "GRANT",
    "HELP",
    "INSERT",
    "INSTALL",
    "INTO",
    "KILL",
    "LOAD",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "LOCK",
    "MATCH",
    "NEXT",
    "OPEN",
    "OPTIMIZE",
    "PREPARE",
    "PREVIOUS",
    "PURGE",
    "RELEASE",
    "RENAME",
    "REPAIR",
    "REPLACE",
    "RESET",
    "RETURN",
    "RETURNING",
    "REVOKE",
    "ROLLBACK",
    "ROWNUM",
    "SAVEPOINT",
    "SELECT",
    "SHOW",
    "SHUTDOWN",
    "START",
    "STOP",
    "SYSDATE",
    "TABLE",
    "TRUNCATE",
    "UNINSTALL",
    "UNLOCK",
    "UPDATE",
    "USE",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
    "VALUES",
    "WITH",
    "XA",
];

/// Those of them that are functions as well.
const FUNCTIONS: &[&str] = &["INSERT", "REPLACE", "TRUNCATE"];

/// What stands before parentheses in a body, besides what does so in expressions.
const BEFORE_PARENTHESES: &[&str] = &[
    "BIGINT",
    "BIT",
    "BLOB",
    "DOUBLE",
    "ELSEIF",
    "FLOAT",
    "INT",
    "INTEGER",
    "MEDIUMINT",
    "NUMERIC",
    "SMALLINT",
    "TEXT",
    "TINYINT",
    "UNTIL",
    "VARBINARY",
    "WHILE",
];

/// What `SIGNAL` may set.
const CONDITION_ITEMS: &[&str] = &[
    "CATALOG_NAME",
    "CLASS_ORIGIN",
    "COLUMN_NAME",
    "CONSTRAINT_CATALOG",
    "CONSTRAINT_NAME",
    "CONSTRAINT_SCHEMA",
    "CURSOR_NAME",
    "MESSAGE_TEXT",
    "MYSQL_ERRNO",
    "SCHEMA_NAME",
    "SUBCLASS_ORIGIN",
    "TABLE_NAME",
];

fn refused(why: &str) -> Refusal {
    Refusal::new(
        "trigger",
        format!("a trigger of a distributed table may look at its row alone: {why}"),
    )
}

/// A trigger is made; `None` if it is none of a distributed table.
pub(super) fn create(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    facts: &Facts,
) -> Result<Option<Define>, Refusal> {
    let word = |at: usize| tokens.word(at);
    let begin = (0..tokens.list.len()).find(|at| word(*at) == "TRIGGER");
    let mut at = begin.ok_or_else(unreadable)? + 1;
    if word(at) == "IF" {
        at += 3;
    }
    let (_, _, taken) = name_at(tokens, at, facts)?;
    at += taken;
    let is_before = word(at) == "BEFORE";
    let is_insert = word(at + 1) == "INSERT";
    if word(at + 2) != "ON" {
        // Whatever it is, it is not of one event.
        let on = (at..tokens.list.len()).find(|at| word(*at) == "ON");
        let (schema, name, _) = name_at(tokens, on.ok_or_else(unreadable)? + 1, facts)?;
        let name = full(schema, name, facts)?;
        return match catalogue.table(&name.0, &name.1) {
            Some(_) => Err(refused("it is of a form that is not understood")),
            None => Ok(None),
        };
    }
    let (schema, name, taken) = name_at(tokens, at + 3, facts)?;
    at += 3 + taken;
    let name = full(schema, name, facts)?;
    let Some(table) = catalogue.table(&name.0, &name.1) else {
        return Ok(None);
    };
    if [word(at), word(at + 1), word(at + 2)] != ["FOR", "EACH", "ROW"] {
        return Err(refused("it is of a form that is not understood"));
    }
    at += 3;
    if matches!(word(at).as_str(), "FOLLOWS" | "PRECEDES") {
        at += 2;
    }
    if facts.has_mode("ORACLE") || tokens.is_broken {
        return Err(refused("it is written in a way that is not understood"));
    }
    if !facts.utf8 && !tokens.text.is_ascii() {
        return Err(refused("it is in another character set than UTF-8"));
    }
    let body = tokens.list.get(at..).unwrap_or_default();
    Body {
        tokens: body,
        table,
        facts,
        before_insert: is_before && is_insert,
    }
    .check()?;
    Ok(Some(Define::Trigger(name)))
}

/// A trigger is dropped; `None` if it is none of a distributed table.
pub(super) fn drop(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    facts: &Facts,
) -> Result<Option<Define>, Refusal> {
    let at = if tokens.word(2) == "IF" { 4 } else { 2 };
    let (schema, name, _) = name_at(tokens, at, facts)?;
    let Some(schema) = schema.or_else(|| facts.database.clone()) else {
        return Ok(None);
    };
    let table = catalogue.table_of_trigger(&schema, &name);
    Ok(table.map(|table| Define::Trigger((schema.clone(), table.to_owned()))))
}

fn name_at(
    tokens: &Tokens<'_>,
    at: usize,
    facts: &Facts,
) -> Result<(Option<String>, String, usize), Refusal> {
    let rest = tokens.list.get(at..).unwrap_or_default();
    table_name(rest, facts.dialect).ok_or_else(unreadable)
}

/// What a trigger does.
struct Body<'b> {
    tokens: &'b [Token<'b>],
    table: &'b Table,
    facts: &'b Facts,
    before_insert: bool,
}

impl Body<'_> {
    fn is_symbol(&self, at: usize, symbol: &str) -> bool {
        self.tokens.get(at).is_some_and(|it| it.is_symbol(symbol))
    }

    /// Whether it is that word, and no name behind a point.
    fn is_word(&self, at: usize, word: &str) -> bool {
        let is_behind_point = at > 0 && self.is_symbol(at - 1, ".");
        !is_behind_point && self.tokens.get(at).is_some_and(|it| it.is_word(word))
    }

    fn is_any(&self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(at, word))
    }

    fn name(&self, at: usize) -> Option<String> {
        let name = self.tokens.get(at)?.name(&self.facts.dialect)?;
        Some(String::from_utf8_lossy(&name).into_owned())
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.tokens.is_empty() {
            return Err(refused("it does nothing"));
        }
        for at in 0..self.tokens.len() {
            self.check_token(at)?;
        }
        let locals = self.locals();
        for at in 0..self.tokens.len() {
            // `CHARACTER SET` is of a type.
            let is_of_type = at > 0 && self.is_any(at - 1, &["CHARACTER", "CHAR"]);
            if self.is_word(at, "SET") && !is_of_type {
                self.check_assignments(at + 1, &locals)?;
            }
        }
        Ok(())
    }

    fn check_token(&self, at: usize) -> Result<(), Refusal> {
        let token = &self.tokens[at];
        let is_behind_point = at > 0 && self.is_symbol(at - 1, ".");
        let calls = self.is_symbol(at + 1, "(");
        match token.kind {
            TokenKind::UserVariable | TokenKind::SystemVariable => {
                return Err(refused("variables are of a session"));
            }
            TokenKind::QuotedName if calls => return Err(refused("it calls a stored function")),
            TokenKind::Word if is_behind_point && calls => {
                return Err(refused("it calls a stored function"));
            }
            TokenKind::Word if !is_behind_point => {
                let is_function = calls && self.is_any(at, FUNCTIONS);
                if !is_function && self.is_any(at, FORBIDDEN) {
                    return Err(refused("it does something else, or depends on more"));
                }
                let handles = at > 0 && self.is_any(at - 1, &["CONTINUE", "EXIT", "UNDO"]);
                if self.is_word(at, "HANDLER") && !handles {
                    return Err(refused("it does something else"));
                }
                if calls && !is_steady_call(token.text) && !self.is_any(at, BEFORE_PARENTHESES) {
                    return Err(refused(
                        "it calls a function that is not known to depend on its arguments alone",
                    ));
                }
            }
            _ => {}
        }
        // An id is given before the row comes to its node.
        let is_of_new = self.is_word(at, "NEW") && self.is_symbol(at + 1, ".");
        if self.before_insert && is_of_new && self.is_auto_increment(at + 2) {
            return Err(refused(
                "before an INSERT, the AUTO_INCREMENT column has no value yet on one server",
            ));
        }
        Ok(())
    }

    fn is_auto_increment(&self, at: usize) -> bool {
        let column = self.table.auto_increment.map(|at| &self.table.columns[at]);
        let name = self.name(at);
        name.zip(column)
            .is_some_and(|(name, column)| same(&name, &column.name))
    }

    /// The names that `DECLARE` gives.
    fn locals(&self) -> Vec<String> {
        let mut locals = Vec::new();
        for at in 0..self.tokens.len() {
            if !self.is_word(at, "DECLARE") {
                continue;
            }
            let mut at = at + 1;
            locals.extend(self.name(at));
            while self.is_symbol(at + 1, ",") {
                at += 2;
                locals.extend(self.name(at));
            }
        }
        locals
    }

    /// Whatever is set must be the row's, or the body's own.
    fn check_assignments(&self, mut at: usize, locals: &[String]) -> Result<(), Refusal> {
        loop {
            if self.is_word(at, "NEW") && self.is_symbol(at + 1, ".") {
                let column = self.name(at + 2).unwrap_or_default();
                let is_key = self.table.key().is_some_and(|key| same(&key.name, &column));
                if is_key {
                    return Err(refused("it sets the distribution column"));
                }
                at += 3;
            } else {
                let is_known = self
                    .name(at)
                    .is_some_and(|name| locals.iter().any(|local| same(local, &name)));
                if !is_known && !self.is_any(at, CONDITION_ITEMS) {
                    return Err(refused("it sets something else"));
                }
                at += 1;
            }
            if !self.is_symbol(at, "=") && !self.is_symbol(at, ":=") {
                return Err(refused("it sets something in a way that is not understood"));
            }
            let mut depth = 0_usize;
            loop {
                at += 1;
                if at >= self.tokens.len() || (depth == 0 && self.is_symbol(at, ";")) {
                    return Ok(());
                }
                if self.is_symbol(at, "(") {
                    depth += 1;
                } else if self.is_symbol(at, ")") {
                    depth = depth.saturating_sub(1);
                } else if depth == 0 && self.is_symbol(at, ",") {
                    at += 1;
                    break;
                }
            }
        }
    }
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Refuses what would have rows pass triggers too late.
pub(crate) fn too_late(name: &str) -> Refusal {
    Refusal::new(
        "trigger",
        format!(
            "the rows of this statement are made at the first node: triggers of `{name}` that run before an INSERT would come too late"
        ),
    )
}

#[cfg(test)]
mod tests {
    use openpeta_sql_route::{KeyColumn, KeyType};

    use super::*;
    use crate::catalogue::{Column, Distribution};

    fn catalogue() -> Catalogue {
        let column = |name: &str| Column {
            name: name.into(),
            column_type: "int(11)".into(),
            data_type: "int".into(),
            nullable: true,
            invisible: false,
            collation: None,
            collation_id: None,
            max_chars: None,
            generated: false,
            default: None,
            extra: String::new(),
        };
        Catalogue::of_tables([Table {
            schema: "shop".into(),
            name: "t".into(),
            distribution: Distribution::Hash(KeyColumn {
                name: "k".into(),
                position: 0,
                kind: KeyType::Integer { min: 0, max: 9 },
            }),
            columns: ["k", "id", "a"].map(column).to_vec(),
            auto_increment: Some(1),
            primary_key: Vec::new(),
            has_triggers: false,
            has_foreign_keys: false,
            engine: "InnoDB".into(),
            definition: String::new(),
        }])
    }

    fn of(statement: &str) -> Option<bool> {
        let mut facts = Facts::new(101_119);
        facts.database = Some("shop".to_owned());
        let tokens = Tokens::of(statement.as_bytes(), facts.dialect);
        match create(&tokens, &catalogue(), &facts) {
            Ok(None) => None,
            Ok(Some(define)) => {
                assert_eq!(define, Define::Trigger(("shop".into(), "t".into())));
                Some(true)
            }
            Err(refusal) => {
                assert!(refusal.to_string().contains("trigger"), "{refusal}");
                Some(false)
            }
        }
    }

    #[test]
    fn what_looks_at_its_row_alone_runs_where_the_row_is() {
        for body in [
            "SET NEW.a = NEW.a + 1",
            "SET new.`a` = COALESCE(NEW.a, CONCAT('x', UPPER(OLD.a))), NEW.b = CASE WHEN NEW.a > 1 THEN 2 ELSE 3 END",
            "BEGIN DECLARE x, y INT DEFAULT 7; SET x = 1, y = (x + 2) * 3; IF (x > NEW.k) THEN SET NEW.a = x; \
             ELSEIF (1) THEN SET NEW.a = REPLACE('a', 'b', 'c'); END IF; END",
            "IF NEW.a < 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no', MYSQL_ERRNO = 5000; END IF",
            "w: WHILE (NEW.a < 10) DO SET NEW.a = NEW.a * 2; ITERATE w; END WHILE",
            "BEGIN DECLARE c VARCHAR(20) CHARACTER SET utf8mb4 DEFAULT ''; DECLARE CONTINUE HANDLER FOR SQLEXCEPTION \
             BEGIN END; SET c = CAST(NEW.a AS CHAR(20) CHARACTER SET latin1); END",
            "SET NEW.a = NEW.k",
            "SET NEW.`update` = OLD.`select`, NEW.a = OLD.`from`",
        ] {
            for head in ["BEFORE INSERT", "AFTER UPDATE", "BEFORE DELETE"] {
                let statement = format!("CREATE TRIGGER x {head} ON t FOR EACH ROW {body}");
                assert_eq!(of(&statement), Some(true), "{statement}");
            }
        }
        for statement in [
            "CREATE OR REPLACE DEFINER=`a`@`%` TRIGGER shop.x AFTER DELETE ON `shop`.`t` FOR EACH ROW FOLLOWS y SET NEW.a = 1",
            "/*!50003 CREATE*/ /*!50017 DEFINER=`app`@`10.%`*/ /*!50003 TRIGGER IF NOT EXISTS x AFTER INSERT ON t \
             FOR EACH ROW BEGIN SET NEW.a = NEW.id; END */",
        ] {
            assert_eq!(of(statement), Some(true), "{statement}");
        }
        assert_eq!(
            of("CREATE TRIGGER x AFTER INSERT ON other FOR EACH ROW SET @a = 1"),
            None
        );
    }

    #[test]
    fn whatever_else_one_does_is_refused() {
        for body in [
            "SET NEW.k = 1",
            "SET NEW.`K` = 1",
            "SET NEW.a = 1, NEW.k = 2",
            "SET NEW.id = 3",
            "SET NEW.a = NEW.ID + 1",
            "SET @x = NEW.a",
            "SET NEW.a = @x",
            "SET NEW.a = @@sql_mode",
            "SET sql_mode = ''",
            "SET GLOBAL max_connections = 1",
            "SET SESSION sql_mode = ''",
            "SET NEW.a = NOW()",
            "SET NEW.a = RAND()",
            "SET NEW.a = CURRENT_TIMESTAMP",
            "SET NEW.a = own(1)",
            "SET NEW.a = `own`(1)",
            "SET NEW.a = shop.upper(1)",
            "SET NEW.a = (SELECT 1)",
            "INSERT INTO log VALUES (NEW.a)",
            "DELETE FROM u",
            "CALL p()",
            "BEGIN DECLARE x INT; SELECT 1 INTO x; END",
            "BEGIN DECLARE x INT; SET x = 1; SET y = 2; END",
            "IF NEW.a THEN UPDATE u SET a = 1; END IF",
            "DO SLEEP(1)",
            "DO GET_LOCK('x', 1)",
            "SET NEW.a = LAST_INSERT_ID()",
            "SET NEW.a = NEXT VALUE FOR s",
            "HANDLER u OPEN",
            "BEGIN DECLARE c CURSOR FOR SELECT 1; END",
            "",
        ] {
            let statement = format!("CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW {body}");
            assert_eq!(of(&statement), Some(false), "{statement}");
        }
        let two = "CREATE TRIGGER x BEFORE INSERT OR UPDATE ON t FOR EACH ROW SET NEW.a = 1";
        assert_eq!(of(two), Some(false));
    }
}
