//! Results as tables: a list becomes rows under a header, an object becomes name and value.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use console::measure_text_width;

use crate::ordered_json::Node;

/// Blanks between two columns.
const GAP: usize = 2;

/// How much may be shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    /// Columns of the terminal; `None` when there is no terminal.
    pub width: Option<usize>,
    /// Whether columns that do not fit are shown all the same.
    pub wide: bool,
}

/// Renders the answer to an API call. Lists become tables with the `preferred` columns first;
/// the fields beside them become lines of name and value.
pub fn render_answer(answer: &Node, preferred: &[&str], view: View) -> String {
    let Node::Object(members) = answer else {
        return render_rows(answer.items().unwrap_or_default(), preferred, view);
    };
    let lists: Vec<(&str, &[Node])> = members
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.items()?)))
        .collect();
    let mut fields: Vec<(String, String)> = Vec::new();
    for (name, value) in members {
        // A list speaks for itself; the id of the call that made it is in the JSON.
        let shown = value.items().is_none() && (name != "RequestId" || lists.is_empty());
        if shown {
            flatten(name, value, &mut fields);
        }
    }
    let mut parts = Vec::new();
    if !fields.is_empty() {
        parts.push(render_fields(&fields, view));
    }
    let titled = lists.len() > 1 || !fields.is_empty();
    for (name, items) in lists {
        let rows = render_rows(items, preferred, view);
        parts.push(if titled {
            format!("{name}\n{rows}")
        } else {
            rows
        });
    }
    parts.join("\n\n")
}

/// Renders objects as rows, the columns being all their members, the `preferred` ones first.
/// On a terminal, columns that do not fit are left out from the right, and counted.
pub fn render_rows(rows: &[Node], preferred: &[&str], view: View) -> String {
    if rows.is_empty() {
        return "(none)".to_owned();
    }
    let names = column_names(rows, preferred);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| names.iter().map(|name| cell_of(row, name)).collect())
        .collect();
    let fitting = match view.width {
        Some(width) if !view.wide => fitting_columns(&names, &cells, width),
        _ => names.len(),
    };
    let mut table = plain_table();
    table.set_header(names.iter().take(fitting).map(|name| name.to_uppercase()));
    for row in &cells {
        table.add_row(row.iter().take(fitting));
    }
    let mut text = finish(table);
    if fitting < names.len() {
        let hidden = names[fitting..].join(", ");
        text.push_str(&format!("\n(not shown: {hidden}; see --wide or --json)"));
    }
    text
}

/// Renders names and values, one pair a line.
pub fn render_fields(fields: &[(String, String)], view: View) -> String {
    let mut table = plain_table();
    if let Some(width) = view.width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    for (name, value) in fields {
        table.add_row([name.as_str(), value.as_str()]);
    }
    finish(table)
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table
}

