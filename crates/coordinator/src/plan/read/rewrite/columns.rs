//! Columns of the table at home.

use std::collections::BTreeMap;

use crate::plan::read::fill::FillColumn;
use crate::plan::read::scope::ColumnRef;

/// The columns of the table at home.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) list: Vec<FillColumn>,
    pub(super) of: BTreeMap<ColumnRef, usize>,
    pub(super) types: Vec<FillColumn>,
}

impl Columns {
    pub(super) fn add(&mut self, prefix: &str, expression: Vec<u8>) -> String {
        let name = format!("__{prefix}{}", self.list.len() + 1);
        self.list.push(FillColumn {
            name: name.clone(),
            expression,
        });
        name
    }

    pub(super) fn column(&mut self, column: ColumnRef, expression: Vec<u8>) -> String {
        if let Some(&at) = self.of.get(&column) {
            return self.list[at].name.clone();
        }
        self.of.insert(column, self.list.len());
        self.add("c", expression)
    }
}
