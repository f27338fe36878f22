//! A stream of statements out of a seed, for an empty database: pure, but for being told which definitions
//! failed.

use super::schema::{Spread, Table};
use crate::reads_support::random::Random;

/// How the rows of a result come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Any,
    Total,
}

/// Of what sort a statement is, for what is compared of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Read,
    Write,
    /// A write whose rows may fail each for itself.
    Rows,
    Definition,
    Control,
}

#[derive(Clone, Debug)]
pub struct Statement {
    pub text: String,
    /// The text for one server, where it differs.
    pub plain: Option<String>,
    /// Values of `?`, as literals, if it goes by the binary protocol.
    pub parameters: Option<Vec<String>>,
    pub order: Order,
    pub sort: Sort,
    /// The table whose numbers it takes, how many as one server likes.
    pub numbers: Option<String>,
}

impl Statement {
    pub fn new(sort: Sort, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            plain: None,
            parameters: None,
            order: Order::Any,
            sort,
            numbers: None,
        }
    }

    /// The text with its parameters.
    pub fn shown(&self) -> String {
        match &self.parameters {
            Some(parameters) => format!("{} /* prepared: {} */", self.text, parameters.join(", ")),
            None => self.text.clone(),
        }
    }

    /// The statement for one server.
    pub fn for_plain(&self) -> &str {
        self.plain.as_deref().unwrap_or(&self.text)
    }
}

pub struct Generator {
    pub random: Random,
    pub tables: Vec<Table>,
    pub views: Vec<String>,
    /// What has to be run first.
    pub queue: Vec<Statement>,
    /// As it was before the last statement.
    before: (Vec<Table>, Vec<String>),
    pub named: u64,
    literals: Vec<String>,
    in_transaction: bool,
    savepoints: Vec<String>,
    /// A statement that takes numbers has failed, so that nobody says what `LAST_INSERT_ID()` is.
    last_id_is_unknown: bool,
}

/// Stands around the number of a literal until the text is whole.
const MARK: char = '\u{1}';

impl Generator {
    pub fn new(seed: u64) -> Self {
        let mut made = Self {
            random: Random::new(seed),
            tables: Vec::new(),
            views: Vec::new(),
            queue: Vec::new(),
            before: Default::default(),
            named: 0,
            literals: Vec::new(),
            in_transaction: false,
            savepoints: Vec::new(),
            last_id_is_unknown: false,
        };
        for (spread, is_auto) in [
            (Spread::Hashed, false),
            (Spread::Hashed, false),
            (Spread::Hashed, true),
            (Spread::Hashed, false),
            (Spread::Broadcast, false),
            (Spread::Single, false),
        ] {
            let create = made.create_table(spread, is_auto);
            made.queue.push(create);
            for _ in 0..3 {
                let table = made.tables.last().expect("just made").clone();
                let fill = made.fill(&table);
                let fill = made.rendered(fill, Sort::Write, false);
                made.queue.push(fill);
            }
        }
        made.queue.reverse();
        made.before = (made.tables.clone(), made.views.clone());
        made
    }

    /// The next statement.
    pub fn next(&mut self) -> Statement {
        if let Some(statement) = self.queue.pop() {
            return statement;
        }
        self.before = (self.tables.clone(), self.views.clone());
        match self.random.below(1000) {
            0..450 => self.read(),
            450..830 => self.write(),
            830..950 => self.control(),
            950..970 => self.shown(),
            _ => self.definition(),
        }
    }

    /// The last definition failed.
    pub fn failed(&mut self) {
        (self.tables, self.views) = self.before.clone();
    }

    /// Has both servers number on from the same, where one skips numbers that the other does not: when rows
    /// fail, or are not known beforehand.
    pub fn renumber(&mut self, table: &str, is_failed: bool) {
        self.last_id_is_unknown = is_failed;
        if !is_failed {
            return;
        }
        self.committed();
        self.named += 1;
        let next = self.named * 1000;
        let text = format!("ALTER TABLE {table} AUTO_INCREMENT = {next}");
        self.queue.push(Statement::new(Sort::Definition, text));
    }

