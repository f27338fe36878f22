//! `UPDATE` and `DELETE` of one distributed table.

use std::ops::Range;
use std::sync::Arc;

use openpeta_sql_route::{KeyColumn, KeyValue, Token, TokenKind, pinned_by};

use super::Facts;
use super::text::{Tokens, between_commas, table_name};
use crate::Refusal;
use crate::catalogue::{Catalogue, Table};
use crate::topology::Topology;

/// Which nodes an `UPDATE`, `DELETE` or plain `SELECT` touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The table.
    pub table: Arc<Table>,
    /// The name that it goes by, where it is joined to others.
    pub goes_by: Option<String>,
    /// The tables that it reads besides, by database and name: all nodes have all of their rows.
    pub others: Vec<(String, String)>,
    /// The nodes, in order.
    pub nodes: Vec<u16>,
    /// The partitions, if it is about some.
    pub partitions: Option<Vec<u16>>,
    /// It says how many rows at most.
    pub limited: bool,
    /// It gives back rows.
    pub returning: bool,
    /// Where its condition is.
    pub place: ConditionPlace,
    /// The number of the parameter that is the key's only value, where one is.
    pub parameter: Option<usize>,
}

/// Where the condition of a statement stands in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionPlace {
    /// There.
    Is(Range<usize>),
    /// It has none, and it would stand there.
    Would(usize),
}

impl ConditionPlace {
    /// The statement for those rows alone that another condition holds for as well.
    #[must_use]
    pub fn narrowed(&self, text: &[u8], condition: &str) -> Vec<u8> {
        match self {
            Self::Is(range) => [
                &text[..range.start],
                b"(",
                &text[range.clone()],
                b") AND ",
                condition.as_bytes(),
                b" ",
                &text[range.end..],
            ]
            .concat(),
            Self::Would(at) => [
                &text[..*at],
                b" WHERE ",
                condition.as_bytes(),
                b" ",
                &text[*at..],
            ]
            .concat(),
        }
    }
}

/// Words that end the part about the table.
const AFTER_TABLE: [&str; 7] = [
    "SET",
    "WHERE",
    "ORDER",
    "LIMIT",
    "RETURNING",
    "USING",
    "FROM",
];

