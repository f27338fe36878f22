//! How the values of a column are put together.

/// How several values of a column become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// They are added up.
    Sum,
    /// The largest one.
    Max,
    /// The one of the latest row.
    Last,
}

/// What has been folded so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    value: i64,
    /// The time of the row that it came from.
    at: i64,
}

impl Fold {
    /// Adds a value to what there is. Of two last ones at the same time the one added later holds.
    #[inline]
    pub(crate) fn add(self, cell: &mut Option<Cell>, at: i64, value: i64) {
        let new = Cell { value, at };
        match cell {
            None => *cell = Some(new),
            Some(old) => match self {
                Self::Sum => old.value = old.value.saturating_add(value),
                Self::Max => old.value = old.value.max(value),
                Self::Last if at >= old.at => *old = new,
                Self::Last => {}
            },
        }
    }
}

impl Cell {
    pub(crate) const fn value(self) -> i64 {
        self.value
    }
}
