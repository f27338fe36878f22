use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::support::{Service, ok};

/// Waits until the terminal shows nothing that is typed: what is typed earlier is thrown away.
fn wait_until_silent(terminal: &File) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while tcgetattr(terminal)
        .unwrap()
        .local_modes
        .contains(LocalModes::ECHO)
    {
        assert!(Instant::now() < deadline, "the terminal still echoes");
        std::thread::yield_now();
    }
}

/// Reads from the terminal until `text` stands at its end; returns everything read.
fn read_until(terminal: &mut File, text: &str) -> String {
    let mut seen = String::new();
    let mut bytes = [0; 256];
    while !seen.ends_with(text) {
        let count = terminal.read(&mut bytes).unwrap();
        seen.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    seen
}

#[test]
fn a_password_is_asked_for_twice_and_never_shown() {
    let service = Service::start(|_| ok(r#"{"RequestId":"R"}"#));
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let open = || {
        let slave = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
        Stdio::from(slave.unwrap())
    };
    let arguments = ["create-account", "--instance-id=pd-a", "--account-name=app"];
    let mut command = service.command(&arguments);
    command.stdin(open()).stderr(open()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut terminal = File::from(master);
    let mut shown = read_until(&mut terminal, "AccountPassword: ");
    wait_until_silent(&terminal);
    terminal.write_all(b"Passw0rd!\n").unwrap();
    shown += &read_until(&mut terminal, "AccountPassword (again): ");
    wait_until_silent(&terminal);
    terminal.write_all(b"Passw0rd!\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!shown.contains("Passw0rd"), "{shown}");
    assert_eq!(service.seen()[0].get("AccountPassword"), Some("Passw0rd!"));
}
