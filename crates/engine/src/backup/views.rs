//! Views, and how they can be made.
//!
//! A view can only be made of what exists, and none can be made of a view or function whose
//! definer's account does not exist, which is usual where a backup is loaded. So those that
//! others are made of are made first without their definer, and get it in the end.

use std::collections::{BTreeMap, BTreeSet};

use openpeta_types::DbName;

use super::session::Session;
use crate::error::{EngineError, Result};
use crate::quote;

/// A view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) name: String,
    /// The statement that makes it, in the character set of the client that it was made by.
    pub(crate) create: Vec<u8>,
    pub(crate) charset: String,
    pub(crate) collation: String,
    /// What it is made of, as the information schema shows it.
    pub(crate) select: String,
    /// All else that it is, for a comparison.
    options: String,
    /// The tables and views of this database that it is made of.
    made_of: BTreeSet<String>,
}

/// MariaDB's code for an account that does not exist.
const NO_DEFINER: u16 = 1449;

/// MariaDB's codes for a view of something that does not exist.
const INVALID: [u16; 5] = [
    1054, // unknown column
    1146, // no such table
    1305, // no such routine
    1356, // refers to something invalid, or its definer may not
    1462, // made of itself
];

impl View {
    /// What it is, for a comparison with another one. Whether a column is shown with the
    /// database's name depends on how the view came to be, so that name does not count.
    pub(crate) fn definition(&self, database: &DbName) -> String {
        let qualifier = format!("{}.", quote::identifier(database.as_str()));
        format!("{}\n{}", self.options, self.select.replace(&qualifier, ""))
    }
}

/// The views of a database, each behind those that it is made of, and the definitions of those
/// that are made of something that does not exist.
pub(crate) async fn read(
    session: &mut Session,
    database: &DbName,
    tables: &BTreeSet<String>,
) -> Result<(Vec<View>, BTreeMap<String, String>)> {
    let query = format!(
        "SELECT TABLE_NAME, VIEW_DEFINITION, CHECK_OPTION, DEFINER, SECURITY_TYPE, ALGORITHM, \
                CHARACTER_SET_CLIENT, COLLATION_CONNECTION \
         FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {} ORDER BY TABLE_NAME",
        quote::string(database.as_str())
    );
    type Found = (
        String,
        String,
        String,
        String,
        String,
        String,
        String,
        String,
    );
    let found: Vec<Found> = session.rows("list views", &query).await?;
    let (mut views, mut states) = (Vec::new(), Vec::new());
    for (name, select, check, definer, security, algorithm, charset, collation) in found {
        let create = match show_create(session, &name).await? {
            Some(create) => create,
            None => {
                let (user, host) = definer.rsplit_once('@').unwrap_or((&definer, ""));
                let check = match check.as_str() {
                    "NONE" => String::new(),
                    check => format!(" WITH {check} CHECK OPTION"),
                };
                format!(
                    "CREATE ALGORITHM={algorithm} DEFINER={} SQL SECURITY {security} VIEW {} \
                     AS {select}{check}",
                    quote::account(user, host),
                    quote::identifier(&name)
                )
                .into_bytes()
            }
        };
        states.push(state(session, &name, &select).await?);
        views.push(View {
            made_of: references(&select, database.as_str()),
            options: format!("{check} {definer} {security} {algorithm} {charset} {collation}"),
            name,
            create,
            charset,
            collation,
            select,
        });
    }
    Ok(in_order(views, &states, tables))
}

