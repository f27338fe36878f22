//! Processes, as /proc shows them.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait_for;

/// A process that belongs to a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its program's name.
    pub name: String,
}

/// Processes whose command line or working directory names one of the directories, in the order
/// of their ids.
pub(crate) fn processes_of(dirs: &[PathBuf]) -> Vec<Process> {
    let mut found: Vec<Process> = fs::read_dir("/proc")
        .expect("/proc is readable")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| belongs(pid, dirs))
        .collect();
    found.sort_by_key(|process| process.pid);
    found
}

/// The process, if it belongs to one of the directories. One that ends meanwhile does not.
fn belongs(pid: u32, dirs: &[PathBuf]) -> Option<Process> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let command = fs::read(proc.join("cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command);
    let cwd = fs::read_link(proc.join("cwd")).unwrap_or_default();
    let named = |dir: &PathBuf| cwd.starts_with(dir) || mentions(&command, dir);
    if !dirs.iter().any(named) || !is_alive(pid) {
        return None;
    }
    let name = fs::read_to_string(proc.join("comm")).ok()?;
    Some(Process {
        pid,
        name: name.trim().to_owned(),
    })
}

fn mentions(command: &str, dir: &Path) -> bool {
    dir.to_str().is_some_and(|dir| command.contains(dir))
}

/// Whether a process runs; a zombie does not.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// Kills a process and waits until it is gone.
///
/// # Panics
/// When it does not go.
pub fn kill_and_wait(pid: u32) {
    let raw = i32::try_from(pid).expect("a process id");
    let target = Pid::from_raw(raw).expect("not 0");
    // Gone already is fine.
    let _ = kill_process(target, Signal::KILL);
    wait_for("the end of a killed process", || {
        (!is_alive(pid)).then_some(())
    });
}
