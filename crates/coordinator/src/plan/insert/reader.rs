//! Reads columns and rows out of the text, and where each row goes.

use std::ops::Range;

use openpeta_sql_route::{KeyValue, Token, TokenKind};

use super::{InsertPlan, Place, PlannedRow, unreadable};
use crate::Refusal;
use crate::catalogue::Table;
use crate::plan::Facts;
use crate::plan::text::{Tokens, between_commas, closing};
use crate::quote::identifier;
use crate::topology::Topology;

/// How the values of rows stand to the columns.
pub(super) struct Columns<'t, 'a> {
    /// Columns by their place in the table, in the order of the values.
    pub(super) places: Vec<usize>,
    /// As the statement has them; `None` if it names none.
    pub(super) named: Option<&'t [Token<'a>]>,
}

pub(super) struct Reader<'t, 'a> {
    pub(super) tokens: &'t Tokens<'a>,
    pub(super) table: &'t Table,
    pub(super) topology: &'t Topology,
    pub(super) facts: &'t Facts,
}

pub(super) type Values<'t, 'a> = Vec<&'t [Token<'a>]>;

impl<'t, 'a> Reader<'t, 'a> {
    /// The list of columns, if there is one, and what stands behind it.
    pub(super) fn columns(&self, at: usize) -> Result<(Columns<'t, 'a>, usize), Refusal> {
        let list: &'t [Token<'a>] = &self.tokens.list;
        if !list.get(at).is_some_and(|token| token.is_symbol("(")) {
            let all = self.table.columns.iter().enumerate();
            let visible = all.filter(|(_, column)| !column.invisible);
            let places = visible.map(|(place, _)| place).collect();
            return Ok((
                Columns {
                    places,
                    named: None,
                },
                at,
            ));
        }
        let end = at + closing(&list[at..]).ok_or_else(unreadable)?;
        let named = &list[at + 1..end];
        let places = match named.is_empty() {
            true => Vec::new(),
            false => between_commas(named)
                .into_iter()
                .map(|column| self.place(column))
                .collect::<Result<_, _>>()?,
        };
        Ok((
            Columns {
                places,
                named: Some(named),
            },
            end + 1,
        ))
    }

    fn place(&self, column: &[Token<'a>]) -> Result<usize, Refusal> {
        let name = column
            .last()
            .and_then(|column| column.name(&self.facts.dialect));
        let place = name.as_deref().and_then(|name| self.table.column(name));
        place.ok_or_else(|| {
            let name = name.unwrap_or_default();
            let name = String::from_utf8_lossy(&name).into_owned();
            let message = format!("Unknown column '{name}' in 'INSERT INTO'");
            Refusal::error(1054, b"42S22", message)
        })
    }

    /// The rows of `VALUES`, and what stands behind them.
    pub(super) fn rows(&self, mut at: usize) -> Result<(Vec<Values<'t, 'a>>, usize), Refusal> {
        let list: &'t [Token<'a>] = &self.tokens.list;
        let mut rows = Vec::new();
        loop {
            if !list.get(at).is_some_and(|token| token.is_symbol("(")) {
                return Err(unreadable());
            }
            let end = at + closing(&list[at..]).ok_or_else(unreadable)?;
            let inner = &list[at + 1..end];
            rows.push(match inner.is_empty() {
                true => Vec::new(),
                false => between_commas(inner),
            });
            at = end + 1;
            if !list.get(at).is_some_and(|token| token.is_symbol(",")) {
                return Ok((rows, at));
            }
            at += 1;
        }
    }

    /// The row of `SET`, and what stands behind it.
    pub(super) fn assignments(
        &self,
        at: usize,
    ) -> Result<(Columns<'t, 'a>, Vec<Values<'t, 'a>>, usize), Refusal> {
        let list: &'t [Token<'a>] = &self.tokens.list;
        let mut depth = 0_i32;
        let end = list[at..].iter().position(|token| {
            depth += i32::from(token.is_symbol("(")) - i32::from(token.is_symbol(")"));
            depth == 0 && (token.is_word("ON") || token.is_word("RETURNING"))
        });
        let end = end.map_or(list.len(), |end| at + end);
        let mut places = Vec::new();
        let mut values = Vec::new();
        for assignment in between_commas(&list[at..end]) {
            let equals = assignment
                .iter()
                .position(|token| token.is_symbol("=") || token.is_symbol(":="));
            let equals = equals.ok_or_else(unreadable)?;
            places.push(self.place(&assignment[..equals])?);
            values.push(&assignment[equals + 1..]);
        }
        Ok((
            Columns {
                places,
                named: None,
            },
            vec![values],
            end,
        ))
    }

    pub(super) fn plan(
        &self,
        plan: &mut InsertPlan,
        columns: &Columns<'t, 'a>,
        rows: &[Values<'t, 'a>],
        name_end: usize,
    ) -> Result<(), Refusal> {
        let auto = self.table.auto_increment;
        let auto_at = auto.and_then(|auto| columns.places.iter().position(|it| *it == auto));
        let mut behind = self.tokens.list.iter();
        let is_set = behind
            .find(|token| self.tokens.range(token).start >= name_end)
            .is_some_and(|token| token.is_word("SET"));
        // Ids are written as values of their own, in front, where the statement has none.
        let added = auto.is_some() && auto_at.is_none();
        let names: Vec<String> = columns
            .places
            .iter()
            .map(|place| identifier(&self.table.columns[*place].name))
            .collect();
        let mut head = self.tokens.text[..name_end].to_vec();
        let start = head_start(self.tokens);
        head.drain(..start);
        if added || is_set || columns.named.is_some() {
            let mut all = names;
            if added {
                let auto = auto.expect("it is added");
                all.insert(0, identifier(&self.table.columns[auto].name));
            }
            head.extend_from_slice(format!(" ({})", all.join(",")).as_bytes());
        }
        head.extend_from_slice(b" VALUES ");
        plan.head = head;
        for values in rows {
            let empty = values.is_empty();
            if values.len() != columns.places.len() && !(empty && columns.named.is_none()) {
                // The server says which row it is.
                return Err(Refusal::error(
                    1136,
                    b"21S01",
                    format!(
                        "Column count doesn't match value count at row {}",
                        plan.rows.len() + 1
                    ),
                ));
            }
            if empty && columns.named.is_none() && !columns.places.is_empty() {
                return Err(Refusal::new(
                    "insert-form",
                    "rows of defaults alone are not supported; name the columns",
                ));
            }
            let row = self.row(plan, columns, values, auto_at, added)?;
            plan.rows.push(row);
        }
        Ok(())
    }

    fn row(
        &self,
        plan: &mut InsertPlan,
        columns: &Columns<'t, 'a>,
        values: &Values<'t, 'a>,
        auto_at: Option<usize>,
        added: bool,
    ) -> Result<PlannedRow, Refusal> {
        let generated = match auto_at {
            None => added,
            Some(at) => match self.own_id(values[at])? {
                None => true,
                Some(own) => {
                    plan.greatest_id = plan.greatest_id.max(Some(own));
                    false
                }
            },
        };
        let mut row = PlannedRow {
            before: b"(".to_vec(),
            id: generated,
            after: Vec::new(),
            place: Place::Everywhere,
        };
        if generated && added && !values.is_empty() {
            row.after.push(b',');
        }
        for (at, value) in values.iter().enumerate() {
            if generated && auto_at == Some(at) {
                if at > 0 {
                    row.before.push(b',');
                }
                continue;
            }
            let behind_id = generated && (added || auto_at.is_some_and(|auto| auto < at));
            let text = self.text_of(value);
            let part = if behind_id {
                &mut row.after
            } else {
                &mut row.before
            };
            if at > 0 {
                part.push(b',');
            }
            part.extend_from_slice(text);
        }
        row.after.push(b')');
        row.place = self.place_of_row(columns, values, generated)?;
        Ok(row)
    }

    /// The node that a row belongs to.
    fn place_of_row(
        &self,
        columns: &Columns<'t, 'a>,
        values: &Values<'t, 'a>,
        generated: bool,
    ) -> Result<Place, Refusal> {
        let Some(key) = self.table.key() else {
            return Ok(Place::Everywhere);
        };
        let column = self.table.column(key.name.as_bytes());
        if generated && column == self.table.auto_increment {
            return Ok(Place::OfId);
        }
        let at = columns
            .places
            .iter()
            .position(|place| Some(*place) == column);
        let Some(at) = at else {
            return Err(Refusal::new(
                "insert-key",
                format!(
                    "rows must have a value for the distribution column `{}`",
                    key.name
                ),
            ));
        };
        let value = key.value(values[at], 0, self.facts.dialect);
        let value = value.filter(|value| self.facts.is_exact(value));
        let partition = value.and_then(|value| self.partition(&value));
        partition.map(Place::Partition).ok_or_else(|| {
            Refusal::new(
                "insert-key",
                format!(
                    "the value of the distribution column `{}` must be a literal that fits",
                    key.name
                ),
            )
        })
    }

    fn partition(&self, value: &KeyValue<'_>) -> Option<u16> {
        let schema = &self.table.schema;
        let partitions = self.topology.partitions(schema)?;
        let partition = self.table.key()?.partition(value, partitions)?;
        // Only if it is somewhere.
        self.topology.node_of(schema, partition).map(|_| partition)
    }

    /// The id that a row has itself; `None` if it is to get one.
    fn own_id(&self, value: &[Token<'a>]) -> Result<Option<u64>, Refusal> {
        match value {
            [only] if only.is_word("NULL") || only.is_word("DEFAULT") => Ok(None),
            [only] if matches!(only.kind, TokenKind::Integer | TokenKind::String) => {
                let text = match only.kind {
                    TokenKind::String => only.string(&self.facts.dialect).unwrap_or_default(),
                    _ => only.text.into(),
                };
                let number = std::str::from_utf8(&text)
                    .ok()
                    .and_then(|text| text.parse::<u64>().ok());
                match number {
                    Some(0) if !self.facts.has_mode("NO_AUTO_VALUE_ON_ZERO") => Ok(None),
                    Some(number) => Ok(Some(number)),
                    None => Err(id_form()),
                }
            }
            [sign, only] if sign.is_symbol("-") && only.kind == TokenKind::Integer => Ok(Some(0)),
            _ => Err(id_form()),
        }
    }

    /// A value as it stands in the statement.
    fn text_of(&self, value: &[Token<'a>]) -> &'a [u8] {
        match (value.first(), value.last()) {
            (Some(first), Some(last)) => {
                let range: Range<usize> =
                    self.tokens.range(first).start..self.tokens.range(last).end;
                &self.tokens.text[range]
            }
            _ => b"",
        }
    }
}

fn id_form() -> Refusal {
    Refusal::new(
        "insert-id",
        "the value of an AUTO_INCREMENT column must be a whole number, NULL or DEFAULT",
    )
}

/// Where the first token of a statement stands.
fn head_start(tokens: &Tokens<'_>) -> usize {
    tokens
        .list
        .first()
        .map_or(0, |first| tokens.range(first).start)
}
