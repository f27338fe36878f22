//! How what is taken down is laid out: as one text, or as the files that mydumper writes and its
//! loader reads.
//!
//! That loader takes a statement to end at a line that ends with a semicolon, wherever that is,
//! reads files in no order, and knows neither delimiters nor sequences. So each file stands for
//! itself, and what has to be made in order (views of views, routines, triggers, events) is in the
//! one file that it runs last.

use std::borrow::Cow;
use std::fmt::Write;

use super::columns;
use super::manifest::{DatabaseInfo, Manifest};
use crate::quote;

/// How a dump is laid out.
pub(super) enum Layout {
    /// As one text, for a set.
    Set,
    /// The same for somebody else, who may not have the manifest: it tells what is in it.
    Export,
    /// As files of a directory.
    Files(Files),
}

impl Layout {
    pub(super) const fn files(&self) -> Option<&Files> {
        match self {
            Self::Files(files) => Some(files),
            Self::Set | Self::Export => None,
        }
    }
}

/// Text of rows after which another file is begun, so that a loader has some for each thread.
pub(super) const PART_BYTES: u64 = 64 << 20;

/// The longest name of a table that a file is called by.
const LONGEST_NAME: usize = 64;

/// What mydumper calls files of tables whose names are none for files.
const STAND_IN: &str = "mydumper_";

/// Names of files.
pub(super) struct Files {
    database: String,
}

impl Files {
    pub(super) fn new(database: &str) -> Self {
        Self {
            database: database.to_owned(),
        }
    }

    /// The file that makes the database.
    pub(super) fn of_database(&self) -> String {
        format!("{}-schema-create.sql", self.database)
    }

    /// What is in it.
    pub(super) fn create_database(&self, info: &DatabaseInfo) -> String {
        let comment = match info.comment.as_str() {
            "" => String::new(),
            comment => format!(" COMMENT {}", columns::quoted(comment)),
        };
        format!(
            "CREATE DATABASE IF NOT EXISTS {} CHARACTER SET {} COLLATE {}{comment};\n",
            quote::identifier(&self.database),
            info.character_set,
            info.collation,
        )
    }

    /// The file that makes a table, the `number`th one.
    pub(super) fn of_table(&self, table: &str, number: usize) -> String {
        format!("{}.{}-schema.sql", self.database, stem(table, number))
    }

    /// A file with rows.
    pub(super) fn of_rows(&self, table: &str, number: usize, part: u32) -> String {
        format!("{}.{}.{part:05}.sql", self.database, stem(table, number))
    }

    /// The file that makes a sequence.
    pub(super) fn of_sequence(&self, sequence: &str, number: usize) -> String {
        let stem = stem(sequence, number);
        format!("{}.{stem}-schema-sequence.sql", self.database)
    }

    /// The file with all that is made in the end, in its order.
    pub(super) fn of_programs(&self) -> String {
        format!("{}-schema-post.sql", self.database)
    }

    /// What `metadata` says, by which a loader knows that all is there.
    pub(super) fn metadata(&self, manifest: &Manifest) -> String {
        let mut text = format!(
            "# Started dump at: {at}\n[config]\nquote_character = BACKTICK\n\n\
             [source]\nFile = {}\nPosition = {}\nExecuted_Gtid_Set = {}\n",
            manifest.binlog.file,
            manifest.binlog.position,
            manifest.binlog.gtid,
            at = manifest.taken_at.strftime("%Y-%m-%d %H:%M:%S"),
        );
        for (number, (table, entry)) in manifest.tables.iter().enumerate() {
            // A name that is no line cannot be told in this form; the manifest has it.
            if table.contains(|it: char| it.is_control() || it == '`' || it == ']') {
                continue;
            }
            let stem = stem(table, number);
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\n[`{}`.`{stem}`]\nreal_table_name={table}\nrows = {}\n",
                self.database, entry.rows
            );
        }
        text.push_str("# Finished\n");
        text
    }
}

/// What files of a table are called by: its name, or a number where that would be taken for
/// something else.
fn stem(table: &str, number: usize) -> Cow<'_, str> {
    let is_plain = table.len() <= LONGEST_NAME
        && !table.starts_with(STAND_IN)
        && table
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match is_plain {
        true => table.into(),
        false => format!("{STAND_IN}{number}").into(),
    }
}

/// Writes a statement with its end, so that no line of it ends as a statement does.
pub(super) fn write_statement(statement: &[u8], out: &mut Vec<u8>) {
    let mut rest = statement;
    while let Some(at) = memchr::memmem::find(rest, b";\n") {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b"; \n");
        rest = &rest[at + 2..];
    }
    out.extend_from_slice(rest);
}

/// The manifest as a remark in the text.
pub(super) fn remark(manifest: &Manifest) -> String {
    let text = serde_json::to_string(manifest).expect("plain data is JSON");
    format!("-- {REMARK}{text}\n")
}

/// What such a remark begins with.
pub(crate) const REMARK: &str = "OpenPeta manifest ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_statement_ends_as_a_statement_does() {
        let written = |statement: &str| {
            let mut out = Vec::new();
            write_statement(statement.as_bytes(), &mut out);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(
            written("BEGIN\n a;\nb;\n;\n\nEND;"),
            "BEGIN\n a; \nb; \n; \n\nEND;"
        );
        assert_eq!(written("a;b;\r\nc"), "a;b;\r\nc");
    }

    #[test]
    fn each_table_has_files_of_its_own() {
        let names = ["a.b", "mydumper_0", "plain", "x-schema", "Ünï"];
        let stems = names.iter().enumerate();
        let stems: Vec<_> = stems.map(|(number, name)| stem(name, number)).collect();
        let expected = [
            "mydumper_0",
            "mydumper_1",
            "plain",
            "mydumper_3",
            "mydumper_4",
        ];
        assert_eq!(stems, expected);
    }
}
