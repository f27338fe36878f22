//! What may not be done in a transaction that only reads. Nodes do not know of such transactions, home neither:
//! no temporary table could be made there, which reads over several nodes need.

use openpeta_sql_route::{Dialect, Token, TokenKind};

use super::text::Tokens;
use super::{Facts, Refusal};
use crate::catalogue::Catalogue;

/// Refuses what writes in a transaction that only reads.
///
/// # Errors
/// The error that a server has for it.
pub fn only_reads(tokens: &Tokens<'_>, facts: &Facts) -> Result<(), Refusal> {
    if !is_in_one(facts) {
        return Ok(());
    }
    let is_block = matches!(
        tokens.verb().as_str(),
        "BEGIN" | "IF" | "CASE" | "LOOP" | "WHILE" | "REPEAT" | "FOR"
    );
    let writes = writes(&tokens.verb(), tokens)
        || locks(tokens, facts)
        || draws(&tokens.list)
        || is_block && body_writes(&tokens.list);
    match writes {
        true => Err(refusal()),
        false => Ok(()),
    }
}

/// Refuses what calls a stored program that may write, in a transaction that only reads. One that would not
/// come to its write is refused as well.
///
/// # Errors
/// As [`only_reads`].
pub fn calls_no_writer(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    facts: &Facts,
) -> Result<(), Refusal> {
    let calls = |(schema, name): (Option<String>, String)| {
        let schema = schema.or_else(|| facts.database.clone());
        schema.is_some_and(|schema| catalogue.writes(&schema, &name))
    };
    match is_in_one(facts) && called(&tokens.list, facts.dialect).into_iter().any(calls) {
        true => Err(refusal()),
        false => Ok(()),
    }
}

fn is_in_one(facts: &Facts) -> bool {
    facts.read_only && facts.in_transaction
}

/// What a server says.
pub(super) fn refusal() -> Refusal {
    Refusal::error(
        1792,
        b"25006",
        "Cannot execute statement in a READ ONLY transaction",
    )
}

/// Whether a statement is one that writes.
pub(super) fn writes(verb: &str, tokens: &Tokens<'_>) -> bool {
    matches!(verb, "INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "LOAD")
        || verb == "WITH" && (tokens.has_word("UPDATE") || tokens.has_word("DELETE"))
}

/// Whether it locks rows for writes, as `SELECT … FOR UPDATE` does.
pub(super) fn locks(tokens: &Tokens<'_>, facts: &Facts) -> bool {
    let mut pairs = tokens.list.windows(2);
    let is_said = pairs.any(|pair| pair[0].is_word("FOR") && pair[1].is_word("UPDATE"));
    is_said && super::read::locks_tables(tokens.text, facts)
}

/// Whether a number is drawn from a sequence, or set.
fn draws(tokens: &[Token<'_>]) -> bool {
    tokens.windows(2).any(|pair| match pair[1].is_symbol("(") {
        true => ["NEXTVAL", "SETVAL"].iter().any(|it| pair[0].is_word(it)),
        false => pair[0].is_word("NEXT") && pair[1].is_word("VALUE"),
    })
}

/// Whether statements of a stored program may write something that is not the session's alone, or make a
/// temporary table.
pub(crate) fn body_writes(tokens: &[Token<'_>]) -> bool {
    let is_one_of = |at: usize, words: &[&str]| words.iter().any(|it| tokens[at].is_word(it));
    let is_function = |at: usize| {
        let is_called = tokens.get(at + 1).is_some_and(|next| next.is_symbol("("));
        is_called && is_one_of(at, &["INSERT", "REPLACE"])
    };
    let verbs = ["INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "TEMPORARY"];
    let is_verb = |at: usize| is_one_of(at, &verbs) && !is_function(at);
    (0..tokens.len()).any(is_verb) || draws(tokens)
}

/// The names that are called in a text, or may be.
pub(crate) fn called(tokens: &[Token<'_>], dialect: Dialect) -> Vec<(Option<String>, String)> {
    let name = |at: usize| {
        let token: &Token<'_> = tokens.get(at)?;
        let is_name = matches!(token.kind, TokenKind::Word | TokenKind::QuotedName);
        let name = token.name(&dialect).filter(|_| is_name)?;
        Some(String::from_utf8_lossy(&name).into_owned())
    };
    let is = |at: usize, symbol: &str| tokens.get(at).is_some_and(|it| it.is_symbol(symbol));
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if is(at + 1, "(")
            && let Some(its) = name(at)
        {
            let has_schema = at >= 2 && is(at - 1, ".");
            let schema = at.checked_sub(2).filter(|_| has_schema).and_then(name);
            found.push((schema, its));
        } else if token.is_word("CALL")
            && let Some(first) = name(at + 1)
        {
            // Those without parentheses.
            match name(at + 3).filter(|_| is(at + 2, ".")) {
                Some(its) => found.push((Some(first), its)),
                None => found.push((None, first)),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use openpeta_sql_route::Lexer;

    const DIALECT: fn() -> Dialect = || Dialect::new(101_119);

    fn list(text: &str) -> Vec<Token<'_>> {
        let all = Lexer::new(text.as_bytes(), DIALECT());
        all.filter(|token| token.kind.is_significant()).collect()
    }

    #[test]
    fn bodies_that_may_write() {
        for body in [
            "UPDATE t SET v = 1",
            "BEGIN IF x THEN DELETE FROM t; END IF; END",
            "BEGIN CREATE TEMPORARY TABLE x (a INT); END",
            "RETURN NEXTVAL(s)",
            "RETURN NEXT VALUE FOR s",
            "SELECT v FROM t FOR UPDATE",
            "REPLACE t VALUES (1)",
            "UPDATE (t JOIN u ON t.k = u.k) SET t.v = 1",
        ] {
            assert!(body_writes(&list(body)), "{body}");
        }
        for body in [
            "RETURN REPLACE(a, 'x', INSERT(b, 1, 2, 'y'))",
            "SELECT 'UPDATE', `delete`, last_update FROM t",
            "BEGIN DECLARE a INT DEFAULT 1; SET a = 2; RETURN a; END",
        ] {
            assert!(!body_writes(&list(body)), "{body}");
        }
    }

    #[test]
    fn names_that_are_called() {
        let of = |text: &str| -> Vec<String> {
            let found = called(&list(text), DIALECT()).into_iter();
            found
                .map(|(schema, name)| match schema {
                    Some(schema) => format!("{schema}.{name}"),
                    None => name,
                })
                .collect()
        };
        assert_eq!(of("CALL p"), ["p"]);
        assert_eq!(of("CALL s.`p`()"), ["s.p", "s.p"]);
        assert_eq!(of("SELECT f(1), s.g (2), h FROM t"), ["f", "s.g"]);
        assert_eq!(of("SELECT a FROM t"), [""; 0]);
    }
}
