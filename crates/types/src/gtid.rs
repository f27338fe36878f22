//! Names of transactions in a binary log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::NameError;

/// The name of a transaction, as MariaDB writes it: `domain-server-sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Gtid {
    /// The stream of transactions, within which the sequence ascends.
    pub domain: u32,
    /// The server that committed it.
    pub server: u32,
    /// Its number, from 1 on.
    pub sequence: u64,
}

impl Gtid {
    /// Reads three decimal numbers with `-` between them.
    ///
    /// # Errors
    /// [`NameError`] when the text does not have that form.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let malformed = || NameError::new("Gtid", "is not domain-server-sequence");
        let mut parts = text.split('-').map(|part| {
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u64>().ok().filter(|_| is_number)
        });
        let mut next = || parts.next().flatten().ok_or_else(malformed);
        let (domain, server, sequence) = (next()?, next()?, next()?);
        if parts.next().is_some() || sequence == 0 {
            return Err(malformed());
        }
        Ok(Self {
            domain: u32::try_from(domain).map_err(|_| malformed())?,
            server: u32::try_from(server).map_err(|_| malformed())?,
            sequence,
        })
    }

    /// The one of this domain in a position: GTIDs of several domains with commas between them.
    /// `None` when nothing of the domain is before that position.
    #[must_use]
    pub fn of_domain(self, position: &str) -> Option<Self> {
        let mut each = position
            .split(',')
            .filter_map(|text| Self::parse(text.trim()).ok());
        each.find(|gtid| gtid.domain == self.domain)
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.sequence)
    }
}

impl FromStr for Gtid {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Gtid {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Gtid> for String {
    fn from(gtid: Gtid) -> Self {
        gtid.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers_are_a_name() {
        let gtid = Gtid::parse("0-4294967295-18446744073709551615").expect("well formed");
        assert_eq!((gtid.domain, gtid.server), (0, u32::MAX));
        assert_eq!(gtid.to_string(), "0-4294967295-18446744073709551615");
        for wrong in [
            "",
            "0",
            "0-1",
            "0-1-",
            "0-1-0",
            "0-1-2-3",
            "-0-1-2",
            "+0-1-2",
            "0-1- 2",
            "0-1-x",
            "4294967296-1-1",
            "0-4294967296-1",
            "0-1-18446744073709551616",
            "0-1-1,1-1-1",
        ] {
            assert!(Gtid::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_position_has_one_of_each_domain() {
        let gtid = Gtid::parse("3-1-9").expect("well formed");
        let found = gtid.of_domain("0-1-20,3-2-8");
        assert_eq!(found.map(|gtid| gtid.to_string()).as_deref(), Some("3-2-8"));
        assert_eq!(gtid.of_domain("0-1-20"), None);
        assert_eq!(gtid.of_domain(""), None);
    }
}
