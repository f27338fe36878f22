//! Whether two calls with the same ClientToken ask for the same thing.

use ring::{digest, hmac};

use crate::{Action, ApiError, Params};

/// The parameter whose value stands for a call, whatever an action calls it.
const TOKEN: &str = "ClientToken";

/// A digest over the action's own parameters; equal for calls that ask for the same thing.
///
/// Common and unknown parameters do not count, ClientToken itself neither. An empty value
/// counts as absent, an alias as the name it stands for. Secrets enter as an HMAC with `key`,
/// so that the digest, which is stored, cannot be used to guess a password.
///
/// # Errors
/// `InvalidParameter` when a parameter is given under two spellings with different values.
pub fn parameter_digest(action: Action, params: &Params, key: &[u8]) -> Result<[u8; 32], ApiError> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = digest::Context::new(&digest::SHA256);
    let mut part = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_le_bytes());
        context.update(bytes);
    };
    part(action.name().as_bytes());
    let counted = action
        .spec()
        .parameters
        .iter()
        .filter(|spec| spec.name != TOKEN && !spec.aliases.contains(&TOKEN));
    for spec in counted {
        let Some(value) = params.aliased(spec)? else {
            continue;
        };
        part(spec.name.as_bytes());
        if spec.secret {
            part(hmac::sign(&key, value.as_bytes()).as_ref());
        } else {
            part(value.as_bytes());
        }
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(pairs: &[(&str, &str)]) -> [u8; 32] {
        let params = Params::from_pairs(pairs.iter().copied()).expect("unique names");
        parameter_digest(Action::CreateInstance, &params, b"key").expect("agreeing aliases")
    }

    const BASE: [(&str, &str); 3] = [
        ("DBName", "a"),
        ("ChargeType", "PrePaid"),
        ("AccountPassword", "Passw0rd"),
    ];

    fn with(extra: &[(&'static str, &'static str)]) -> [u8; 32] {
        digest_of(&[BASE.as_slice(), extra].concat())
    }

    #[test]
    fn what_makes_no_difference() {
        let base = digest_of(&BASE);
        assert_eq!(
            with(&[
                ("SignatureNonce", "n"),
                ("Timestamp", "t"),
                ("Signature", "s")
            ]),
            base
        );
        assert_eq!(
            with(&[("AccessKeyId", "k"), ("Format", "JSON"), ("OwnerId", "1")]),
            base
        );
        assert_eq!(
            with(&[("ClientToken", "t"), ("Unknown", "u"), ("InstanceName", "")]),
            base
        );
        let alias = [
            ("DBName", "a"),
            ("PayType", "PrePaid"),
            ("AccountPassword", "Passw0rd"),
        ];
        assert_eq!(digest_of(&alias), base);
    }

    #[test]
    fn a_token_by_another_name_makes_no_difference() {
        let digest = |pairs: &[(&str, &str)]| {
            let params = Params::from_pairs(pairs.iter().copied()).expect("unique names");
            parameter_digest(Action::CreateDatabase, &params, b"key").expect("agreeing aliases")
        };
        let base = digest(&[("DBName", "a")]);
        assert_eq!(digest(&[("DBName", "a"), ("Token", "t")]), base);
        assert_eq!(digest(&[("DBName", "a"), ("ClientToken", "t")]), base);
        assert_ne!(digest(&[("DBName", "b"), ("Token", "t")]), base);
    }

    #[test]
    fn what_makes_a_difference() {
        let base = digest_of(&BASE);
        assert_ne!(with(&[("InstanceName", "x")]), base);
        // RegionId is a parameter of this action, though a common one elsewhere.
        assert_ne!(with(&[("RegionId", "cn-hangzhou")]), base);
        assert_ne!(
            digest_of(&[("DBName", "a"), ("ChargeType", "PrePaid")]),
            base
        );
        assert_ne!(digest_of(&[("DBName", "b"), BASE[1], BASE[2]]), base);
        // Length prefixes keep neighbours apart.
        assert_ne!(
            digest_of(&[("ZoneId", "aDBNameb")]),
            digest_of(&[("ZoneId", "a"), ("DBName", "b")])
        );
    }

    #[test]
    fn secrets_are_keyed() {
        let params = Params::from_pairs(BASE).expect("unique names");
        let one = parameter_digest(Action::CreateInstance, &params, b"one").expect("valid");
        let two = parameter_digest(Action::CreateInstance, &params, b"two").expect("valid");
        assert_ne!(one, two);
    }
}
