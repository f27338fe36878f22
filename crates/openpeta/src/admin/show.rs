//! Replies to the operator's commands as text.

use serde_json::{Map, Value};

use crate::ordered_json::Node;
use crate::table::{View, render_answer, render_rows};

/// What a reply looks like.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// An array of objects; these members are the first columns.
    Rows {
        /// The members.
        columns: &'static [&'static str],
    },
    /// An object, shown as it is.
    Fields {
        /// The first columns of a list inside it.
        columns: &'static [&'static str],
    },
    /// An object of which exactly these members are shown, in this order.
    Exactly {
        /// The members.
        members: &'static [&'static str],
    },
}

/// An object without lists that need an order.
pub const FIELDS: Form = Form::Fields { columns: &[] };

/// The reply as JSON, on one line.
pub fn as_json(reply: &Value, form: Form) -> String {
    let Form::Exactly { members } = form else {
        return reply.to_string();
    };
    let texts: Vec<String> = members
        .iter()
        .map(|member| format!("{}:{}", Value::from(*member), reply[*member]))
        .collect();
    format!("{{{}}}", texts.join(","))
}

/// The reply as a table.
pub fn as_text(reply: &Value, form: Form, view: View) -> String {
    match form {
        Form::Rows { columns } => {
            let node = Node::from(reply);
            render_rows(node.items().unwrap_or_default(), columns, view)
        }
        Form::Fields { columns } => match reply {
            Value::Null => "done".to_owned(),
            Value::Object(members) if members.is_empty() => "done".to_owned(),
            reply => render_answer(&Node::from(reply), columns, view),
        },
        Form::Exactly { members } => {
            let picked: Vec<(String, Node)> = members
                .iter()
                .map(|member| ((*member).to_owned(), Node::from(&reply[*member])))
                .collect();
            render_answer(&Node::Object(picked), &[], view)
        }
    }
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::String(text) => Self::Scalar(text.clone()),
            Value::Bool(_) | Value::Number(_) => Self::Scalar(value.to_string()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(members) => Self::Object(pairs(members)),
        }
    }
}

fn pairs(members: &Map<String, Value>) -> Vec<(String, Node)> {
    members
        .iter()
        .map(|(name, value)| (name.clone(), Node::from(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_new_tenant_shows_exactly_its_three_members() {
        let form = Form::Exactly {
            members: &["account_id", "access_key_id"],
        };
        let reply = json!({"access_key_id": "k\"", "account_id": 12, "more": 1});
        assert_eq!(
            as_json(&reply, form),
            r#"{"account_id":12,"access_key_id":"k\""}"#
        );
        assert_eq!(
            as_text(&reply, form, View::default()),
            "account_id     12\naccess_key_id  k\""
        );
    }

    #[test]
    fn nothing_to_say_is_said_in_a_word() {
        assert_eq!(as_text(&Value::Null, FIELDS, View::default()), "done");
        let rows = Form::Rows { columns: &["b"] };
        assert_eq!(
            as_text(&json!([{"a": 1, "b": 2}]), rows, View::default()),
            "B  A\n2  1"
        );
    }
}
