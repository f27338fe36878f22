//! Definitions of tables with what `SHOW CREATE TABLE` does not show of them.

use openpeta_sql_route::Untold;

use super::session::Session;
use crate::error::{EngineError, Result};
use crate::quote;

/// A temporary table of our own.
const COPY: &str = "`openpeta_untold`";

/// The statement that makes a table, as it was shown.
pub(super) async fn exact(session: &mut Session, table: &str, shown: &str) -> Result<String> {
    let Some(untold) = Untold::of(shown, false) else {
        return Ok(shown.to_owned());
    };
    let action = "read a definition";
    let mut answers = Vec::new();
    for statement in untold.statements(&quote::identifier(table), COPY) {
        let rows: Vec<mysql_async::Row> = session.rows(action, &statement).await?;
        let texts = rows.into_iter().map(|row| {
            let value = |value| mysql_async::from_value::<Option<String>>(value);
            row.unwrap().into_iter().map(value).collect()
        });
        answers.push(texts.collect());
    }
    let exact = untold.made_good(shown, &answers);
    exact.ok_or_else(|| EngineError::Untold {
        table: table.to_owned(),
    })
}
