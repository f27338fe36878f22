//! What a server does not tell of a table's definition, and how it is learnt.
//!
//! `SHOW CREATE TABLE` and `information_schema` have a `?` in the place of each character beyond U+FFFF in the words
//! of `ENUM` and `SET` columns, and in the defaults of these and of `CHAR` and `VARCHAR` columns. The server itself
//! knows them: they are read off an empty copy of the columns.

use crate::{Dialect, Lexer, TokenKind};

/// Rows of an answer.
pub type Answer = Vec<Vec<Option<String>>>;

/// What a definition may not tell as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    columns: Vec<Column>,
    texts: Vec<Text>,
}

/// A column with such a text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    /// As it is quoted.
    name: String,
    is_set: bool,
    /// How many words it has, if one of them may not be what it looks like.
    words: usize,
    has_default: bool,
    /// A literal default is kept as its value: that may say its character set. Others are kept as text, in which
    /// the server garbles such literals.
    is_kept_as_value: bool,
}

/// A string in the definition that may not be what it looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    at: std::ops::Range<usize>,
    shown: Vec<u8>,
    column: usize,
    /// Which word it is; else it is the default.
    word: Option<usize>,
}

/// A text as a server has it.
struct Told<'a> {
    charset: &'a str,
    utf8: &'a str,
    bytes: &'a str,
}

const DIALECT: Dialect = Dialect::new(101_100);

impl Untold {
    /// What a definition, with [bytes as numbers](crate::with_bytes_as_numbers), may not tell; `None` when it tells
    /// everything. If it is for sessions in any `sql_mode`, whatever means something else in one of them is
    /// learnt as well.
    #[must_use]
    pub fn of(shown: &str, for_any_mode: bool) -> Option<Self> {
        let mut found = Self {
            columns: Vec::new(),
            texts: Vec::new(),
        };
        let mut element = Element::default();
        let (mut at, mut depth) = (0, 0_usize);
        for token in Lexer::new(shown.as_bytes(), DIALECT) {
            let range = at..at + token.text.len();
            at = range.end;
            if !token.kind.is_significant() {
                continue;
            }
            let is_first = std::mem::take(&mut element.is_next);
            let is_behind_default = std::mem::take(&mut element.is_behind_default);
            let is_behind_kind = std::mem::take(&mut element.is_behind_kind);
            match token.kind {
                TokenKind::Symbol if token.is_symbol("(") => {
                    depth += 1;
                    element.is_next = depth == 1;
                    element.has_words = is_behind_kind && matches!(element.kind(), "enum" | "set");
                }
                TokenKind::Symbol if token.is_symbol(")") => {
                    depth = depth.saturating_sub(1);
                    element.has_words = false;
                    if depth == 0 {
                        break;
                    }
                }
                TokenKind::Symbol if depth == 1 && token.is_symbol(",") => {
                    found.add(&std::mem::take(&mut element), for_any_mode);
                    element.is_next = true;
                }
                TokenKind::QuotedName if is_first => {
                    element.name = Some(String::from_utf8_lossy(token.text).into_owned());
                }
                TokenKind::Word if depth == 1 && element.kind.is_none() => {
                    element.kind = Some(String::from_utf8_lossy(token.text).to_ascii_lowercase());
                    element.is_behind_kind = true;
                }
                TokenKind::Word if depth == 1 => {
                    element.is_behind_default = token.is_word("DEFAULT");
                }
                TokenKind::String if depth == 1 && is_behind_default => {
                    element.default = Some((range, token.text));
                }
                TokenKind::String if element.has_words => {
                    element.words.push((range, token.text));
                }
                _ => {}
            }
        }
        found.add(&element, for_any_mode);
        (!found.columns.is_empty()).then_some(found)
    }

    /// Adds a column, if one of its texts may be untold.
    fn add(&mut self, read: &Element<'_>, for_any_mode: bool) {
        let is_doubtful = |text: &[u8]| {
            let is_short = matches!(read.kind(), "char" | "varchar" | "enum" | "set");
            is_short && text.contains(&b'?') || for_any_mode && text.contains(&b'\\')
        };
        let has_words = read.words.iter().any(|(_, text)| is_doubtful(text));
        let default = read.default.iter();
        let default = default
            .filter(|(_, text)| is_doubtful(text))
            .map(|it| (it, None));
        let words = read.words.iter().enumerate().filter(|_| has_words);
        let words = words.map(|(number, it)| (it, Some(number)));
        let texts: Vec<_> = default.chain(words).collect();
        let (Some(name), false) = (&read.name, texts.is_empty()) else {
            return;
        };
        let column = self.columns.len();
        self.columns.push(Column {
            name: name.clone(),
            is_set: read.kind() == "set",
            words: if has_words { read.words.len() } else { 0 },
            has_default: texts.iter().any(|(_, word)| word.is_none()),
            is_kept_as_value: !matches!(read.kind(), kind if kind.ends_with("text") || kind.ends_with("blob")),
        });
        for ((at, text), word) in texts {
            let token = Lexer::new(text, DIALECT).next();
            let shown = token.and_then(|token| Some(token.string(&DIALECT)?.into_owned()));
            self.texts.push(Text {
                at: at.clone(),
                shown: shown.unwrap_or_default(),
                column,
                word,
            });
        }
    }

