//! Reads of the tables of `information_schema` that tell of rows and bytes: where they are named, and which
//! distributed tables they can be about.

use std::sync::Arc;

use openpeta_sql_route::{Encoding, TokenKind};

use super::from::{Factor, TableFactor};
use super::query::{Block, Part, Query};
use super::text::{Span, Text};
use crate::catalogue::{Catalogue, Indirect, Named, Table};
use crate::plan::Facts;
use crate::plan::figures::{FiguresPlan, Form, Kind, Piece};
use crate::quote::identifier;

const SCHEMA: &str = "information_schema";

/// A place where such a table is named.
struct Reference {
    kind: Kind,
    head: Span,
    /// The name that it goes by is to be given, for it was given none.
    name: Option<String>,
    /// Conditions that hold for all of its rows that matter, each with `AND` before it.
    narrowed: Vec<u8>,
    tables: Vec<Arc<Table>>,
}

/// What a read asks for of figures; `None` if it asks for none of distributed tables, or is not understood well
/// enough: then home answers it alone.
#[must_use]
pub fn figures(
    statement: &[u8],
    mentioned: &[(String, String, Named)],
    catalogue: &Catalogue,
    facts: &Facts,
) -> Option<FiguresPlan> {
    let leads_on = |(_, _, named): &(_, _, Named)| *named == Named::Indirect(Indirect::Routine);
    if facts.dialect.encoding != Encoding::AsciiCompatible || mentioned.iter().any(leads_on) {
        return None;
    }
    let text =
        Text::read(statement, facts.dialect).filter(|text| text.has_clear_names(facts.utf8))?;
    let query = Query::read(&text, 0..text.len())?;
    let mut ctes = Vec::new();
    expressions(&query, &mut ctes);
    let mut found = Vec::new();
    let (mut is_of_rows, mut has_star, mut into) = (false, false, false);
    query.each_block(&mut |block| {
        has_star |= block.items.iter().any(|item| item.is_star) || block.from.merges_columns;
        into |= block.into.is_some();
        for factor in &block.from.factors {
            let Factor::Named { schema, name } = &factor.what else {
                continue;
            };
            if schema.is_none() && ctes.iter().any(|cte| cte.eq_ignore_ascii_case(name)) {
                continue;
            }
            let schema = schema.as_deref().or(facts.database.as_deref());
            let Some(schema) = schema else { continue };
            if !schema.eq_ignore_ascii_case(SCHEMA) {
                is_of_rows |= match catalogue.get(schema, name) {
                    Some(Named::Table(table)) => table.key().is_some(),
                    Some(Named::Indirect(indirect)) => *indirect != Indirect::Trigger,
                    None => false,
                };
            } else if let Some(kind) = Kind::named(name) {
                found.push(reference(
                    &text,
                    block,
                    factor,
                    (kind, name),
                    catalogue,
                    facts,
                ));
            }
        }
    });
    // What rows there are is another matter.
    if is_of_rows || found.iter().all(|reference| reference.tables.is_empty()) {
        return None;
    }
    let asks = |kind: Kind| {
        has_star || (0..text.len()).any(|at| text.name(at).is_some_and(|name| kind.has(&name)))
    };
    found.retain(|reference| asks(reference.kind));
    found.sort_by_key(|reference| reference.head.start);
    let mut tables: Vec<Arc<Table>> = Vec::new();
    for table in found.iter().flat_map(|reference| &reference.tables) {
        if !tables.iter().any(|known| Arc::ptr_eq(known, table)) {
            tables.push(Arc::clone(table));
        }
    }
    if tables.is_empty() {
        return None;
    }
    Some(FiguresPlan {
        form: Form::Read {
            pieces: pieces(&text, found),
            into,
        },
        tables,
    })
}