    /// Marks a literal, that it may become a parameter.
    pub fn literal(&mut self, text: impl Into<String>) -> String {
        self.literals.push(text.into());
        format!("{MARK}{}{MARK}", self.literals.len() - 1)
    }

    /// A statement out of a text with marks.
    pub fn rendered(&mut self, marked: String, sort: Sort, may_prepare: bool) -> Statement {
        let literals = std::mem::take(&mut self.literals);
        let is_prepared = may_prepare && self.random.chance(25);
        let mut parameters = Vec::new();
        let mut text = String::new();
        for (at, piece) in marked.split(MARK).enumerate() {
            if at % 2 == 0 {
                text.push_str(piece);
                continue;
            }
            let literal = &literals[piece.parse::<usize>().expect("a number")];
            if is_prepared && can_be_bound(literal) {
                text.push('?');
                parameters.push(literal.clone());
            } else {
                text.push_str(literal);
            }
        }
        Statement {
            parameters: is_prepared.then_some(parameters),
            ..Statement::new(sort, text)
        }
    }

    pub fn table(&mut self) -> Table {
        self.random.pick(&self.tables).clone()
    }

    /// Definitions end transactions.
    pub fn committed(&mut self) {
        self.in_transaction = false;
        self.savepoints.clear();
    }

    /// Transactions, savepoints and the session.
    fn control(&mut self) -> Statement {
        if !self.in_transaction {
            let text = match self.random.below(19) {
                0..10 => "BEGIN",
                10..12 => "START TRANSACTION READ ONLY",
                12..14 => "START TRANSACTION WITH CONSISTENT SNAPSHOT",
                14 => "SET sql_mode = ''",
                15 => "SET sql_mode = DEFAULT",
                16 => "SET time_zone = '+05:30'",
                17 => "SET time_zone = 'SYSTEM'",
                _ if self.last_id_is_unknown => "SELECT @@sql_mode",
                _ => "SELECT LAST_INSERT_ID()",
            };
            self.in_transaction = text.starts_with('B') || text.starts_with("START");
            return Statement::new(Sort::Control, text);
        }
        let text = match self.random.below(10) {
            0..3 => {
                self.committed();
                "COMMIT".to_owned()
            }
            3 => {
                self.committed();
                "ROLLBACK".to_owned()
            }
            4 => {
                self.savepoints.clear();
                self.random
                    .pick(&["COMMIT AND CHAIN", "ROLLBACK AND CHAIN"])
                    .to_string()
            }
            5..8 => {
                let name = format!("s{}", self.random.below(3));
                self.savepoints.push(name.clone());
                format!("SAVEPOINT {name}")
            }
            8 => {
                let name = format!("s{}", self.random.below(3));
                format!("ROLLBACK TO SAVEPOINT {name}")
            }
            _ => {
                let name = format!("s{}", self.random.below(3));
                format!("RELEASE SAVEPOINT {name}")
            }
        };
        Statement::new(Sort::Control, text)
    }

    /// What is told of tables.
    fn shown(&mut self) -> Statement {
        let table = self.table().name;
        let text = match self.random.below(5) {
            0 => format!("DESCRIBE {table}"),
            1 => format!("SHOW FULL COLUMNS FROM {table}"),
            2 => "SHOW FULL TABLES".to_owned(),
            3 => format!(
                "SELECT column_name, column_type, is_nullable, column_default, collation_name FROM \
                 information_schema.columns WHERE table_schema = DATABASE() AND table_name = '{table}'"
            ),
            _ => format!(
                "SELECT index_name, seq_in_index, column_name, non_unique FROM information_schema.statistics \
                 WHERE table_schema = DATABASE() AND table_name = '{table}'"
            ),
        };
        Statement::new(Sort::Control, text)
    }
}

/// Whether a literal can be a parameter: numbers and strings.
fn can_be_bound(literal: &str) -> bool {
    literal == "NULL" || literal.starts_with('\'') || literal.parse::<i128>().is_ok()
}