/// The text of the table, its columns apart by two blanks and nothing at the edges.
fn finish(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Every member's name that occurs in a row: the preferred ones, then by first occurrence.
fn column_names(rows: &[Node], preferred: &[&str]) -> Vec<String> {
    let mut found: Vec<&str> = Vec::new();
    for row in rows {
        match row {
            Node::Object(members) => {
                for (name, _) in members {
                    if !found.contains(&name.as_str()) {
                        found.push(name);
                    }
                }
            }
            _ if !found.contains(&"Value") => found.push("Value"),
            _ => {}
        }
    }
    let first = preferred.iter().filter(|name| found.contains(name));
    let rest = found.iter().filter(|name| !preferred.contains(name));
    first.chain(rest).map(|name| (*name).to_owned()).collect()
}

fn cell_of(row: &Node, name: &str) -> String {
    let value = match row {
        Node::Object(_) => row.get(name),
        other => Some(other),
    };
    value.map(inline).unwrap_or_default().replace('\n', " ")
}

/// How many columns fit into `width`; at least one.
fn fitting_columns(names: &[String], cells: &[Vec<String>], width: usize) -> usize {
    let mut used = 0;
    for (index, name) in names.iter().enumerate() {
        let widest = cells
            .iter()
            .map(|row| measure_text_width(&row[index]))
            .chain([measure_text_width(name)])
            .max()
            .unwrap_or(0);
        used += widest;
        if used > width {
            return index.max(1);
        }
        used += GAP;
    }
    names.len()
}

/// The scalar fields below `value`, an object's members named `Outer.Inner`.
fn flatten(name: &str, value: &Node, fields: &mut Vec<(String, String)>) {
    match value {
        Node::Object(members) if value.items().is_none() => {
            for (inner, value) in members {
                flatten(&format!("{name}.{inner}"), value, fields);
            }
        }
        other => fields.push((name.to_owned(), inline(other))),
    }
}

/// A value as one text: the items of a list apart by commas, an object as `name=value`.
fn inline(value: &Node) -> String {
    if let Some(items) = value.items() {
        let texts: Vec<String> = items.iter().map(inline_item).collect();
        return texts.join(", ");
    }
    match value {
        Node::Null | Node::List(_) => String::new(),
        Node::Scalar(text) => printable(text),
        Node::Object(members) => {
            let pairs = members
                .iter()
                .map(|(name, value)| format!("{}={}", printable(name), inline(value)));
            pairs.collect::<Vec<_>>().join(" ")
        }
    }
}

/// An item of a list: the values of its members, apart by blanks, without details.
fn inline_item(item: &Node) -> String {
    match item {
        Node::Object(members) if item.items().is_none() => {
            let shown = members.iter().filter(|(name, _)| !name.ends_with("Detail"));
            let texts: Vec<String> = shown.map(|(_, value)| inline(value)).collect();
            texts.join(" ")
        }
        other => inline(other),
    }
}

/// Replaces control characters, so that a name cannot steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '\n',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCES: &str = r#"{"RequestId":"R1","PageNumber":1,"PageSize":10,"TotalCount":2,
        "Instances":{"Instance":[
        {"InstanceId":"pd-a","InstanceStatus":"ACTIVE","Databases":{"Database":[
            {"DBName":"shop","ChargeType":"PostPaid"},{"DBName":"log","ChargeType":"PrePaid"}]}},
        {"InstanceId":"pd-b","InstanceName":"s\u001b[31mh","InstanceStatus":"CREATE"}]}}"#;

    fn answer(json: &str) -> Node {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_list_becomes_a_table_below_the_other_fields() {
        let text = render_answer(
            &answer(INSTANCES),
            &["InstanceId", "InstanceName"],
            View::default(),
        );
        let expected = "\
PageNumber  1
PageSize    10
TotalCount  2

Instances
INSTANCEID  INSTANCENAME  INSTANCESTATUS  DATABASES
pd-a                      ACTIVE          shop PostPaid, log PrePaid
pd-b        s\u{fffd}[31mh       CREATE";
        assert_eq!(text, expected);
    }

    #[test]
    fn columns_that_do_not_fit_are_named() {
        let node = answer(INSTANCES);
        let view = View {
            width: Some(30),
            wide: false,
        };
        let text = render_rows(node.list("Instances"), &["InstanceId"], view);
        assert!(text.starts_with("INSTANCEID  INSTANCESTATUS\n"), "{text}");
        assert!(
            text.ends_with("(not shown: Databases, InstanceName; see --wide or --json)"),
            "{text}"
        );
        let wide = View { wide: true, ..view };
        assert!(!render_rows(node.list("Instances"), &[], wide).contains("not shown"));
    }

    #[test]
    fn an_object_becomes_names_and_values() {
        let text = render_answer(
            &answer(r#"{"RequestId":"R","A":{"B":1},"C":null}"#),
            &[],
            View::default(),
        );
        assert_eq!(text, "RequestId  R\nA.B        1\nC");
    }

    #[test]
    fn a_cell_has_no_details() {
        let node = answer(
            r#"{"D":{"P":[{"DBName":"shop","Privilege":"ReadOnly","PrivilegeDetail":"SELECT"}]}}"#,
        );
        assert_eq!(
            render_rows(&[node], &[], View::default()),
            "D\nshop ReadOnly"
        );
    }

    #[test]
    fn an_empty_list_says_so() {
        let text = render_answer(
            &answer(r#"{"RequestId":"R","Tasks":{"Task":[]}}"#),
            &[],
            View::default(),
        );
        assert_eq!(text, "(none)");
    }
}
