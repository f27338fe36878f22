//! What a block reads from.

use super::query::{Query, Reader};
use super::text::{Span, begins_query};

/// The clause `FROM` of a block.
#[derive(Clone, Debug, Default)]
pub struct Joins {
    /// What is joined, in its order.
    pub factors: Vec<TableFactor>,
    /// Conditions of inner joins, that count as those of `WHERE`.
    pub conditions: Vec<Span>,
    /// Pairs of columns that are equal by `USING`, or by `NATURAL`, so that names mean more than one
    /// column.
    pub merges_columns: bool,
    /// There are joins in parentheses, or `ON`s that are not right behind their table: what may be
    /// missing is not known.
    pub is_nested: bool,
    /// There are outer joins.
    pub is_outer: bool,
    /// What stands behind `FROM`.
    pub span: Span,
}

/// Something that is joined.
#[derive(Clone, Debug)]
pub struct TableFactor {
    /// What it is.
    pub what: Factor,
    /// The name that it goes by.
    pub alias: Option<String>,
    /// It may be missing, as the inner table of an outer join.
    pub may_miss: bool,
    /// The condition of the outer join whose inner table it is.
    pub on: Option<Span>,
    /// Its name, or its query with the parentheses.
    pub head: Span,
}

/// What kind of thing is joined.
#[derive(Clone, Debug)]
pub enum Factor {
    /// A table, a view or a common table expression.
    Named {
        /// The database before its name.
        schema: Option<String>,
        /// Its name.
        name: String,
    },
    /// A query.
    Derived(Box<Query>),
    /// `JSON_TABLE (…)`.
    Function,
}

impl Reader<'_, '_> {
    pub(super) fn joins(&mut self) -> Option<Joins> {
        let start = self.at;
        let mut joins = Joins::default();
        self.factor(&mut joins)?;
        while self.at < self.end {
            if self.take_symbol(",") {
                self.factor(&mut joins)?;
            } else if self.take_word("ON") {
                // Of a join further to the front.
                joins.is_nested = true;
                joins.conditions.push(self.on()?);
            } else if self.take_word("USING") {
                joins.merges_columns = true;
                joins.is_nested = true;
                self.take_parentheses()?;
            } else if !self.join(&mut joins)? {
                break;
            }
        }
        joins.span = start..self.at;
        Some(joins)
    }

    /// A join, if one begins here.
    fn join(&mut self, joins: &mut Joins) -> Option<bool> {
        let start = self.at;
        if self.take_word("NATURAL") {
            joins.merges_columns = true;
        }
        let (left, right) = (self.take_word("LEFT"), self.take_word("RIGHT"));
        if left || right {
            self.take_word("OUTER");
            joins.is_outer = true;
        } else {
            let _ = self.take_word("INNER") || self.take_word("CROSS");
        }
        if !(self.take_word("JOIN") || self.take_word("STRAIGHT_JOIN")) {
            return (self.at == start).then_some(false);
        }
        if right {
            for factor in &mut joins.factors {
                factor.may_miss = true;
            }
        }
        let before = joins.factors.len();
        self.factor(joins)?;
        if left {
            for factor in &mut joins.factors[before..] {
                factor.may_miss = true;
            }
        }
        if self.take_word("ON") {
            let condition = self.on()?;
            match &mut joins.factors[before..] {
                [factor] if left => factor.on = Some(condition),
                _ if left || right => {
                    joins.is_nested = true;
                    joins.conditions.push(condition);
                }
                _ => joins.conditions.push(condition),
            }
        } else if self.take_word("USING") {
            joins.merges_columns = true;
            self.take_parentheses()?;
        }
        Some(true)
    }

    /// The condition of a join: up to the next one.
    fn on(&mut self) -> Option<Span> {
        let start = self.at;
        let mut probe = Reader {
            text: self.text,
            at: self.at,
            end: self.end,
        };
        let clause = probe.expression()?.end;
        while self.at < clause {
            if self.is_symbol("(") {
                self.take_parentheses()?;
            } else if self.is_symbol(",") || self.begins_join() {
                break;
            } else {
                self.at += 1;
            }
        }
        (self.at > start).then_some(start..self.at)
    }

