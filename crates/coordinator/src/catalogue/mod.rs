//! Which tables are distributed, and what else a statement can touch them through.

mod column;
mod definition;
mod load;
mod untold;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::plan::read_only::called;
use openpeta_sql_route::{Dialect, KeyColumn, Lexer, Token, TokenKind};

pub use column::Column;
pub use definition::{Definition, OPTION, option_of, told_options};
pub(crate) use load::hidden_name;
pub use load::{LoadError, load, read_table};
pub(crate) use untold::exact_definition;

/// A table that is not whole on home alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its database.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Where its rows are.
    pub distribution: Distribution,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// The place of its `AUTO_INCREMENT` column among them.
    pub auto_increment: Option<usize>,
    /// The names of the columns of its primary key.
    pub primary_key: Vec<String>,
    /// Whether triggers run when it is written to.
    pub has_triggers: bool,
    /// Whether foreign keys go out from it or lead to it.
    pub has_foreign_keys: bool,
    /// Its engine, as `information_schema` writes it.
    pub engine: String,
    /// What `SHOW CREATE TABLE` shows at home.
    pub definition: String,
}

/// Where the rows of a table are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Each row on the node of its key's partition.
    Hash(KeyColumn),
    /// All rows on all nodes of the database.
    Broadcast,
}

impl Table {
    /// The column that it is distributed by.
    #[must_use]
    pub fn key(&self) -> Option<&KeyColumn> {
        match &self.distribution {
            Distribution::Hash(key) => Some(key),
            Distribution::Broadcast => None,
        }
    }

    /// The place of a column by its name.
    #[must_use]
    pub fn column(&self, name: &[u8]) -> Option<usize> {
        let is_it = |column: &Column| column.name.as_bytes().eq_ignore_ascii_case(name);
        self.columns.iter().position(is_it)
    }
}

/// What stands between a statement and a distributed table that it does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indirect {
    /// A view.
    View,
    /// A stored function or procedure.
    Routine,
    /// A table whose triggers touch a distributed one.
    Trigger,
}

/// What a name in a statement stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// A distributed or broadcast table.
    Table(Arc<Table>),
    /// Something that leads to one.
    Indirect(Indirect),
}

/// All that is to be known of an instance's tables to tell where a statement runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    named: BTreeMap<String, BTreeMap<String, Named>>,
    /// The queries of views that lead to distributed tables.
    views: BTreeMap<(String, String), String>,
    /// The names alone, of whatever database.
    names: BTreeSet<String>,
    /// A routine runs statements that are put together when it runs.
    dynamic_routines: bool,
    /// Triggers of distributed tables by database and name: the table, and whether one runs before an `INSERT`.
    triggers: BTreeMap<(String, String), (String, bool)>,
    /// Stored functions, which home alone has, by database and name in lower case.
    functions: BTreeSet<(String, String)>,
    /// Routines that may write, or call some that may: their databases and their names in lower case.
    writers: BTreeSet<(String, String)>,
}

impl Catalogue {
    /// Of these tables, and nothing that leads to them.
    #[must_use]
    pub fn of_tables(tables: impl IntoIterator<Item = Table>) -> Self {
        let mut catalogue = Self::default();
        for table in tables {
            let (schema, name) = (table.schema.clone(), table.name.clone());
            catalogue.add(&schema, &name, Named::Table(Arc::new(table)));
        }
        catalogue
    }

    fn add(&mut self, schema: &str, name: &str, named: Named) {
        self.names.insert(name.to_owned());
        let of_schema = self.named.entry(schema.to_owned()).or_default();
        of_schema.entry(name.to_owned()).or_insert(named);
    }

    /// Whether no table is distributed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// What a name of a database stands for; `None` if it leads to no distributed table.
    #[must_use]
    pub fn get(&self, schema: &str, name: &str) -> Option<&Named> {
        self.named.get(schema)?.get(name)
    }

    /// A distributed table by its names.
    #[must_use]
    pub fn table(&self, schema: &str, name: &str) -> Option<&Arc<Table>> {
        match self.get(schema, name)? {
            Named::Table(table) => Some(table),
            Named::Indirect(_) => None,
        }
    }

    /// The query of a view that leads to a distributed table, each name in it with its database.
    #[must_use]
    pub fn view(&self, schema: &str, name: &str) -> Option<&str> {
        let key = (schema.to_owned(), name.to_owned());
        self.views.get(&key).map(String::as_str)
    }

