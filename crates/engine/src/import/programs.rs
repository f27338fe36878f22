//! Makes the views and programs of a dump.

use std::borrow::Cow;
use std::collections::BTreeSet;

use openpeta_sql_route::Dialect;
use openpeta_types::DbName;

use super::definers::Definers;
use super::load::{Program, beginning};
use super::qualifiers;
use crate::backup::{Schema, Session};
use crate::error::{EngineError, Result};
use crate::quote;

/// MariaDB's codes for something that is there already.
const EXISTS: [u16; 4] = [
    1050, // a table or view
    1304, // a routine
    1359, // a trigger
    1537, // an event
];

/// How programs are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Making {
    /// For trial: events are looked at by the server, but not made, for they would run.
    Trial,
    /// For good; some may have been made by an earlier run.
    ForGood,
}

/// Gives all programs the definers that they are to have; tells which were changed.
///
/// # Errors
/// [`EngineError::NotImported`], naming accounts that are not there.
pub(super) fn settle(
    programs: &mut [Program],
    definers: &Definers,
    version: u32,
) -> Result<Vec<String>> {
    let (mut missing, mut notes) = (BTreeSet::new(), BTreeSet::new());
    let mut first = None;
    for program in programs.iter_mut().filter(|program| program.makes) {
        let dialect = dialect_of(program, version);
        match definers.settle(&program.text(), dialect) {
            Ok(settled) => {
                if let Some(account) = settled.replaced {
                    let by = match definers.accounts.contains(user_of(&account)) {
                        true => format!("{}@%", user_of(&account)),
                        false => definers.instead.clone().unwrap_or_default(),
                    };
                    notes.insert(format!("what {account} defined runs as {by}"));
                }
                program.set_text(&settled.text);
            }
            Err(account) => {
                first.get_or_insert_with(|| format!("{} ({})", program.place, program.what));
                missing.insert(account);
            }
        }
    }
    match first {
        None => Ok(notes.into_iter().collect()),
        Some(place) => Err(EngineError::NotImported {
            what: format!(
                "{place}: there is no account {}: make it, or say who stands in \
                 (--definer ACCOUNT), or keep it missing (--keep-definers)",
                missing.into_iter().collect::<Vec<_>>().join(", ")
            ),
        }),
    }
}

/// How a program is read.
fn dialect_of(program: &Program, version: u32) -> Dialect {
    let has = |word: &str| program.sql_mode.split(',').any(|found| found == word);
    let mut dialect = Dialect::new(version);
    dialect.ansi_quotes = has("ANSI_QUOTES");
    dialect.no_backslash_escapes = has("NO_BACKSLASH_ESCAPES");
    dialect
}

/// From which database to which programs go, on a server of which version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moves<'a> {
    /// The one that the dump is of, if it tells.
    pub(super) from: Option<&'a str>,
    pub(super) to: &'a DbName,
    pub(super) version: u32,
}

fn user_of(account: &str) -> &str {
    account.rsplit_once('@').map_or(account, |(user, _)| user)
}

/// Makes all programs in the session's database, each under its own settings.
///
/// # Errors
/// [`EngineError::NotImported`], or one of the connection.
pub(super) async fn make(
    session: &mut Session,
    programs: &[Program],
    making: Making,
    moves: Moves<'_>,
) -> Result<()> {
    for program in programs {
        let settings = format!(
            "SET time_zone={}, sql_mode={}, character_set_client={}, collation_connection={}",
            quote::string(&program.time_zone),
            quote::string(&program.sql_mode),
            program.charset,
            program.collation,
        );
        let action = "make a program";
        session.run(action, settings.as_bytes()).await?;
        let is_run = making == Making::ForGood || !program.is_event;
        let written = program.text();
        let text = match moves.from {
            Some(from) if program.what.starts_with("view ") => {
                let dialect = dialect_of(program, moves.version);
                qualifiers::moved(&written, dialect, from, moves.to.as_str())
            }
            _ => Cow::Borrowed(&written[..]),
        };
        let made = session.run_single(action, &text, is_run).await;
        session.run(action, b"SET NAMES utf8mb4").await?;
        match made {
            Err(error) if making == Making::ForGood && exists(&error) => {}
            Err(error) if error.server_code().is_some() => {
                return Err(EngineError::NotImported {
                    what: format!(
                        "{}, at \"{}\": error {}: {}",
                        program.place,
                        beginning(&text),
                        error.server_code().unwrap_or_default(),
                        error.server_message().unwrap_or_default(),
                    ),
                });
            }
            made => made?,
        }
    }
    Ok(())
}

fn exists(error: &EngineError) -> bool {
    error
        .server_code()
        .is_some_and(|code| EXISTS.contains(&code))
}

/// Removes triggers, and if `all` also views and the other programs, from a database of our own.
pub(super) async fn clear(session: &mut Session, database: &DbName, all: bool) -> Result<()> {
    let name = quote::string(database.as_str());
    let mut queries = vec![format!(
        "SELECT 'TRIGGER', TRIGGER_NAME FROM information_schema.TRIGGERS \
         WHERE TRIGGER_SCHEMA = {name}"
    )];
    if all {
        queries.push(format!(
            "SELECT 'VIEW', TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {name}"
        ));
        queries.push(format!(
            "SELECT type, name FROM mysql.proc WHERE db = {name} AND type <> 'PACKAGE BODY'"
        ));
    }
    for query in queries {
        let found: Vec<(String, String)> = session.rows("list programs", &query).await?;
        for (kind, name) in found {
            let statement = format!("DROP {kind} IF EXISTS {}", quote::identifier(&name));
            session.run("drop a program", statement.as_bytes()).await?;
        }
    }
    Ok(())
}

/// Makes sure that nothing runs as the import's own account, which goes.
pub(super) fn check_definers(schema: &Schema, database: &DbName, account: &str) -> Result<()> {
    let mark = format!("DEFINER={}@", quote::identifier(account)).into_bytes();
    let has = |text: &[u8]| text.windows(mark.len()).any(|part| part == mark);
    let views = schema
        .views
        .iter()
        .map(|view| ("view", &view.name, &view.create));
    let programs = schema.routines.iter().chain(&schema.triggers);
    let programs = programs.map(|it| ("program", &it.name, &it.create));
    match views.chain(programs).find(|(.., create)| has(create)) {
        None => Ok(()),
        Some((kind, name, _)) => Err(EngineError::NotImported {
            what: format!(
                "{kind} {name} of {database} has no definer: say who it is (--definer ACCOUNT)"
            ),
        }),
    }
}