    fn begins_join(&self) -> bool {
        // LEFT(…) and RIGHT(…) are functions as well.
        let is_function = self.text.is_symbol(self.at + 1, "(");
        self.text.is_any(
            self.at,
            &[
                "JOIN",
                "INNER",
                "CROSS",
                "NATURAL",
                "STRAIGHT_JOIN",
                "ON",
                "USING",
            ],
        ) || (!is_function && self.text.is_any(self.at, &["LEFT", "RIGHT"]))
    }

    /// Whether a query stands in the parentheses that begin there, and not a join.
    fn is_query(&self, open: usize) -> bool {
        let inner = open + 1;
        if !self.text.is_symbol(inner, "(") {
            return begins_query(self.text, inner);
        }
        let Some(close) = self.text.closing(inner, self.end) else {
            return false;
        };
        let goes_on = ["UNION", "EXCEPT", "INTERSECT", "ORDER", "LIMIT"];
        self.is_query(inner)
            && (self.text.is_symbol(close + 1, ")") || self.text.is_any(close + 1, &goes_on))
    }

    fn factor(&mut self, joins: &mut Joins) -> Option<()> {
        if self.is_symbol("(") && !self.is_query(self.at) {
            let inner = self.take_parentheses()?;
            let mut reader = Reader {
                text: self.text,
                at: inner.start,
                end: inner.end,
            };
            let nested = reader.joins()?;
            if reader.at != inner.end {
                return None;
            }
            joins.is_nested |= nested.factors.len() > 1;
            joins.merges_columns |= nested.merges_columns;
            joins.is_outer |= nested.is_outer;
            joins.conditions.extend(nested.conditions);
            joins.factors.extend(nested.factors);
            return Some(());
        }
        self.take_word("LATERAL");
        let start = self.at;
        let what = if self.is_symbol("(") {
            let inner = self.take_parentheses()?;
            Factor::Derived(Box::new(Query::read(self.text, inner)?))
        } else if self.is_word("JSON_TABLE") && self.text.is_symbol(self.at + 1, "(") {
            self.at += 1;
            self.take_parentheses()?;
            Factor::Function
        } else {
            let first = self.take_name()?;
            let second = if self.take_symbol(".") {
                Some(self.take_name()?)
            } else {
                None
            };
            match second {
                Some(name) => Factor::Named {
                    schema: Some(first),
                    name,
                },
                None => Factor::Named {
                    schema: None,
                    name: first,
                },
            }
        };
        let head = start..self.at;
        // Neither partitions nor versions of the past are understood.
        let is_of_the_past = self.is_word("FOR")
            && (self.at + 1 >= self.end || !self.text.is_any(self.at + 1, &["UPDATE"]));
        if self.is_word("PARTITION") || is_of_the_past {
            return None;
        }
        let has_as = self.take_word("AS");
        let is_end = self.at >= self.end
            || self.begins_join()
            || self.text.is_any(self.at, &AFTER_TABLE)
            || self.text.is_symbol(self.at, ",");
        let alias = if has_as || !is_end {
            Some(self.take_name()?)
        } else {
            None
        };
        if self.is_symbol("(") {
            // Names of its columns.
            return None;
        }
        while self.text.is_any(self.at, &["USE", "FORCE", "IGNORE"]) && self.at < self.end {
            self.at += 1;
            if !(self.take_word("INDEX") || self.take_word("KEY")) {
                return None;
            }
            if self.take_word("FOR") {
                let _ = self.take_word("JOIN")
                    || ((self.take_word("ORDER") || self.take_word("GROUP"))
                        && self.take_word("BY"));
            }
            self.take_parentheses()?;
        }
        joins.factors.push(TableFactor {
            what,
            alias,
            may_miss: false,
            on: None,
            head,
        });
        Some(())
    }
}

/// Words that stand behind a table, and are no alias.
const AFTER_TABLE: [&str; 20] = [
    "WHERE",
    "GROUP",
    "HAVING",
    "WINDOW",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "PROCEDURE",
    "INTO",
    "FOR",
    "LOCK",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "USE",
    "FORCE",
    "IGNORE",
    "SET",
    "AS",
];
