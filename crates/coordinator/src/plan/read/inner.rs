//! Queries inside of a statement that writes.

use super::super::Facts;
use super::from::Factor;
use super::query::Query;
use super::text::{Text, begins_query};

/// Whether all queries in a statement read tables that are `accepted`, by database and name, alone, and find the same wherever
/// these are: none picks rows by `LIMIT`, locks or stores any. `false` also where that cannot be told.
pub fn reads_only(
    statement: &[u8],
    facts: &Facts,
    accepted: impl Fn(Option<&str>, &str) -> bool,
) -> bool {
    let text = Text::read(statement, facts.dialect).filter(|text| text.has_clear_names(facts.utf8));
    let Some(text) = text else {
        return false;
    };
    let (mut at, mut fits) = (0, true);
    while at < text.len() && fits {
        if text.is_symbol(at, "(") && begins_query(&text, at + 1) {
            let close = text.closing(at, text.len());
            let query = close.and_then(|close| Query::read(&text, at + 1..close));
            if let (Some(close), Some(query)) = (close, query) {
                query.each_block(&mut |block| {
                    let takes_all = block.limit.is_none() && block.into.is_none();
                    fits &= takes_all && block.lock.is_none();
                    fits &= block.from.factors.iter().all(|factor| match &factor.what {
                        Factor::Named { schema, name } => accepted(schema.as_deref(), name),
                        Factor::Derived(_) => true,
                        Factor::Function => false,
                    });
                });
                at = close;
            }
        }
        // One that was not read, or names that mean queries.
        fits &= !text.is_any(at, &["SELECT", "WITH", "TABLE"]);
        at += 1;
    }
    fits
}

/// Whether a query locks rows of tables for writes, or may: `FOR UPDATE` locks none of queries inside of `FROM`.
pub fn locks_tables(statement: &[u8], facts: &Facts) -> bool {
    let Some(text) = Text::read(statement, facts.dialect) else {
        return true;
    };
    let Some(query) = Query::read(&text, 0..text.len()) else {
        return true;
    };
    let mut locks = false;
    query.each_block(&mut |block| {
        let mut lock = block.lock.iter();
        let is_for_writes = lock.any(|lock| text.is_word(lock.start, "FOR"));
        let mut factors = block.from.factors.iter();
        locks |= is_for_writes && factors.any(|factor| matches!(factor.what, Factor::Named { .. }));
    });
    locks
}
