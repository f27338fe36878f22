//! Where a statement runs: decided out of its text, the catalogue and what is known of the session.
//! Nothing here knows a socket.

pub mod checksum;
pub mod collect;
pub mod control;
pub mod define;
pub mod facts;
pub mod figures;
pub mod insert;
mod joined;
pub mod known;
pub mod lines;
pub mod load;
pub mod lock;
pub mod modify;
pub mod portable;
pub mod read;
pub(crate) mod read_only;
#[cfg(test)]
mod tests;
pub mod text;

use std::sync::Arc;

pub use facts::Facts;
pub use read_only::{calls_no_writer, only_reads};

use crate::Refusal;
use crate::catalogue::{Catalogue, Distribution, Indirect, Named, Table};
use crate::service::Used;
use crate::topology::Topology;
use control::Control;
use define::Define;
use insert::InsertPlan;
use openpeta_sql_route::TokenKind;
use read_only::{locks, writes};
use text::Tokens;

/// Where a statement runs.
#[derive(Clone, Debug)]
pub enum Plan {
    /// At home, as it is.
    Home,
    /// It begins, ends or divides a transaction.
    Control(Control),
    /// On one node, as it is.
    Node {
        /// The node.
        node: u16,
        /// It may write.
        writes: bool,
        /// The table.
        table: Arc<Table>,
        /// The partitions, if it is about some.
        partitions: Option<Vec<u16>>,
        /// What must be carried there.
        needs: portable::Needs,
    },
    /// `INSERT` or `REPLACE` with rows.
    Insert(Box<InsertPlan>),
    /// A write whose rows are made at home.
    Collect(Box<collect::CollectPlan>),
    /// `UPDATE` or `DELETE` on several nodes.
    Modify {
        /// The nodes.
        nodes: Vec<u16>,
        /// The table.
        table: Arc<Table>,
        /// The partitions, if it is about some.
        partitions: Option<Vec<u16>>,
        /// What must be carried there.
        needs: portable::Needs,
        /// It gives back rows.
        returning: bool,
        /// Where its condition is.
        place: modify::ConditionPlace,
        /// The name that the table goes by, where it is joined to others.
        goes_by: Option<String>,
        /// The tables that it reads besides, by database and name.
        others: Vec<(String, String)>,
    },
    /// A table's definition.
    Define(Box<Define>),
    /// Something that runs at home and may change what leads to distributed tables.
    DefineAtHome,
    /// Rights that all nodes must know.
    Grant,
    /// `KILL` of a session by its number.
    Kill(control::Kill),
    /// `LOCK TABLES`.
    Lock(Box<lock::LockPlan>),
    /// `UNLOCK TABLES`.
    Unlock,
    /// `ANALYZE TABLE` and its likes: each node does it.
    Maintain,
    /// `SHOW CREATE TABLE` of a distributed one.
    ShowCreate(Arc<Table>),
    /// `PREPARE … FROM` and `EXECUTE IMMEDIATE`: of this text or what this variable holds.
    Dynamic(Dynamic),
    /// `CHECKSUM TABLE` with distributed ones.
    Checksum(Box<checksum::ChecksumPlan>),
    /// Rows and bytes of tables, of all nodes.
    Figures(Box<figures::FiguresPlan>),
    /// Rows of several nodes are gathered at home, and the statement runs there.
    Read(Box<read::ReadPlan>),
    /// Not at all.
    Refuse(Refusal),
}

