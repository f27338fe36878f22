//! Definitions of tables with what a server does not show of them.

use openpeta_sql_route::Untold;

use super::load::{LoadError, rows};
use crate::node::NodeConnection;
use crate::quote::identifier;

/// The definition of a table as it is, out of what `SHOW CREATE TABLE` shows at home. It may be for sessions
/// in any `sql_mode`.
///
/// # Errors
/// When home cannot be asked.
pub(crate) async fn exact_definition(
    home: &mut NodeConnection,
    (schema, name): (&str, &str),
    shown: String,
    for_any_mode: bool,
) -> Result<String, LoadError> {
    let Some(untold) = Untold::of(&shown, for_any_mode) else {
        return Ok(shown);
    };
    let table = format!("{}.{}", identifier(schema), identifier(name));
    let copy = format!("{}.`openpeta_untold`", identifier(schema));
    let mut answers = Vec::new();
    for statement in untold.statements(&table, &copy) {
        answers.push(rows(home, &statement).await?);
    }
    let exact = untold.made_good(&shown, &answers);
    exact.ok_or_else(|| LoadError::Table {
        schema: schema.to_owned(),
        name: name.to_owned(),
        why: "the server does not tell the words or defaults of its columns".to_owned(),
    })
}
