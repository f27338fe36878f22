//! Puts together the ways to answer a statement.

use std::collections::BTreeSet;

use super::fill::{Piece, Recipe, push_text};
use super::plain::{self, Wanted, Wants};
use super::query::{Block, Part, Query};
use super::rewrite::Rewriter;
use super::scope::{Ctes, Known, Source};
use super::tables::{Placement, Tables};
use super::text::{Span, Text, begins_query};
use super::{Facts, ReadPlan};
use crate::quote::identifier;

/// The ways to answer a statement, the fastest first.
pub(super) fn recipes(
    text: &Text<'_>,
    tables: &Tables,
    facts: &Facts,
    nodes: Vec<u16>,
) -> ReadPlan {
    let known = Known {
        text,
        tables,
        database: facts.database.as_deref(),
        pipes_concat: facts.pipes_concat,
    };
    let Some(query) = Query::read(text, 0..text.len()) else {
        if let Some(recipe) = into_table(&known) {
            return ReadPlan {
                recipes: vec![recipe],
                nodes,
                ..ReadPlan::default()
            };
        }
        let names = plain::all_names(text);
        // A star may stand anywhere.
        let has_star =
            (0..text.len()).any(|at| text.is_symbol(at, "*") || text.is_word(at, "NATURAL"));
        let names = (!has_star).then_some(&names);
        let lock = lock_in(
            |at, word| at < text.len() && text.is_word(at, word),
            text.len(),
        );
        let wanted = match lock {
            Some(clause) => Wanted::locked(clause),
            None => Wanted::default(),
        };
        let fills = tables
            .iter()
            .filter(|(_, table)| table.is_hashed())
            .map(|(key, table)| plain::fill(key, table, names, &wanted))
            .collect();
        let locks = lock.is_some();
        return ReadPlan {
            recipes: vec![Recipe {
                fills,
                statement: None,
            }],
            nodes,
            locks,
            ..ReadPlan::default()
        };
    };
    let mut locks = false;
    query.each_block(&mut |block| locks |= block.lock.is_some());
    let mut recipes = Vec::new();
    let same_nodes = {
        let mut all = tables.values().map(|table| &table.nodes);
        let first = all.next();
        all.all(|nodes| Some(nodes) == first)
    };
    if same_nodes && !locks {
        for parts in [true, false] {
            let mut work = Work {
                known: &known,
                facts,
                parts,
                recipe: Recipe::default(),
                replaced: Vec::new(),
                has_parts: false,
                whole: match &query.parts[..] {
                    [Part::Block(block)] => block.span.clone(),
                    _ => 0..0,
                },
            };
            work.query(&query, &Vec::new());
            if work.replaced.is_empty() {
                break;
            }
            let has_parts = work.has_parts;
            recipes.push(work.finish(&query));
            if !has_parts {
                break;
            }
        }
    }
    recipes.push(Recipe {
        fills: plain_fills(&known, &query, BTreeSet::new()),
        statement: None,
    });
    ReadPlan {
        recipes,
        nodes,
        locks,
        ..ReadPlan::default()
    }
}

/// How rows are locked by a statement whose structure is not understood: all that are gathered.
pub(super) fn lock_in(is_word: impl Fn(usize, &str) -> bool, len: usize) -> Option<&'static str> {
    let stands = |words: &[&str]| {
        (0..len).any(|start| {
            let mut words = words.iter().enumerate();
            words.all(|(at, word)| is_word(start + at, word))
        })
    };
    if stands(&["FOR", "UPDATE"]) {
        return Some("FOR UPDATE");
    }
    stands(&["LOCK", "IN", "SHARE", "MODE"]).then_some("LOCK IN SHARE MODE")
}

/// What the query of an `INSERT … SELECT` wants, which runs as it stands.
fn into_table(known: &Known<'_, '_>) -> Option<Recipe> {
    let text = known.text;
    if !text.is_any(0, &["INSERT", "REPLACE"]) {
        return None;
    }
    let start = (1..text.len()).find(|&at| begins_query(text, at))?;
    // The names of columns before it are in parentheses of their own.
    let query = Query::read(text, start..text.len())?;
    let mut locks = false;
    query.each_block(&mut |block| locks |= block.lock.is_some() || block.into.is_some());
    (!locks).then(|| Recipe {
        fills: plain_fills(known, &query, BTreeSet::new()),
        statement: None,
    })
}

/// The tables that are gathered under their own names.
fn plain_fills(
    known: &Known<'_, '_>,
    query: &Query,
    rewritten: BTreeSet<usize>,
) -> Vec<super::Fill> {
    let mut wants = Wants {
        known,
        rewritten,
        of: std::collections::BTreeMap::new(),
    };
    wants.query(query, &Vec::new());
    let names = plain::all_names(known.text);
    let mut fills = Vec::new();
    for (key, wanted) in &wants.of {
        if let Some(table) = known.tables.get(key).filter(|_| wanted.is_read()) {
            fills.push(plain::fill(key, table, Some(&names), wanted));
        }
    }
    fills
}

