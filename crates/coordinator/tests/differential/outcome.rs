//! What a client sees of a statement, and whether two servers answer alike.

use mysql_async::prelude::Queryable;
use mysql_async::{BinaryProtocol, Conn, Params, QueryResult, Row, TextProtocol, Value};

use super::generator::{Order, Sort, Statement};

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Rows(Vec<String>, Vec<Vec<Value>>),
    Done {
        affected: u64,
        last_insert_id: Option<u64>,
        info: String,
        warnings: u16,
    },
    Failed(u16, String),
    /// The connection ended.
    Lost(String),
}

/// Errors of single rows: which of them a statement with many tells of may differ.
const OF_ROWS: [u16; 10] = [1048, 1062, 1264, 1265, 1292, 1364, 1366, 1406, 1411, 4025];

impl Outcome {
    /// The code of one of our refusals.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Failed(_, message) => message.strip_prefix("OpenPeta: ")?.split(':').next(),
            _ => None,
        }
    }

    /// Rows have other numbers where a node has some of them alone.
    pub fn without_row_numbers(self) -> Self {
        let Self::Rows(names, mut rows) = self else {
            return self;
        };
        for value in rows.iter_mut().flatten() {
            if let Value::Bytes(text) = value
                && let Some(at) = text.windows(8).rposition(|it| it == b" at row ")
            {
                text.truncate(at);
            }
        }
        Self::Rows(names, rows)
    }

    /// Of what kind it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rows(..) => "rows",
            Self::Done { .. } => "done",
            Self::Failed(..) => "failed",
            Self::Lost(_) => "lost",
        }
    }

    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(..) | Self::Lost(_))
    }

    /// What a client could tell apart, if anything.
    pub fn against(&self, plain: &Self, statement: &Statement) -> Option<String> {
        let differ = match (self, plain) {
            (Self::Rows(names, rows), Self::Rows(plain_names, plain_rows)) => {
                let mut both = [rows.clone(), plain_rows.clone()];
                if statement.order == Order::Any {
                    both.iter_mut().for_each(|rows| sort(rows));
                }
                names != plain_names || both[0] != both[1]
            }
            (Self::Failed(code, _), Self::Failed(plain_code, _)) => {
                let may_differ = statement.sort == Sort::Rows
                    && [code, plain_code].iter().all(|code| OF_ROWS.contains(code));
                code != plain_code && !may_differ
            }
            (
                Self::Done {
                    affected,
                    last_insert_id,
                    info,
                    warnings,
                },
                Self::Done {
                    affected: a,
                    last_insert_id: l,
                    info: i,
                    warnings: w,
                },
            ) => {
                // A table that is not distributed is noted.
                let may_be_noted = statement.text.starts_with("CREATE TABLE");
                affected != a
                    || last_insert_id != l
                    || !may_be_noted && (warnings != w || info != i)
            }
            _ => true,
        };
        differ.then(|| format!("ours:  {}\nplain: {}", self.told(), plain.told()))
    }

    pub fn told(&self) -> String {
        let Self::Rows(names, rows) = self else {
            return format!("{self:?}");
        };
        let mut rows = rows.clone();
        sort(&mut rows);
        let shown: Vec<_> = rows
            .iter()
            .take(60)
            .map(|row| texts(row).join(", "))
            .collect();
        format!(
            "{} rows of ({})\n  {}",
            rows.len(),
            names.join(", "),
            shown.join("\n  ")
        )
    }
}

fn texts(row: &[Value]) -> Vec<String> {
    row.iter().map(|it| it.as_sql(true)).collect()
}

fn sort(rows: &mut [Vec<Value>]) {
    rows.sort_by_cached_key(|row| texts(row));
}

/// Runs a statement.
pub async fn run(conn: &mut Conn, text: &str, parameters: Option<&[String]>) -> Outcome {
    let outcome = match parameters {
        None => match conn.query_iter(text).await {
            Ok(result) => taken::<TextProtocol>(result).await,
            Err(error) => Err(error),
        },
        Some(parameters) => prepared(conn, text, parameters).await,
    };
    match outcome {
        Ok(outcome) => outcome,
        Err(mysql_async::Error::Server(error)) => Outcome::Failed(error.code, error.message),
        Err(error) => Outcome::Lost(error.to_string()),
    }
}

async fn prepared(
    conn: &mut Conn,
    text: &str,
    parameters: &[String],
) -> mysql_async::Result<Outcome> {
    let statement = conn.prep(text).await?;
    let values: Vec<_> = parameters.iter().map(|literal| bound(literal)).collect();
    let values = match values.is_empty() {
        true => Params::Empty,
        false => Params::Positional(values),
    };
    let outcome = match conn.exec_iter(&statement, values).await {
        Ok(result) => taken::<BinaryProtocol>(result).await,
        Err(error) => Err(error),
    };
    if !matches!(&outcome, Err(error) if error.is_fatal()) {
        conn.close(statement).await?;
    }
    outcome
}

async fn taken<P: mysql_async::prelude::Protocol>(
    mut result: QueryResult<'_, '_, P>,
) -> mysql_async::Result<Outcome> {
    let names: Vec<_> = result
        .columns_ref()
        .iter()
        .map(|it| it.name_str().into_owned())
        .collect();
    let rows: Vec<Row> = result.collect().await?;
    if names.is_empty() {
        return Ok(Outcome::Done {
            affected: result.affected_rows(),
            last_insert_id: result.last_insert_id(),
            info: result.info().into_owned(),
            warnings: result.warnings(),
        });
    }
    Ok(Outcome::Rows(
        names,
        rows.into_iter().map(Row::unwrap).collect(),
    ))
}

/// A literal as the value of a parameter.
fn bound(literal: &str) -> Value {
    if literal == "NULL" {
        return Value::NULL;
    }
    if let Some(text) = literal.strip_prefix('\'') {
        let text = text.strip_suffix('\'').expect("quoted");
        let text = text
            .replace("''", "'")
            .replace("\\t", "\t")
            .replace("\\\\", "\\");
        return Value::Bytes(text.into_bytes());
    }
    match literal.parse::<i64>() {
        Ok(number) => Value::Int(number),
        Err(_) => Value::UInt(literal.parse().expect("a number")),
    }
}
