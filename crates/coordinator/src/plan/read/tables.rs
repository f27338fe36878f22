//! What is known of the tables that a statement may name.

use std::collections::BTreeMap;

use openpeta_sql_route::{KeyType, Partitions};

/// Where the rows of a table are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// At home alone.
    Single,
    /// All of them on each node of the database.
    Broadcast,
    /// Each on the node of its partition.
    Hash {
        /// The column that tells which, by its place.
        column: usize,
        /// Tables whose rows go together by equal values of this column have the same domain.
        domain: String,
    },
    /// It is a view.
    View {
        /// Its query, each name in it with its database.
        query: String,
    },
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its definition, as a table definition has it, without an expression to make it from others.
    pub definition: String,
    /// The first word of its type.
    pub kind: String,
    /// `SELECT *` leaves it out.
    pub is_invisible: bool,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its columns, by their places.
    pub columns: Vec<usize>,
    /// Its name, in lower case.
    pub name: String,
    /// Whether it forbids equal rows.
    pub is_unique: bool,
    /// Its definition, as a table definition has it.
    pub definition: String,
}

/// A table or a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its indexes that a temporary table can have.
    pub indexes: Vec<Index>,
    /// What a table definition has behind its columns: its character set.
    pub options: String,
    /// Where its rows are.
    pub placement: Placement,
    /// The nodes that have rows of it.
    pub nodes: Vec<u16>,
    /// It has a full-text index.
    pub has_fulltext: bool,
    /// Which of the rows on a node count, if not all do.
    pub owned: Option<Owned>,
}

/// Which rows on a node count: those of its own partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The distribution column.
    pub column: String,
    /// What it holds.
    pub kind: KeyType,
    /// The partitions of the database.
    pub partitions: Partitions,
    /// Those of each node, as they stand in the place of [`Owned::MARK`].
    pub lists: BTreeMap<u16, String>,
}

impl Owned {
    /// What stands in a query for the partitions of the node that it is sent to.
    pub const MARK: &str = "/*openpeta:owned*/NULL";

    /// The condition on the rows of a table, by the name that it goes by.
    #[must_use]
    pub fn condition(&self, table: &str) -> String {
        let column = format!(
            "{}.{}",
            crate::quote::identifier(table),
            crate::quote::identifier(&self.column)
        );
        let partition = self.kind.partition_sql(&column, self.partitions);
        format!("{partition} IN ({})", Self::MARK)
    }
}

impl Table {
    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        let is_it = |column: &Column| same_name(&column.name, name);
        self.columns.iter().position(is_it)
    }

    /// Whether its rows are on more nodes than home.
    #[must_use]
    pub fn is_hashed(&self) -> bool {
        matches!(self.placement, Placement::Hash { .. })
    }

    /// Reads what `SHOW CREATE TABLE` shows, all of whose rows are at home; `None` if it is not
    /// understood, or of a kind that cannot be put together from rows.
    #[must_use]
    pub fn from_definition(definition: &str) -> Option<Self> {
        let mut lines = definition.lines();
        if !lines.next()?.ends_with('(') {
            return None;
        }
        let mut table = Self {
            columns: Vec::new(),
            indexes: Vec::new(),
            options: String::new(),
            placement: Placement::Single,
            nodes: vec![0],
            has_fulltext: false,
            owned: None,
        };
        let mut indexes = Vec::new();
        for line in lines {
            if let Some(options) = line.strip_prefix(')') {
                table.options = charset_options(options)?;
                for (line, is_unique) in indexes {
                    table.add_index(line, is_unique)?;
                }
                return Some(table);
            }
            let line = line.trim();
            let line = line.strip_suffix(',').unwrap_or(line);
            if line.starts_with('`') {
                let (name, rest) = take_name(line)?;
                let kind = rest.trim_start().split([' ', '(']).next()?;
                let is_invisible = rest.contains(" INVISIBLE");
                table.columns.push(Column {
                    definition: format!("{} {}", crate::quote::identifier(&name), plain(rest)?),
                    name,
                    kind: kind.to_owned(),
                    is_invisible,
                });
            } else if line.starts_with("PRIMARY KEY") || line.starts_with("UNIQUE KEY") {
                indexes.push((line, true));
            } else if line.starts_with("KEY") {
                indexes.push((line, false));
            } else if line.starts_with("FULLTEXT KEY") {
                table.has_fulltext = true;
            } else if !(line.starts_with("SPATIAL KEY") || line.starts_with("CONSTRAINT")) {
                return None;
            }
        }
        None
    }

    fn add_index(&mut self, line: &str, is_unique: bool) -> Option<()> {
        let mut index_name = "primary".to_owned();
        let mut rest = line.get(line.find('(')?..)?;
        // The name may have a parenthesis in it.
        if let Some(at) = line.find('`').filter(|_| !line.starts_with("PRIMARY")) {
            let (name, after) = take_name(&line[at..])?;
            index_name = name.to_lowercase();
            rest = after.trim_start();
        }
        let mut rest = rest.strip_prefix('(')?;
        let mut columns = Vec::new();
        loop {
            let (name, after) = take_name(rest)?;
            columns.push(self.column(&name)?);
            // A length or a direction.
            let end = after.find([',', ')'])?;
            let end = match after.strip_prefix('(') {
                Some(length) => {
                    let close = length.find(')')? + 2;
                    close + after[close..].find([',', ')'])?
                }
                None => end,
            };
            if after[end..].starts_with(')') {
                break;
            }
            rest = &after[end + 1..];
        }
        self.indexes.push(Index {
            name: index_name,
            columns,
            is_unique,
            definition: line.to_owned(),
        });
        Some(())
    }
}