struct Work<'w, 'p, 'a> {
    known: &'w Known<'p, 'a>,
    facts: &'w Facts,
    parts: bool,
    recipe: Recipe,
    /// What stands in the place of which blocks.
    replaced: Vec<(Span, Vec<Piece>)>,
    has_parts: bool,
    /// Where the statement's only block stands.
    whole: Span,
}

impl<'p> Work<'_, 'p, '_> {
    /// Rewrites the blocks of a query that can be.
    fn query(&mut self, query: &'p Query, ctes: &Ctes<'p>) {
        let inner = self.known.ctes_of(query, ctes);
        let with: &[u8] = if ctes.is_empty() {
            self.known.text.slice(&query.with)
        } else {
            b""
        };
        // Names of further out stand nowhere on the nodes.
        let is_plain = ctes.is_empty() && !query.recursive;
        let mut whole = true;
        for part in &query.parts {
            match part {
                Part::Nested(query) => {
                    self.query(query, &inner);
                    whole = false;
                }
                Part::Values(queries) => {
                    for query in queries {
                        self.query(query, &inner);
                    }
                    whole = false;
                }
                Part::Block(block) => {
                    let uses_ctes = uses(block, &inner, self.known);
                    let done = (is_plain || !uses_ctes)
                        && self.block(block, &inner, if uses_ctes { with } else { b"" });
                    if !done {
                        whole = false;
                        self.inside(block, &inner);
                    }
                }
            }
        }
        // Expressions that nobody reads any more need not be looked at.
        if !whole {
            for (number, cte) in query.ctes.iter().enumerate() {
                let before = self.known.ctes_before(query, number, ctes);
                self.query(&cte.query, &before);
            }
        }
    }

    fn inside(&mut self, block: &'p Block, ctes: &Ctes<'p>) {
        let scope = self.known.scope(block, ctes.clone(), None);
        for source in &scope.sources {
            if let Source::Query(query, false) = source {
                self.query(query, ctes);
            }
        }
        for subquery in &block.subqueries {
            self.query(&subquery.query, ctes);
        }
    }

    /// Whether a block was rewritten.
    fn block(&mut self, block: &'p Block, ctes: &Ctes<'p>, with: &[u8]) -> bool {
        let scope = self.known.scope(block, ctes.clone(), None);
        let Some(core) = self.known.core(&scope, None, 0) else {
            return false;
        };
        if core.domain.is_none() {
            return false;
        }
        let Some((schema, nodes)) = self.hashed() else {
            return false;
        };
        let fill = self.recipe.fills.len();
        let rewriter = Rewriter {
            known: self.known,
            scope: &scope,
            core: &core,
            with,
            table: format!(
                "{}.{}",
                identifier(&schema),
                identifier(&format!("__openpeta_{fill}"))
            ),
            fill,
            nodes,
            parts: self.parts,
            is_whole: block.span == self.whole,
            full_group_by: self.facts.has_mode("ONLY_FULL_GROUP_BY"),
        };
        let Some(rewritten) = rewriter.rewrite() else {
            return false;
        };
        self.has_parts |= rewritten.has_parts;
        self.recipe.fills.push(rewritten.fill);
        self.replaced.push((block.span.clone(), rewritten.pieces));
        true
    }

    /// A database that tables at home can be made in, and the nodes.
    fn hashed(&self) -> Option<(String, Vec<u16>)> {
        let is_hashed = |(_, table): &(&plain::Key, &super::Table)| {
            matches!(table.placement, Placement::Hash { .. })
        };
        let (key, table) = self.known.tables.iter().find(is_hashed)?;
        Some((key.0.clone(), table.nodes.clone()))
    }

    fn finish(mut self, query: &'p Query) -> Recipe {
        let text = self.known.text;
        self.replaced.sort_by_key(|(span, _)| span.start);
        let mut statement = Vec::new();
        let mut at = 0;
        for (span, pieces) in &self.replaced {
            let bytes = text.bytes_of(span);
            push_text(&mut statement, &text.bytes[at..bytes.start]);
            for piece in pieces {
                match piece {
                    Piece::Text(text) => push_text(&mut statement, text),
                    piece => statement.push(piece.clone()),
                }
            }
            at = bytes.end;
        }
        push_text(
            &mut statement,
            &text.bytes[at..text.bytes_of(&query.span).end],
        );
        let rewritten = self.replaced.iter().map(|(span, _)| span.start).collect();
        let others = plain_fills(self.known, query, rewritten);
        self.recipe.fills.extend(others);
        self.recipe.statement = Some(statement);
        self.recipe
    }
}

/// Whether a block reads common table expressions, itself or in queries inside of it.
fn uses(block: &Block, ctes: &Ctes<'_>, known: &Known<'_, '_>) -> bool {
    let span = block.span.clone();
    span.into_iter().any(|at| {
        let name = known.text.name(at);
        name.is_some_and(|name| ctes.iter().any(|(cte, _)| *cte == name))
    })
}
