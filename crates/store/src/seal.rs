//! Encryption of secret columns: AES-256-GCM with the key file beside the store.
//!
//! A sealed value is a random 96-bit nonce, the ciphertext and the tag. Table and row are
//! authenticated along, so that a value copied into another row does not open there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::StoreError;

/// Length of the key file.
const KEY_LENGTH: usize = 32;

/// The store's key, ready for use.
pub(crate) struct Sealer {
    aead: LessSafeKey,
    derive: hmac::Key,
    random: SystemRandom,
}

impl Sealer {
    /// Reads the key file, or makes one if `may_create`, readable by its owner alone.
    pub(crate) fn load(path: &Path, may_create: bool) -> Result<Self, StoreError> {
        let key = match fs::read(path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io(path, error));
            }
            Err(_) if may_create => create_key(path)?,
            Err(_) => return Err(StoreError::KeyMissing { path: path.into() }),
        };
        let malformed = || StoreError::KeyMalformed { path: path.into() };
        if key.len() != KEY_LENGTH {
            return Err(malformed());
        }
        let unbound = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| malformed())?;
        Ok(Self {
            aead: LessSafeKey::new(unbound),
            derive: hmac::Key::new(hmac::HMAC_SHA256, &key),
            random: SystemRandom::new(),
        })
    }

    /// Encrypts a value for one place: the table and the parts of the row's key.
    pub(crate) fn seal(&self, table: &'static str, row: &[&str], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        self.random
            .fill(&mut nonce)
            .expect("the operating system has random bytes");
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = self
            .aead
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place(table, row)),
                &mut sealed[NONCE_LEN..],
            )
            .expect("values are shorter than 64 GB");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Decrypts what [`seal`](Self::seal) made for the same place.
    pub(crate) fn open(
        &self,
        table: &'static str,
        row: &[&str],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let undecryptable = || StoreError::Undecryptable { table };
        let (nonce, rest) = sealed
            .split_at_checked(NONCE_LEN)
            .ok_or_else(undecryptable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| undecryptable())?;
        let mut buffer = Zeroizing::new(rest.to_vec());
        let length = self
            .aead
            .open_in_place(nonce, Aad::from(place(table, row)), &mut buffer)
            .map_err(|_| undecryptable())?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// A value that only this key gives for that purpose.
    pub(crate) fn derive(&self, purpose: &str) -> hmac::Tag {
        hmac::sign(&self.derive, purpose.as_bytes())
    }
}

/// Names the place of a value, each part with its length so that no two places look alike.
fn place(table: &str, row: &[&str]) -> Vec<u8> {
    let mut place = Vec::with_capacity(64);
    for part in std::iter::once(&table).chain(row) {
        place.extend_from_slice(&(part.len() as u64).to_le_bytes());
        place.extend_from_slice(part.as_bytes());
    }
    place
}

/// Writes a new key beside its final name first, so that half a key is never found there.
fn create_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let mut key = Zeroizing::new(vec![0; KEY_LENGTH]);
    SystemRandom::new()
        .fill(&mut key)
        .expect("the operating system has random bytes");
    let draft = path.with_extension("key.new");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(&key)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&draft, path))
        .and_then(|()| match path.parent() {
            Some(directory) => fs::File::open(directory)?.sync_all(),
            None => Ok(()),
        });
    written.map_err(|error| StoreError::io(path, error))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_value_opens_only_in_its_place_and_unchanged() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.key");
        let sealer = Sealer::load(&path, true).unwrap();
        let sealed = sealer.seal("keys", &["a", "bc"], b"secret");
        assert_eq!(
            &**sealer.open("keys", &["a", "bc"], &sealed).unwrap(),
            b"secret"
        );
        assert!(sealer.open("keys", &["ab", "c"], &sealed).is_err());
        assert!(sealer.open("tasks", &["a", "bc"], &sealed).is_err());
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(sealer.open("keys", &["a", "bc"], &changed).is_err());
        }
        assert!(sealer.open("keys", &["a", "bc"], &sealed[..11]).is_err());
    }

    #[test]
    fn the_key_is_kept_private_and_reloaded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.key");
        let first = Sealer::load(&path, true).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Sealer::load(&path, false).unwrap();
        let sealed = first.seal("t", &["1"], b"x");
        assert!(second.open("t", &["1"], &sealed).is_ok());
        assert_eq!(first.derive("a").as_ref(), second.derive("a").as_ref());
        assert_ne!(first.derive("a").as_ref(), first.derive("b").as_ref());
    }

    #[test]
    fn missing_and_malformed_keys_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.key");
        assert!(matches!(
            Sealer::load(&path, false),
            Err(StoreError::KeyMissing { .. })
        ));
        fs::write(&path, [1; 31]).unwrap();
        assert!(matches!(
            Sealer::load(&path, true),
            Err(StoreError::KeyMalformed { .. })
        ));
    }
}