/// The names of all common table expressions.
fn expressions(query: &Query, names: &mut Vec<String>) {
    for cte in &query.ctes {
        names.push(cte.name.clone());
        expressions(&cte.query, names);
    }
    for part in &query.parts {
        if let Part::Nested(query) = part {
            expressions(query, names);
        }
    }
    query.each_block(&mut |block| {
        for factor in &block.from.factors {
            if let Factor::Derived(query) = &factor.what {
                names.extend(query.ctes.iter().map(|cte| cte.name.clone()));
            }
        }
        for subquery in &block.subqueries {
            names.extend(subquery.query.ctes.iter().map(|cte| cte.name.clone()));
        }
    });
}

fn reference(
    text: &Text<'_>,
    block: &Block,
    factor: &TableFactor,
    (kind, name): (Kind, &str),
    catalogue: &Catalogue,
    facts: &Facts,
) -> Reference {
    let mut tables: Vec<_> = catalogue
        .tables()
        .filter(|table| kind.concerns(table))
        .cloned()
        .collect();
    let mut narrowed = Vec::new();
    let condition = block
        .condition
        .as_ref()
        .filter(|_| !block.from.merges_columns);
    let parts = condition.map(|span| text.conjuncts(span, facts.pipes_concat));
    for part in parts.unwrap_or_default() {
        let goes_by = factor.goes_by().unwrap_or(name);
        let Some((column, values, behind)) = names(text, &part, goes_by, facts) else {
            continue;
        };
        tables.retain(|table| {
            let own = match column {
                "TABLE_SCHEMA" => &table.schema,
                _ => &table.name,
            };
            let is_it = |value: &String| value.trim_end_matches(' ').eq_ignore_ascii_case(own);
            values.iter().any(is_it)
        });
        narrowed.extend_from_slice(format!(" AND s.{column} ").as_bytes());
        narrowed.extend_from_slice(text.slice(&behind));
    }
    Reference {
        kind,
        head: factor.head.clone(),
        name: factor.alias.is_none().then(|| name.to_owned()),
        narrowed,
        tables,
    }
}

/// The values that a condition leaves of the name of a table or of its database, and the condition behind
/// the column. Values beyond ASCII may be equal to others: nothing is concluded then.
fn names(
    text: &Text<'_>,
    part: &Span,
    goes_by: &str,
    facts: &Facts,
) -> Option<(&'static str, Vec<String>, Span)> {
    let mut at = part.start;
    if text.is_symbol(at + 1, ".") {
        if text.name(at)? != goes_by {
            return None;
        }
        at += 2;
    }
    let name = text.name(at)?;
    let column = ["TABLE_SCHEMA", "TABLE_NAME"]
        .into_iter()
        .find(|known| name.eq_ignore_ascii_case(known))?;
    let behind = at + 1..part.end;
    let value = |at: usize| {
        let token = text
            .get(at)
            .filter(|token| token.kind == TokenKind::String)?;
        // With an N before it, it is of a character set.
        token.text.starts_with(b"'").then_some(())?;
        let value = token.string(&text.dialect)?;
        let value = String::from_utf8(value.into_owned()).ok()?;
        value.is_ascii().then_some(value)
    };
    let values = if text.is_symbol(at + 1, "=") {
        if behind.len() == 2 {
            vec![value(at + 2)?]
        } else if behind.len() == 4
            && text.is_any(at + 2, &["DATABASE", "SCHEMA"])
            && text.is_symbol(at + 3, "(")
            && text.is_symbol(at + 4, ")")
        {
            facts.database.iter().cloned().collect()
        } else {
            return None;
        }
    } else if text.is_word(at + 1, "IN")
        && text.is_symbol(at + 2, "(")
        && text.is_symbol(part.end - 1, ")")
        && part.end > at + 4
    {
        let list = text.between_commas(&(at + 3..part.end - 1));
        let one = |span: &Span| (span.len() == 1).then(|| value(span.start))?;
        list.iter().map(one).collect::<Option<_>>()?
    } else {
        return None;
    };
    Some((column, values, behind))
}

