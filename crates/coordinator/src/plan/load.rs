//! `LOAD DATA` of a client's file whose lines can be told apart, and their nodes, as they come.

use openpeta_sql_route::Token;

use super::Facts;
use super::lines::Form;
use super::text::{Tokens, between_commas, closing};
use crate::catalogue::Table;
use crate::quote::identifier;

/// What is needed to bring each line to its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitPlan {
    /// How the lines are written.
    pub form: Form,
    /// The statement up to the table's name.
    head: Vec<u8>,
    /// What follows the name, without lines to pass over, which nodes do not get.
    pub tail: Vec<u8>,
    /// The file's character set, if the statement names it.
    pub charset: Option<String>,
}

impl SplitPlan {
    /// The statement for a node.
    #[must_use]
    pub fn statement(&self, table: &Table, charset: &str) -> Vec<u8> {
        let mut name = format!("{}.{}", identifier(&table.schema), identifier(&table.name));
        if self.charset.is_none() {
            // A node's own would be that of the database, as it was told there.
            name.push_str(&format!(" CHARACTER SET {charset}"));
        }
        [&self.head[..], name.as_bytes(), &self.tail].concat()
    }
}

/// Whether a file in a character set has no byte that means something else behind another one: then
/// lines are told apart byte by byte.
#[must_use]
pub fn is_bytewise(charset: &str) -> bool {
    is_utf8(charset) || matches!(charset, "ascii" | "latin1" | "binary")
}

/// Whether it is a form of UTF-8.
#[must_use]
pub fn is_utf8(charset: &str) -> bool {
    matches!(charset, "utf8mb4" | "utf8mb3" | "utf8")
}

/// Reads what stands behind the table's name, at this token; `None` where rows have to be made at home.
pub(super) fn split(
    tokens: &Tokens<'_>,
    at: usize,
    table: &Table,
    facts: &Facts,
    head: Vec<u8>,
) -> Option<SplitPlan> {
    let key = table.key()?;
    let is_plain = tokens.word(1) == "DATA"
        && !table.has_triggers
        && !table.columns.iter().any(|column| column.generated)
        && !facts.has_mode("NO_BACKSLASH_ESCAPES");
    if !is_plain {
        return None;
    }
    let mut reader = Reader { tokens, at, facts };
    let charset = reader.charset()?;
    let mut form = Form {
        field_end: b'\t',
        line_end: (b'\n', None),
        quote: None,
        escape: Some(b'\\'),
        fields: 0,
        key: 0,
        auto: None,
        skip: 0,
    };
    reader.fields(&mut form)?;
    reader.lines(&mut form)?;
    let before = reader.end();
    form.skip = reader.skipped()?;
    let behind = reader.end();
    let columns = reader.columns(table)?;
    if reader.at != tokens.list.len() || !are_apart(&form) {
        return None;
    }
    form.fields = columns.len();
    let place = |column: usize| columns.iter().position(|it| *it == column);
    form.key = place(table.column(key.name.as_bytes())?)?;
    if let Some(auto) = table.auto_increment {
        // Rows without a value get one from us.
        form.auto = Some(place(auto)?);
    }
    let start = tokens.range(&tokens.list[at - 1]).end;
    let text = tokens.text;
    Some(SplitPlan {
        form,
        head,
        tail: [&text[start..before], &text[behind..reader.end()]].concat(),
        charset,
    })
}

/// Whether all that divides lines is told apart by its first byte.
fn are_apart(form: &Form) -> bool {
    let mut seen = Vec::new();
    let all = [
        Some(form.field_end),
        Some(form.line_end.0),
        form.quote,
        form.escape,
    ];
    all.into_iter().flatten().all(|byte| {
        let is_new = !seen.contains(&byte);
        seen.push(byte);
        is_new && byte.is_ascii() && !byte.is_ascii_alphanumeric() && byte != b'-'
    })
}

struct Reader<'t, 'a> {
    tokens: &'t Tokens<'a>,
    at: usize,
    facts: &'t Facts,
}