    /// The statements that ask a server of it, about a table in quotes, by means of a temporary one of another name.
    #[must_use]
    pub fn statements(&self, table: &str, copy: &str) -> Vec<String> {
        const PLAIN: &str = "SET STATEMENT sql_mode = '' FOR ";
        let names: Vec<_> = self.columns.iter().map(|it| it.name.as_str()).collect();
        let of_column = |it: &Column| {
            let name = &it.name;
            match it.has_default {
                true => format!(
                    "CHARSET({name}), HEX(CONVERT(DEFAULT({name}) USING utf8mb4)), HEX(DEFAULT({name}))"
                ),
                false => format!("CHARSET({name}), NULL, NULL"),
            }
        };
        let told: Vec<_> = self.columns.iter().map(of_column).collect();
        let mut statements = vec![
            format!(
                "{PLAIN}CREATE OR REPLACE TEMPORARY TABLE {copy} ENGINE=MyISAM AS SELECT {} FROM {table} LIMIT 0",
                names.join(", ")
            ),
            // A default is told of a row, so one is made.
            format!("{PLAIN}INSERT IGNORE INTO {copy} () VALUES ()"),
            format!("SELECT {} FROM {copy}", told.join(", ")),
        ];
        for column in self.columns.iter().filter(|it| it.words > 0) {
            let name = &column.name;
            let value = |number: usize| match column.is_set {
                true => format!("({})", 1_u64 << number.min(63)),
                false => format!("({})", number + 1),
            };
            let values: Vec<_> = (0..column.words).map(value).collect();
            statements.push(format!("DELETE FROM {copy}"));
            statements.push(format!(
                "{PLAIN}INSERT IGNORE INTO {copy} ({name}) VALUES {}",
                values.join(", ")
            ));
            statements.push(format!(
                "SELECT HEX(CONVERT({name} USING utf8mb4)), HEX({name}) FROM {copy} \
                 ORDER BY CAST({name} AS UNSIGNED)"
            ));
        }
        statements.push(format!("DROP TEMPORARY TABLE {copy}"));
        statements
    }

    /// The definition as it is, by the answers to [these statements](Self::statements); `None` when they do not
    /// fit.
    #[must_use]
    pub fn made_good(&self, shown: &str, answers: &[Answer]) -> Option<String> {
        let of_columns = answers.get(2)?.first()?;
        let mut of_words = answers.iter().skip(3).skip(2).step_by(3);
        let mut words = Vec::new();
        for column in &self.columns {
            words.push(match column.words {
                0 => None,
                count => Some(of_words.next().filter(|rows| rows.len() == count)?),
            });
        }
        let mut texts: Vec<_> = self.texts.iter().collect();
        texts.sort_by_key(|text| text.at.start);
        let (mut exact, mut end) = (String::new(), 0);
        for text in texts {
            let column = &self.columns[text.column];
            let [charset, default @ ..] = of_columns.get(3 * text.column..3 * text.column + 3)?
            else {
                return None;
            };
            let values = match text.word {
                None => default,
                Some(number) => words[text.column]?.get(number)?.as_slice(),
            };
            let [Some(utf8), Some(bytes)] = values else {
                return None;
            };
            let told = Told {
                charset: charset.as_deref()?,
                utf8,
                bytes,
            };
            let has_introducer = text.word.is_none() && column.is_kept_as_value;
            exact.push_str(shown.get(end..text.at.start)?);
            match told.is_as_shown(&text.shown) {
                true => exact.push_str(shown.get(text.at.clone())?),
                false => exact.push_str(&told.literal(has_introducer)),
            }
            end = text.at.end;
        }
        exact.push_str(shown.get(end..)?);
        Some(exact)
    }
}