/// The statement with the references replaced, and without the names of the database before columns.
fn pieces(text: &Text<'_>, references: Vec<Reference>) -> Vec<Piece> {
    let mut edits: Vec<(usize, usize, Option<Reference>)> = Vec::new();
    for at in 0..text.len() {
        let is_schema = text
            .name(at)
            .is_some_and(|name| name.eq_ignore_ascii_case(SCHEMA));
        let is_of_column = text.is_symbol(at + 1, ".") && text.is_symbol(at + 3, ".");
        if is_schema && is_of_column && !text.is_behind_point(at) {
            let range = text.bytes_of(&(at..at + 2));
            edits.push((range.start, range.end, None));
        }
    }
    for reference in references {
        let range = text.bytes_of(&reference.head);
        edits.push((range.start, range.end, Some(reference)));
    }
    edits.sort_by_key(|edit| edit.0);
    let mut pieces = Vec::new();
    let mut at = 0;
    for (start, end, reference) in edits {
        pieces.push(Piece::Text(text.bytes[at..start].to_vec()));
        at = end;
        let Some(reference) = reference else { continue };
        pieces.push(Piece::Source {
            kind: reference.kind,
            narrowed: reference.narrowed,
        });
        if let Some(name) = reference.name {
            pieces.push(Piece::Text(
                format!(" AS {}", identifier(&name)).into_bytes(),
            ));
        }
    }
    pieces.push(Piece::Text(text.bytes[at..].to_vec()));
    pieces
}

#[cfg(test)]
mod tests {
    use openpeta_sql_route::{KeyColumn, KeyType};

    use super::*;
    use crate::catalogue::Distribution;

    fn catalogue() -> Catalogue {
        let table = |schema: &str, name: &str, is_hashed: bool| Table {
            schema: schema.into(),
            name: name.into(),
            distribution: match is_hashed {
                true => Distribution::Hash(KeyColumn {
                    name: "id".into(),
                    position: 0,
                    kind: KeyType::Integer { min: 0, max: 9 },
                }),
                false => Distribution::Broadcast,
            },
            columns: Vec::new(),
            auto_increment: None,
            primary_key: Vec::new(),
            has_triggers: false,
            has_foreign_keys: false,
            engine: "InnoDB".into(),
            definition: String::new(),
        };
        Catalogue::of_tables([
            table("shop", "orders", true),
            table("shop", "t", true),
            table("shop", "countries", false),
            table("other", "orders", true),
        ])
    }