    /// All distributed tables.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        let all = self.named.values().flat_map(BTreeMap::values);
        all.filter_map(|named| match named {
            Named::Table(table) => Some(table),
            Named::Indirect(_) => None,
        })
    }

    /// Whether some routine runs statements that are put together when it runs.
    #[must_use]
    pub fn has_dynamic_routines(&self) -> bool {
        self.dynamic_routines
    }

    /// The distributed table that a trigger is of.
    #[must_use]
    pub fn table_of_trigger(&self, schema: &str, name: &str) -> Option<&str> {
        let key = (schema.to_owned(), name.to_owned());
        self.triggers.get(&key).map(|(table, _)| &**table)
    }

    /// Whether a text may be about triggers of distributed tables, which can be dropped without their names.
    #[must_use]
    pub fn may_be_about_triggers(&self, text: &[u8]) -> bool {
        let word = b"TRIGGER";
        let mut parts = text.windows(word.len());
        !self.triggers.is_empty() && parts.any(|part| part.eq_ignore_ascii_case(word))
    }

    /// Whether a trigger of a distributed table makes its rows before they are there.
    #[must_use]
    pub fn makes_rows(&self, table: &Table) -> bool {
        let mut triggers = self.triggers.iter();
        triggers.any(|((schema, _), (name, before_insert))| {
            *before_insert && *schema == table.schema && *name == table.name
        })
    }

    /// Whether some of these tokens call a stored function. Names without a database are those of `database`.
    #[must_use]
    pub fn calls(&self, tokens: &[Token<'_>], database: Option<&str>, dialect: Dialect) -> bool {
        let is_stored = |(schema, name): (Option<String>, String)| {
            let schema = schema.or_else(|| database.map(str::to_owned));
            let key = schema.map(|schema| (schema, name.to_lowercase()));
            key.is_some_and(|key| self.functions.contains(&key))
        };
        self.has_functions() && called(tokens, dialect).into_iter().any(is_stored)
    }

    /// Whether there are stored functions.
    #[must_use]
    pub fn has_functions(&self) -> bool {
        !self.functions.is_empty()
    }

    /// Whether a stored procedure or function may write.
    #[must_use]
    pub fn writes(&self, schema: &str, name: &str) -> bool {
        let key = (schema.to_owned(), name.to_lowercase());
        self.writers.contains(&key)
    }

    /// Whether one of the names may stand in a text, whatever the text means.
    #[must_use]
    pub fn may_be_in(&self, text: &[u8]) -> bool {
        let mut begins = [false; 256];
        for name in &self.names {
            if let Some(&first) = name.as_bytes().first() {
                begins[usize::from(first.to_ascii_lowercase())] = true;
                begins[usize::from(first.to_ascii_uppercase())] = true;
            }
        }
        let stands_at = |at: usize| {
            self.names.iter().any(|name| {
                let part = text.get(at..at + name.len());
                part.is_some_and(|part| part.eq_ignore_ascii_case(name.as_bytes()))
            })
        };
        let mut places = text.iter().enumerate();
        places.any(|(at, byte)| begins[usize::from(*byte)] && stands_at(at))
    }

    /// What the names in a text stand for when they are names of tables, views or routines: with the
    /// database before them, or in `database`. Some may be names of columns.
    #[must_use]
    pub fn mentioned(
        &self,
        text: &[u8],
        database: Option<&str>,
        dialect: Dialect,
    ) -> Vec<(String, String, Named)> {
        let mut found: Vec<(String, String, Named)> = Vec::new();
        let mut add = |schema: &str, name: &str| {
            let is_known = found.iter().any(|(s, n, _)| s == schema && n == name);
            if let Some(named) = self.get(schema, name).filter(|_| !is_known) {
                found.push((schema.to_owned(), name.to_owned(), named.clone()));
            }
        };
        let mut before: Option<String> = None;
        let mut point = false;
        for token in Lexer::new(text, dialect) {
            if !token.kind.is_significant() {
                continue;
            }
            let name = match token.kind {
                TokenKind::Word | TokenKind::QuotedName => token.name(&dialect),
                _ => None,
            };
            let name = name.map(|name| String::from_utf8_lossy(&name).into_owned());
            if let Some(name) = &name {
                match before.as_deref().filter(|_| point) {
                    Some(schema) => add(schema, name),
                    None => {
                        if let Some(database) = database {
                            add(database, name);
                        }
                    }
                }
            }
            if token.is_symbol(".") {
                point = true;
            } else {
                point = false;
                before = name;
            }
        }
        found
    }
}
