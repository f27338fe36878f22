//! What the service's own process takes.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::exposition::Exposition;

/// The kernel tells times of processes in hundredths of a second, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Adds what can be found out; where `/proc` is not there, that is little.
pub(super) fn add(out: &mut Exposition) {
    if let Some(open) = fs::read_dir("/proc/self/fd").ok().map(Iterator::count) {
        // One is the directory itself.
        out.add(
            "openpeta_process_open_fds",
            &[],
            open.saturating_sub(1) as u64,
        );
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        out.add("openpeta_process_max_fds", &[], most);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(resident) = resident_bytes(&status) {
        out.add("openpeta_process_resident_memory_bytes", &[], resident);
    }
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(stat) = Stat::parse(&text) {
        let cpu = stat.cpu_ticks as f64 / TICKS_PER_SECOND;
        out.add("openpeta_process_cpu_seconds", &[], cpu);
        if let Some(booted) = boot_time() {
            let started = booted as f64 + stat.started_ticks as f64 / TICKS_PER_SECOND;
            out.add("openpeta_process_start_timestamp_seconds", &[], started);
        }
    }
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// When the machine was started, in seconds of Unix time.
fn boot_time() -> Option<u64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

/// Some of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    started_ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program, in brackets, may have anything in it.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        // The first of them is the third of the manual's list.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            started_ticks: field(22)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_brackets() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 3 0 999 1000 55 18446744073709551615";
        let stat = Stat {
            cpu_ticks: 42,
            started_ticks: 999,
        };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("7 (a"), None);
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t  12 kB\n"), Some(12_288));
    }
}