/// Reads an `UPDATE` or a `DELETE` of one table.
///
/// # Errors
/// When it is of several, or cannot be told apart.
pub fn target(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Target, Refusal> {
    let is_update = tokens.verb() == "UPDATE";
    let mut at = 1;
    while matches!(
        tokens.word(at).as_str(),
        "LOW_PRIORITY" | "IGNORE" | "QUICK"
    ) {
        at += 1;
    }
    if !is_update {
        if tokens.word(at) != "FROM" {
            return Err(joins());
        }
        at += 1;
    }
    let (schema, name, taken) =
        table_name(&tokens.list[at.min(tokens.list.len())..], facts.dialect).ok_or_else(joins)?;
    at += taken;
    let table = of_name(schema.as_deref(), &name, catalogue, facts).ok_or_else(joins)?;
    let others = read_besides(tokens, &table, catalogue, topology, facts)?;
    let (alias, at) = alias(tokens, at, facts).ok_or_else(joins)?;
    let clauses = Clauses::of(&tokens.list[at..]);
    if is_update {
        // What stands in between joins other tables.
        let set = clauses.set.filter(|_| tokens.word(at) == "SET");
        let set = set.ok_or_else(joins)?;
        refuse_key(&tokens.list[at..][set.0..set.1], &table, facts)?;
    } else {
        let follows = ["WHERE", "ORDER", "LIMIT", "RETURNING"].contains(&tokens.word(at).as_str());
        if clauses.set.is_some() || at < tokens.list.len() && !follows {
            return Err(joins());
        }
    }
    let condition = clauses
        .condition
        .map(|(from, to)| &tokens.list[at..][from..to]);
    let qualifiers = match &alias {
        Some(alias) => vec![alias.as_str()],
        None => vec![table.name.as_str()],
    };
    let end_of = |at: usize| tokens.range(&tokens.list[at]).end;
    let place = match clauses.condition {
        Some((from, to)) if from < to => {
            ConditionPlace::Is(tokens.range(&tokens.list[at + from]).start..end_of(at + to - 1))
        }
        _ => ConditionPlace::Would(end_of(at + clauses.set.map_or(0, |set| set.1) - 1)),
    };
    // What stands in queries inside of it is not about these rows.
    let condition = condition.filter(|_| !tokens.has_word("SELECT"));
    let (partitions, parameter) =
        partitions(&table, tokens, condition, &qualifiers, topology, facts);
    Ok(Target {
        place,
        goes_by: None,
        others,
        nodes: nodes(&table, partitions.as_deref(), topology),
        partitions,
        parameter,
        limited: clauses.limited,
        returning: clauses.returning,
        table,
    })
}

/// Reads a `SELECT` of one table and nothing else; `None` if it is more than that.
#[must_use]
pub fn plain_select(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Option<Target> {
    let count = |word: &str| {
        tokens
            .list
            .iter()
            .filter(|token| token.is_word(word))
            .count()
    };
    let is_plain = tokens.verb() == "SELECT"
        && count("SELECT") == 1
        && count("FROM") == 1
        && [
            "JOIN",
            "UNION",
            "INTO",
            "EXCEPT",
            "INTERSECT",
            "WITH",
            "OF",
            "PARTITION",
            "PROCEDURE",
        ]
        .iter()
        .all(|word| count(word) == 0);
    if !is_plain || tokens.has_executable || tokens.is_broken || calls_stored(tokens) {
        return None;
    }
    let from = tokens.list.iter().position(|token| token.is_word("FROM"))?;
    let depth = tokens.list[..from].iter().fold(0_i32, |depth, token| {
        depth + i32::from(token.is_symbol("(")) - i32::from(token.is_symbol(")"))
    });
    if depth != 0 {
        return None;
    }
    let (schema, name, taken) = table_name(&tokens.list[from + 1..], facts.dialect)?;
    let table = of_name(schema.as_deref(), &name, catalogue, facts)?;
    let (alias, at) = alias(tokens, from + 1 + taken, facts)?;
    let rest = &tokens.list[at..];
    let starts = |token: &Token<'_>| {
        [
            "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "FOR", "LOCK", "WINDOW", "OFFSET",
            "FETCH",
        ]
        .iter()
        .any(|word| token.is_word(word))
    };
    if rest.first().is_some_and(|token| !starts(token)) {
        return None;
    }
    let condition = match rest.first() {
        Some(first) if first.is_word("WHERE") => {
            let end =
                top_level(&rest[1..], |token| starts(token)).map_or(rest.len(), |end| end + 1);
            Some(&rest[1..end])
        }
        _ => None,
    };
    let qualifiers = match &alias {
        Some(alias) => vec![alias.as_str()],
        None => vec![table.name.as_str()],
    };
    let (partitions, parameter) =
        partitions(&table, tokens, condition, &qualifiers, topology, facts);
    Some(Target {
        nodes: nodes(&table, partitions.as_deref(), topology),
        partitions,
        parameter,
        // It is asked of one node alone, which has no other rows that meet the condition.
        place: ConditionPlace::Would(tokens.text.len()),
        goes_by: None,
        others: Vec::new(),
        limited: false,
        returning: false,
        table,
    })
}

/// Whether a statement may call functions that home alone has.
fn calls_stored(tokens: &Tokens<'_>) -> bool {
    tokens.list.windows(2).any(|pair| {
        let is_name = matches!(pair[0].kind, TokenKind::Word | TokenKind::QuotedName);
        is_name && pair[1].is_symbol("(") && !super::read::is_builtin(pair[0].text)
    })
}

fn joins() -> Refusal {
    Refusal::new(
        "write-join",
        "UPDATE and DELETE of a distributed table must be of that table alone",
    )
}

pub(super) fn refuse_subqueries(tokens: &Tokens<'_>) -> Result<(), Refusal> {
    if tokens.has_executable {
        return Err(Refusal::new(
            "executable-comment",
            "executable comments are not supported in statements about distributed tables",
        ));
    }
    if tokens.has_word("SELECT") || tokens.has_word("TABLE") {
        return Err(Refusal::new(
            "write-subquery",
            "subqueries are not supported in writes of distributed tables",
        ));
    }
    Ok(())
}

/// The tables that queries inside of a write read, by database and name. Of broadcast tables, in the same database, each node finds what
/// one server would for the rows that it has.
fn read_besides(
    tokens: &Tokens<'_>,
    table: &Table,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Vec<(String, String)>, Refusal> {
    let Err(refusal) = refuse_subqueries(tokens) else {
        return Ok(Vec::new());
    };
    let nodes = topology.nodes_of(&table.schema);
    let others = std::cell::RefCell::new(Vec::new());
    let is_everywhere = |schema: Option<&str>, name: &str| {
        let found = of_name(schema, name, catalogue, facts)
            .filter(|found| found.key().is_none() && topology.nodes_of(&found.schema) == nodes);
        let found = found.map(|found| (found.schema.clone(), found.name.clone()));
        let is_one = found.is_some();
        others.borrow_mut().extend(found);
        is_one
    };
    // Of a broadcast table the smallest difference between nodes would stay.
    let fits = table.key().is_some()
        && facts.locks_what_it_reads()
        && super::read::reads_only(tokens.text, facts, is_everywhere);
    if fits {
        Ok(others.into_inner())
    } else {
        Err(refusal)
    }
}

/// The table of that name.
pub(super) fn of_name(
    schema: Option<&str>,
    name: &str,
    catalogue: &Catalogue,
    facts: &Facts,
) -> Option<Arc<Table>> {
    let schema = schema.or(facts.database.as_deref())?;
    catalogue.table(schema, name).cloned()
}

/// An alias, and what stands behind it; `None` if more tables follow.
fn alias(tokens: &Tokens<'_>, mut at: usize, facts: &Facts) -> Option<(Option<String>, usize)> {
    let mut alias = None;
    if tokens.word(at) == "AS" {
        at += 1;
        let name = tokens.list.get(at)?.name(&facts.dialect)?;
        alias = Some(String::from_utf8_lossy(&name).into_owned());
        at += 1;
    } else if let Some(token) = tokens.list.get(at) {
        let is_clause = starts_clause(token)
            || [
                "GROUP", "HAVING", "FOR", "LOCK", "WINDOW", "OFFSET", "FETCH", "USE", "FORCE",
                "IGNORE",
            ]
            .iter()
            .any(|word| token.is_word(word));
        if let Some(name) = token.name(&facts.dialect).filter(|_| !is_clause) {
            alias = Some(String::from_utf8_lossy(&name).into_owned());
            at += 1;
        }
    }
    let more =
        |token: &Token<'_>| token.is_symbol(",") || token.is_symbol("(") || token.is_symbol(".");
    (!tokens.list.get(at).is_some_and(more)).then_some((alias, at))
}

fn starts_clause(token: &Token<'_>) -> bool {
    AFTER_TABLE.iter().any(|word| token.is_word(word))
}

/// Where the clauses of a statement are.
#[derive(Default)]
pub(super) struct Clauses {
    pub set: Option<(usize, usize)>,
    pub condition: Option<(usize, usize)>,
    pub limited: bool,
    pub returning: bool,
}

impl Clauses {
    pub fn of(tokens: &[Token<'_>]) -> Self {
        let mut clauses = Self::default();
        let mut depth = 0_usize;
        let mut starts: Vec<(String, usize)> = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth = depth.saturating_sub(1);
            } else if depth == 0
                && ["SET", "WHERE", "ORDER", "LIMIT", "RETURNING"]
                    .iter()
                    .any(|word| token.is_word(word))
            {
                let word = String::from_utf8_lossy(token.text).to_ascii_uppercase();
                starts.push((word, at));
            }
        }
        for (number, (word, at)) in starts.iter().enumerate() {
            let end = starts.get(number + 1).map_or(tokens.len(), |next| next.1);
            match word.as_str() {
                "SET" => clauses.set = Some((at + 1, end)),
                "WHERE" => clauses.condition = Some((at + 1, end)),
                "LIMIT" => clauses.limited = true,
                "RETURNING" => clauses.returning = true,
                _ => {}
            }
        }
        clauses
    }
}

/// The first token outside of parentheses that is so.
fn top_level(tokens: &[Token<'_>], is_it: impl Fn(&Token<'_>) -> bool) -> Option<usize> {
    let mut depth = 0_usize;
    tokens.iter().position(|token| {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth = depth.saturating_sub(1);
        }
        depth == 0 && is_it(token)
    })
}

