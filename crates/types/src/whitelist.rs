//! IP whitelists: entries, groups, and the check that the gateway makes per connection
//! (API document 7.8 and 7.9).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The group that every instance has; it can be emptied but not removed.
pub const DEFAULT_GROUP: &str = "default";
/// Whitelist groups that an instance can have.
pub const MAX_GROUPS_PER_INSTANCE: usize = 50;
/// Entries that one group can have.
pub const MAX_ENTRIES_PER_GROUP: usize = 1_000;

/// Why a list of entries was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WhitelistError {
    /// The list holds no entry.
    #[error("the list is empty")]
    Empty,
    /// An entry is neither an IPv4 address nor a CIDR block with a prefix of 1 to 32.
    #[error("an entry is not an IPv4 address or CIDR block")]
    Malformed,
    /// An entry occurs twice.
    #[error("an entry occurs twice")]
    Duplicate,
    /// More than [`MAX_ENTRIES_PER_GROUP`] entries.
    #[error("more than {MAX_ENTRIES_PER_GROUP} entries")]
    TooMany,
}

/// One entry, kept as the client wrote it (host bits may be set) beside the block it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WhitelistEntry {
    text: Box<str>,
    block: Ipv4Net,
}

impl WhitelistEntry {
    /// Reads `a.b.c.d`, `a.b.c.d/n` with n in 1..=32, or `0.0.0.0/0`.
    ///
    /// # Errors
    /// [`WhitelistError::Malformed`] for anything else.
    pub fn parse(text: &str) -> Result<Self, WhitelistError> {
        let (address, prefix) = match text.split_once('/') {
            None => (text, 32),
            Some((address, digits)) => {
                let plain = !digits.is_empty()
                    && digits.bytes().all(|b| b.is_ascii_digit())
                    && (digits.len() == 1 || !digits.starts_with('0'));
                let prefix: u8 = digits
                    .parse()
                    .ok()
                    .filter(|_| plain)
                    .ok_or(WhitelistError::Malformed)?;
                (address, prefix)
            }
        };
        let address: Ipv4Addr = address.parse().map_err(|_| WhitelistError::Malformed)?;
        if prefix == 0 && text != "0.0.0.0/0" {
            return Err(WhitelistError::Malformed);
        }
        let block = Ipv4Net::new(address, prefix).map_err(|_| WhitelistError::Malformed)?;
        Ok(Self {
            text: text.into(),
            block,
        })
    }

    /// The entry as the client wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether two entries admit the same addresses, however they are written.
    #[must_use]
    pub fn same_block(&self, other: &Self) -> bool {
        self.block.trunc() == other.block.trunc()
    }
}

impl fmt::Display for WhitelistEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for WhitelistEntry {
    type Error = WhitelistError;
    fn try_from(text: String) -> Result<Self, WhitelistError> {
        Self::parse(&text)
    }
}

impl From<WhitelistEntry> for String {
    fn from(entry: WhitelistEntry) -> String {
        entry.text.into()
    }
}

/// Reads a comma-separated list of entries; blanks around entries are allowed.
///
/// # Errors
/// [`WhitelistError`]: empty, malformed, twice the same block, or too many.
pub fn parse_entries(text: &str) -> Result<Vec<WhitelistEntry>, WhitelistError> {
    if text.trim().is_empty() {
        return Err(WhitelistError::Empty);
    }
    if text.split(',').count() > MAX_ENTRIES_PER_GROUP {
        return Err(WhitelistError::TooMany);
    }
    let entries: Vec<_> = text
        .split(',')
        .map(|entry| WhitelistEntry::parse(entry.trim()))
        .collect::<Result<_, _>>()?;
    let mut blocks: Vec<_> = entries.iter().map(|entry| entry.block.trunc()).collect();
    blocks.sort_unstable();
    if blocks.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(WhitelistError::Duplicate);
    }
    Ok(entries)
}

/// A named group of entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhitelistGroup {
    /// Its name; [`DEFAULT_GROUP`] for the one that always exists.
    pub name: String,
    /// Its label, may be empty; `hidden` hides it in a console.
    pub attribute: String,
    /// Its entries, in the order in which they were given.
    pub entries: Vec<WhitelistEntry>,
}

impl WhitelistGroup {
    /// The entries as the API shows them: comma-separated.
    #[must_use]
    pub fn entries_text(&self) -> String {
        let texts: Vec<_> = self.entries.iter().map(WhitelistEntry::as_str).collect();
        texts.join(",")
    }
}

/// All blocks of an instance, ready for the check at accept: sorted, merged, and searched in
/// logarithmic time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whitelist {
    /// Inclusive address ranges, ascending and disjoint.
    ranges: Vec<(u32, u32)>,
}

