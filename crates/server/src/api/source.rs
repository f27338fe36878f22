//! Where a call comes from: the connection's other end, or what a trusted proxy says.

use std::net::IpAddr;

use hyper::HeaderMap;
use ipnet::IpNet;

use crate::http::Peer;

/// Where a call comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The client's address.
    pub(super) address: IpAddr,
    /// Whether the client's own connection is over TLS.
    pub(super) secure: bool,
}

impl Source {
    /// The source of a request. `X-Forwarded-For` and `X-Forwarded-Proto` count only when a
    /// trusted proxy sent them; anybody can write them.
    pub(super) fn of(headers: &HeaderMap, peer: Peer, trusted: &[IpNet]) -> Self {
        let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
        let direct = Self {
            address: peer.address.ip(),
            secure: peer.secure,
        };
        if trusted.is_empty() || !is_trusted(&direct.address) {
            return direct;
        }
        let values = |name: &str| {
            let mut values: Vec<&str> = headers
                .get_all(name)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .map(str::trim)
                .collect();
            values.reverse();
            values
        };
        // Each proxy appends the address that it saw, so the last one that is no proxy of ours
        // is the client; what stands before it is the client's own claim.
        let mut address = direct.address;
        for text in values("x-forwarded-for") {
            let Ok(hop) = text.parse::<IpAddr>() else {
                break;
            };
            address = hop.to_canonical();
            if !is_trusted(&address) {
                break;
            }
        }
        let proto = values("x-forwarded-proto").first().copied();
        let secure = proto.map_or(direct.secure, |proto| proto.eq_ignore_ascii_case("https"));
        Self { address, secure }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn source(peer: &str, headers: &[(&'static str, &str)]) -> (String, bool) {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("net")];
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).expect("value"));
        }
        let peer = Peer {
            address: format!("{peer}:1").parse().expect("address"),
            secure: false,
        };
        let source = Source::of(&map, peer, &trusted);
        (source.address.to_string(), source.secure)
    }

    #[test]
    fn strangers_are_not_believed() {
        let claims = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(source("9.9.9.9", &claims), ("9.9.9.9".into(), false));
    }

    #[test]
    fn the_last_hop_that_is_no_proxy_counts() {
        let seen = |hops| source("10.0.0.1", &[("x-forwarded-for", hops)]).0;
        assert_eq!(seen("7.7.7.7, 8.8.8.8, 10.0.0.2"), "8.8.8.8");
        assert_eq!(seen("10.0.0.9"), "10.0.0.9");
        assert_eq!(seen("8.8.8.8, garbage"), "10.0.0.1");
        assert_eq!(seen("::ffff:8.8.8.8"), "8.8.8.8");
        assert_eq!(source("10.0.0.1", &[]).0, "10.0.0.1");
    }

    #[test]
    fn a_proxy_tells_whether_tls_was_used() {
        assert!(source("10.0.0.1", &[("x-forwarded-proto", "https")]).1);
        assert!(!source("10.0.0.1", &[("x-forwarded-proto", "http")]).1);
        assert!(!source("10.0.0.1", &[("x-forwarded-proto", "https, http")]).1);
    }
}
