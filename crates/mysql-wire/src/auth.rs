//! Proofs of a password: `mysql_native_password` and the fast path of `caching_sha2_password`.
//!
//! Both work alike: the verifier is a double hash of the password, and the client sends the
//! single hash, masked with a hash of nonce and verifier. Whoever knows the verifier can undo the
//! mask and check the single hash, but cannot log in with it.

use ring::digest;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Length of the nonce of both methods, in bytes.
pub const NONCE_LEN: usize = 20;

/// Makes a nonce of any 20 random bytes: printable ones without `$`, as servers make them,
/// because there are clients which read nonces as text.
#[must_use]
pub fn nonce_from(random: [u8; NONCE_LEN]) -> [u8; NONCE_LEN] {
    random.map(|byte| match byte & 0x7F {
        byte @ (0 | b'$') => byte + 1,
        byte => byte,
    })
}

/// `mysql_native_password`, by SHA-1.
pub mod native {
    use super::{ConstantTimeEq, NONCE_LEN, Zeroizing, digest, hash, mask};

    /// The plugin's name on the wire.
    pub const NAME: &[u8] = b"mysql_native_password";
    /// Length of hashes and responses, in bytes.
    pub const LEN: usize = digest::SHA1_OUTPUT_LEN;

    const SHA1: &digest::Algorithm = &digest::SHA1_FOR_LEGACY_USE_ONLY;

    /// What a server keeps of a password: SHA1(SHA1(password)).
    #[must_use]
    pub fn verifier(password: &[u8]) -> [u8; LEN] {
        let single = Zeroizing::new(hash::<LEN>(SHA1, &[password]));
        hash(SHA1, &[&*single])
    }

    /// What a client answers to a nonce: nothing for an empty password.
    #[must_use]
    pub fn response(password: &[u8], nonce: &[u8; NONCE_LEN]) -> Vec<u8> {
        if password.is_empty() {
            return Vec::new();
        }
        let single = Zeroizing::new(hash::<LEN>(SHA1, &[password]));
        let double: [u8; LEN] = hash(SHA1, &[&*single]);
        mask(&single, &hash(SHA1, &[nonce, &double])).to_vec()
    }

    /// Whether `response` proves the password behind `verifier`, in a time that depends on the
    /// length of the response alone.
    #[must_use]
    pub fn verify(response: &[u8], nonce: &[u8; NONCE_LEN], verifier: &[u8; LEN]) -> bool {
        let masked: [u8; LEN] = match response.try_into() {
            Ok(masked) => masked,
            Err(_) => {
                let empty: [u8; LEN] = self::verifier(b"");
                return response.is_empty() && empty.ct_eq(verifier).into();
            }
        };
        let single = Zeroizing::new(mask(&masked, &hash(SHA1, &[nonce, verifier])));
        hash::<LEN>(SHA1, &[&*single]).ct_eq(verifier).into()
    }
}

/// `caching_sha2_password`, by SHA-256.
pub mod sha2 {
    use super::{ConstantTimeEq, NONCE_LEN, Zeroizing, digest, hash, mask};

    /// The plugin's name on the wire.
    pub const NAME: &[u8] = b"caching_sha2_password";
    /// Length of hashes and responses, in bytes.
    pub const LEN: usize = digest::SHA256_OUTPUT_LEN;

    const SHA256: &digest::Algorithm = &digest::SHA256;

    /// What a server keeps of a password: SHA256(SHA256(password)).
    #[must_use]
    pub fn verifier(password: &[u8]) -> [u8; LEN] {
        let single = Zeroizing::new(hash::<LEN>(SHA256, &[password]));
        hash(SHA256, &[&*single])
    }

    /// Whether a password is the one behind `verifier`; the comparison takes the same time
    /// wherever they differ.
    #[must_use]
    pub fn is_password(password: &[u8], verifier: &[u8; LEN]) -> bool {
        self::verifier(password).ct_eq(verifier).into()
    }

