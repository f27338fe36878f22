//! Views over distributed tables: a query takes their place.

use std::collections::BTreeSet;

use super::from::Factor;
use super::query::{Block, Part, Query};
use super::text::Text;
use crate::Refusal;
use crate::catalogue::{Catalogue, Indirect, Named};
use crate::plan::Facts;
use crate::quote::identifier;

/// Views that stand in views are followed so deep.
const DEEPEST: usize = 16;

/// The statement with the queries of views in the place of their names; `None` if it has none.
///
/// # Errors
/// When what the statement would mean is not certain.
pub(super) fn inlined(
    statement: &[u8],
    catalogue: &Catalogue,
    facts: &Facts,
) -> Result<Option<Vec<u8>>, Refusal> {
    let mut current: Option<Vec<u8>> = None;
    for _ in 0..DEEPEST {
        let text = current.as_deref().unwrap_or(statement);
        let mentioned = catalogue.mentioned(text, facts.database.as_deref(), facts.dialect);
        let is_view = |named: &Named| *named == Named::Indirect(Indirect::View);
        if !mentioned.iter().any(|(_, _, named)| is_view(named)) {
            return Ok(current);
        }
        match once(text, catalogue, facts)? {
            Some(next) => current = Some(next),
            // Its name stands for something else.
            None => return Ok(current),
        }
    }
    Err(refused("views stand in views too deep"))
}

fn refused(what: &str) -> Refusal {
    Refusal::new("view", what)
}

fn once(
    statement: &[u8],
    catalogue: &Catalogue,
    facts: &Facts,
) -> Result<Option<Vec<u8>>, Refusal> {
    let unclear =
        || refused("where the statement reads a view of distributed tables is not certain");
    let text = Text::read(statement, facts.dialect).ok_or_else(unclear)?;
    let query = Query::read(&text, 0..text.len()).ok_or_else(unclear)?;
    let mut places = Vec::new();
    let mut names = BTreeSet::new();
    all_ctes(&query, &mut names);
    let mut failed = None;
    query.each_block(&mut |block| {
        if let Err(refusal) = views(block, &names, catalogue, facts, &mut places) {
            failed = Some(refusal);
        }
    });
    if let Some(refusal) = failed {
        return Err(refusal);
    }
    if places.is_empty() {
        return Ok(None);
    }
    places.sort_by_key(|(span, _): &(std::ops::Range<usize>, String)| span.start);
    let mut out = Vec::new();
    let mut at = 0;
    for (span, query) in places {
        let bytes = text.bytes_of(&span);
        out.extend_from_slice(&statement[at..bytes.start]);
        out.extend_from_slice(query.as_bytes());
        at = bytes.end;
    }
    out.extend_from_slice(&statement[at..]);
    Ok(Some(out))
}

/// The names of all common table expressions, wherever they can be seen.
fn all_ctes(query: &Query, names: &mut BTreeSet<String>) {
    for cte in &query.ctes {
        names.insert(cte.name.clone());
        all_ctes(&cte.query, names);
    }
    for part in &query.parts {
        match part {
            Part::Nested(query) => all_ctes(query, names),
            Part::Values(queries) => queries.iter().for_each(|query| all_ctes(query, names)),
            Part::Block(block) => {
                for factor in &block.from.factors {
                    if let Factor::Derived(query) = &factor.what {
                        all_ctes(query, names);
                    }
                }
                for subquery in &block.subqueries {
                    all_ctes(&subquery.query, names);
                }
            }
        }
    }
}

fn views(
    block: &Block,
    ctes: &BTreeSet<String>,
    catalogue: &Catalogue,
    facts: &Facts,
    places: &mut Vec<(std::ops::Range<usize>, String)>,
) -> Result<(), Refusal> {
    for factor in &block.from.factors {
        let Factor::Named { schema, name } = &factor.what else {
            continue;
        };
        if schema.is_none() && ctes.contains(name) {
            continue;
        }
        let Some(schema) = schema.as_deref().or(facts.database.as_deref()) else {
            continue;
        };
        let Some(view) = catalogue.view(schema, name) else {
            continue;
        };
        let has_backslash = view.contains('\\') && facts.dialect.no_backslash_escapes;
        if !view.is_ascii() || has_backslash || block.lock.is_some() {
            return Err(Refusal::new(
                "view",
                format_args!(
                    "the view {schema}.{name} cannot be read in this session, or be locked"
                ),
            ));
        }
        let alias = match &factor.alias {
            None => format!(" AS {}", identifier(name)),
            Some(_) => String::new(),
        };
        places.push((factor.head.clone(), format!("({view}){alias}")));
    }
    Ok(())
}
