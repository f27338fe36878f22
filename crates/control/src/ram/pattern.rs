//! Wildcard patterns of RAM policies.

use std::sync::Arc;

/// A text with `*` (any characters) and `?` (one character).
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Arc<str>,
    ignore_case: bool,
    kind: Kind,
}

/// The common forms, told apart once so that matching them costs one comparison.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Everything,
    Literal,
    Prefix,
    Wildcard,
}

impl Pattern {
    /// A pattern whose letters must match in case.
    #[must_use]
    pub fn exact_case(text: &str) -> Self {
        Self::new(text, false)
    }

    /// A pattern that ignores the case of ASCII letters.
    #[must_use]
    pub fn ignoring_case(text: &str) -> Self {
        Self::new(text, true)
    }

    fn new(text: &str, ignore_case: bool) -> Self {
        let wildcard = |text: &str| text.contains(['*', '?']);
        let kind = match text.strip_suffix('*') {
            Some("") => Kind::Everything,
            Some(prefix) if !wildcard(prefix) => Kind::Prefix,
            _ if wildcard(text) => Kind::Wildcard,
            _ => Kind::Literal,
        };
        Self {
            text: text.into(),
            ignore_case,
            kind,
        }
    }

    /// The text, if it has no wildcard and case matters: what it matches is itself alone.
    #[must_use]
    pub fn literal(&self) -> Option<&Arc<str>> {
        let literal = matches!(self.kind, Kind::Literal) && !self.ignore_case;
        literal.then_some(&self.text)
    }

    /// Whether it matches any value.
    #[must_use]
    pub fn matches_everything(&self) -> bool {
        matches!(self.kind, Kind::Everything)
    }

    /// Whether the whole of `value` matches.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        match self.kind {
            Kind::Everything => true,
            Kind::Literal => self.equal(self.text.as_bytes(), value.as_bytes()),
            Kind::Prefix => {
                let prefix = &self.text.as_bytes()[..self.text.len() - 1];
                value.len() >= prefix.len() && self.equal(prefix, &value.as_bytes()[..prefix.len()])
            }
            Kind::Wildcard => self.matches_wildcard(value.as_bytes()),
        }
    }

    fn equal(&self, left: &[u8], right: &[u8]) -> bool {
        if self.ignore_case {
            left.eq_ignore_ascii_case(right)
        } else {
            left == right
        }
    }

    /// Matches greedily with one point to return to, so that time stays below the product of
    /// both lengths whatever the pattern.
    fn matches_wildcard(&self, value: &[u8]) -> bool {
        let pattern = self.text.as_bytes();
        let (mut at, mut position) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while position < value.len() {
            let literal = |byte: u8| self.equal(&[byte], &value[position..=position]);
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, position));
                    at += 1;
                }
                Some(&byte) if byte == b'?' || literal(byte) => {
                    at += 1;
                    position += 1;
                }
                _ => match star {
                    Some((star_at, star_position)) => {
                        star = Some((star_at, star_position + 1));
                        at = star_at + 1;
                        position = star_position + 1;
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|&byte| byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_documented() {
        for (pattern, value, expected) in [
            ("*", "", true),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("abc*", "abc", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbbd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*b*", "abc", true),
            ("a*b*c*d", "aXbYcZd", true),
            ("a**", "a", true),
            ("?", "", false),
        ] {
            assert_eq!(
                Pattern::exact_case(pattern).matches(value),
                expected,
                "{pattern} {value}"
            );
        }
    }

    #[test]
    fn case_matters_only_where_it_should() {
        assert!(Pattern::ignoring_case("PetaData:desc*").matches("petadata:DescribeInstances"));
        assert!(!Pattern::exact_case("PD-1").matches("pd-1"));
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = Pattern::exact_case(&"*a".repeat(60));
        assert!(!pattern.matches(&"a".repeat(59)));
        assert!(!Pattern::exact_case(&format!("{}b", "*a".repeat(60))).matches(&"a".repeat(4_000)));
    }
}
