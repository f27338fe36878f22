//! The operator's keys: read from a file, never shown.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

/// Bytes of a key.
const KEY: usize = 32;
/// What a key's id is the digest of, before the key.
const ID_PREFIX: &[u8] = b"openpeta backup key id";
/// What the key of a file is derived for.
const FILE_KEY_INFO: &[u8] = b"openpeta sealed file 1";
/// More than any file of keys has.
const MOST_BYTES: u64 = 64 << 10;

/// The keys that backups are encrypted with: the first one encrypts, all of them decrypt.
#[derive(Clone, Default)]
pub struct BackupKeys(Arc<Vec<Key>>);

impl BackupKeys {
    /// Reads keys from a file: one a line, 32 bytes in base64 or hexadecimal; empty lines and
    /// those that begin with `#` are passed over.
    ///
    /// # Errors
    /// What is wrong with the file, for the operator. Nothing of its content is told.
    pub fn read(path: &Path) -> Result<Self, String> {
        let failed = |what: &dyn fmt::Display| format!("{}: {what}", path.display());
        let mut file = File::open(path).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        let mode = metadata.permissions().mode() & 0o777;
        if !metadata.is_file() {
            return Err(failed(&"is no file"));
        }
        if mode & 0o077 != 0 {
            return Err(failed(&format_args!(
                "others may read or change it (mode {mode:04o}); chmod 0600"
            )));
        }
        let mut text = Zeroizing::new(String::new());
        let read = (&mut file).take(MOST_BYTES).read_to_string(&mut text);
        read.map_err(|error| failed(&error))?;
        Self::parse(&text).map_err(|what| failed(&what))
    }

    /// Whether there is a key to encrypt with.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.current().is_some()
    }

    /// Keys as such a file has them.
    ///
    /// # Errors
    /// What is wrong, and in which line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).zip(1_u32..);
        let keys: Vec<Key> = lines
            .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
            .map(|(line, number)| {
                let wrong =
                    || format!("line {number} is no key: 32 bytes in base64 or hexadecimal");
                Key::parse(line).ok_or_else(wrong)
            })
            .collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err("has no key".to_owned());
        }
        Ok(Self(Arc::new(keys)))
    }

    /// The id of the key that encrypts; `None` when nothing is encrypted.
    #[must_use]
    pub fn current_id(&self) -> Option<String> {
        self.current().map(|key| key.id.to_string())
    }

    /// The ids of all keys.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.0.iter().map(|key| key.id.to_string()).collect()
    }

    /// The key that encrypts.
    pub(crate) fn current(&self) -> Option<&Key> {
        self.0.first()
    }

    pub(super) fn find(&self, id: KeyId) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl fmt::Debug for BackupKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// Tells which key it was; says nothing of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyId(pub(super) [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A key.
pub(crate) struct Key {
    pub(crate) id: KeyId,
    secret: Zeroizing<[u8; KEY]>,
}

impl Key {
    fn parse(text: &str) -> Option<Self> {
        let mut secret = Zeroizing::new([0; KEY]);
        if text.len() == 2 * KEY && text.is_ascii() {
            for (byte, digits) in secret.iter_mut().zip(text.as_bytes().chunks(2)) {
                let digits = std::str::from_utf8(digits).ok()?;
                let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                *byte = is_hex.then(|| u8::from_str_radix(digits, 16).ok())??;
            }
        } else {
            let bytes = Zeroizing::new(BASE64_STANDARD.decode(text).ok()?);
            secret = Zeroizing::new(bytes.as_slice().try_into().ok()?);
        }
        let text = Zeroizing::new([ID_PREFIX, secret.as_slice()].concat());
        let digest = digest(&SHA256, &text);
        let id = KeyId(digest.as_ref()[..8].try_into().expect("a digest is longer"));
        Some(Self { id, secret })
    }

    /// The key of one file.
    pub(super) fn of_file(&self, salt: &[u8]) -> LessSafeKey {
        let secret = Salt::new(HKDF_SHA256, salt).extract(self.secret.as_slice());
        let info = [FILE_KEY_INFO];
        let key = secret.expand(&info, &AES_256_GCM);
        let key = key.expect("a key is shorter than what can be derived");
        LessSafeKey::new(UnboundKey::from(key))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn a_key_is_base64_or_hexadecimal() {
        let keys = BackupKeys::parse(&format!("# new\n\n {HEX} \n# old\r\n{BASE64}\n"));
        let ids = keys.expect("two keys").ids();
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[0], ids[1]);
        let other = HEX.replace("00", "01");
        let keys = BackupKeys::parse(&format!("{other}\n{HEX}")).expect("two keys");
        assert_eq!(keys.current_id(), keys.ids().first().cloned());
        assert_ne!(keys.current_id().as_ref(), ids.first());
        assert_eq!(BackupKeys::default().current_id(), None);
    }

    #[test]
    fn what_is_no_key_is_told_by_its_line_alone() {
        let short = &HEX[2..];
        let signed = format!("+0{}", &HEX[2..]);
        for wrong in [short, signed.as_str(), "AAECAwQ=", "secret"] {
            let error = BackupKeys::parse(&format!("{HEX}\n{wrong}\n")).expect_err("no key");
            assert!(error.starts_with("line 2"), "{error}");
            assert!(!error.contains(wrong), "{error}");
        }
        let error = BackupKeys::parse("# none\n").expect_err("none");
        assert!(error.contains("no key"), "{error}");
        let shown = format!("{:?}", BackupKeys::parse(HEX).expect("a key"));
        assert!(!shown.contains(&HEX[..8]), "{shown}");
    }

    #[test]
    fn others_must_not_read_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("keys");
        fs::write(&path, HEX).expect("ours");
        for (mode, is_fit) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("ours");
            assert_eq!(BackupKeys::read(&path).is_ok(), is_fit, "{mode:o}");
        }
        let error = BackupKeys::read(&dir.path().join("none")).expect_err("none");
        assert!(error.contains("none: No such file"), "{error}");
    }
}
