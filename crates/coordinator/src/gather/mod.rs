//! Brings rows of several nodes to home for a read.
//!
//! Rows go from the nodes' result sets into `LOAD DATA LOCAL` at home as they come, so that no more than
//! a piece of them is in memory here. (Measured for 200,000 rows of six columns: 0.9 to 1.5 s, and 3.0
//! to 4.3 s by `INSERT` with many rows.) Where home does not take files of the session, it is `INSERT`.

mod ask;
mod columns;
mod rows;
mod source;

use openpeta_mysql_wire::{Capabilities, ErrPacket};

pub use ask::{ask_at_once, ask_beside};
pub use columns::{ColumnType, Form};
use source::Sources;

use crate::node::{NodeConnection, NodeError, Reply};
use crate::plan::read::{Fill, Parts, Piece, ReadPlan, Recipe};
use crate::session::{Failure, Nodes};

/// What runs at home once the rows are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// The statement.
    pub statement: Vec<u8>,
    /// The definitions of the columns that the client is told, where they are not the statement's own.
    pub definitions: Option<Vec<Vec<u8>>>,
    /// Which recipe of the plan was followed.
    pub recipe: usize,
    /// The temporary tables that were made.
    pub tables: Vec<String>,
}

/// Why a recipe was not followed to its end.
enum Stop {
    /// Another one may do.
    Unfit,
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// How a read is carried out.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// The session is in a transaction, whose own branches are read.
    pub in_transaction: bool,
    /// How many bytes of rows may be gathered.
    pub limit: u64,
}

/// Gathers what a plan wants, by its recipes from number `from` on. What it makes at home,
/// [`clean_up`] removes.
///
/// # Errors
/// [`Failure`], with everything cleaned up.
pub async fn run(
    nodes: &mut Nodes,
    plan: &ReadPlan,
    statement: &[u8],
    from: usize,
    manner: Manner,
) -> Result<Gathered, Failure> {
    let_write(nodes, true).await?;
    let gathered = gather(nodes, plan, statement, from, manner).await;
    match &gathered {
        Err(Failure::Home(_)) => {}
        _ => let_write(nodes, false).await?,
    }
    gathered
}

/// Lets home make temporary tables, or no more, where the session's statements only read and are in no
/// transaction.
async fn let_write(nodes: &mut Nodes, may: bool) -> Result<(), Failure> {
    if nodes.variables().read_only && nodes.transaction().is_none() {
        let set = format!("SET SESSION tx_read_only={}", u8::from(!may));
        let reply = nodes.home().query(set).await.map_err(Failure::Home)?;
        reply.ok()?;
    }
    Ok(())
}

async fn gather(
    nodes: &mut Nodes,
    plan: &ReadPlan,
    statement: &[u8],
    from: usize,
    manner: Manner,
) -> Result<Gathered, Failure> {
    let last = plan.recipes.len() - 1;
    let mut definitions = None;
    for (number, recipe) in plan.recipes.iter().enumerate().skip(from) {
        if recipe.statement.is_some() && definitions.is_none() {
            definitions = Some(own_definitions(nodes.home(), statement).await?);
        }
        let mut gathered = Gathered {
            recipe: number,
            ..Gathered::default()
        };
        match follow(nodes, plan, recipe, &mut gathered, manner).await {
            Ok(pieces) => {
                gathered.statement = pieces.unwrap_or_else(|| statement.to_vec());
                if recipe.statement.is_some() {
                    gathered.definitions = definitions;
                }
                return Ok(gathered);
            }
            Err(stop) => {
                drop_all(nodes, &gathered.tables).await?;
                match stop {
                    Stop::Unfit if number < last => {}
                    Stop::Unfit => {
                        let what = "columns of a table have other types on another node";
                        return Err(crate::Refusal::new("types", what).into());
                    }
                    Stop::Failed(failure) => return Err(failure),
                }
            }
        }
    }
    unreachable!("a plan has recipes")
}

/// Removes what [`run`] made at home, when the statement has been answered.
///
/// # Errors
/// [`Failure`] when home is lost.
pub async fn clean_up(nodes: &mut Nodes, gathered: &Gathered) -> Result<(), Failure> {
    drop_tables(nodes, &gathered.tables).await
}

/// Drops temporary tables at home.
///
/// # Errors
/// [`Failure`] when home is lost.
pub async fn drop_tables(nodes: &mut Nodes, tables: &[String]) -> Result<(), Failure> {
    if tables.is_empty() {
        return Ok(());
    }
    let_write(nodes, true).await?;
    let dropped = drop_all(nodes, tables).await;
    match &dropped {
        Err(Failure::Home(_)) => {}
        _ => let_write(nodes, false).await?,
    }
    dropped
}

