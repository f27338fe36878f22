//! What is shown of distributed tables and of what was done with them.

use openpeta_mysql_wire::{ErrPacket, Packet, PacketBuffer, put_text_result_set};

use super::copy::Copied;
use super::{Failure, Session};
use crate::Refusal;
use crate::catalogue::{Definition, Distribution, OPTION, Table};
use crate::node::{Reply, ResultSet, text_row};
use crate::plan::text::Tokens;

/// A warning, a note or an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    level: String,
    code: String,
    message: String,
}

impl Diagnostic {
    /// An error.
    pub(super) fn error(error: &ErrPacket) -> Self {
        Self {
            level: "Error".into(),
            code: error.code.to_string(),
            message: String::from_utf8_lossy(&error.message).into_owned(),
        }
    }

    /// A note.
    pub(super) fn note(code: u16, message: String) -> Self {
        Self {
            level: "Note".into(),
            code: code.to_string(),
            message,
        }
    }

    /// Whether it is about a row.
    pub(super) fn is_of_row(&self) -> bool {
        self.message.contains(" at row ")
    }

    /// Whether a constraint has kept a row out.
    pub(super) fn is_of_constraint(&self) -> bool {
        self.code == super::write::CONSTRAINT_FAILED.to_string()
    }

    /// Tells an error as what is none for the whole statement.
    pub(super) fn make_warning(&mut self) {
        if self.level == "Error" {
            self.level = "Warning".into();
        }
    }

    /// Names the row by its number in the whole statement; that number, or 0.
    pub(super) fn renumber(&mut self, rows: Option<&[usize]>) -> usize {
        super::write::renumber(&mut self.message, |row| rows?.get(row).copied())
    }

    /// Names a row by its number in a statement that has so many before those of the message.
    pub(super) fn follow(&mut self, before: usize) {
        super::write::follow(&mut self.message, before);
    }

    /// A row of `SHOW WARNINGS`.
    pub(super) fn of_row(row: Vec<Option<Vec<u8>>>) -> Option<Self> {
        let mut row = row
            .into_iter()
            .map(|value| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned());
        Some(Self {
            level: row.next()?,
            code: row.next()?,
            message: row.next()?,
        })
    }
}

impl Session {
    /// `SHOW WARNINGS` and `SHOW ERRORS` behind a statement that other nodes ran. `None` for other
    /// statements, and when home knows it itself.
    pub(super) async fn show_diagnostics(
        &mut self,
        tokens: &Tokens<'_>,
        more: bool,
    ) -> Result<Option<Copied>, Failure> {
        let Some(diagnostics) = self.diagnostics.clone() else {
            return Ok(None);
        };
        let asks = |word: &str| tokens.has_word(word);
        if ["ROW_COUNT", "FOUND_ROWS", "GET", "RESIGNAL"]
            .iter()
            .any(|word| asks(word))
            || tokens.list.iter().any(|token| {
                let text = token.text.to_ascii_lowercase();
                matches!(&text[..], b"@@warning_count" | b"@@error_count")
            })
        {
            return Err(Refusal::new(
                "statement-counts",
                "ROW_COUNT(), FOUND_ROWS() and counts of warnings are not known behind a statement over nodes",
            )
            .into());
        }
        if tokens.verb() != "SHOW" {
            return Ok(None);
        }
        let counts = tokens.word(1) == "COUNT";
        let only_errors = asks("ERRORS");
        if !only_errors && !asks("WARNINGS") || asks("LIMIT") {
            return Ok(None);
        }
        let shown = diagnostics
            .iter()
            .filter(|it| !only_errors || it.level == "Error");
        let rows: Vec<Vec<Option<String>>> = if counts {
            vec![vec![Some(shown.count().to_string())]]
        } else {
            let cells = |it: &Diagnostic| {
                [&it.level, &it.code, &it.message]
                    .map(|text| Some(text.clone()))
                    .to_vec()
            };
            shown.map(cells).collect()
        };
        let columns: &[&str] = match (counts, only_errors) {
            (true, true) => &["@@session.error_count"],
            (true, false) => &["@@session.warning_count"],
            _ => &["Level", "Code", "Message"],
        };
        let mut out = Vec::new();
        let status = self.status(more);
        put_text_result_set(
            &mut out,
            0,
            self.client.capabilities(),
            status,
            columns,
            &rows,
        );
        let mut packets = PacketBuffer::new(usize::MAX);
        packets.push(&out);
        while let Ok(Some(Packet { payload, .. })) = packets.next_packet() {
            self.client.send([&payload[..]]).await?;
        }
        Ok(Some(Copied::default()))
    }