impl Told<'_> {
    /// Whether the definition tells it, to sessions in any mode.
    fn is_as_shown(&self, shown: &[u8]) -> bool {
        // Other character sets have characters that Unicode has not.
        let is_unicode = matches!(self.charset, "utf8mb4" | "utf8mb3" | "utf8");
        is_unicode && !shown.contains(&b'\\') && hexadecimal(shown) == self.utf8
    }

    /// What makes it, whatever character set and mode a session has.
    fn literal(&self, has_introducer: bool) -> String {
        match has_introducer && self.charset != "binary" {
            true => format!("_{} X'{}'", self.charset, self.bytes),
            false => format!("X'{}'", self.bytes),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// An element of a definition, as far as it was read.
#[derive(Default)]
struct Element<'a> {
    /// The next token is its first one.
    is_next: bool,
    name: Option<String>,
    kind: Option<String>,
    is_behind_kind: bool,
    has_words: bool,
    words: Vec<(std::ops::Range<usize>, &'a [u8])>,
    is_behind_default: bool,
    default: Option<(std::ops::Range<usize>, &'a [u8])>,
}

impl Element<'_> {
    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "CREATE TABLE `t?` (\n  `a``b` varchar(9) NOT NULL DEFAULT 'a?''\\\\' COMMENT 'it''s ?',\n  \
        `e` enum('a?','b','?') CHARACTER SET utf16 DEFAULT 'b',\n  `s` set('x','y?') DEFAULT 'y?',\n  \
        `q` char(1) DEFAULT '?',\n  `t` text DEFAULT 'a\\\\?',\n  `x` varchar(9) DEFAULT ('?' like 'b'),\n  \
        `g` varchar(9) GENERATED ALWAYS AS (concat('?','?')) VIRTUAL CHECK (`e` <> '?'),\n  \
        KEY `q` (`q`) COMMENT '?',\n  CONSTRAINT `c` CHECK (`q` in ('?','b'))\n) ENGINE=InnoDB COMMENT='?'\n \
        PARTITION BY LIST  COLUMNS(`q`)\n(PARTITION `p` VALUES IN ('?'))";

    fn rows(rows: &[&[Option<&str>]]) -> Answer {
        let row = |row: &&[Option<&str>]| row.iter().map(|it| it.map(str::to_owned)).collect();
        rows.iter().map(row).collect()
    }

    fn answers() -> Vec<Answer> {
        vec![
            Vec::new(),
            Vec::new(),
            rows(&[&[
                Some("utf8mb4"),
                Some("61F09F9880275C"),
                Some("61F09F9880275C"),
                Some("utf16"),
                None,
                None,
                Some("utf8mb4"),
                Some("79F09F9881"),
                Some("79F09F9881"),
                Some("utf8mb4"),
                Some("3F"),
                Some("3F"),
            ]]),
            Vec::new(),
            Vec::new(),
            rows(&[
                &[Some("61F09F9880"), Some("0061D83DDE00")],
                &[Some("62"), Some("0062")],
                &[Some("3F"), Some("003F")],
            ]),
            Vec::new(),
            Vec::new(),
            rows(&[
                &[Some("78"), Some("78")],
                &[Some("79F09F9881"), Some("79F09F9881")],
            ]),
            Vec::new(),
        ]
    }

    #[test]
    fn what_is_not_told_is_asked_for_and_put_in_its_place() {
        let untold = Untold::of(SHOWN, false).expect("there is something");
        let statements = untold.statements("`d`.`t?`", "`x`");
        assert_eq!(statements.len(), answers().len());
        assert!(statements[0].ends_with(
            "TABLE `x` ENGINE=MyISAM AS SELECT `a``b`, `e`, `s`, `q` FROM `d`.`t?` LIMIT 0"
        ));
        assert!(statements[4].ends_with("INSERT IGNORE INTO `x` (`e`) VALUES (1), (2), (3)"));
        assert!(statements[7].ends_with("INSERT IGNORE INTO `x` (`s`) VALUES (1), (2)"));
        let exact = untold.made_good(SHOWN, &answers()).expect("they fit");
        let expected = SHOWN
            .replace("'a?''\\\\' COMMENT", "_utf8mb4 X'61F09F9880275C' COMMENT")
            .replace("'a?','b','?') CH", "X'0061D83DDE00',X'0062',X'003F') CH")
            .replace(
                "'x','y?') DEFAULT 'y?'",
                "'x',X'79F09F9881') DEFAULT _utf8mb4 X'79F09F9881'",
            );
        assert_eq!(exact, expected);
    }

    #[test]
    fn answers_that_do_not_fit_are_none() {
        let untold = Untold::of(SHOWN, false).expect("there is something");
        let mut short = answers();
        short[5].pop();
        assert_eq!(untold.made_good(SHOWN, &short), None);
        let mut without = answers();
        without[2][0][1] = None;
        assert_eq!(untold.made_good(SHOWN, &without), None);
        assert_eq!(untold.made_good(SHOWN, &[]), None);
    }

    #[test]
    fn most_definitions_tell_everything() {
        let of = |columns: &str| Untold::of(&format!("CREATE TABLE `t` (\n{columns}\n)"), false);
        for told in [
            "`a` varchar(9) DEFAULT 'é'",
            "`a` text DEFAULT 'x😀?'",
            "`a` int(11) DEFAULT NULL COMMENT 'DEFAULT ''?'''",
            "`a` varchar(9) DEFAULT 'a\\\\b'",
            "`enum` varchar(9) CHECK (`enum` in ('?'))",
            "KEY `enum` (`a`) COMMENT '?'",
            "",
        ] {
            assert_eq!(of(told), None, "{told}");
        }
        let any = "CREATE TABLE `t` (\n`a` text DEFAULT 'a\\\\b'\n)";
        let untold = Untold::of(any, true).expect("backslashes have two meanings");
        let answer = rows(&[&[Some("utf8mb4"), Some("615C62"), Some("615C62")]]);
        let exact = untold.made_good(any, &[Vec::new(), Vec::new(), answer, Vec::new()]);
        let expected = "CREATE TABLE `t` (\n`a` text DEFAULT X'615C62'\n)";
        assert_eq!(exact.as_deref(), Some(expected));
    }
}
