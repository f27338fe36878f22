//! `INSERT` and `REPLACE` of rows that are written out: which row goes where, and which get ids.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use openpeta_sql_route::{KeyValue, Token, TokenKind};

use super::modify::{of_name, refuse_key, refuse_subqueries};
use super::text::{Tokens, between_commas, closing, table_name};
use super::{Facts, portable};
use crate::Refusal;
use crate::catalogue::{Catalogue, Table};
use crate::topology::Topology;

/// An `INSERT` or `REPLACE` with rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsertPlan {
    /// The table.
    pub table: Arc<Table>,
    /// `REPLACE`.
    pub replace: bool,
    /// `IGNORE`.
    pub ignore: bool,
    /// `ON DUPLICATE KEY UPDATE`.
    pub updates: bool,
    /// `RETURNING`.
    pub returning: bool,
    /// What must be carried to the nodes.
    pub needs: portable::Needs,
    /// The rows, in their order.
    rows: Vec<PlannedRow>,
    /// The statement up to its rows.
    head: Vec<u8>,
    /// What follows them.
    tail: Vec<u8>,
    /// The greatest value that rows have for the `AUTO_INCREMENT` column themselves.
    pub greatest_id: Option<u64>,
}

/// A row, as it will be written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PlannedRow {
    before: Vec<u8>,
    /// An id stands between the two.
    id: bool,
    after: Vec<u8>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// On the node of this partition.
    Partition(u16),
    /// On all nodes.
    Everywhere,
    /// On the node of its id.
    OfId,
}

/// What one node gets of an [`InsertPlan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The node.
    pub node: u16,
    /// Its statement.
    pub statement: Vec<u8>,
    /// Which rows it has, by their place in the statement.
    pub rows: Vec<usize>,
    /// How many of them are in which partition; none for a table that is whole on each node.
    pub partitions: BTreeMap<u16, u64>,
}

/// How the values of rows stand to the columns.
struct Columns<'t, 'a> {
    /// Columns by their place in the table, in the order of the values.
    places: Vec<usize>,
    /// As the statement has them; `None` if it names none.
    named: Option<&'t [Token<'a>]>,
}

