//! Sockets: the calls a loop makes per packet behind a trait, and the making of listeners.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Silence after which a peer is asked whether it is still there, where nothing else is said.
pub const KEEPALIVE: Duration = Duration::from_secs(60);
/// How often it is asked before it is given up.
const PROBES: u32 = 4;

/// What one receive call brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes received; 0 means that the peer has ended its direction.
    pub count: usize,
    /// Whether more may be waiting. When a stream socket fills less than the given buffer, it has
    /// nothing more, and the call that would say so can be saved.
    pub more: bool,
}

/// The two calls made for each packet. The kernel's are [`Kernel`]; tests put short receives and
/// short sends in between.
pub trait Transport: Send + 'static {
    /// Receives into `buffer` without blocking.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing is there, else what the socket reports.
    fn recv(&mut self, fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received>;

    /// Sends some of `bytes` without blocking and returns how many.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the socket takes nothing now, else what the socket reports.
    fn send(&mut self, fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize>;
}

/// The operating system's own calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel;

impl Transport for Kernel {
    fn recv(&mut self, fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
        let size = buffer.len();
        let (count, _) = net::recv(fd, buffer, RecvFlags::DONTWAIT)?;
        Ok(Received {
            count,
            more: count == size,
        })
    }

    fn send(&mut self, fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
        Ok(net::send(
            fd,
            bytes,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        )?)
    }
}

/// A bound and listening TCP socket. Clones are the same socket, which closes with the last one;
/// until then clients that come while nobody accepts wait in its queue.
#[derive(Clone, Debug)]
pub struct Listener {
    pub(crate) fd: Arc<OwnedFd>,
    pub(crate) local: SocketAddr,
}

impl Listener {
    /// Binds and listens, with [`KEEPALIVE`].
    ///
    /// # Errors
    ///
    /// As [`Self::bind_with`].
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::bind_with(address, KEEPALIVE)
    }

    /// Binds and listens. Accepted connections come without Nagle's delay and with keepalive
    /// probes: the first after so much silence, given up after as much more.
    ///
    /// # Errors
    ///
    /// What the operating system reports; `AddrInUse`, `AddrNotAvailable` and `PermissionDenied`
    /// are the usual ones.
    pub fn bind_with(address: SocketAddr, keepalive: Duration) -> io::Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let fd = net::socket_with(
            family,
            SocketType::STREAM,
            SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            None,
        )?;
        // Lets a restarted process bind while connections of the old one still fade out; a
        // socket that listens is still in the way.
        sockopt::set_socket_reuseaddr(&fd, true)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&fd, true)?;
        }
        // Linux hands these on to accepted sockets, which saves five calls per connection.
        sockopt::set_tcp_nodelay(&fd, true)?;
        sockopt::set_socket_keepalive(&fd, true)?;
        // The kernel counts in whole seconds, from one on.
        let second = Duration::from_secs(1);
        sockopt::set_tcp_keepidle(&fd, keepalive.max(second))?;
        sockopt::set_tcp_keepintvl(&fd, (keepalive / PROBES).max(second))?;
        sockopt::set_tcp_keepcnt(&fd, PROBES)?;
        net::bind(&fd, &address)?;
        net::listen(&fd, 1024)?;
        let local = local_address(&fd)?;
        Ok(Self {
            fd: Arc::new(fd),
            local,
        })
    }

    /// Takes over a socket that another process has bound, in whatever way it set it up.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when it is not a listening TCP socket, else what the operating system reports.
    pub fn adopt(fd: OwnedFd) -> io::Result<Self> {
        if !sockopt::socket_acceptconn(&fd)? {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let local = local_address(&fd)?;
        // Whoever had it may have waited in accept.
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self {
            fd: Arc::new(fd),
            local,
        })
    }

    /// The bound address, with the port the system chose when 0 was asked for.
    pub fn local(&self) -> SocketAddr {
        self.local
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

pub(crate) fn local_address(fd: &OwnedFd) -> io::Result<SocketAddr> {
    Ok(SocketAddr::try_from(net::getsockname(fd)?)?)
}

/// Whether connections of a listener bound to `ip` may come to differing local addresses.
pub(crate) fn is_wildcard(ip: IpAddr) -> bool {
    ip.is_unspecified()
}

/// An IPv4 address that came wrapped in an IPv6 one, unwrapped.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether an accept failed for want of descriptors or memory, which only time can mend.
pub(crate) fn is_exhaustion(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    matches!(
        error,
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM
    )
}

/// Raises the limit of open files of this process as far as it may go and returns the limit.
pub fn raise_open_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    let Some(maximum) = limit.maximum else {
        return current;
    };
    let raised = Rlimit {
        current: Some(maximum),
        maximum: Some(maximum),
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}
