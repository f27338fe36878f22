//! Who may read the metrics.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use ipnet::IpNet;
use openpeta_types::Secret;
use subtle::ConstantTimeEq;

use crate::ServeError;
use crate::config::MetricsConfig;

/// Bytes that a token must have at least: less could be guessed.
const SHORTEST_TOKEN: usize = 16;

/// Who may read the metrics: clients of some networks, with a token if there is one.
pub(crate) struct Access {
    networks: Vec<IpNet>,
    token_file: Option<PathBuf>,
    token: RwLock<Option<Secret>>,
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not from there.
    Network,
    /// Not without the right token.
    Token,
}

impl Access {
    /// # Errors
    /// [`ServeError::Setting`] when the file of the token is not there or has none in it.
    pub(crate) fn new(config: &MetricsConfig) -> Result<Self, ServeError> {
        let token = config.token_file.as_deref().map(read_token).transpose()?;
        Ok(Self {
            networks: config.allowed_networks.clone(),
            token_file: config.token_file.clone(),
            token: RwLock::new(token),
        })
    }

    /// Reads the token again; the former one stays in force when that fails.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(crate) fn reload(&self) -> Result<(), ServeError> {
        if let Some(file) = &self.token_file {
            let token = read_token(file)?;
            *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token);
        }
        Ok(())
    }

    /// Lets a client in, or not.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self, client: IpAddr, authorization: &str) -> Result<(), Refused> {
        if !self.networks.iter().any(|net| net.contains(&client)) {
            return Err(Refused::Network);
        }
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = &*token else {
            return Ok(());
        };
        let given = authorization
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map_or("", |(_, token)| token.trim());
        let is_right = given.as_bytes().ct_eq(token.expose().as_bytes());
        match is_right.into() {
            true => Ok(()),
            false => Err(Refused::Token),
        }
    }
}

/// The first line of a file. What is wrong with it is told without what is in it.
fn read_token(file: &Path) -> Result<Secret, ServeError> {
    let wrong = |what: &str| {
        ServeError::Setting(format!("[metrics] token_file {}: {what}", file.display()))
    };
    let text = fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    let text = Secret::new(text);
    let token = text.expose().lines().next().unwrap_or_default().trim();
    if token.len() < SHORTEST_TOKEN {
        return Err(wrong("the token must have 16 characters or more"));
    }
    Ok(Secret::new(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn access(networks: &[&str], token: Option<&str>) -> Result<Access, ServeError> {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("token");
        if let Some(token) = token {
            fs::write(&file, token).expect("write");
        }
        Access::new(&MetricsConfig {
            allowed_networks: networks.iter().map(|n| n.parse().expect("net")).collect(),
            token_file: token.map(|_| file),
            ..MetricsConfig::default()
        })
    }

    fn client(address: &str) -> IpAddr {
        address.parse().expect("address")
    }

    #[test]
    fn networks_and_token_must_both_be_right() {
        let access = access(&["10.0.0.0/8"], Some(&format!("{TOKEN}\n"))).expect("right");
        let right = format!("Bearer {TOKEN}");
        assert_eq!(access.check(client("10.1.2.3"), &right), Ok(()));
        assert_eq!(
            access.check(client("10.1.2.3"), &format!("bearer  {TOKEN}")),
            Ok(())
        );
        assert_eq!(
            access.check(client("11.1.2.3"), &right),
            Err(Refused::Network)
        );
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            TOKEN,
            "Basic 0123456789abcdef",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdefg",
        ] {
            let refused = Err(Refused::Token);
            assert_eq!(access.check(client("10.1.2.3"), wrong), refused, "{wrong}");
        }
    }

    #[test]
    fn by_default_this_machine_may_read() {
        let access = Access::new(&MetricsConfig::default()).expect("right");
        assert_eq!(access.check(client("127.0.0.1"), ""), Ok(()));
        assert_eq!(access.check(client("::1"), ""), Ok(()));
        let refused = Err(Refused::Network);
        assert_eq!(access.check(client("192.168.1.1"), ""), refused);
    }

    #[test]
    fn a_bad_token_is_refused_and_not_told() {
        let error = access(&[], Some("short-secret\n")).err().expect("refused");
        assert_eq!(error.exit_code(), 2);
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("token_file") && !text.contains("short-secret"),
            "{text}"
        );
    }
}