impl<'a> Reader<'_, 'a> {
    fn token(&self) -> Option<&Token<'a>> {
        self.tokens.list.get(self.at)
    }

    /// Where the token before ends.
    fn end(&self) -> usize {
        self.tokens.range(&self.tokens.list[self.at - 1]).end
    }

    /// Passes over words, if they come next.
    fn takes(&mut self, words: &[&str]) -> bool {
        let all = words.iter().enumerate();
        let is_next = all
            .clone()
            .all(|(number, word)| self.tokens.word(self.at + number) == *word);
        if is_next {
            self.at += words.len();
        }
        is_next
    }

    /// `CHARACTER SET`, if it is there.
    fn charset(&mut self) -> Option<Option<String>> {
        if !self.takes(&["CHARACTER", "SET"]) && !self.takes(&["CHARSET"]) {
            return Some(None);
        }
        let name = self.token()?.name(&self.facts.dialect)?;
        let name = std::str::from_utf8(&name).ok()?.to_ascii_lowercase();
        self.at += 1;
        Some(Some(name))
    }

    /// The bytes of a string.
    fn string(&mut self) -> Option<Vec<u8>> {
        let text = self.token()?.string(&self.facts.dialect)?.into_owned();
        self.at += 1;
        Some(text)
    }

    /// One byte, or none.
    fn byte(&mut self) -> Option<Option<u8>> {
        match self.string()?[..] {
            [] => Some(None),
            [byte] => Some(Some(byte)),
            _ => None,
        }
    }

    fn fields(&mut self, form: &mut Form) -> Option<()> {
        if !self.takes(&["FIELDS"]) && !self.takes(&["COLUMNS"]) {
            return Some(());
        }
        loop {
            if self.takes(&["TERMINATED", "BY"]) {
                form.field_end = self.byte()??;
            } else if self.takes(&["OPTIONALLY", "ENCLOSED", "BY"])
                || self.takes(&["ENCLOSED", "BY"])
            {
                form.quote = self.byte()?;
            } else if self.takes(&["ESCAPED", "BY"]) {
                form.escape = self.byte()?;
            } else {
                return Some(());
            }
        }
    }

    fn lines(&mut self, form: &mut Form) -> Option<()> {
        if !self.takes(&["LINES"]) {
            return Some(());
        }
        while self.takes(&["TERMINATED", "BY"]) {
            form.line_end = match self.string()?[..] {
                [only] => (only, None),
                [first, second] if first != second => (first, Some(second)),
                _ => return None,
            };
        }
        Some(())
    }

    /// How many lines are passed over.
    fn skipped(&mut self) -> Option<u64> {
        if !self.takes(&["IGNORE"]) {
            return Some(0);
        }
        let number = std::str::from_utf8(self.token()?.text).ok()?.parse().ok()?;
        self.at += 1;
        (self.takes(&["LINES"]) || self.takes(&["ROWS"])).then_some(number)
    }

    /// The columns that fields are of, by their places in the table.
    fn columns(&mut self, table: &Table) -> Option<Vec<usize>> {
        if !self.token().is_some_and(|token| token.is_symbol("(")) {
            let all = table.columns.iter().enumerate();
            let visible = all.filter(|(_, column)| !column.invisible);
            return Some(visible.map(|(place, _)| place).collect());
        }
        let list = &self.tokens.list[self.at..];
        let end = closing(list)?;
        let mut columns: Vec<usize> = Vec::new();
        for column in between_commas(&list[1..end]) {
            let [name] = column else { return None };
            let place = table.column(&name.name(&self.facts.dialect)?)?;
            if columns.contains(&place) {
                return None;
            }
            columns.push(place);
        }
        self.at += end + 1;
        Some(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{catalogue, facts, topology};
    use crate::plan::{Plan, plan};

    /// How the lines of a statement's file are told apart, and what a node gets; `None` where that is
    /// done at home.
    fn split(statement: &str) -> Option<(Form, String)> {
        let plan = plan(statement.as_bytes(), &catalogue(), &topology(), &facts());
        let Plan::Collect(plan) = plan else {
            panic!("{plan:?}");
        };
        let split = plan.split.as_ref()?;
        let text = split.statement(&plan.table, "utf8mb4");
        Some((split.form.clone(), String::from_utf8(text).expect("text")))
    }

    #[test]
    fn a_client_s_file_is_split_where_its_lines_are_understood() {
        let (form, text) = split("LOAD DATA LOCAL INFILE 'f' INTO TABLE t").expect("split");
        assert_eq!(
            (form.field_end, form.line_end, form.quote, form.escape),
            (b'\t', (b'\n', None), None, Some(b'\\'))
        );
        assert_eq!((form.key, form.skip), (0, 0));
        assert_eq!(
            text,
            "LOAD DATA LOCAL INFILE 'f'  INTO TABLE `s`.`t` CHARACTER SET utf8mb4"
        );
        let (form, text) = split(
            "LOAD DATA LOCAL INFILE 'f' REPLACE INTO TABLE s.t CHARACTER SET latin1 \
             FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' \
             LINES TERMINATED BY '\\r\\n' IGNORE 1 LINES (v, k)",
        )
        .expect("split");
        assert_eq!(
            (form.field_end, form.line_end, form.quote, form.escape),
            (b',', (b'\r', Some(b'\n')), Some(b'"'), None)
        );
        assert_eq!((form.fields, form.key, form.skip), (2, 1, 1));
        assert_eq!(
            text,
            "LOAD DATA LOCAL INFILE 'f' REPLACE  INTO TABLE `s`.`t` CHARACTER SET latin1 \
             FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' \
             LINES TERMINATED BY '\\r\\n' (v, k)"
        );
    }

    #[test]
    fn what_is_not_understood_is_made_at_home() {
        for statement in [
            "LOAD DATA INFILE 'f' INTO TABLE t",
            "LOAD XML LOCAL INFILE 'f' INTO TABLE t",
            "LOAD DATA LOCAL INFILE 'f' INTO TABLE t FIELDS TERMINATED BY '||'",
            "LOAD DATA LOCAL INFILE 'f' INTO TABLE t FIELDS TERMINATED BY '' ENCLOSED BY ''",
            "LOAD DATA LOCAL INFILE 'f' INTO TABLE t FIELDS ENCLOSED BY '\\\\'",
            "LOAD DATA LOCAL INFILE 'f' INTO TABLE t FIELDS TERMINATED BY '1'",
            "LOAD DATA LOCAL INFILE 'f' INTO TABLE t LINES STARTING BY 'x'",
            "LOAD DATA LOCAL INFILE 'f' INTO TABLE t LINES TERMINATED BY ''",
            "LOAD DATA LOCAL INFILE 'f' INTO TABLE t LINES TERMINATED BY '\\t'",
            "LOAD DATA LOCAL INFILE 'f' INTO TABLE t (k, @x) SET v = @x",
            "LOAD DATA LOCAL INFILE 'f' INTO TABLE t (k, v) SET v = 1",
            "LOAD DATA LOCAL INFILE 'f' INTO TABLE t (v)",
            "LOAD DATA LOCAL INFILE 'f' INTO TABLE t (k, k)",
            "LOAD DATA LOCAL INFILE 'f' INTO TABLE t (k, nothing)",
        ] {
            assert_eq!(split(statement), None, "{statement}");
        }
    }
}