/// The statement that makes a view; `None` when the server does not tell for want of an
/// account.
async fn show_create(session: &mut Session, view: &str) -> Result<Option<Vec<u8>>> {
    let query = format!("SHOW CREATE VIEW {}", quote::identifier(view));
    match session.raw("read a view", &query).await {
        Ok(texts) => Ok(texts.into_iter().nth(1).flatten()),
        Err(error) if error.server_code() == Some(NO_DEFINER) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a view can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Valid,
    Invalid,
    /// The server does not tell for want of an account.
    Untold,
}

async fn state(session: &mut Session, view: &str, select: &str) -> Result<State> {
    let query = format!("SHOW COLUMNS FROM {}", quote::identifier(view));
    let state = told(session.run("read a view's columns", query.as_bytes()).await)?;
    if state != State::Invalid {
        return Ok(state);
    }
    // It may be that its definer alone lacks the rights to it.
    let set = format!("SET @openpeta_view = {}", quote::string(select));
    session.run("look at a view", set.as_bytes()).await?;
    let statement = b"PREPARE openpeta_view FROM @openpeta_view";
    let state = told(session.run("look at a view", statement).await)?;
    if state == State::Valid {
        let statement = b"DEALLOCATE PREPARE openpeta_view";
        session.run("look at a view", statement).await?;
    }
    Ok(state)
}

fn told(answer: Result<()>) -> Result<State> {
    match answer {
        Ok(()) => Ok(State::Valid),
        Err(error @ EngineError::Sql { .. }) => match error.server_code() {
            Some(NO_DEFINER) => Ok(State::Untold),
            Some(code) if INVALID.contains(&code) => Ok(State::Invalid),
            _ => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// What a view is made of: names behind the database's in a text that the server wrote.
fn references(select: &str, database: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut previous = None;
    let mut rest = select;
    while let Some(at) = rest.find(['\'', '`']) {
        let is_dotted = rest[..at] == *".";
        let (word, end) = quoted(&rest[at..]);
        let is_name = rest.as_bytes()[at] == b'`';
        rest = &rest[at + end..];
        if is_name && is_dotted && previous.as_deref() == Some(database) {
            names.insert(word.clone());
        }
        previous = is_name.then_some(word);
    }
    names
}

/// The text between the quotes at the beginning, and where they end.
pub(super) fn quoted(text: &str) -> (String, usize) {
    let mut characters = text.char_indices();
    let Some((_, quote)) = characters.next() else {
        return (String::new(), 0);
    };
    let mut word = String::new();
    while let Some((at, character)) = characters.next() {
        if character == '\\' && quote != '`' {
            word.extend(characters.next().map(|(_, escaped)| escaped));
        } else if character != quote {
            word.push(character);
        } else if text[at + quote.len_utf8()..].starts_with(quote) {
            characters.next();
            word.push(quote);
        } else {
            return (word, at + quote.len_utf8());
        }
    }
    (word, text.len())
}

/// Puts each view behind those that it is made of; those that cannot be made are given apart.
fn in_order(
    views: Vec<View>,
    states: &[State],
    tables: &BTreeSet<String>,
) -> (Vec<View>, BTreeMap<String, String>) {
    let mut waiting: Vec<(View, State)> = views.into_iter().zip(states.iter().copied()).collect();
    let mut present = tables.clone();
    let mut ordered = Vec::new();
    loop {
        let can_be_made = |(view, state): &(View, State)| {
            *state != State::Invalid && view.made_of.is_subset(&present)
        };
        let Some(next) = waiting.iter().position(can_be_made) else {
            break;
        };
        let (view, _) = waiting.remove(next);
        present.insert(view.name.clone());
        ordered.push(view);
    }
    let invalid = waiting.into_iter().map(|(view, _)| {
        let create = String::from_utf8_lossy(&view.create).into_owned();
        (view.name, create)
    });
    (ordered, invalid.collect())
}

/// Those of some views that others of them are made of.
pub(crate) fn bases(views: &[View]) -> BTreeSet<&str> {
    let used = views.iter().flat_map(|view| &view.made_of);
    used.map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(name: &str, select: &str) -> View {
        View {
            name: name.into(),
            create: Vec::new(),
            charset: String::new(),
            collation: String::new(),
            select: select.into(),
            options: String::new(),
            made_of: references(select, "shop"),
        }
    }

    #[test]
    fn references_are_names_and_not_texts() {
        let found = |select| references(select, "shop").into_iter().collect::<Vec<_>>();
        assert_eq!(
            found("select `shop`.`t`.`a` AS `b` from (`shop`.`t` join `other`.`u`)"),
            ["t"]
        );
        assert_eq!(
            found("select '`shop`.`x`', 'it\\'s', 'it''s `shop`.`y`'"),
            [""; 0]
        );
        assert_eq!(found("select 1 from `shop`.`we``ird`"), ["we`ird"]);
        assert_eq!(found("select `x`.`shop` + `y` from `shop` . `z`"), [""; 0]);
        assert_eq!(found("select 'no end"), [""; 0]);
    }

    #[test]
    fn a_view_comes_behind_those_it_is_made_of() {
        let views = vec![
            view("a", "select 1 from `shop`.`c`"),
            view("b", "select 1 from `shop`.`t`"),
            view("c", "select 1 from `shop`.`b` join `shop`.`t`"),
            view("gone", "select 1 from `shop`.`g`"),
            view("of_gone", "select 1 from `shop`.`gone`"),
        ];
        let states = [
            State::Untold,
            State::Valid,
            State::Untold,
            State::Invalid,
            State::Untold,
        ];
        let tables = BTreeSet::from(["t".to_owned()]);
        let (ordered, invalid) = in_order(views, &states, &tables);
        let names: Vec<_> = ordered.iter().map(|view| view.name.as_str()).collect();
        assert_eq!(names, ["b", "c", "a"]);
        assert_eq!(invalid.keys().collect::<Vec<_>>(), ["gone", "of_gone"]);
        assert_eq!(
            bases(&ordered).into_iter().collect::<Vec<_>>(),
            ["b", "c", "t"]
        );
    }
}