impl Plan {
    /// Which partitions it is about, as far as that stands in the statement; rows that it inserts tell
    /// theirs themselves.
    #[must_use]
    pub fn used(&self, topology: &Topology) -> Vec<Used> {
        let used = |table: &Table, partitions: &Option<Vec<u16>>, writes| {
            table.key()?;
            let of = topology.partitions(&table.schema)?.count();
            Some(Used {
                database: table.schema.clone(),
                of,
                partitions: partitions.clone(),
                writes,
            })
        };
        match self {
            Self::Node {
                table,
                partitions,
                writes,
                ..
            } => used(table, partitions, *writes).into_iter().collect(),
            Self::Modify {
                table, partitions, ..
            } => used(table, partitions, true).into_iter().collect(),
            Self::Read(plan) => {
                let mut databases: Vec<&str> = plan.tables.iter().map(|it| it.0.as_str()).collect();
                databases.dedup();
                let of = |database: &&str| {
                    Some(Used {
                        of: topology.partitions(database)?.count(),
                        database: (*database).to_owned(),
                        partitions: plan.partitions.clone(),
                        writes: false,
                    })
                };
                databases.iter().filter_map(of).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether nodes do it, home no more than others, or the session by itself.
    #[must_use]
    pub fn is_for_nodes(&self) -> bool {
        matches!(
            self,
            Self::Node { .. }
                | Self::Insert(_)
                | Self::Modify { .. }
                | Self::Control(_)
                | Self::Refuse(_)
        )
    }

    /// Whether it depends on where partitions are.
    #[must_use]
    pub fn uses_partitions(&self) -> bool {
        match self {
            Self::Node { .. }
            | Self::Insert(_)
            | Self::Collect(_)
            | Self::Modify { .. }
            | Self::Define(_)
            | Self::Grant
            | Self::Maintain
            | Self::Checksum(_)
            | Self::Read(_) => true,
            Self::Home
            | Self::Control(_)
            | Self::DefineAtHome
            | Self::Kill(_)
            | Self::Lock(_)
            | Self::Unlock
            | Self::ShowCreate(_)
            | Self::Figures(_)
            | Self::Dynamic(_)
            | Self::Refuse(_) => false,
        }
    }
}

/// SQL that a partition is among some.
pub(crate) fn among(partition: &str, owned: &[u16]) -> String {
    let owned: Vec<_> = owned.iter().map(u16::to_string).collect();
    match owned.is_empty() {
        true => "1=0".to_owned(),
        false => format!("{partition} IN ({})", owned.join(",")),
    }
}

/// Where the text of a statement comes from that is run out of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dynamic {
    /// A literal.
    Text(Vec<u8>),
    /// An expression, as it is written.
    Expression(Vec<u8>),
}

/// Decides on a text that is one statement.
#[must_use]
pub fn plan(statement: &[u8], catalogue: &Catalogue, topology: &Topology, facts: &Facts) -> Plan {
    let tokens = Tokens::of(statement, facts.dialect);
    decide(&tokens, catalogue, topology, facts).unwrap_or_else(Plan::Refuse)
}

fn decide(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Plan, Refusal> {
    if let Some(control) = control::control(tokens, facts.dialect) {
        return Ok(Plan::Control(control));
    }
    let verb = tokens.verb();
    let mentioned = catalogue.mentioned(tokens.text, facts.database.as_deref(), facts.dialect);
    match verb.as_str() {
        "GRANT" | "REVOKE" => return Ok(Plan::Grant),
        "LOCK" if lock::is_about_tables(tokens) => {
            let plan = lock::lock(tokens, catalogue, facts)?;
            return Ok(Plan::Lock(Box::new(plan)));
        }
        "KILL" => {
            if let Some(kill) = control::kill(tokens) {
                return Ok(Plan::Kill(kill));
            }
        }
        "UNLOCK" if lock::is_about_tables(tokens) => return Ok(Plan::Unlock),
        "PREPARE" | "EXECUTE" => {
            if let Some(dynamic) = dynamic(tokens, facts) {
                if let Dynamic::Text(text) = &dynamic {
                    let tokens = Tokens::of(text, facts.dialect);
                    only_reads(&tokens, facts)?;
                    calls_no_writer(&tokens, catalogue, facts)?;
                }
                return Ok(Plan::Dynamic(dynamic));
            }
        }
        "CREATE" | "DROP" | "ALTER" | "TRUNCATE" | "RENAME" => {
            // What ends the transaction first is not in it.
            let is_in = facts.in_transaction && !control::commits_before(tokens);
            if facts.read_only && is_in {
                return Err(read_only::refusal());
            }
            if define::toggles_keys(tokens) {
                // InnoDB has none that could be disabled: home's answer is that of all nodes.
                return Ok(Plan::Home);
            }
            let defines = define::define(tokens, &mentioned, catalogue, topology, facts)?;
            if let Some(define) = defines {
                let is_ours = !matches!(&define, Define::Everywhere(it) if it.tables.is_empty());
                if is_ours {
                    return Ok(Plan::Define(Box::new(define)));
                }
            }
            // A temporary table is the session's alone.
            return Ok(match control::commits_before(tokens) {
                true => Plan::DefineAtHome,
                false => Plan::Home,
            });
        }
        _ => {}
    }
    only_reads(tokens, facts)?;
    calls_no_writer(tokens, catalogue, facts)?;
    if let Some(plan) = about_figures(tokens, &mentioned, catalogue, facts) {
        return Ok(Plan::Figures(Box::new(plan)));
    }
    if mentioned.is_empty() {
        return Ok(Plan::Home);
    }
    // Statements that are their own transactions may not either, where the session's only read; what is not about
    // distributed tables is home's to judge.
    if facts.read_only && (writes(&verb, tokens) || locks(tokens, facts)) {
        return Err(read_only::refusal());
    }
    about_distributed(tokens, &mentioned, catalogue, topology, facts)
}

/// What a statement asks for of rows and bytes of tables.
fn about_figures(
    tokens: &Tokens<'_>,
    mentioned: &[(String, String, Named)],
    catalogue: &Catalogue,
    facts: &Facts,
) -> Option<figures::FiguresPlan> {
    let verb = tokens.verb();
    match verb.as_str() {
        "SHOW" => figures::show(tokens, catalogue, facts),
        "SELECT" | "WITH" | "" if !writes(&verb, tokens) && figures::may_be_asked(tokens.text) => {
            read::figures(tokens.text, mentioned, catalogue, facts)
        }
        _ => None,
    }
}

fn about_distributed(
    tokens: &Tokens<'_>,
    mentioned: &[(String, String, Named)],
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Plan, Refusal> {
    let verb = tokens.verb();
    for (_, name, named) in mentioned {
        match named {
            Named::Indirect(Indirect::Routine) => {
                return Err(Refusal::new(
                    "routine",
                    format!("`{name}` is a stored program that uses distributed tables"),
                ));
            }
            Named::Indirect(Indirect::Trigger) if writes(&verb, tokens) => {
                return Err(Refusal::new(
                    "trigger",
                    format!("triggers of `{name}` use distributed tables"),
                ));
            }
            Named::Indirect(Indirect::View) if writes(&verb, tokens) => {
                return Err(Refusal::new(
                    "view-write",
                    format!(
                        "the view `{name}` is over distributed tables and cannot be written to"
                    ),
                ));
            }
            _ => {}
        }
    }
    match verb.as_str() {
        "SELECT" | "WITH" | "TABLE" | "VALUES" | "" if !writes(&verb, tokens) => {
            read(tokens, mentioned, catalogue, topology, facts)
        }
        "INSERT" | "REPLACE" => {
            let (by_rows, by_tail) = calls_stored(tokens, catalogue, facts);
            match insert::insert(tokens, catalogue, topology, facts) {
                Ok(Some(insert)) if insert.is_same_everywhere() && !by_rows && !by_tail => {
                    Ok(Plan::Insert(Box::new(insert)))
                }
                Err(refusal) if refusal.packet().code != 1235 => Err(refusal),
                Err(refusal) if refusal.to_string().contains("key-update") => Err(refusal),
                // Its rows are not written out so that their places can be told.
                _ => match collect::collect(tokens, catalogue, topology, facts)? {
                    Some(_) if by_tail => Err(stored()),
                    Some(collect) => Ok(Plan::Collect(Box::new(collect))),
                    None => into_single(tokens, catalogue, topology, facts),
                },
            }
        }
        "LOAD" => {
            let plan = collect::load(tokens, catalogue, facts)?;
            Ok(Plan::Collect(Box::new(plan)))
        }
        "UPDATE" | "DELETE" => modify(tokens, catalogue, topology, facts),
        "ANALYZE" | "CHECK" | "OPTIMIZE" | "REPAIR" if control::commits_before(tokens) => {
            Ok(Plan::Maintain)
        }
        "CHECKSUM" => checksum::checksum(tokens, catalogue, topology, facts),
        "SHOW" => Ok(show(tokens, catalogue, facts)),
        "DESC" | "DESCRIBE" | "EXPLAIN" | "USE" | "HELP" | "KILL" => Ok(Plan::Home),
        _ => Err(Refusal::new(
            "statement",
            format!("{verb} is not supported for distributed tables"),
        )),
    }
}

fn read(
    tokens: &Tokens<'_>,
    mentioned: &[(String, String, Named)],
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Plan, Refusal> {
    let at_home = mentioned.iter().all(|(_, _, named)| match named {
        Named::Table(table) => table.distribution == Distribution::Broadcast,
        Named::Indirect(indirect) => *indirect == Indirect::Trigger,
    });
    if at_home {
        return Ok(Plan::Home);
    }
    let target = modify::plain_select(tokens, catalogue, topology, facts);
    if let Some(target) = &target
        && let [node] = target.nodes[..]
        && let Ok(needs) = portable::needs(tokens)
        && needs == portable::Needs::default()
    {
        let locks = tokens.has_word("FOR") || tokens.has_word("LOCK");
        return Ok(Plan::Node {
            node,
            writes: locks,
            table: Arc::clone(&target.table),
            partitions: target.partitions.clone(),
            needs,
        });
    }
    let mut plan = read::plan(tokens.text, catalogue, topology, facts)?;
    if let Some(target) = target
        && let Some(partitions) = target.partitions
    {
        plan.only_on(&target.nodes, partitions);
    }
    Ok(Plan::Read(Box::new(plan)))
}

/// `INSERT … SELECT` into a table that home has alone: it runs there, over gathered rows.
fn into_single(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Plan, Refusal> {
    let unsupported = || {
        Refusal::new(
            "insert-select",
            "INSERT … SELECT into a distributed table is not supported",
        )
    };
    let mut at = 1;
    while matches!(
        tokens.word(at).as_str(),
        "LOW_PRIORITY" | "HIGH_PRIORITY" | "IGNORE" | "INTO"
    ) {
        at += 1;
    }
    let rest = tokens.list.get(at..).unwrap_or_default();
    let (schema, name, _) = text::table_name(rest, facts.dialect).ok_or_else(unsupported)?;
    let schema = schema
        .or_else(|| facts.database.clone())
        .ok_or_else(unsupported)?;
    if catalogue.get(&schema, &name).is_some() {
        return Err(unsupported());
    }
    let mut plan = read::plan(tokens.text, catalogue, topology, facts)?;
    plan.writes = true;
    Ok(Plan::Read(Box::new(plan)))
}

/// Whether the rows of an `INSERT` are made by stored functions, which home alone has, and whether what it does
/// with rows that are there calls some.
fn calls_stored(tokens: &Tokens<'_>, catalogue: &Catalogue, facts: &Facts) -> (bool, bool) {
    if !catalogue.has_functions() {
        return (false, false);
    }
    // The name of a table and its columns looks like a call.
    let is_begin = |at: &usize| matches!(tokens.word(*at).as_str(), "VALUES" | "VALUE" | "SET");
    let len = tokens.list.len();
    let from = (0..len).find(is_begin).unwrap_or(0);
    let is_tail = |at: &usize| tokens.word(*at) == "ON" && tokens.word(at + 1) == "DUPLICATE";
    let tail = (from..len).rev().find(is_tail).unwrap_or(len);
    let calls = |tokens| catalogue.calls(tokens, facts.database.as_deref(), facts.dialect);
    (calls(&tokens.list[from..tail]), calls(&tokens.list[tail..]))
}

fn stored() -> Refusal {
    Refusal::new(
        "routine",
        "stored functions are known to the first node alone, and cannot be called where other nodes write",
    )
}

fn modify(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Plan, Refusal> {
    let target = match joined::target(tokens, catalogue, topology, facts)? {
        Some(target) => target,
        None => modify::target(tokens, catalogue, topology, facts)?,
    };
    if catalogue.calls(&tokens.list, facts.database.as_deref(), facts.dialect) {
        return Err(stored());
    }
    let needs = portable::needs(tokens)?;
    let is_broadcast = target.table.distribution == Distribution::Broadcast;
    if let [node] = target.nodes[..]
        && !is_broadcast
        && target.others.is_empty()
    {
        return Ok(Plan::Node {
            node,
            writes: true,
            table: target.table,
            partitions: target.partitions,
            needs,
        });
    }
    if target.limited {
        return Err(Refusal::new(
            "write-limit",
            "UPDATE and DELETE with LIMIT must name one value of the distribution column",
        ));
    }
    if is_broadcast && (needs.random || target.returning) {
        return Err(broadcast_random());
    }
    Ok(Plan::Modify {
        nodes: target.nodes,
        table: target.table,
        partitions: target.partitions,
        needs,
        returning: target.returning,
        place: target.place,
        goes_by: target.goes_by,
        others: target.others,
    })
}

/// What would differ from node to node.
pub(crate) fn broadcast_random() -> Refusal {
    Refusal::new(
        "broadcast-write",
        "a write of a broadcast table must have the same result on each node",
    )
}

fn show(tokens: &Tokens<'_>, catalogue: &Catalogue, facts: &Facts) -> Plan {
    if tokens.word(1) == "CREATE" && tokens.word(2) == "TABLE" {
        let name = text::table_name(tokens.list.get(3..).unwrap_or_default(), facts.dialect);
        let table = name.and_then(|(schema, name, _)| {
            modify::of_name(schema.as_deref(), &name, catalogue, facts)
        });
        if let Some(table) = table {
            return Plan::ShowCreate(table);
        }
    }
    Plan::Home
}

/// The text that a statement is made of when it runs.
fn dynamic(tokens: &Tokens<'_>, facts: &Facts) -> Option<Dynamic> {
    let at = match tokens.verb().as_str() {
        "PREPARE" if tokens.word(2) == "FROM" => 3,
        "EXECUTE" if tokens.word(1) == "IMMEDIATE" => 2,
        _ => return None,
    };
    let rest = tokens.list.get(at..)?;
    if let [only] = rest
        && only.kind == TokenKind::String
    {
        return only
            .string(&facts.dialect)
            .map(|text| Dynamic::Text(text.into_owned()));
    }
    let end = rest.iter().position(|token| token.is_word("USING"));
    let rest = &rest[..end.unwrap_or(rest.len())];
    let (first, last) = (rest.first()?, rest.last()?);
    let range = tokens.range(first).start..tokens.range(last).end;
    Some(Dynamic::Expression(tokens.text[range].to_vec()))
}