/// The tables that are known, by database and name.
pub type Tables = BTreeMap<(String, String), Table>;

/// Whether two names of columns or aliases are the same.
#[must_use]
pub fn same_name(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
        || (!one.is_ascii() && one.to_lowercase() == other.to_lowercase())
}

/// A name in backticks, and what follows.
fn take_name(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('`')?;
    let mut name = String::new();
    let mut rest = inner;
    loop {
        let end = rest.find('`')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('`') {
            Some(after) => {
                name.push('`');
                rest = after;
            }
            None => return Some((name, rest)),
        }
    }
}

/// A column's definition without what makes its values.
fn plain(definition: &str) -> Option<String> {
    let mut text = definition.trim().to_owned();
    for mark in [" GENERATED ALWAYS AS (", " AS ("] {
        if let Some(start) = outside_quotes(&text, mark) {
            let open = start + mark.len() - 1;
            let end = open + closing(&text[open..])?;
            let rest = text[end + 1..].to_owned();
            text.truncate(start);
            let kinds = [" VIRTUAL", " STORED", " PERSISTENT"];
            let rest = kinds
                .iter()
                .find_map(|kind| rest.strip_prefix(kind))
                .map_or(rest.clone(), str::to_owned);
            // GENERATED ALWAYS AS ROW START is none of these.
            text.push_str(&rest);
        }
    }
    if outside_quotes(&text, " GENERATED ALWAYS AS ROW ").is_some() {
        return None;
    }
    if let Some(start) = outside_quotes(&text, " CHECK (") {
        let open = start + " CHECK (".len() - 1;
        let end = open + closing(&text[open..])?;
        text.replace_range(start..=end, "");
    }
    Some(text)
}

/// Where a mark stands outside of quotes.
fn outside_quotes(text: &str, mark: &str) -> Option<usize> {
    let mut quote = None;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (None, _) if text.as_bytes()[at..].starts_with(mark.as_bytes()) => return Some(at),
            (None, byte @ (b'\'' | b'`')) => quote = Some(byte),
            (Some(open), byte) if byte == open => quote = None,
            (Some(b'\''), b'\\') => at += 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The parenthesis that closes the one which a text begins with.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (None, b'(') => depth += 1,
            (None, b')') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            (None, byte @ (b'\'' | b'`')) => quote = Some(byte),
            (Some(open), byte) if byte == open => quote = None,
            (Some(b'\''), b'\\') => at += 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The options of a table that its temporary copy needs.
fn charset_options(options: &str) -> Option<String> {
    if outside_quotes(options, "WITH SYSTEM VERSIONING").is_some()
        || outside_quotes(options, "ENGINE=SEQUENCE").is_some()
    {
        return None;
    }
    let wanted = |word: &&str| word.starts_with("CHARSET=") || word.starts_with("COLLATE=");
    let before = options.find(" COMMENT=").unwrap_or(options.len());
    let words: Vec<_> = options[..before].split(' ').filter(wanted).collect();
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_read() {
        let table = Table::from_definition(
            "CREATE TABLE `t` (\n  `id` int(11) NOT NULL AUTO_INCREMENT,\n  \
             `a``b` varchar(10) DEFAULT 'AS (x)' COMMENT 'CHECK (',\n  \
             `g` int(11) GENERATED ALWAYS AS (`id` + char_length(')')) VIRTUAL,\n  \
             `h` int(11) GENERATED ALWAYS AS (`id` + 1) STORED INVISIBLE,\n  \
             `j` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`j`)),\n  \
             PRIMARY KEY (`id`),\n  UNIQUE KEY `u(` (`a``b`(3),`g` DESC) COMMENT 'x',\n  \
             KEY `k` (`g`),\n  FULLTEXT KEY `f` (`j`),\n  \
             CONSTRAINT `c` CHECK (`id` > 0)\n) ENGINE=InnoDB AUTO_INCREMENT=5 \
             DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci COMMENT='CHARSET=x' \
             /* `distribute_by`='HASH(id)' */",
        )
        .expect("readable");
        let definitions: Vec<_> = table.columns.iter().map(|it| &*it.definition).collect();
        assert_eq!(
            definitions,
            [
                "`id` int(11) NOT NULL AUTO_INCREMENT",
                "`a``b` varchar(10) DEFAULT 'AS (x)' COMMENT 'CHECK ('",
                "`g` int(11)",
                "`h` int(11) INVISIBLE",
                "`j` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL",
            ]
        );
        let indexes: Vec<_> = table.indexes.iter().map(|it| &it.columns[..]).collect();
        assert_eq!(indexes, [&[0][..], &[1, 2], &[2]]);
        assert_eq!(table.options, "CHARSET=latin1 COLLATE=latin1_swedish_ci");
        assert!(table.has_fulltext && table.columns[3].is_invisible);
    }
}