/// The distribution column must stay as it is.
pub(super) fn refuse_key(
    assignments: &[Token<'_>],
    table: &Table,
    facts: &Facts,
) -> Result<(), Refusal> {
    let Some(key) = table.key() else {
        return Ok(());
    };
    for assignment in between_commas(assignments) {
        let equals = assignment
            .iter()
            .position(|token| token.is_symbol("=") || token.is_symbol(":="));
        if equals.is_some_and(|at| keeps_key(&assignment[..at], &assignment[at + 1..], key, facts))
        {
            continue;
        }
        let column = equals.and_then(|at| assignment[..at].last());
        let name = column.and_then(|column| column.name(&facts.dialect));
        if name.is_none_or(|name| name.eq_ignore_ascii_case(key.name.as_bytes())) {
            return Err(Refusal::new(
                "key-update",
                format!("the distribution column `{}` cannot be updated", key.name),
            ));
        }
    }
    Ok(())
}

/// Whether it is `k = VALUES(k)`, as some write it for all columns: each unique key has the distribution column, so a
/// row that is a duplicate has that value.
fn keeps_key(column: &[Token<'_>], value: &[Token<'_>], key: &KeyColumn, facts: &Facts) -> bool {
    let is_key = |token: &Token<'_>| {
        let name = token.name(&facts.dialect);
        name.is_some_and(|name| name.eq_ignore_ascii_case(key.name.as_bytes()))
    };
    let [word, open, named @ .., close] = value else {
        return false;
    };
    (word.is_word("VALUES") || word.is_word("VALUE"))
        && open.is_symbol("(")
        && close.is_symbol(")")
        && matches!(column, [only] if is_key(only))
        && matches!(named, [only] if is_key(only))
}