async fn drop_all(nodes: &mut Nodes, tables: &[String]) -> Result<(), Failure> {
    if tables.is_empty() {
        return Ok(());
    }
    let statement = format!("DROP TEMPORARY TABLE IF EXISTS {}", tables.join(", "));
    let mut reply = nodes.home().query(&statement).await;
    if let Ok(Reply::Err(error)) = &reply
        && error.code == INTERRUPTED
    {
        // They must not stay: they may hide the tables themselves.
        reply = nodes.home().query(&statement).await;
    }
    match reply.map_err(Failure::Home)? {
        Reply::Err(error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// The definitions of the columns of a statement's result.
///
/// # Errors
/// [`Failure`], also when home does not prepare it.
pub async fn own_definitions(
    home: &mut NodeConnection,
    statement: &[u8],
) -> Result<Vec<Vec<u8>>, Failure> {
    let prepared = home.prepare(statement).await.map_err(Failure::Home)??;
    home.close_statement(prepared.id)
        .await
        .map_err(Failure::Home)?;
    Ok(prepared.columns)
}

/// Fills a recipe's tables; gives its statement, if it has one.
async fn follow(
    nodes: &mut Nodes,
    plan: &ReadPlan,
    recipe: &Recipe,
    gathered: &mut Gathered,
    manner: Manner,
) -> Result<Option<Vec<u8>>, Stop> {
    let may_give_up = recipe.statement.is_some();
    let failed = |error| match may_give_up {
        true => Stop::Unfit,
        false => Stop::Failed(told_why(error)),
    };
    let (home, _) = nodes.readers(&plan.nodes, manner.in_transaction).await?;
    // A table that is made hides the one whose name it has, so rows that are read over the session's own
    // connection come first.
    let is_early = |fill: &Fill| !(manner.in_transaction && fill.hides);
    let mut types = Vec::new();
    for fill in &recipe.fills {
        if is_early(fill) {
            let made = make(home, fill, manner.in_transaction).await?;
            made.map_err(failed)?;
            gathered.tables.push(fill.table.clone());
        }
        let of = types_of(home, fill).await?.map_err(failed)?;
        // What a function makes of bits is written as a number, though it is said to be bits.
        if may_give_up && makes_bits(fill, &of) {
            return Err(Stop::Unfit);
        }
        types.push(of);
    }
    let pieces = recipe.statement.as_ref();
    let statement = pieces.map(|pieces| written(pieces, &recipe.fills, &types));
    if statement == Some(None) {
        return Err(Stop::Unfit);
    }
    let mut left = manner.limit;
    let mut own = Vec::new();
    for (fill, types) in recipe.fills.iter().zip(&types) {
        own.push(match manner.in_transaction {
            true => source::own_rows(home, fill, types, left).await?,
            false => Vec::new(),
        });
    }
    for fill in recipe.fills.iter().filter(|fill| !is_early(fill)) {
        let made = make(home, fill, manner.in_transaction).await?;
        made.map_err(failed)?;
        gathered.tables.push(fill.table.clone());
    }
    let mut sources = Sources::open(nodes, &plan.nodes, manner).await?;
    let mut result = Ok(());
    for ((fill, types), own) in recipe.fills.iter().zip(&types).zip(own) {
        result = sources.fill(fill, types, own, &mut left).await;
        if result.is_err() {
            break;
        }
    }
    sources.close().await?;
    nodes.has_looked();
    nodes.rest();
    result?;
    Ok(statement.flatten())
}

/// What the client is told when a table cannot be made for it.
fn told_why(error: ErrPacket) -> Failure {
    if error.code != ACCESS_DENIED {
        return error.into();
    }
    let what = "a read over several nodes needs CREATE TEMPORARY TABLES in the database";
    crate::Refusal::new("read-privilege", what).into()
}

/// `ER_QUERY_INTERRUPTED`.
const INTERRUPTED: u16 = 1317;
/// `ER_DBACCESS_DENIED_ERROR`.
const ACCESS_DENIED: u16 = 1044;

/// Makes a table; an error of home is inside.
async fn make(
    home: &mut NodeConnection,
    fill: &Fill,
    in_transaction: bool,
) -> Result<Result<(), ErrPacket>, Failure> {
    // A rollback would warn of rows that stay in a table of another engine.
    let engines: &[&str] = match in_transaction {
        true => &["InnoDB"],
        false => &["Aria", "InnoDB"],
    };
    let mut error = None;
    for engine in engines {
        let create = in_engine(&fill.create, engine);
        match home.query(create).await.map_err(Failure::Home)? {
            Reply::Err(failed) => error = Some(failed),
            _ => return Ok(Ok(())),
        }
    }
    Ok(error.map_or(Ok(()), Err))
}

/// The types of a table's columns: those with values, then those without.
async fn types_of(
    home: &mut NodeConnection,
    fill: &Fill,
) -> Result<Result<Vec<ColumnType>, ErrPacket>, Failure> {
    let names = fill.columns.iter().map(|column| &column.name);
    let names: Vec<_> = names
        .chain(&fill.types)
        .map(|name| crate::quote::identifier(name))
        .collect();
    let question = format!("SELECT {} FROM {} LIMIT 0", names.join(","), fill.table);
    let capabilities = home.capabilities();
    let rows = match home.query(question).await.map_err(Failure::Home)? {
        Reply::Rows(rows) => rows,
        Reply::Err(error) => return Ok(Err(error)),
        Reply::Ok(_) => return Ok(Ok(Vec::new())),
    };
    let types = rows
        .columns
        .iter()
        .map(|it| ColumnType::read(it, capabilities));
    let types = types.collect::<Result<_, _>>();
    Ok(Ok(types.map_err(|error| Failure::Home(error.into()))?))
}

/// Whether an expression that is no column has bits for a value.
fn makes_bits(fill: &Fill, types: &[ColumnType]) -> bool {
    let mut columns = fill.columns.iter().zip(types);
    columns.any(|(column, kind)| {
        matches!(kind.form(), Form::Bit(_)) && column.expression.contains(&b'(')
    })
}

/// A statement that makes a table, with the engine put in.
fn in_engine(create: &[u8], engine: &str) -> Vec<u8> {
    let mark = crate::plan::read::ENGINE.as_bytes();
    let at = create.windows(mark.len()).position(|window| window == mark);
    match at {
        Some(at) => [
            &create[..at],
            b"ENGINE=",
            engine.as_bytes(),
            &create[at + mark.len()..],
        ]
        .concat(),
        None => create.to_vec(),
    }
}

/// The statement out of its pieces; `None` if a whole cannot be told exactly from its parts.
fn written(pieces: &[Piece], fills: &[Fill], types: &[Vec<ColumnType>]) -> Option<Vec<u8>> {
    let mut statement = Vec::new();
    for piece in pieces {
        let (number, of) = match piece {
            Piece::Text(text) => {
                statement.extend_from_slice(text);
                continue;
            }
            Piece::Whole { fill, of } => (*fill, of),
        };
        let fill = fills.get(number)?;
        let type_of = |name: &str| {
            let names = fill.columns.iter().map(|column| &column.name);
            let at = names.chain(&fill.types).position(|it| it == name)?;
            types.get(number)?.get(at)
        };
        let whole = match of {
            Parts::Count(column) => format!("CAST(SUM(`{column}`) AS SIGNED)"),
            Parts::Min(column) => format!("MIN(`{column}`)"),
            Parts::Max(column) => format!("MAX(`{column}`)"),
            Parts::Sum(column) => {
                format!("CAST(SUM(`{column}`) AS {})", type_of(column)?.decimal()?)
            }
            // A division has the digits of an average, also those that are only seen when something
            // else is made of it.
            Parts::Average { sum, count, typed } => {
                type_of(typed)?.decimal()?;
                format!(
                    "(CAST(SUM(`{sum}`) AS {})/CAST(SUM(`{count}`) AS SIGNED))",
                    type_of(sum)?.decimal()?
                )
            }
        };
        statement.extend_from_slice(whole.as_bytes());
    }
    Some(statement)
}

/// The definitions of columns as they were found, under the names that a statement has for them.
#[must_use]
pub fn named_as(found: &[Vec<u8>], own: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut named = Vec::with_capacity(found.len());
    for (number, found) in found.iter().enumerate() {
        let own = own.get(number);
        named.push(own.map_or_else(|| found.clone(), |own| columns::with_types(own, found)));
    }
    named
}

/// The definitions of a statement's columns for rows that were found by another one; `None` if its values
/// are not written in the same way.
///
/// # Errors
/// When a definition is cut short.
pub fn told_as(
    found: &[Vec<u8>],
    own: &[Vec<u8>],
    capabilities: Capabilities,
) -> Result<Option<Vec<Vec<u8>>>, NodeError> {
    if found.len() != own.len() {
        return Ok(None);
    }
    let mut all = Vec::with_capacity(own.len());
    for (found, own) in found.iter().zip(own) {
        let its = ColumnType::read(found, capabilities)?;
        if its.form() != ColumnType::read(own, capabilities)?.form() {
            return Ok(None);
        }
        all.push(columns::told(own, found, capabilities)?);
    }
    Ok(Some(all))
}
