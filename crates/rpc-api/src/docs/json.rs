//! JSON for reading: members stay in the order in which they were put.

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// Members with their names.
    Object(Vec<(String, Self)>),
}

/// The widest list that is written on one line.
const LINE: usize = 90;

impl Json {
    /// An object without members yet.
    pub(super) const fn object() -> Self {
        Self::Object(Vec::new())
    }

    /// Adds a member to an object; anything else stays as it is.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl Into<Self>) -> Self {
        self.put(name, value);
        self
    }

    /// As [`with`](Self::with), if there is a value.
    #[must_use]
    pub(super) fn with_some(self, name: &str, value: Option<impl Into<Self>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// As [`with`](Self::with), in place.
    pub(super) fn put(&mut self, name: &str, value: impl Into<Self>) {
        if let Self::Object(members) = self {
            members.push((name.to_owned(), value.into()));
        }
    }

    /// A list of what an iterator gives.
    pub(super) fn list(items: impl IntoIterator<Item = impl Into<Self>>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }

    /// An object that points to another place of the document.
    pub(super) fn reference(kind: &str, name: &str) -> Self {
        Self::object().with("$ref", format!("#/components/{kind}/{name}"))
    }

    /// The text, indented by two blanks a level; short lists of scalars stay on one line.
    pub(super) fn pretty(&self) -> String {
        let mut out = String::new();
        self.push(&mut out, Some(0));
        out
    }

    /// The text without any blanks.
    pub(super) fn compact(&self) -> String {
        let mut out = String::new();
        self.push(&mut out, None);
        out
    }

    /// Appends the text; `depth` is the indentation of the line, none for a text in one line.
    fn push(&self, out: &mut String, depth: Option<usize>) {
        match self {
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(digits) => out.push_str(digits),
            Self::Text(text) => push_text(out, text),
            Self::List(items) if items.is_empty() => out.push_str("[]"),
            Self::Object(members) if members.is_empty() => out.push_str("{}"),
            Self::List(items) => {
                if depth.is_some()
                    && let Some(line) = short_line(items)
                {
                    out.push_str(&line);
                    return;
                }
                push_block(out, depth, ['[', ']'], items, |out, depth, item| {
                    item.push(out, depth);
                });
            }
            Self::Object(members) => {
                push_block(
                    out,
                    depth,
                    ['{', '}'],
                    members,
                    |out, depth, (name, value)| {
                        push_text(out, name);
                        out.push_str(if depth.is_some() { ": " } else { ":" });
                        value.push(out, depth);
                    },
                );
            }
        }
    }
}

/// Items between brackets, with commas between and each on a line of its own if there are lines.
fn push_block<T>(
    out: &mut String,
    depth: Option<usize>,
    [open, close]: [char; 2],
    items: &[T],
    each: impl Fn(&mut String, Option<usize>, &T),
) {
    let inner = depth.map(|depth| depth + 1);
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        break_line(out, inner);
        each(out, inner, item);
    }
    break_line(out, depth);
    out.push(close);
}

fn break_line(out: &mut String, depth: Option<usize>) {
    if let Some(depth) = depth {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    }
}

/// A list of scalars on one line, where it is short enough.
fn short_line(items: &[Json]) -> Option<String> {
    let mut line = String::from("[");
    for (index, item) in items.iter().enumerate() {
        if matches!(item, Json::List(_) | Json::Object(_)) || line.len() > LINE {
            return None;
        }
        line.push_str(if index == 0 { "" } else { ", " });
        item.push(&mut line, None);
    }
    line.push(']');
    (line.len() <= LINE).then_some(line)
}

fn push_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u32> for Json {
    fn from(value: u32) -> Self {
        Self::Number(value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_short_lists_their_line() {
        let json = Json::object()
            .with("b", Json::list(["x", "y\"\n"]))
            .with("a", Json::List(vec![Json::object().with("n", 1)]))
            .with("empty", Json::object())
            .with_some("none", None::<bool>);
        assert_eq!(
            json.pretty(),
            "{\n  \"b\": [\"x\", \"y\\\"\\n\"],\n  \"a\": [\n    {\n      \"n\": 1\n    }\n  ],\n  \"empty\": {}\n}"
        );
        assert_eq!(
            json.compact(),
            r#"{"b":["x","y\"\n"],"a":[{"n":1}],"empty":{}}"#
        );
    }

    #[test]
    fn long_lists_take_a_line_each() {
        let json = Json::list(["0123456789"; 9]);
        assert_eq!(json.pretty().lines().count(), 11);
    }
}
