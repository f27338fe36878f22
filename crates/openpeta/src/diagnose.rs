//! `openpeta diagnose`: a report on an instance, for a terminal, as JSON, or as Markdown.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use openpeta_control::admin::protocol::AdminCommand;
use openpeta_types::InstanceId;
use serde_json::Value;

use crate::failure::Failure;
use crate::{admin, output, profile};

/// The service takes less than a minute, whatever the node does.
const PATIENCE: Duration = Duration::from_secs(90);

/// Look an instance over: what is wrong, why it matters, what to do (over DIR/admin.sock)
#[derive(Args, Debug)]
pub struct DiagnoseArguments {
    /// The instance
    #[arg(value_parser = InstanceId::parse)]
    instance_id: InstanceId,
    /// Print the report as JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the report as Markdown
    #[arg(long)]
    markdown: bool,
}

/// Asks for the report and prints it.
///
/// # Errors
/// When no service runs on the data directory, or there is no such instance.
pub fn run(arguments: DiagnoseArguments, data_dir: Option<PathBuf>) -> Result<(), Failure> {
    let data_dir = profile::data_dir(data_dir)?;
    let command = AdminCommand::InstanceDiagnose {
        instance_id: arguments.instance_id,
    };
    let report = admin::ask(&data_dir, &command, PATIENCE)?;
    if arguments.json {
        return output::result(&report.to_string());
    }
    output::result(&text(&report, arguments.markdown))
}

/// The report for people.
fn text(report: &Value, markdown: bool) -> String {
    let mut page = Page {
        text: String::new(),
        markdown,
    };
    page.title(&format!(
        "{} at {}",
        cell(&report["instance_id"]),
        cell(&report["at"])
    ));
    let findings = list(&report["findings"]);
    if findings.is_empty() {
        page.line("Nothing was found.");
    }
    for finding in findings {
        let head = format!("{}: {}", cell(&finding["severity"]), cell(&finding["what"]));
        page.item(&head, &[cell(&finding["why"]), cell(&finding["action"])]);
    }
    let unknown = list(&report["unknown"]).iter();
    let unknown: Vec<_> = unknown
        .map(|one| format!("{}: {}", cell(&one["what"]), cell(&one["reason"])))
        .collect();
    page.section("Could not be found out", &unknown);
    page.section(
        "Figures",
        &[
            format!(
                "status {}, node {}",
                cell(&report["status"]),
                cell(&report["node_id"])
            ),
            share("sessions", &report["sessions"], "used", "limit"),
            share("disk, bytes", &report["disk"], "used", "quota"),
            share(
                "pages read from disk",
                &report["buffer_pool"],
                "reads_from_disk",
                "read_requests",
            ),
            share(
                "temporary tables on disk",
                &report["temporary_tables"],
                "on_disk",
                "all",
            ),
            format!("use of indexes: {}", cell(&report["index_usage"])),
        ],
    );
    for (title, member, columns) in [
        (
            "Statements that took the longest in all",
            "top_statements",
            &["total_us", "count", "errors", "p95_us", "statement"][..],
        ),
        (
            "Slow statements, the last first",
            "slow_statements",
            &["time", "seconds", "account", "statement"],
        ),
        (
            "Open transactions",
            "transactions",
            &[
                "session",
                "account",
                "seconds",
                "rows_modified",
                "statement",
            ],
        ),
        (
            "Waits for locks",
            "lock_waits",
            &["session", "seconds", "table", "blocker", "blocker_account"],
        ),
        (
            "Largest tables",
            "largest_tables",
            &[
                "table",
                "engine",
                "rows",
                "data_bytes",
                "index_bytes",
                "free_bytes",
            ],
        ),
        (
            "Events of a day",
            "events",
            &["at", "severity", "kind", "text"],
        ),
    ] {
        let rows = list(&report[member]);
        // Of which of several nodes it is.
        let of_nodes = rows.iter().any(|row| !row["node"].is_null());
        let node: &[&str] = if of_nodes { &["node"] } else { &[] };
        page.table(title, &[node, columns].concat(), rows);
    }
    page.text
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn share(what: &str, value: &Value, part: &str, whole: &str) -> String {
    format!("{what}: {} of {}", cell(&value[part]), cell(&value[whole]))
}

/// A value on one line.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// What has been written so far.
struct Page {
    text: String,
    markdown: bool,
}

impl Page {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{line}");
    }

    fn title(&mut self, title: &str) {
        match self.markdown {
            true => self.line(&format!("# {title}\n")),
            false => self.line(&format!("{title}\n")),
        }
    }

    fn heading(&mut self, heading: &str) {
        match self.markdown {
            true => self.line(&format!("\n## {heading}\n")),
            false => self.line(&format!("\n{heading}")),
        }
    }

    fn item(&mut self, head: &str, more: &[String]) {
        match self.markdown {
            true => self.line(&format!("- **{}**", escaped(head))),
            false => self.line(head),
        }
        for line in more {
            match self.markdown {
                true => self.line(&format!("  {}  ", escaped(line))),
                false => self.line(&format!("    {line}")),
            }
        }
    }

    fn section(&mut self, heading: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.heading(heading);
        for line in lines {
            match self.markdown {
                true => self.line(&format!("- {}", escaped(line))),
                false => self.line(&format!("  {line}")),
            }
        }
    }

    fn table(&mut self, heading: &str, columns: &[&str], rows: &[Value]) {
        if rows.is_empty() {
            return;
        }
        self.heading(heading);
        if self.markdown {
            self.line(&format!("| {} |", columns.join(" | ")));
            self.line(&format!("|{}", "---|".repeat(columns.len())));
        }
        for row in rows {
            let cells = columns.iter().map(|column| cell(&row[*column]));
            match self.markdown {
                true => {
                    let cells: Vec<_> = cells.map(|cell| escaped(&cell)).collect();
                    self.line(&format!("| {} |", cells.join(" | ")));
                }
                false => {
                    let pairs = columns.iter().zip(cells);
                    let pairs: Vec<_> =
                        pairs.map(|(name, cell)| format!("{name} {cell}")).collect();
                    self.line(&format!("  {}", pairs.join(", ")));
                }
            }
        }
    }
}

/// Text that Markdown takes for nothing else.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if "\\`*_|<>[]#".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_found_is_said_and_what_is_found_is_whole() {
        let empty = json!({ "instance_id": "pd-a", "at": "now", "findings": [] });
        assert!(text(&empty, false).contains("Nothing was found."));
        let finding = json!({
            "severity": "warning", "kind": "lock-wait", "what": "a\n| b", "why": "c", "action": "d",
        });
        let report = json!({
            "instance_id": "pd-a", "at": "now", "findings": [finding],
            "events": [{ "at": "then", "severity": "info", "kind": "k", "text": "x|y" }],
        });
        let plain = text(&report, false);
        assert!(plain.contains("warning: a | b\n    c\n    d\n"), "{plain}");
        assert!(
            plain.contains("at then, severity info, kind k, text x|y"),
            "{plain}"
        );
        let markdown = text(&report, true);
        assert!(markdown.starts_with("# pd-a at now\n"), "{markdown}");
        assert!(markdown.contains("- **warning: a \\| b**"), "{markdown}");
        assert!(
            markdown.contains("| then | info | k | x\\|y |"),
            "{markdown}"
        );
    }
}
