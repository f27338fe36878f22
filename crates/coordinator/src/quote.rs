//! Names in SQL.

/// A name as it stands in a statement, whatever is in it.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
