//! The client's idempotency token.

use crate::ApiError;

/// A ClientToken: 1 to 64 printable ASCII characters; case matters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientToken(Box<str>);

impl ClientToken {
    /// Reads a token.
    ///
    /// # Errors
    /// `InvalidClientToken.Malformed` when it is empty, longer than 64 characters, or holds a
    /// character that is not printable ASCII.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let printable = |b: u8| b.is_ascii_graphic() || b == b' ';
        if (1..=64).contains(&text.len()) && text.bytes().all(printable) {
            Ok(Self(text.into()))
        } else {
            Err(ApiError::malformed("ClientToken"))
        }
    }

    /// The token as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_short_ascii() {
        assert!(ClientToken::parse(&"x".repeat(64)).is_ok());
        for bad in ["", &"x".repeat(65), "é", "a\nb"] {
            let error = ClientToken::parse(bad).expect_err(bad);
            assert_eq!(error.code, "InvalidClientToken.Malformed");
        }
    }
}
