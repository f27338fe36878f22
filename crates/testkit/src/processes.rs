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

/// Stops a process, as one that hangs, and waits until none of its threads does anything: they
/// stop one by one.
///
/// # Panics
/// When it is not there, or goes on.
pub fn freeze(pid: u32) {
    signal(pid, Signal::STOP);
    let tasks = format!("/proc/{pid}/task");
    wait_for("a process that stands still", || {
        let mut tasks = fs::read_dir(&tasks).expect("it is there");
        tasks
            .all(|task| task.is_ok_and(|task| is_stopped(&task.path())))
            .then_some(())
    });
}

/// Lets a process that was stopped go on.
///
/// # Panics
/// When it is not there.
pub fn thaw(pid: u32) {
    signal(pid, Signal::CONT);
}

fn signal(pid: u32, signal: Signal) {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(raw.expect("a process id"), signal).expect("it is there");
}

fn is_stopped(task: &Path) -> bool {
    // One that has ended meanwhile has stopped too.
    let status = fs::read_to_string(task.join("stat")).unwrap_or_default();
    // Behind the name, which may hold anything.
    status
        .rsplit_once(") ")
        .is_none_or(|(_, state)| state.starts_with('T'))
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
