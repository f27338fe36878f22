//! Runs a fuzz target for some time; see the library. `cargo xtask fuzz` calls it.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use openpeta_fuzz::{TARGETS, Target};

#[expect(clippy::print_stderr, reason = "a command line tool")]
fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let seconds = arguments.get(1).and_then(|seconds| seconds.parse().ok());
    let target = arguments.first().and_then(|name| Target::find(name));
    let (Some(target), Some(seconds)) = (target, seconds) else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!(
            "usage: openpeta-fuzz TARGET SECONDS\ntargets: {}",
            names.join(", ")
        );
        return ExitCode::from(2);
    };
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = since.map_or(0, |since| since.as_nanos() as u64);
    let count = target.run_for(Duration::from_secs(seconds), seed, keep);
    eprintln!("{}: {count} runs, none failed", target.name);
    ExitCode::SUCCESS
}

/// Keeps what a target fails on, in the working directory.
#[expect(clippy::print_stderr, reason = "a command line tool")]
fn keep(target: &Target, bytes: &[u8]) {
    let name = format!("fuzz-{}-{}.bin", target.name, std::process::id());
    match std::fs::write(&name, bytes) {
        Ok(()) => eprintln!("{} fails on {name}", target.name),
        Err(error) => eprintln!("{} fails on {bytes:?} ({name}: {error})", target.name),
    }
}
