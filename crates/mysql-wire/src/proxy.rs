//! The PROXY protocol, version 2: tells a server whom a connection is for.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const VERSION_2_PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// Appends the header for a TCP connection from `client` to `server`. IPv4 addresses written as
/// IPv6 go out as IPv4; if only one of the two is IPv6, both go out as IPv6.
pub fn put_header(out: &mut Vec<u8>, client: SocketAddr, server: SocketAddr) {
    out.extend_from_slice(SIGNATURE);
    out.push(VERSION_2_PROXY);
    match (client.ip().to_canonical(), server.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend_from_slice(&[TCP_OVER_IPV4, 0, 12]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
        }
        (from, to) => {
            out.extend_from_slice(&[TCP_OVER_IPV6, 0, 36]);
            out.extend_from_slice(&as_ipv6(from).octets());
            out.extend_from_slice(&as_ipv6(to).octets());
        }
    }
    out.extend_from_slice(&client.port().to_be_bytes());
    out.extend_from_slice(&server.port().to_be_bytes());
}

fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(client: &str, server: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_header(&mut out, client.parse().unwrap(), server.parse().unwrap());
        out
    }

    #[test]
    fn ipv4() {
        let expected =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\x01\x02\x03\x7f\0\0\x01\x11\x5c\x0c\xea";
        assert_eq!(header("10.1.2.3:4444", "127.0.0.1:3306"), expected);
        assert_eq!(header("[::ffff:10.1.2.3]:4444", "127.0.0.1:3306"), expected);
    }

    #[test]
    fn ipv6_and_mixed() {
        let both = header("[2001:db8::1]:4444", "[::1]:3306");
        assert_eq!(both.len(), 16 + 36);
        assert_eq!(&both[12..20], b"\x21\x21\0\x24\x20\x01\x0d\xb8");
        let mixed = header("10.1.2.3:4444", "[::1]:3306");
        assert_eq!(&mixed[26..32], b"\xff\xff\x0a\x01\x02\x03");
    }
}
