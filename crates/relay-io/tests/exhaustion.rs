//! Runs out of file descriptors, so it has a process of its own.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{over_each_kind, start};

#[test]
fn new_connections_wait_and_old_ones_go_on() {
    over_each_kind(|kind| {
        let fixture = start(kind, 1);
        let mut old = TcpStream::connect(fixture.address).unwrap();
        let (mut old_backend, _) = fixture.backend.accept().unwrap();
        let mut waiting = {
            let limit = getrlimit(Resource::Nofile);
            setrlimit(
                Resource::Nofile,
                Rlimit {
                    current: Some(64),
                    ..limit
                },
            )
            .unwrap();
            let mut hoard = Vec::new();
            while let Ok(file) = File::open("/dev/null") {
                hoard.push(file);
            }
            // One descriptor for the client's own side; the loop finds none for its side.
            hoard.pop();
            let waiting = TcpStream::connect(fixture.address).unwrap();
            let before = cpu_time();
            thread::sleep(Duration::from_millis(300));
            assert!(
                cpu_time() - before < Duration::from_millis(100),
                "the loop spins"
            );
            old.write_all(b"ping").unwrap();
            old_backend.read_exact(&mut [0; 4]).unwrap();
            assert_eq!(fixture.loops.live(), 1);
            waiting
        };
        let (mut backend, _) = fixture.backend.accept().unwrap();
        backend.write_all(b"welcome").unwrap();
        waiting.read_exact(&mut [0; 7]).unwrap();
    });
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