    /// The statement, with what stands in the place of tables in brackets, and the tables it is about.
    fn of(statement: &str, database: &str) -> Option<(String, Vec<String>)> {
        let mut facts = Facts::new(101_119);
        facts.database = Some(database.to_owned());
        let catalogue = catalogue();
        let mentioned = catalogue.mentioned(statement.as_bytes(), Some(database), facts.dialect);
        let plan = figures(statement.as_bytes(), &mentioned, &catalogue, &facts)?;
        let Form::Read { pieces, .. } = &plan.form else {
            panic!("it is a read");
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let pieces = pieces.iter().map(|piece| match piece {
            Piece::Text(bytes) => text(bytes),
            Piece::Source { kind, narrowed } => format!("[{}{}]", kind.name(), text(narrowed)),
        });
        let tables = plan.tables.iter();
        let tables = tables.map(|table| format!("{}.{}", table.schema, table.name));
        Some((pieces.collect(), tables.collect()))
    }

    #[test]
    fn references_become_queries() {
        let pieces = |statement: &str, database: &str| of(statement, database).map(|it| it.0);
        for (statement, database, expected) in [
            (
                "SELECT TABLE_ROWS FROM information_schema.TABLES",
                "shop",
                "SELECT TABLE_ROWS FROM [TABLES] AS `TABLES`",
            ),
            (
                "select information_schema.tables.data_length from INFORMATION_SCHEMA . tables",
                "shop",
                "select tables.data_length from [TABLES] AS `tables`",
            ),
            (
                "SELECT * FROM `tables` t JOIN partitions AS p USING (table_name) ORDER BY 1",
                "information_schema",
                "SELECT * FROM [TABLES] t JOIN [PARTITIONS] AS p USING (table_name) ORDER BY 1",
            ),
            (
                "SELECT (SELECT SUM(t.index_length) FROM information_schema.tables t WHERE t.table_schema = \
                 s.schema_name AND t.table_name IN ('t', 'orders')) FROM information_schema.schemata s",
                "shop",
                "SELECT (SELECT SUM(t.index_length) FROM [TABLES AND s.TABLE_NAME IN ('t', 'orders')] t \
                 WHERE t.table_schema = s.schema_name AND t.table_name IN ('t', 'orders')) \
                 FROM information_schema.schemata s",
            ),
            (
                "SELECT cardinality FROM information_schema.statistics t WHERE (t.table_schema = database() \
                 AND table_name = 'orders') AND index_name = 'x'",
                "shop",
                "SELECT cardinality FROM [STATISTICS AND s.TABLE_SCHEMA = database() AND s.TABLE_NAME = \
                 'orders'] t WHERE (t.table_schema = database() AND table_name = 'orders') AND \
                 index_name = 'x'",
            ),
        ] {
            let found = pieces(statement, database);
            assert_eq!(found.as_deref(), Some(expected), "{statement}");
        }
    }

    #[test]
    fn what_is_about_no_figures_of_distributed_tables_is_left_alone() {
        for (statement, database) in [
            ("SELECT table_name FROM information_schema.tables", "shop"),
            ("SELECT COUNT(*) FROM information_schema.tables", "shop"),
            (
                "SELECT * FROM information_schema.tables WHERE table_schema = 'mine'",
                "shop",
            ),
            (
                "SELECT * FROM information_schema.statistics WHERE table_name = 'countries'",
                "shop",
            ),
            ("SELECT * FROM information_schema.columns", "shop"),
            ("SELECT * FROM tables", "shop"),
            (
                "WITH tables AS (SELECT 1 AS table_rows) SELECT * FROM tables",
                "information_schema",
            ),
            // Its rows are elsewhere.
            (
                "SELECT * FROM information_schema.tables JOIN orders",
                "shop",
            ),
            (
                "SELECT * FROM information_schema.tables /*! WHERE 1 */",
                "shop",
            ),
            (
                "SELECT data_length FROM information_schema.tables t PROCEDURE (",
                "shop",
            ),
        ] {
            assert_eq!(of(statement, database), None, "{statement}");
        }
    }

    #[test]
    fn only_tables_that_can_matter_are_asked_about() {
        let tables = |condition: &str| {
            let statement = format!("SELECT * FROM information_schema.tables t WHERE {condition}");
            of(&statement, "shop").map(|it| it.1.join(" "))
        };
        let all = "other.orders shop.countries shop.orders shop.t";
        for (condition, expected) in [
            ("TABLE_SCHEMA = 'SHOP'", "shop.countries shop.orders shop.t"),
            ("table_schema = 'shop' AND t.table_name = 'T '", "shop.t"),
            ("table_schema IN ('other', 'x')", "other.orders"),
            (
                "t.TABLE_SCHEMA = SCHEMA() AND engine = 'InnoDB'",
                "shop.countries shop.orders shop.t",
            ),
            ("TABLE_SCHEMA = 'shop' OR 1", all),
            ("NOT TABLE_SCHEMA = 'shop'", all),
            ("u.TABLE_SCHEMA = 'shop'", all),
            ("TABLE_SCHEMA = CONCAT('sh', 'op')", all),
            ("TABLE_SCHEMA = 'shop' 'x'", all),
            ("TABLE_SCHEMA = 'shöp'", all),
            ("engine BETWEEN 'a' AND table_schema = 'shop'", all),
        ] {
            assert_eq!(tables(condition).as_deref(), Some(expected), "{condition}");
        }
    }
}