    /// What a client answers to a nonce: a NUL for an empty password.
    #[must_use]
    pub fn response(password: &[u8], nonce: &[u8; NONCE_LEN]) -> Vec<u8> {
        if password.is_empty() {
            return vec![0];
        }
        let single = Zeroizing::new(hash::<LEN>(SHA256, &[password]));
        let double: [u8; LEN] = hash(SHA256, &[&*single]);
        mask(&single, &hash(SHA256, &[&double, nonce])).to_vec()
    }

    /// Whether `response` proves the password behind `verifier`, in a time that depends on the
    /// length of the response alone.
    #[must_use]
    pub fn verify(response: &[u8], nonce: &[u8; NONCE_LEN], verifier: &[u8; LEN]) -> bool {
        let masked: [u8; LEN] = match response.try_into() {
            Ok(masked) => masked,
            Err(_) => {
                let empty: [u8; LEN] = self::verifier(b"");
                return matches!(response, [] | [0]) && empty.ct_eq(verifier).into();
            }
        };
        let single = Zeroizing::new(mask(&masked, &hash(SHA256, &[verifier, nonce])));
        hash::<LEN>(SHA256, &[&*single]).ct_eq(verifier).into()
    }
}

fn hash<const N: usize>(algorithm: &'static digest::Algorithm, parts: &[&[u8]]) -> [u8; N] {
    let mut context = digest::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; N];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

fn mask<const N: usize>(left: &[u8; N], right: &[u8; N]) -> [u8; N] {
    std::array::from_fn(|i| left[i] ^ right[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &[u8; NONCE_LEN] = b"<Rh3e$~p:l5`dTYAzb\\'";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Computed apart, with Python's hashlib; the first is also what PASSWORD('secret') shows.
    #[test]
    fn known_answers() {
        assert_eq!(
            hex(&native::verifier(b"secret")),
            "14e65567abdb5135d0cfd9a70b3032c179a49ee7"
        );
        assert_eq!(
            hex(&native::response(b"secret", NONCE)),
            "b8cf14db61d293ffe7c2e78d8843ccccac436346"
        );
        assert_eq!(
            hex(&sha2::verifier(b"secret")),
            "3881219d087dd9c634373fd33dfa33a2cb6bfc6c520b64b8bb60ef2ceb534ae7"
        );
        assert_eq!(
            hex(&sha2::response(b"secret", NONCE)),
            "1f0cef457943dd5e65fd6450d7affd11612e121b99e56913a3e089c244a05244"
        );
    }

    #[test]
    fn the_right_password_alone_is_accepted() {
        for password in [&b"secret"[..], b"", b"p\xc3\xa4ss"] {
            let (native, sha2) = (native::verifier(password), sha2::verifier(password));
            for guess in [&b"secret"[..], b"", b"p\xc3\xa4ss", b"Secret"] {
                let right = guess == password;
                let response = native::response(guess, NONCE);
                assert_eq!(native::verify(&response, NONCE, &native), right);
                let response = sha2::response(guess, NONCE);
                assert_eq!(sha2::verify(&response, NONCE, &sha2), right);
            }
        }
    }

    #[test]
    fn a_response_is_good_for_its_nonce_alone() {
        let verifier = native::verifier(b"secret");
        let response = native::response(b"secret", NONCE);
        assert!(!native::verify(&response, &[7; NONCE_LEN], &verifier));
        assert!(!native::verify(&response[..19], NONCE, &verifier));
        let verifier = sha2::verifier(b"secret");
        let response = sha2::response(b"secret", NONCE);
        assert!(!sha2::verify(&response, &[7; NONCE_LEN], &verifier));
        assert!(!sha2::verify(&[1], NONCE, &verifier));
    }

    #[test]
    fn nonces_are_printable_or_at_least_neither_nul_nor_dollar() {
        for byte in 0..=255 {
            let [nonce, ..] = nonce_from([byte; NONCE_LEN]);
            assert!(nonce != 0 && nonce != b'$' && nonce < 0x80, "{byte}");
        }
    }
}
