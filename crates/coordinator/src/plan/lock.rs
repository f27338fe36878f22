//! `LOCK TABLES`.

use super::Facts;
use super::text::{Tokens, table_name};
use crate::Refusal;
use crate::catalogue::{Catalogue, Indirect, Named};
use crate::service::Mode;

/// What is to be locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockPlan {
    /// The distributed tables, and how; those behind views too.
    pub tables: Vec<((String, String), Mode)>,
    /// Home itself locks the statement's tables: nothing in it is written over nodes meanwhile.
    pub at_home: bool,
}

/// Whether a statement that begins with `LOCK` or `UNLOCK` is about tables.
#[must_use]
pub fn is_about_tables(tokens: &Tokens<'_>) -> bool {
    matches!(tokens.word(1).as_str(), "TABLE" | "TABLES")
}

/// Plans it.
///
/// # Errors
/// When it is not understood, or wants what cannot be locked together.
pub fn lock(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    facts: &Facts,
) -> Result<LockPlan, Refusal> {
    let mut tables = Vec::new();
    let (mut writes, mut has_others) = (false, false);
    let mut at = 2;
    loop {
        let rest = tokens.list.get(at..).unwrap_or_default();
        let (schema, name, taken) = table_name(rest, facts.dialect).ok_or_else(unreadable)?;
        at += taken;
        let is_write = kind(tokens, &mut at).ok_or_else(unreadable)?;
        writes |= is_write;
        let schema = match schema.or_else(|| facts.database.clone()) {
            Some(schema) => schema,
            None => return Err(Refusal::error(1046, b"3D000", "No database selected")),
        };
        let mode = if is_write { Mode::Alone } else { Mode::Share };
        match catalogue.get(&schema, &name) {
            Some(Named::Table(table)) => {
                tables.push(((table.schema.clone(), table.name.clone()), mode));
            }
            Some(Named::Indirect(Indirect::View)) => {
                has_others = true;
                let behind = behind_view(catalogue, &schema, &name, facts);
                tables.extend(behind.into_iter().map(|table| (table, mode)));
            }
            _ => has_others = true,
        }
        if !is_symbol(tokens, at, ",") {
            break;
        }
        at += 1;
    }
    match tokens.word(at).as_str() {
        "WAIT" => at += 2,
        "NOWAIT" => at += 1,
        _ => {}
    }
    if at != tokens.list.len() {
        return Err(unreadable());
    }
    if writes && has_others && !tables.is_empty() {
        return Err(Refusal::new(
            "lock-mixed",
            "distributed tables and others can be locked by one statement for READ alone",
        ));
    }
    Ok(LockPlan {
        at_home: !writes || tables.is_empty(),
        tables,
    })
}

/// Whether it is to be written, of what stands behind a table's name.
fn kind(tokens: &Tokens<'_>, at: &mut usize) -> Option<bool> {
    for _ in 0..2 {
        let word = tokens.word(*at);
        let next = tokens.word(*at + 1);
        match (word.as_str(), next.as_str()) {
            ("READ", "LOCAL") => *at += 2,
            ("READ", _) => *at += 1,
            ("LOW_PRIORITY", "WRITE") | ("WRITE", "CONCURRENT") => *at += 2,
            ("WRITE", _) => *at += 1,
            // Another name for it.
            ("AS", _) => {
                *at += 2;
                continue;
            }
            _ => {
                tokens.list.get(*at)?;
                *at += 1;
                continue;
            }
        }
        return Some(word != "READ");
    }
    None
}

fn is_symbol(tokens: &Tokens<'_>, at: usize, symbol: &str) -> bool {
    let token = tokens.list.get(at);
    token.is_some_and(|token| token.is_symbol(symbol))
}

/// The distributed tables that a view leads to.
fn behind_view(
    catalogue: &Catalogue,
    schema: &str,
    name: &str,
    facts: &Facts,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut seen = vec![(schema.to_owned(), name.to_owned())];
    let mut next = 0;
    while let Some((schema, name)) = seen.get(next).cloned() {
        next += 1;
        let Some(query) = catalogue.view(&schema, &name) else {
            continue;
        };
        for (schema, name, named) in catalogue.mentioned(query.as_bytes(), None, facts.dialect) {
            let key = (schema, name);
            match named {
                Named::Table(_) if !found.contains(&key) => found.push(key),
                Named::Indirect(Indirect::View) if !seen.contains(&key) => seen.push(key),
                _ => {}
            }
        }
    }
    found
}

fn unreadable() -> Refusal {
    Refusal::new("lock-form", "this LOCK TABLES is not understood")
}

#[cfg(test)]
mod tests {
    use super::super::tests::catalogue;
    use super::*;
    use openpeta_sql_route::Dialect;

    fn of(text: &str) -> Result<LockPlan, String> {
        let mut facts = Facts::new(101_119);
        facts.database = Some("s".into());
        let tokens = Tokens::of(text.as_bytes(), Dialect::new(101_119));
        assert!(is_about_tables(&tokens), "{text}");
        lock(&tokens, &catalogue(), &facts).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn what_is_locked_and_how() {
        let table = |name: &str, mode| (("s".to_owned(), name.to_owned()), mode);
        let plan = |tables: &[_], at_home| {
            Ok(LockPlan {
                tables: tables.to_vec(),
                at_home,
            })
        };
        assert_eq!(
            of("LOCK TABLES t READ"),
            plan(&[table("t", Mode::Share)], true)
        );
        assert_eq!(
            of("lock table `t` READ /*!32311 LOCAL */,other read local, s.words AS w READ WAIT 3"),
            plan(
                &[table("t", Mode::Share), table("words", Mode::Share)],
                true
            )
        );
        assert_eq!(
            of("LOCK TABLES t w LOW_PRIORITY WRITE, ids WRITE CONCURRENT NOWAIT"),
            plan(&[table("t", Mode::Alone), table("ids", Mode::Alone)], false)
        );
        assert_eq!(
            of("LOCK TABLES t READ, ids WRITE"),
            plan(&[table("t", Mode::Share), table("ids", Mode::Alone)], false)
        );
        assert_eq!(of("LOCK TABLES other WRITE"), plan(&[], true));
        for (text, code) in [
            ("LOCK TABLES t WRITE, other READ", "lock-mixed"),
            ("LOCK TABLES t", "lock-form"),
            ("LOCK TABLES t READ,", "lock-form"),
            ("LOCK TABLES t READ nonsense", "lock-form"),
        ] {
            let refused = of(text).expect_err(text);
            assert!(refused.contains(code), "{text}: {refused}");
        }
    }
}
