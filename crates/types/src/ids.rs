//! Identifiers. Each kind has a type of its own, so that a task id can never be passed
//! where an instance id belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::NameError;

/// Declares a textual id: its documentation, its prefix and the parameter named in errors.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $parameter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Reads an id as a client or the store wrote it: the prefix, then 1 to 64
            /// characters out of `0-9a-zA-Z-`.
            ///
            /// # Errors
            /// [`NameError`] when the text does not have that form.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let rest = text
                    .strip_prefix($prefix)
                    .ok_or(NameError::new($parameter, "has another prefix"))?;
                let valid = (1..=64).contains(&rest.len())
                    && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                if valid {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError::new($parameter, "is not an identifier"))
                }
            }

            /// Builds an id from random bytes, 14 lower-case letters and digits after the
            /// prefix, as the service hands them out.
            #[must_use]
            pub fn from_random(random: [u8; 16]) -> Self {
                Self(format!("{}{}", $prefix, base36(random)).into())
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.into()
            }
        }
    };
}

text_id!(
    /// An instance, for example `pd-abcdefg62469a`. Made by the service, never changes.
    InstanceId, "pd-", "InstanceId"
);
text_id!(
    /// A database node: one `mariadbd` process with its own data directory.
    NodeId, "nd-", "NodeId"
);
text_id!(
    /// One listener of the gateway.
    EndpointId, "ep-", "EndpointId"
);
text_id!(
    /// A VPC made by the operator.
    VpcId, "vpc-", "VpcId"
);
text_id!(
    /// A VSwitch of a VPC.
    VSwitchId, "vsw-", "VSwitchId"
);

/// 14 characters of `0-9a-z` out of 16 random bytes, about 72 bits.
fn base36(random: [u8; 16]) -> String {
    const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut rest = u128::from_le_bytes(random);
    (0..14)
        .map(|_| {
            let digit = (rest % 36) as usize;
            rest /= 36;
            char::from(ALPHABET[digit])
        })
        .collect()
}

/// A tenant: sixteen decimal digits, as Aliyun account ids are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(u64);

impl AccountId {
    /// Reads an account id.
    ///
    /// # Errors
    /// [`NameError`] unless the text is a decimal number of at most 18 digits.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let digits =
            !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits => Ok(Self(number)),
            _ => Err(NameError::new("AccountId", "is not a decimal number")),
        }
    }

    /// Builds a sixteen-digit id from random bytes.
    #[must_use]
    pub fn from_random(random: [u8; 8]) -> Self {
        const FIRST: u64 = 1_000_000_000_000_000;
        Self(FIRST + u64::from_le_bytes(random) % (FIRST * 9))
    }

    /// The id as a number, the form in which the store keeps it.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The id that [`number`](Self::number) gave.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The public half of an access key: 1 to 128 printable characters without blanks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccessKeyId(Box<str>);

impl AccessKeyId {
    /// Reads an access key id.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, too long, or holds a character that no key has.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let valid = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(NameError::new("AccessKeyId", "is not an access key id"))
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Declares a numeric id that clients see as decimal digits.
macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $parameter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// Reads an id of decimal digits.
            ///
            /// # Errors
            /// [`NameError`] when the text is no such number.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                match text.parse() {
                    Ok(number) if digits => Ok(Self(number)),
                    _ => Err(NameError::new($parameter, "is not a decimal number")),
                }
            }

            /// The id as a number, the form in which the store keeps it.
            #[must_use]
            pub const fn number(self) -> i64 {
                self.0
            }

            /// The id that [`number`](Self::number) gave.
            #[must_use]
            pub const fn from_number(number: i64) -> Self {
                Self(number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number_id!(
    /// A task (API document 7.6): decimal digits.
    TaskId, "TaskId"
);
number_id!(
    /// An order (API document 7.1): decimal digits.
    OrderId, "OrderId"
);
number_id!(
    /// A backup set (API document 11.1): decimal digits.
    BackupId, "BackupId"
);

/// Identifies one API call: an upper-case UUID, new for every call (API document 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// Builds a request id from random bytes; version and variant bits are set here.
    #[must_use]
    pub const fn from_random(mut random: [u8; 16]) -> Self {
        random[6] = (random[6] & 0x0f) | 0x40;
        random[8] = (random[8] & 0x3f) | 0x80;
        Self(random)
    }

    /// The sixteen bytes that it is.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        // Every answer shows it several times: one piece is quicker than twenty.
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 15)];
            at += 2;
        }
        f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits are text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_ids_have_the_documented_form() {
        assert!(InstanceId::parse("pd-abcdefg62469a").is_ok());
        for bad in ["", "pd-", "rm-abc", "pd-a b", "pd-../x", "PD-abc", "pd-é"] {
            assert!(InstanceId::parse(bad).is_err(), "{bad}");
        }
        let id = InstanceId::from_random([7; 16]);
        assert_eq!(id.as_str().len(), 17);
        assert_eq!(InstanceId::parse(id.as_str()), Ok(id));
    }

    #[test]
    fn request_ids_are_upper_case_uuids() {
        let text = RequestId::from_random([0xab; 16]).to_string();
        assert_eq!(text, "ABABABAB-ABAB-4BAB-ABAB-ABABABABABAB");
        let text = RequestId::from_random(
            *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef",
        );
        assert_eq!(text.to_string(), "01234567-89AB-4DEF-8123-456789ABCDEF");
    }

    #[test]
    fn account_ids_have_sixteen_digits() {
        for random in [[0; 8], [255; 8], [17; 8]] {
            assert_eq!(AccountId::from_random(random).to_string().len(), 16);
        }
        assert!(AccountId::parse("12a").is_err());
        assert!(AccountId::parse("+12").is_err());
    }

    #[test]
    fn task_ids_are_plain_digits() {
        assert_eq!(TaskId::parse("42"), Ok(TaskId::from_number(42)));
        for bad in ["", "-1", "+1", "4 2", "99999999999999999999"] {
            assert!(TaskId::parse(bad).is_err(), "{bad}");
        }
    }
}
