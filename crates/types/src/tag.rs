//! Tags: keys and values that a tenant puts on its instances.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::NameError;

/// Characters that a key or a value may have.
const MAX_CHARACTERS: usize = 128;

/// The key of a tag: 1 to 128 characters of any kind but controls, not beginning with `aliyun`
/// or `acs:`, which the old service kept for itself, and without `http://` and `https://`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagKey(Box<str>);

impl TagKey {
    /// Checks a key.
    ///
    /// # Errors
    /// [`NameError`] when it breaks the rule.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let lower = text.to_lowercase();
        let is_kept = lower.starts_with("aliyun") || lower.starts_with("acs:");
        let is_link = lower.contains("http://") || lower.contains("https://");
        if text.is_empty() || !is_plain(text) || is_kept || is_link {
            return Err(NameError::new("TagKey", "is malformed"));
        }
        Ok(Self(text.into()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value of a tag: up to 128 characters of any kind but controls; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagValue(Box<str>);

impl TagValue {
    /// Checks a value.
    ///
    /// # Errors
    /// [`NameError`] when it breaks the rule.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if !is_plain(text) {
            return Err(NameError::new("TagValue", "is malformed"));
        }
        Ok(Self(text.into()))
    }

    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A tag of an instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tag {
    /// Its key, unique on the instance.
    pub key: TagKey,
    /// Its value.
    pub value: TagValue,
}

/// What a tag must be like: the key, and the value unless any will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagFilter {
    /// The key.
    pub key: TagKey,
    /// The value; `None` for any.
    pub value: Option<TagValue>,
}

impl TagFilter {
    /// Whether one of the tags, which are sorted by key, is like that.
    #[must_use]
    pub fn passes(&self, tags: &[Tag]) -> bool {
        let found = tags.binary_search_by(|tag| tag.key.cmp(&self.key));
        found.is_ok_and(|place| {
            self.value
                .as_ref()
                .is_none_or(|value| tags[place].value == *value)
        })
    }
}

/// Short enough, and without control characters.
fn is_plain(text: &str) -> bool {
    text.chars().count() <= MAX_CHARACTERS && !text.chars().any(char::is_control)
}

/// Conversions that every checked text has.
macro_rules! text_conversions {
    ($($name:ident),+) => {
        $(
            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }

            impl TryFrom<String> for $name {
                type Error = NameError;
                fn try_from(text: String) -> Result<Self, NameError> {
                    Self::parse(&text)
                }
            }

            impl From<$name> for String {
                fn from(text: $name) -> String {
                    text.0.into()
                }
            }
        )+
    };
}

text_conversions!(TagKey, TagValue);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_the_rule() {
        for good in ["a", "团队", "x aliyun", "team:shop", &"k".repeat(128), "🦀"] {
            assert!(TagKey::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "aliyun",
            "AliYun-x",
            "acs:x",
            "see http://x",
            "HTTPS://x",
            "a\nb",
            &"k".repeat(129),
        ] {
            assert!(TagKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_may_be_empty_and_links() {
        for good in ["", "https://example.com", &"值".repeat(128)] {
            assert!(TagValue::parse(good).is_ok(), "{good}");
        }
        for bad in ["\0", &"v".repeat(129)] {
            assert!(TagValue::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn filters_look_at_key_and_value() {
        let tag = |key: &str, value: &str| Tag {
            key: TagKey::parse(key).expect("a key"),
            value: TagValue::parse(value).expect("a value"),
        };
        let tags = [tag("a", "1"), tag("b", "")];
        let passes = |key: &str, value: Option<&str>| {
            let filter = TagFilter {
                key: TagKey::parse(key).expect("a key"),
                value: value.map(|value| TagValue::parse(value).expect("a value")),
            };
            filter.passes(&tags)
        };
        assert!(passes("a", None) && passes("a", Some("1")) && passes("b", Some("")));
        assert!(!passes("a", Some("2")) && !passes("A", None) && !passes("c", None));
    }
}
