//! Which way a client proves its password, and whether it does.

use openpeta_mysql_wire::auth::{NONCE_LEN, native, sha2};
use openpeta_mysql_wire::{AuthSwitch, put_packet};
use openpeta_types::route::{AccountLogin, InstanceRoute};

/// An authentication plugin that the gateway speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Native,
    Sha2,
}

/// What a login says about its authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// The response can be checked.
    Check(Method),
    /// The client has to be asked for a response of this method.
    Ask(Method),
}

impl Method {
    pub(super) fn name(self) -> &'static [u8] {
        match self {
            Self::Native => native::NAME,
            Self::Sha2 => sha2::NAME,
        }
    }

    /// The method a client is asked for that named `plugin` as its own. MySQL 9 clients have no
    /// `mysql_native_password` any more.
    pub(super) fn to_ask(plugin: Option<&[u8]>) -> Self {
        match plugin {
            Some(name) if name == sha2::NAME => Self::Sha2,
            _ => Self::Native,
        }
    }

    /// Appends the packet that asks a client to authenticate with this method and nonce.
    pub(super) fn ask(self, to: &mut Vec<u8>, sequence: u8, nonce: &[u8; NONCE_LEN]) {
        let mut data = nonce.to_vec();
        data.push(0);
        let switch = AuthSwitch {
            plugin: self.name().to_vec(),
            data,
        };
        let mut payload = Vec::new();
        switch.encode(&mut payload);
        put_packet(to, sequence, &payload);
    }
}

impl Offer {
    /// Reads what a login offers, whose greeting named `mysql_native_password`.
    ///
    /// Most clients follow the greeting. MySQL's own from version 8 on (and what is built upon
    /// them) insist on their default, `caching_sha2_password`; as the greeting's nonce is for
    /// another plugin they do not use it, and send no response yet. Others send one at once.
    pub(super) fn of(plugin: Option<&[u8]>, response: &[u8]) -> Self {
        match plugin {
            None => Self::Check(Method::Native),
            Some(name) if name == native::NAME || name.is_empty() => Self::Check(Method::Native),
            Some(name) if name == sha2::NAME => match response.len() {
                1 | sha2::LEN => Self::Check(Method::Sha2),
                _ => Self::Ask(Method::Sha2),
            },
            Some(_) => Self::Ask(Method::Native),
        }
    }
}

/// Whether a response holds a password at all.
pub(super) fn with_password(response: &[u8]) -> bool {
    !matches!(response, [] | [0])
}

/// The account which the response proves, if it does. An unknown name costs the same time as a
/// wrong password.
pub(super) fn prove<'a>(
    route: &'a InstanceRoute,
    user: &[u8],
    method: Method,
    response: &[u8],
    nonce: &[u8; NONCE_LEN],
) -> Option<(&'a str, &'a AccountLogin)> {
    const NOBODY: (&[u8; native::LEN], &[u8; sha2::LEN]) = (&[0; native::LEN], &[0; sha2::LEN]);
    let account = std::str::from_utf8(user)
        .ok()
        .and_then(|name| route.accounts.get_key_value(name));
    let (native_verifier, sha2_verifier) =
        account.map_or(NOBODY, |(_, login)| (&login.native, &login.sha2));
    let proved = match method {
        Method::Native => native::verify(response, nonce, native_verifier),
        Method::Sha2 => sha2::verify(response, nonce, sha2_verifier),
    };
    account
        .filter(|_| proved)
        .map(|(name, login)| (name.as_str(), login))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_of_real_clients() {
        let native = Some(native::NAME);
        let sha2 = Some(sha2::NAME);
        // MariaDB, PyMySQL, mysql2, mysql_async, go-sql-driver: the greeting's plugin.
        assert_eq!(Offer::of(native, &[1; 20]), Offer::Check(Method::Native));
        assert_eq!(Offer::of(native, b""), Offer::Check(Method::Native));
        // libmysqlclient 8 and 9: their own default, no response yet.
        assert_eq!(Offer::of(sha2, b""), Offer::Ask(Method::Sha2));
        // Clients set to caching_sha2_password that use the nonce all the same.
        assert_eq!(Offer::of(sha2, &[1; 32]), Offer::Check(Method::Sha2));
        assert_eq!(Offer::of(sha2, &[0]), Offer::Check(Method::Sha2));
        assert_eq!(
            Offer::of(Some(b"client_ed25519"), b""),
            Offer::Ask(Method::Native)
        );
        // Before plugins had names.
        assert_eq!(Offer::of(None, &[1; 20]), Offer::Check(Method::Native));
    }
}
