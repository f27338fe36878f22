//! Nonces out of one seed.

use openpeta_mysql_wire::auth::{NONCE_LEN, nonce_from};
use ring::hmac;

/// A row of nonces that nobody can foretell who does not know the seed, without a random source
/// in the session.
pub(super) struct Nonces {
    key: hmac::Key,
    used: u64,
}

impl Nonces {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, seed),
            used: 0,
        }
    }

    pub(super) fn next(&mut self) -> [u8; NONCE_LEN] {
        let tag = hmac::sign(&self.key, &self.used.to_le_bytes());
        self.used += 1;
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&tag.as_ref()[..NONCE_LEN]);
        nonce_from(nonce)
    }
}
