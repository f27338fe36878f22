//! Links to backup sets: whoever has one may fetch the set until it expires, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use openpeta_types::{AccountId, BackupId, InstanceId};
use ring::hmac;

/// What paths of links begin with.
const PREFIX: &str = "/backup-sets/";
/// What they end with.
const SUFFIX: &str = ".tar";

/// What a link leads to, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetLink {
    /// The tenant.
    pub account_id: AccountId,
    /// The instance.
    pub instance_id: InstanceId,
    /// The set.
    pub backup_id: BackupId,
    /// The second from which on it leads nowhere.
    pub(super) expires: i64,
}

/// Why a link leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// It is none of ours, or not as it was given.
    Invalid,
    /// Its time is over.
    Expired,
}

impl SetLink {
    /// Whether a path is one of a link.
    #[must_use]
    pub fn is_path(path: &str) -> bool {
        path.starts_with(PREFIX)
    }

    /// Path and query.
    pub(super) fn to_text(&self, key: &hmac::Key) -> String {
        let path = self.path();
        let expires = self.expires;
        let signature = hmac::sign(key, self.signed().as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature);
        format!("{path}?Expires={expires}&Signature={signature}")
    }

    /// Reads what [`to_text`](Self::to_text) wrote.
    pub(super) fn read(
        path: &str,
        query: &str,
        key: &hmac::Key,
        now: Timestamp,
    ) -> Result<Self, LinkError> {
        let (link, signature) = Self::parse(path, query).ok_or(LinkError::Invalid)?;
        hmac::verify(key, link.signed().as_bytes(), &signature).map_err(|_| LinkError::Invalid)?;
        match now.as_second() < link.expires {
            true => Ok(link),
            false => Err(LinkError::Expired),
        }
    }

    fn path(&self) -> String {
        let Self {
            account_id,
            instance_id,
            backup_id,
            ..
        } = self;
        format!("{PREFIX}{account_id}/{instance_id}/{backup_id}{SUFFIX}")
    }

    /// What is signed. None of the parts can have a line break.
    fn signed(&self) -> String {
        format!("{}\n{}", self.path(), self.expires)
    }

    fn parse(path: &str, query: &str) -> Option<(Self, Vec<u8>)> {
        let place = path.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let mut parts = place.split('/');
        let (account, instance, backup) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let (mut expires, mut signature) = (None, None);
        for pair in query.split('&') {
            match pair.split_once('=')? {
                ("Expires", value) => expires = Some(value.parse().ok()?),
                ("Signature", value) => signature = Some(URL_SAFE_NO_PAD.decode(value).ok()?),
                _ => return None,
            }
        }
        let link = Self {
            account_id: AccountId::parse(account).ok()?,
            instance_id: InstanceId::parse(instance).ok()?,
            backup_id: BackupId::parse(backup).ok()?,
            expires: expires?,
        };
        Some((link, signature?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn a_link_leads_where_it_was_given_for_until_it_expires() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key");
        let link = SetLink {
            account_id: AccountId::parse("1234567890123456").expect("an id"),
            instance_id: InstanceId::parse("pd-a").expect("an id"),
            backup_id: BackupId::from_number(100_001),
            expires: 1_000,
        };
        let text = link.to_text(&key);
        let read = |text: &str, key: &hmac::Key, second| {
            let (path, query) = text.split_once('?').expect("a query");
            SetLink::read(path, query, key, at(second))
        };
        assert_eq!(read(&text, &key, 999), Ok(link));
        assert_eq!(read(&text, &key, 1_000), Err(LinkError::Expired));
        let other = hmac::Key::new(hmac::HMAC_SHA256, b"another key");
        assert_eq!(read(&text, &other, 1), Err(LinkError::Invalid));
        for (from, to) in [
            ("100001", "100002"),
            ("pd-a", "pd-b"),
            ("1234567890123456", "1234567890123457"),
            ("Expires=1000", "Expires=1001"),
            ("Expires=1000", "Expires=01000"),
            ("Signature=", "Signature=A"),
            ("&Signature", "&signature"),
            (".tar", ".zip"),
            ("/100001", "/x/100001"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let error = if to == "Expires=01000" {
                None
            } else {
                Some(LinkError::Invalid)
            };
            assert_eq!(read(&changed, &key, 1).err(), error, "{changed}");
        }
    }
}