    /// `SHOW CREATE TABLE`, with the clause that the user wrote.
    pub(super) async fn show_create(
        &mut self,
        table: &Table,
        text: &[u8],
        more: bool,
    ) -> Result<Copied, Failure> {
        let reply = self.nodes.home().query(text).await.map_err(Failure::Home)?;
        let Reply::Rows(mut rows) = reply.ok()? else {
            return Err(Refusal::new("statement", "this statement gives no rows").into());
        };
        let definition = match &table.distribution {
            Distribution::Hash(key) => Definition::Hash(key.name.clone()),
            Distribution::Broadcast => Definition::Broadcast,
        };
        for row in &mut rows.rows {
            let values =
                text_row(row, rows.columns.len()).map_err(|error| Failure::Home(error.into()))?;
            let mut changed = Vec::new();
            for (at, value) in values.iter().enumerate() {
                let Some(value) = value else {
                    changed.push(0xFB);
                    continue;
                };
                let shown = match at {
                    1 => with_clause(value, &definition),
                    _ => value.to_vec(),
                };
                openpeta_mysql_wire::put_lenenc_bytes(&mut changed, &shown);
            }
            *row = changed;
        }
        let status = self.status(more);
        self.client.rows(&rows, status).await?;
        Ok(Copied::default())
    }
}

impl Session {
    /// What each node does for itself: home's answer, and what others have to tell besides that all is well.
    pub(super) async fn maintain(&mut self, text: &[u8], more: bool) -> Result<Copied, Failure> {
        let nodes: Vec<u16> = (0..self.instance.topology().len()).collect();
        let mut all: Option<ResultSet> = None;
        for node in nodes {
            let sent = self.nodes.node(node).await?.send_query(text).await;
            sent.map_err(|source| Failure::of_node(node, source))?;
            let connection = self.nodes.joined(node);
            let reply = self
                .client
                .attend(async {
                    let reply = connection.read_reply().await;
                    reply.map_err(|source| Failure::of_node(node, source))
                })
                .await?;
            let Reply::Rows(set) = reply.ok()? else {
                continue;
            };
            let Some(all) = &mut all else {
                all = Some(set);
                continue;
            };
            for (row, values) in set.rows.iter().zip(set.texts().unwrap_or_default()) {
                // Tables that are home's alone are not there.
                let kind = values.get(2).cloned().flatten().unwrap_or_default();
                let message = values.get(3).cloned().flatten().unwrap_or_default();
                let is_absent =
                    message.ends_with(b"doesn't exist") || message == b"Operation failed";
                if kind != b"status" && !is_absent {
                    all.rows.push(row.clone());
                }
            }
        }
        let status = self.status(more);
        self.client.rows(&all.unwrap_or_default(), status).await?;
        Ok(Copied::default())
    }
}

/// A definition with the clause in the place of the option. Defaults in it may be any bytes.
fn with_clause(shown: &[u8], definition: &Definition) -> Vec<u8> {
    let clause = format!(" {}", definition.clause());
    for option in [
        format!(" /* `{OPTION}`='{}' */", definition.value()),
        format!(" `{OPTION}`='{}'", definition.value()),
        format!(" /* {OPTION}='{}' */", definition.value()),
    ] {
        let place = shown
            .windows(option.len())
            .rposition(|part| part == option.as_bytes());
        if let Some(at) = place {
            return [&shown[..at], clause.as_bytes(), &shown[at + option.len()..]].concat();
        }
    }
    [shown, clause.as_bytes()].concat()
}
