//! What transactions are called on the nodes.

use std::fmt;
use std::str::FromStr;

/// A node of a database, by its place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub u16);

/// A transaction, by a number that is never given twice: not by the same process, not by the next
/// one, not by another service whose nodes were copied from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId {
    /// Whose it is: random, and the same as long as the log is.
    pub coordinator: u64,
    /// Which life of the coordinator: one more each time the log is opened.
    pub epoch: u32,
    /// Which transaction of that life.
    pub number: u64,
}

/// `formatID` of our branches in `XA RECOVER`.
const FORMAT: u32 = 0x4F50;

impl TransactionId {
    /// The `xid` of its branch on a node, as it stands in statements: `'gtrid','bqual',formatID`.
    #[must_use]
    pub fn xid(&self, node: Node) -> String {
        format!("'{self}','{}',{FORMAT}", node.0)
    }

    /// Reads a row of `XA RECOVER`; `None` for branches of others. `data` is `gtrid` and `bqual`
    /// without anything between them.
    #[must_use]
    pub fn from_recover(format_id: i64, gtrid_length: i64, data: &[u8]) -> Option<(Self, Node)> {
        if format_id != i64::from(FORMAT) {
            return None;
        }
        let (gtrid, bqual) = data.split_at_checked(usize::try_from(gtrid_length).ok()?)?;
        let id = std::str::from_utf8(gtrid).ok()?.parse().ok()?;
        let node = std::str::from_utf8(bqual).ok()?.parse().ok()?;
        Some((id, Node(node)))
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            coordinator,
            epoch,
            number,
        } = self;
        write!(f, "{coordinator:016x}-{epoch:08x}-{number:016x}")
    }
}

/// Not the text of a [`TransactionId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the number of a transaction")]
pub struct NotAnId;

impl FromStr for TransactionId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let mut parts = text.split('-');
        let mut part = |digits| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            u64::from_str_radix(part, 16).ok()
        };
        let read = (|| {
            let (coordinator, epoch, number) = (part(16)?, part(8)?, part(16)?);
            Some(Self {
                coordinator,
                epoch: epoch.try_into().ok()?,
                number,
            })
        })();
        // Only what is written, so that one transaction has one name.
        read.filter(|id| id.to_string() == text).ok_or(NotAnId)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_name_on_a_node() {
        let id = TransactionId {
            coordinator: 0xAB,
            epoch: 3,
            number: u64::MAX,
        };
        let xid = "'00000000000000ab-00000003-ffffffffffffffff','7',20304";
        assert_eq!(id.xid(Node(7)), xid);
        // MariaDB takes 64 bytes for each part.
        assert!(id.to_string().len() <= 64);
        let data = format!("{id}7");
        let found = TransactionId::from_recover(20304, 42, data.as_bytes());
        assert_eq!(found, Some((id, Node(7))));
    }

    #[test]
    fn branches_of_others_are_not_ours() {
        let data = b"00000000000000ab-00000003-ffffffffffffffff7";
        for (format, length, data) in [
            (1, 42, &data[..]),
            (20304, 41, data),
            (20304, 43, data),
            (20304, 99, data),
            (20304, -1, data),
            (20304, 42, b"00000000000000AB-00000003-ffffffffffffffff7"),
            (20304, 42, b"00000000000000ab+00000003-ffffffffffffffff7"),
            (20304, 42, b"00000000000000ab-00000003-ffffffffffffffff"),
            (20304, 42, b"00000000000000ab-00000003-ffffffffffffffffx"),
            (20304, 1, b"\xff1"),
        ] {
            assert_eq!(TransactionId::from_recover(format, length, data), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(coordinator: u64, epoch: u32, number: u64) {
            let id = TransactionId { coordinator, epoch, number };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn no_other_text_is_read(text in "[0-9a-fA-F+-]{40,44}") {
            if let Ok(id) = text.parse::<TransactionId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
