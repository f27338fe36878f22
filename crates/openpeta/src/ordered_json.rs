//! A JSON document with its objects in the order in which they were written, so that a table
//! shows the fields as the API document lists them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `null`.
    Null,
    /// Everything that is shown as one text: strings, numbers, booleans.
    Scalar(String),
    /// An array.
    List(Vec<Self>),
    /// An object, in its own order.
    Object(Vec<(String, Self)>),
}

impl Node {
    /// The member of that name.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members
                .iter()
                .find_map(|(key, value)| (key == name).then_some(value)),
            _ => None,
        }
    }

    /// The text of the member of that name.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Self::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The items, when this is an array or the API's list: an object whose only member is an
    /// array, `{"Instance":[…]}`.
    pub fn items(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            Self::Object(members) => match members.as_slice() {
                [(_, Self::List(items))] => Some(items),
                _ => None,
            },
            _ => None,
        }
    }

    /// The items of the member of that name; none when it is absent.
    pub fn list(&self, name: &str) -> &[Self] {
        self.get(name).and_then(Self::items).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept() {
        let node: Node = serde_json::from_str(r#"{"b":1,"a":{"I":["x",null]},"c":true}"#).unwrap();
        let Node::Object(members) = &node else {
            panic!("not an object")
        };
        let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b", "a", "c"]);
        assert_eq!(
            node.list("a"),
            [Node::Scalar("x".to_owned()), Node::Null].as_slice()
        );
        assert_eq!(node.text("c"), Some("true"));
    }
}
