//! The PROXY protocol: tells a server whom a connection is for. Written in version 2, read in 1 and 2.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::WireError;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const VERSION_2_LOCAL: u8 = 0x20;
const VERSION_2_PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

const VERSION_1: &[u8; 6] = b"PROXY ";
/// The longest line of version 1, its end included.
const MAX_LINE: usize = 107;
/// Bytes of version 2 before the addresses.
const FIXED: usize = 16;
/// The longest addresses and extensions that are accepted behind them.
const MAX_REST: usize = 4096;

/// Whom a connection is for, as a header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// For the sender itself (a health check, say), or for somebody whom it does not know.
    Local,
    /// For a client of the sender.
    Client {
        /// The client's address.
        client: SocketAddr,
        /// The address of the sender that the client connected to.
        server: SocketAddr,
    },
}

/// Reads the header at the front of `bytes`; returns it and its length, or `None` while it is not
/// whole.
///
/// # Errors
/// [`WireError::Malformed`] when the bytes cannot become a header, [`WireError::TooLarge`] when it
/// is longer than 4 KiB. Both show as early as the bytes do.
pub fn parse_header(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, WireError> {
    if bytes.starts_with(&VERSION_1[..bytes.len().min(VERSION_1.len())]) {
        parse_line(bytes)
    } else if bytes.starts_with(&SIGNATURE[..bytes.len().min(SIGNATURE.len())]) {
        parse_binary(bytes)
    } else {
        Err(NO_HEADER)
    }
}

const NO_HEADER: WireError = WireError::Malformed("PROXY header");

fn parse_line(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, WireError> {
    let line = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = line.windows(2).position(|end| end == b"\r\n") else {
        return if line.len() < MAX_LINE {
            Ok(None)
        } else {
            Err(NO_HEADER)
        };
    };
    let line = std::str::from_utf8(&line[..end]).map_err(|_| NO_HEADER)?;
    let words: Vec<&str> = line.split(' ').collect();
    let header = match words[..] {
        ["PROXY", "UNKNOWN", ..] => ProxyHeader::Local,
        ["PROXY", family, client, server, client_port, server_port] => {
            let address = |ip: &str, port: &str| {
                let ip: IpAddr = ip.parse().map_err(|_| NO_HEADER)?;
                match (family, ip) {
                    ("TCP4", IpAddr::V4(_)) | ("TCP6", IpAddr::V6(_)) => {}
                    _ => return Err(NO_HEADER),
                }
                let port = port.parse().map_err(|_| NO_HEADER)?;
                Ok(SocketAddr::new(ip, port))
            };
            ProxyHeader::Client {
                client: address(client, client_port)?,
                server: address(server, server_port)?,
            }
        }
        _ => return Err(NO_HEADER),
    };
    Ok(Some((header, end + 2)))
}

fn parse_binary(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, WireError> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(None);
    };
    let [.., command, family, high, low] = *fixed;
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len > MAX_REST {
        return Err(WireError::TooLarge {
            len,
            limit: MAX_REST,
        });
    }
    if !matches!(command, VERSION_2_LOCAL | VERSION_2_PROXY) {
        return Err(NO_HEADER);
    }
    let Some(rest) = rest.get(..len) else {
        return Ok(None);
    };
    let header = match (command, family) {
        (VERSION_2_PROXY, TCP_OVER_IPV4) => client_header::<4>(rest)?,
        (VERSION_2_PROXY, TCP_OVER_IPV6) => client_header::<16>(rest)?,
        // What is neither is to be taken as if the header had not been there.
        _ => ProxyHeader::Local,
    };
    Ok(Some((header, FIXED + len)))
}

/// Two addresses of so many bytes, two ports, and extensions.
fn client_header<const LEN: usize>(rest: &[u8]) -> Result<ProxyHeader, WireError>
where
    IpAddr: From<[u8; LEN]>,
{
    let split = |bytes| <[u8]>::split_first_chunk::<LEN>(bytes).ok_or(NO_HEADER);
    let (client, rest) = split(rest)?;
    let (server, rest) = split(rest)?;
    let &[a, b, c, d, ..] = rest else {
        return Err(NO_HEADER);
    };
    let address = |ip: &[u8; LEN], port| SocketAddr::new(IpAddr::from(*ip), port);
    Ok(ProxyHeader::Client {
        client: address(client, u16::from_be_bytes([a, b])),
        server: address(server, u16::from_be_bytes([c, d])),
    })
}

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

    #[test]
    fn what_is_written_is_read() {
        for (client, server) in [
            ("10.1.2.3:4444", "127.0.0.1:3306"),
            ("[2001:db8::1]:4444", "[::1]:3306"),
        ] {
            let mut bytes = header(client, server);
            let len = bytes.len();
            bytes.extend_from_slice(b"behind it");
            let expected = ProxyHeader::Client {
                client: client.parse().unwrap(),
                server: server.parse().unwrap(),
            };
            assert_eq!(parse_header(&bytes), Ok(Some((expected, len))));
            for part in 0..len {
                assert_eq!(parse_header(&bytes[..part]), Ok(None));
            }
        }
    }

    #[test]
    fn lines_of_version_1() {
        let line = b"PROXY TCP4 10.1.2.3 127.0.0.1 4444 3306\r\nbehind it";
        let expected = ProxyHeader::Client {
            client: "10.1.2.3:4444".parse().unwrap(),
            server: "127.0.0.1:3306".parse().unwrap(),
        };
        assert_eq!(parse_header(line), Ok(Some((expected, 41))));
        for part in 0..41 {
            assert_eq!(parse_header(&line[..part]), Ok(None));
        }
        for local in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ::1 ::1 1 2\r\n"] {
            let expected = Ok(Some((ProxyHeader::Local, local.len())));
            assert_eq!(parse_header(local.as_bytes()), expected);
        }
        for wrong in [
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 10.1.2.3 127.0.0.1 1 2\r\n",
            "PROXY TCP4 10.1.2.3 127.0.0.1 1 65536\r\n",
            "PROXY TCP4 10.1.2.3 127.0.0.1 1\r\n",
            "PROXY  TCP4 10.1.2.3 127.0.0.1 1 2\r\n",
            "PROXX",
            "GET / HTTP/1.1\r\n",
        ] {
            assert_eq!(parse_header(wrong.as_bytes()), Err(NO_HEADER), "{wrong}");
        }
        let endless = [&VERSION_1[..], &[b'x'; 200]].concat();
        assert_eq!(parse_header(&endless), Err(NO_HEADER));
        assert_eq!(parse_header(&endless[..106]), Ok(None));
    }

    #[test]
    fn version_2_beyond_what_is_written() {
        let with = |command: u8, family: u8, rest: &[u8]| {
            let len = (rest.len() as u16).to_be_bytes();
            [SIGNATURE, &[command, family][..], &len, rest].concat()
        };
        let extended = with(
            0x21,
            0x11,
            b"\x0a\x01\x02\x03\x7f\0\0\x01\0\x01\0\x02extension",
        );
        let (got, len) = parse_header(&extended).unwrap().unwrap();
        assert_eq!(len, extended.len());
        assert!(matches!(got, ProxyHeader::Client { client, .. } if client.port() == 1));
        for local in [with(0x20, 0, b""), with(0x21, 0x31, &[0; 216])] {
            let expected = Ok(Some((ProxyHeader::Local, local.len())));
            assert_eq!(parse_header(&local), expected);
        }
        for wrong in [
            with(0x11, 0x11, &[0; 12]),
            with(0x21, 0x11, &[0; 11]),
            with(0x21, 0x21, &[0; 12]),
        ] {
            assert_eq!(parse_header(&wrong), Err(NO_HEADER));
        }
        let error = WireError::TooLarge {
            len: 4097,
            limit: 4096,
        };
        assert_eq!(parse_header(&with(0x21, 0x11, &[0; 4097])), Err(error));
    }
}