/// Reads an `INSERT` or `REPLACE` with rows. `None` if it has none that are written out.
///
/// # Errors
/// When rows cannot be told apart, or their place is not known from the text.
pub fn insert(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Option<InsertPlan>, Refusal> {
    let replace = tokens.verb() == "REPLACE";
    let mut at = 1;
    let mut ignore = false;
    while matches!(
        tokens.word(at).as_str(),
        "LOW_PRIORITY" | "DELAYED" | "HIGH_PRIORITY" | "IGNORE" | "INTO"
    ) {
        ignore |= tokens.word(at) == "IGNORE";
        at += 1;
    }
    let from = at.min(tokens.list.len());
    let (schema, name, taken) =
        table_name(&tokens.list[from..], facts.dialect).ok_or_else(unreadable)?;
    let Some(table) = of_name(schema.as_deref(), &name, catalogue, facts) else {
        // A distributed table is read for rows of another.
        return Ok(None);
    };
    let name_end = tokens.range(&tokens.list[at + taken - 1]).end;
    at += taken;
    if tokens.has_word("SELECT") && !has_values_first(&tokens.list[at..]) {
        return Ok(None);
    }
    refuse_subqueries(tokens)?;
    let reader = Reader {
        tokens,
        table: &table,
        topology,
        facts,
    };
    let (columns, rows, rest) = if tokens.word(at) == "SET" {
        reader.assignments(at + 1)?
    } else {
        let (columns, behind) = reader.columns(at)?;
        if !matches!(tokens.word(behind).as_str(), "VALUES" | "VALUE") {
            return Ok(None);
        }
        let (rows, rest) = reader.rows(behind + 1)?;
        (columns, rows, rest)
    };
    let tail_tokens = &tokens.list[rest..];
    let tail = tail_tokens.first().map_or(&b""[..], |first| {
        &tokens.text[tokens.range(first).start..end_of(tokens)]
    });
    let updates = tail_tokens.first().is_some_and(|token| token.is_word("ON"));
    if updates {
        let assignments = tail_tokens.get(4..).unwrap_or_default();
        let end = assignments
            .iter()
            .position(|token| token.is_word("RETURNING"));
        refuse_key(
            &assignments[..end.unwrap_or(assignments.len())],
            &table,
            facts,
        )?;
    }
    let mut plan = InsertPlan {
        replace,
        ignore,
        updates,
        returning: tail_tokens.iter().any(|token| token.is_word("RETURNING")),
        needs: portable::needs(tokens)?,
        rows: Vec::new(),
        head: Vec::new(),
        tail: tail.to_vec(),
        greatest_id: None,
        table: Arc::clone(&table),
    };
    reader.plan(&mut plan, &columns, &rows, name_end)?;
    Ok(Some(plan))
}

/// The number of the placeholder that is the distribution column's value, and the table, of an `INSERT` of one row,
/// with nothing behind it, into a table that gives no ids: its node runs that as it is written.
#[must_use]
pub fn key_parameter(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Option<(Arc<Table>, usize)> {
    if tokens.verb() != "INSERT" {
        return None;
    }
    let at = 1 + usize::from(tokens.word(1) == "INTO");
    let (schema, name, taken) = table_name(tokens.list.get(at..)?, facts.dialect)?;
    let table = of_name(schema.as_deref(), &name, catalogue, facts)?;
    if table.auto_increment.is_some() {
        return None;
    }
    let reader = Reader {
        tokens,
        table: &table,
        topology,
        facts,
    };
    let (columns, behind) = reader.columns(at + taken).ok()?;
    if !matches!(tokens.word(behind).as_str(), "VALUES" | "VALUE") {
        return None;
    }
    let (rows, rest) = reader.rows(behind + 1).ok()?;
    let [values] = &rows[..] else { return None };
    if rest != tokens.list.len() || values.len() != columns.places.len() {
        return None;
    }
    let key = table.column(table.key()?.name.as_bytes())?;
    let place = columns.places.iter().position(|place| *place == key)?;
    let [value] = values[place] else { return None };
    if value.kind != TokenKind::Placeholder {
        return None;
    }
    let start = tokens.range(value).start;
    let is_before = |token: &&Token<'_>| {
        token.kind == TokenKind::Placeholder && tokens.range(token).start < start
    };
    let number = tokens.list.iter().filter(is_before).count();
    Some((Arc::clone(&table), number))
}

fn has_values_first(tokens: &[Token<'_>]) -> bool {
    let first = |word: &str| tokens.iter().position(|token| token.is_word(word));
    match (
        first("SELECT"),
        first("VALUES").or(first("VALUE")),
        first("SET"),
    ) {
        (Some(select), Some(values), _) => values < select,
        (Some(select), None, Some(set)) => set < select,
        _ => false,
    }
}

fn end_of(tokens: &Tokens<'_>) -> usize {
    tokens.list.last().map_or(0, |last| tokens.range(last).end)
}

fn unreadable() -> Refusal {
    Refusal::new(
        "insert-form",
        "the rows of this statement cannot be told apart",
    )
}

struct Reader<'t, 'a> {
    tokens: &'t Tokens<'a>,
    table: &'t Table,
    topology: &'t Topology,
    facts: &'t Facts,
}

type Values<'t, 'a> = Vec<&'t [Token<'a>]>;

impl<'t, 'a> Reader<'t, 'a> {
    /// The list of columns, if there is one, and what stands behind it.
    fn columns(&self, at: usize) -> Result<(Columns<'t, 'a>, usize), Refusal> {
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
    fn rows(&self, mut at: usize) -> Result<(Vec<Values<'t, 'a>>, usize), Refusal> {
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
    fn assignments(
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

    fn plan(
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
            .map(|place| quoted(&self.table.columns[*place].name))
            .collect();
        let mut head = self.tokens.text[..name_end].to_vec();
        let start = head_start(self.tokens);
        head.drain(..start);
        if added || is_set || columns.named.is_some() {
            let mut all = names;
            if added {
                let auto = auto.expect("it is added");
                all.insert(0, quoted(&self.table.columns[auto].name));
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

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

impl InsertPlan {
    /// How many ids its rows are to get.
    #[must_use]
    pub fn ids(&self) -> u64 {
        self.rows.iter().filter(|row| row.id).count() as u64
    }

    /// Whether each node that it runs on makes the same of it, where all nodes must.
    #[must_use]
    pub fn is_same_everywhere(&self) -> bool {
        self.table.key().is_some() || !self.needs.random
    }

    /// How many rows it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What each node gets, when the rows get ids from `first` on.
    #[must_use]
    pub fn parts(&self, first: u64, topology: &Topology) -> Vec<Part> {
        let mut id = first;
        let mut parts: BTreeMap<u16, Part> = BTreeMap::new();
        for (number, row) in self.rows.iter().enumerate() {
            let mut text = row.before.clone();
            let own = id;
            if row.id {
                text.extend_from_slice(id.to_string().as_bytes());
                id += 1;
            }
            text.extend_from_slice(&row.after);
            let partition = match row.place {
                Place::Partition(partition) => Some(partition),
                Place::Everywhere => None,
                Place::OfId => self.partition_of_id(own, topology),
            };
            let nodes = match (row.place, partition) {
                (Place::Everywhere, _) => topology.nodes_of(&self.table.schema),
                (_, partition) => {
                    let schema = &self.table.schema;
                    let node = partition.and_then(|it| topology.node_of(schema, it));
                    vec![node.unwrap_or(Topology::HOME)]
                }
            };
            for node in nodes {
                let part = parts.entry(node).or_insert_with(|| Part {
                    node,
                    statement: self.head.clone(),
                    rows: Vec::new(),
                    partitions: BTreeMap::new(),
                });
                if let Some(partition) = partition {
                    *part.partitions.entry(partition).or_default() += 1;
                }
                if !part.rows.is_empty() {
                    part.statement.push(b',');
                }
                part.statement.extend_from_slice(&text);
                part.rows.push(number);
            }
        }
        let mut parts: Vec<_> = parts.into_values().collect();
        for part in &mut parts {
            if !self.tail.is_empty() {
                part.statement.push(b' ');
                part.statement.extend_from_slice(&self.tail);
            }
        }
        parts
    }

    fn partition_of_id(&self, id: u64, topology: &Topology) -> Option<u16> {
        let value = KeyValue::Integer(id.into());
        let partitions = topology.partitions(&self.table.schema)?;
        self.table.key()?.partition(&value, partitions)
    }
}
