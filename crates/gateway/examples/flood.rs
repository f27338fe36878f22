//! Clients of one address that mean no good, for `bench/flood.py`.
//!
//! `flood TO FROM MODE SECONDS COUNT`, MODE being
//! - `connect`: connects and goes at once, from COUNT threads;
//! - `greet`: likewise, but reads the beginning of an answer first;
//! - `silent`: holds COUNT connections and says nothing, opening anew what is closed;
//! - `slow`: likewise, but sends a login a byte a second.
//!
//! Prints how many connections it opened, and how many it was refused or lost.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, sockopt};

/// The beginning of a login, so long that nobody will see its end.
const LOGIN: &[u8] = &[
    0xFF, 0, 0, 1, 0x85, 0xA6, 0x3F, 0x20, 0, 0, 0, 1, 0x21, 0, 0, 0,
];

#[derive(Default)]
struct Counts {
    opened: AtomicU64,
    failed: AtomicU64,
    lost: AtomicU64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [to, from, mode, seconds, count] = &arguments[..] else {
        return Err("flood TO FROM MODE SECONDS COUNT".into());
    };
    let (to, from) = (to.parse()?, format!("{from}:0").parse()?);
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds.parse()?);
    let count: usize = count.parse()?;
    let counts = Counts::default();
    match mode.as_str() {
        "connect" | "greet" => thread::scope(|scope| {
            for _ in 0..count {
                scope.spawn(|| come_and_go(to, from, mode == "greet", end, &counts));
            }
        }),
        "silent" | "slow" => hold(to, from, mode == "slow", end, count, &counts),
        _ => return Err("no such mode".into()),
    }
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "{{\"opened\": {}, \"failed\": {}, \"lost\": {}, \"seconds\": {:.3}}}",
        of(&counts.opened),
        of(&counts.failed),
        of(&counts.lost),
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

fn open(to: SocketAddr, from: SocketAddr) -> io::Result<TcpStream> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    // Its end is a reset, which leaves no port in TIME_WAIT behind.
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    rustix::net::bind(&socket, &from)?;
    rustix::net::connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

fn come_and_go(to: SocketAddr, from: SocketAddr, reads: bool, end: Instant, counts: &Counts) {
    while Instant::now() < end {
        let Ok(mut stream) = open(to, from) else {
            counts.failed.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        counts.opened.fetch_add(1, Ordering::Relaxed);
        let given = stream.set_read_timeout(Some(Duration::from_secs(5)));
        if reads && (given.is_err() || stream.read_exact(&mut [0; 4]).is_err()) {
            counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn hold(
    to: SocketAddr,
    from: SocketAddr,
    sends: bool,
    end: Instant,
    count: usize,
    counts: &Counts,
) {
    let mut held: Vec<(TcpStream, usize)> = Vec::new();
    while Instant::now() < end {
        let round = Instant::now();
        held.retain_mut(|(stream, sent)| {
            let alive = stays(stream) && (!sends || trickle(stream, sent));
            counts.lost.fetch_add(u64::from(!alive), Ordering::Relaxed);
            alive
        });
        while held.len() < count && round.elapsed() < Duration::from_secs(1) {
            let opened = open(to, from).and_then(|stream| {
                stream.set_nonblocking(true)?;
                Ok(stream)
            });
            match opened {
                Ok(stream) => {
                    counts.opened.fetch_add(1, Ordering::Relaxed);
                    held.push((stream, 0));
                }
                Err(_) => {
                    counts.failed.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            }
        }
        thread::sleep(Duration::from_secs(1).saturating_sub(round.elapsed()));
    }
}

/// Whether the other side has not closed.
fn stays(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 512];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

fn trickle(stream: &mut TcpStream, sent: &mut usize) -> bool {
    let byte = LOGIN.get(*sent).copied().unwrap_or_default();
    *sent += 1;
    stream.write_all(&[byte]).is_ok()
}