impl Whitelist {
    /// Merges the entries of all groups. No entry at all admits nobody.
    #[must_use]
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a WhitelistEntry>) -> Self {
        let mut all: Vec<(u32, u32)> = entries
            .into_iter()
            .map(|entry| {
                (
                    entry.block.network().to_bits(),
                    entry.block.broadcast().to_bits(),
                )
            })
            .collect();
        all.sort_unstable();
        let mut ranges: Vec<(u32, u32)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match ranges.last_mut() {
                Some(range) if first <= range.1.saturating_add(1) => range.1 = range.1.max(last),
                _ => ranges.push((first, last)),
            }
        }
        Self { ranges }
    }

    /// The addresses as inclusive ranges, ascending and disjoint.
    #[must_use]
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// What [`ranges`](Self::ranges) told; anything else admits too few, never too many.
    #[must_use]
    pub fn from_ranges(ranges: Vec<(u32, u32)>) -> Self {
        Self { ranges }
    }

    /// Whether a client address is admitted. An IPv4-mapped IPv6 address counts as IPv4, the
    /// IPv6 loopback as 127.0.0.1; other IPv6 addresses are never admitted.
    #[must_use]
    pub fn admits(&self, client: IpAddr) -> bool {
        let address = match client {
            IpAddr::V4(address) => address,
            IpAddr::V6(address) if address.is_loopback() => Ipv4Addr::LOCALHOST,
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(mapped) => mapped,
                None => return false,
            },
        };
        let bits = address.to_bits();
        let after = self.ranges.partition_point(|range| range.0 <= bits);
        after > 0 && bits <= self.ranges[after - 1].1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_follow_the_rule() {
        for good in [
            "10.0.0.1",
            "10.23.12.24/24",
            "0.0.0.0/0",
            "1.2.3.4/32",
            "128.0.0.0/1",
        ] {
            assert!(WhitelistEntry::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "10.0.0",
            "10.0.0.256",
            "10.0.0.1/0",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "1.2.3.4/08",
            "::1",
            "localhost",
            "%",
            "10.0.0.1 ",
            "01.2.3.4",
            "0.0.0.0/00",
        ] {
            assert_eq!(
                WhitelistEntry::parse(bad),
                Err(WhitelistError::Malformed),
                "{bad}"
            );
        }
    }

    #[test]
    fn lists_refuse_duplicates_and_excess() {
        assert_eq!(parse_entries(" "), Err(WhitelistError::Empty));
        assert_eq!(
            parse_entries("1.1.1.1,,2.2.2.2"),
            Err(WhitelistError::Malformed)
        );
        assert_eq!(
            parse_entries("1.1.1.1,1.1.1.1/32"),
            Err(WhitelistError::Duplicate)
        );
        assert_eq!(
            parse_entries("10.0.0.1/24,10.0.0.9/24"),
            Err(WhitelistError::Duplicate)
        );
        let many = |count: u32| {
            (0..count)
                .map(|i| Ipv4Addr::from_bits(i).to_string())
                .collect::<Vec<_>>()
                .join(",")
        };
        assert_eq!(
            parse_entries(&many(1_000)).map(|entries| entries.len()),
            Ok(1_000)
        );
        assert_eq!(parse_entries(&many(1_001)), Err(WhitelistError::TooMany));
    }

    #[test]
    fn an_empty_whitelist_admits_nobody() {
        assert!(!Whitelist::default().admits(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }

    #[test]
    fn mapped_and_loopback_ipv6_addresses_count_as_ipv4() {
        let entries = parse_entries("127.0.0.1").expect("valid");
        let whitelist = Whitelist::new(&entries);
        assert!(whitelist.admits("::ffff:127.0.0.1".parse().expect("address")));
        assert!(whitelist.admits("::1".parse().expect("address")));
        assert!(!whitelist.admits("2001:db8::1".parse().expect("address")));
    }

    proptest! {
        #[test]
        fn the_merged_ranges_admit_what_some_entry_admits(
            blocks in prop::collection::vec((any::<u32>(), 1u8..=32), 0..20),
            probes in prop::collection::vec(any::<u32>(), 20),
        ) {
            let entries: Vec<_> = blocks
                .iter()
                .map(|(bits, prefix)| format!("{}/{prefix}", Ipv4Addr::from_bits(*bits)))
                .map(|text| WhitelistEntry::parse(&text).expect("valid"))
                .collect();
            let whitelist = Whitelist::new(&entries);
            let edges = entries.iter().flat_map(|entry| {
                let (first, last) = (entry.block.network().to_bits(), entry.block.broadcast().to_bits());
                [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
            });
            for bits in probes.into_iter().chain(edges) {
                let address = Ipv4Addr::from_bits(bits);
                let expected = entries.iter().any(|entry| entry.block.contains(&address));
                prop_assert_eq!(whitelist.admits(IpAddr::V4(address)), expected);
            }
        }
    }
}
