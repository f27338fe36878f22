//! Ports and addresses that no other test on the machine uses at the same time.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Ports of one service.
const PER_SERVICE: u16 = 32;
/// The first port; below those that Linux gives to outgoing connections.
const FIRST: u16 = 24_000;
/// How many services may have their own.
const BLOCKS: u16 = 240;

/// A range of ports for Classic endpoints and a network for VPC and public endpoints.
pub(crate) struct Ports {
    block: u16,
    /// Tells other processes, for as long as it is open, that the block is taken.
    _claim: UnixListener,
}

impl Ports {
    /// Claims a free block.
    pub(crate) fn claim() -> Self {
        let start = RandomState::new().hash_one(std::process::id());
        for offset in 0..u64::from(BLOCKS) {
            let block = u16::try_from((start.wrapping_add(offset)) % u64::from(BLOCKS))
                .expect("less than the number of blocks");
            let name = format!("openpeta-testkit-ports-{block}");
            let address = SocketAddr::from_abstract_name(name).expect("a short name");
            let Ok(claim) = UnixListener::bind_addr(&address) else {
                continue;
            };
            let ports = Self {
                block,
                _claim: claim,
            };
            if ports.classic().all(is_free) {
                return ports;
            }
        }
        panic!("no ports are free");
    }

    /// The ports for Classic endpoints.
    pub(crate) fn classic(&self) -> RangeInclusive<u16> {
        let first = FIRST + self.block * PER_SERVICE;
        first..=first + PER_SERVICE - 1
    }

    /// The two leading numbers of every VPC address, and of the address of public endpoints.
    pub(crate) fn network(&self) -> [u8; 2] {
        let second = u8::try_from(self.block).expect("few blocks");
        [127, second + 10]
    }

    /// Which of the service's own addresses somebody listens on.
    pub(crate) fn listening(&self) -> Vec<String> {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("/proc/net/tcp is readable");
        let own = |line: &str| {
            let mut fields = line.split_whitespace().skip(1);
            let (address, port) = fields.next()?.split_once(':')?;
            let is_listener = fields.nth(1)? == "0A";
            let octets = u32::from_str_radix(address, 16).ok()?.to_le_bytes();
            let port = u16::from_str_radix(port, 16).ok()?;
            let is_own = self.classic().contains(&port) || octets[..2] == self.network();
            (is_listener && is_own).then(|| format!("{}:{port}", Ipv4Addr::from(octets)))
        };
        table.lines().skip(1).filter_map(own).collect()
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_apart_and_listeners_are_seen() {
        let (first, second) = (Ports::claim(), Ports::claim());
        assert_ne!(first.block, second.block);
        let port = *first.classic().start();
        assert_eq!(first.listening(), Vec::<String>::new());
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_eq!(first.listening(), [format!("127.0.0.1:{port}")]);
        assert_eq!(second.listening(), Vec::<String>::new());
    }
}