/// The partitions that rows meeting a condition of a statement can be in, in order, `None` if it can be
/// any; and the parameter that tells which.
fn partitions(
    table: &Table,
    tokens: &Tokens<'_>,
    condition: Option<&[Token<'_>]>,
    qualifiers: &[&str],
    topology: &Topology,
    facts: &Facts,
) -> (Option<Vec<u16>>, Option<usize>) {
    let values = table.key().and_then(|key| {
        let condition = condition?;
        let start = tokens.range(condition.first()?).start;
        let is_before = |token: &&Token<'_>| {
            token.kind == TokenKind::Placeholder && tokens.range(token).start < start
        };
        let before = tokens.list.iter().filter(is_before).count();
        pinned_by(
            condition,
            key,
            qualifiers,
            before,
            facts.dialect,
            facts.pipes_concat,
        )
    });
    let parameter = match values.as_deref() {
        Some([KeyValue::Parameter(number)]) => Some(*number),
        _ => None,
    };
    let find = || {
        let (key, partitions) = (table.key()?, topology.partitions(&table.schema)?);
        let partition = |value: &KeyValue<'_>| {
            let is_exact = facts.is_exact(value);
            key.partition(value, partitions).filter(|_| is_exact)
        };
        let found: Option<Vec<_>> = values?.iter().map(partition).collect();
        let mut found = found?;
        found.sort_unstable();
        found.dedup();
        Some(found)
    };
    (find(), parameter)
}

/// The nodes that these partitions are on, or all.
fn nodes(table: &Table, partitions: Option<&[u16]>, topology: &Topology) -> Vec<u16> {
    let all = || topology.nodes_of(&table.schema);
    if table.key().is_some() && topology.partitions(&table.schema).is_none() {
        return vec![Topology::HOME];
    }
    let Some(partitions) = partitions else {
        return all();
    };
    let of = |partition: &u16| topology.node_of(&table.schema, *partition);
    let nodes: Option<Vec<_>> = partitions.iter().map(of).collect();
    let Some(mut nodes) = nodes else {
        return all();
    };
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}
