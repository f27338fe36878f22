//! The processes of nodes, told apart for sure.
//!
//! A process id alone says nothing: it may have been given to another process. A node's process
//! is known by its id together with its start time, and by its command line, which names the
//! node's own `my.cnf`. Signals go through a pidfd that was opened before this was checked, so
//! they cannot hit a stranger.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openpeta_types::NodeId;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::config_file;
use crate::error::{AtPath, Result};

/// A node's server process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningNode {
    /// The process id.
    pub pid: u32,
    /// When it started, in clock ticks since the machine's boot (field 22 of `/proc/PID/stat`).
    pub start_time: u64,
}

/// A server process whose `my.cnf` lies in the nodes directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeProcess {
    /// The node, by the name of its directory.
    pub node: NodeId,
    /// The process.
    pub process: RunningNode,
}

/// A live process of which it was checked that it is the one meant.
#[derive(Debug)]
pub(crate) struct ProcessHandle {
    pidfd: OwnedFd,
}

impl ProcessHandle {
    /// Opens a process; `None` when it has ended or is another one.
    pub(crate) fn open(process: RunningNode) -> Result<Option<Self>> {
        let Some(pid) = raw_pid(process.pid) else {
            return Ok(None);
        };
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error).at("open", &proc_path(process.pid, "")),
        };
        // The descriptor holds on to whatever had the id when it was opened: check that now.
        let same = start_time(process.pid) == Some(process.start_time);
        Ok(same.then_some(Self { pidfd }))
    }

    /// Sends a signal; one that has ended in between is no error.
    pub(crate) fn signal(&self, signal: Signal) -> std::io::Result<()> {
        match rustix::process::pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the process has ended; whether it did within the time.
    pub(crate) async fn ended_within(&self, limit: Duration) -> std::io::Result<bool> {
        match tokio::time::timeout(limit, self.ended()).await {
            Ok(result) => result.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// Waits until the process has ended.
    pub(crate) async fn ended(&self) -> std::io::Result<()> {
        // The deprecation warns of descriptors that are closed or exchanged while registered;
        // this one is owned by the registration. The replacement is an unsafe function.
        #[expect(deprecated, reason = "sound for a descriptor that is owned")]
        let pidfd = AsyncFd::with_interest(self.pidfd.try_clone()?, Interest::READABLE)?;
        // Readiness is not cleared: a pidfd that is readable once stays so.
        pidfd.readable().await.map(drop)
    }
}

/// The process of the node whose directory this is, if it runs.
///
/// `server` is the server program; `recorded` what was noted when it was started, which saves
/// a look at all processes.
pub(crate) fn find(
    server: &Path,
    node_dir: &Path,
    recorded: Option<RunningNode>,
) -> Result<Option<RunningNode>> {
    let config = node_dir.join(config_file::FILE_NAME);
    // The one recorded may be between two programs, with no command line to read; the time of
    // its start goes on and tells that it is the same.
    let serves = |process: RunningNode| {
        let line = fs::read(proc_path(process.pid, "cmdline"));
        line.is_ok_and(|line| {
            line.is_empty() || option_file(server, &line).as_ref() == Some(&config)
        }) && start_time(process.pid) == Some(process.start_time)
    };
    if let Some(process) = recorded.filter(|process| serves(*process)) {
        return Ok(Some(process));
    }
    // The process may have been started without being recorded, when its starter was killed.
    let found = scan(server)?
        .into_iter()
        .find(|(_, path)| *path == config)
        .map(|(process, _)| process);
    Ok(found)
}

/// All server processes whose `my.cnf` lies in a node's directory below `nodes_dir`.
pub(crate) fn list(server: &Path, nodes_dir: &Path) -> Result<Vec<NodeProcess>> {
    let node_of = |config: &Path| {
        let dir = config.parent()?;
        let ours = dir.parent() == Some(nodes_dir)
            && config.file_name() == Some(OsStr::new(config_file::FILE_NAME));
        let name = dir.file_name()?.to_str()?;
        ours.then(|| NodeId::parse(name).ok()).flatten()
    };
    let processes = scan(server)?;
    Ok(processes
        .into_iter()
        .filter_map(|(process, config)| node_of(&config).map(|node| NodeProcess { node, process }))
        .collect())
}

/// Every server process with its option file.
fn scan(server: &Path) -> Result<Vec<(RunningNode, PathBuf)>> {
    let proc_dir = Path::new("/proc");
    let mut found = Vec::new();
    for entry in fs::read_dir(proc_dir).at("list", proc_dir)? {
        let name = entry.at("list", proc_dir)?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Some(config) = server_config(server, pid) else {
            continue;
        };
        if let Some(start_time) = start_time(pid) {
            found.push((RunningNode { pid, start_time }, config));
        }
    }
    Ok(found)
}

/// The option file of a process, if it is a server started by this engine.
fn server_config(server: &Path, pid: u32) -> Option<PathBuf> {
    let line = fs::read(proc_path(pid, "cmdline")).ok()?;
    option_file(server, &line)
}

/// The option file in a command line, if that is one of a server started by this engine.
///
/// The server's name need not come first: for an instant after its start the process is still
/// the program that changes user and session.
fn option_file(server: &Path, line: &[u8]) -> Option<PathBuf> {
    const OPTION: &[u8] = b"--defaults-file=";
    let arguments: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
    arguments.windows(2).find_map(|pair| {
        let program = Path::new(OsStr::from_bytes(pair[0]));
        let config = pair[1].strip_prefix(OPTION)?;
        (program.file_name() == server.file_name())
            .then(|| PathBuf::from(OsStr::from_bytes(config)))
    })
}

/// How long the end of a program that was killed is waited for: one that waits for a disk ends
/// when that answers.
const END_OF_WORKER: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// Kills the programs that work in directories whose paths begin so, and waits until they have
/// ended: nobody waits for them when whoever started them was killed.
///
/// One that goes on for too long is left, and told in the log.
pub(crate) fn kill_workers(prefix: &Path) -> Result<()> {
    // One that was being started while the others were looked for is found the next time.
    loop {
        let workers = workers(prefix)?;
        if workers.is_empty() {
            return Ok(());
        }
        for worker in &workers {
            // It may have ended since.
            let _ = rustix::process::pidfd_send_signal(worker, Signal::KILL);
        }
        for worker in &workers {
            let mut end = [PollFd::new(worker, PollFlags::IN)];
            if rustix::event::poll(&mut end, Some(&END_OF_WORKER)) == Ok(0) {
                tracing::warn!(?prefix, "a program that was killed goes on");
                return Ok(());
            }
        }
    }
}

/// The programs whose command lines name such directories.
fn workers(prefix: &Path) -> Result<Vec<OwnedFd>> {
    let proc_dir = Path::new("/proc");
    let prefix = prefix.as_os_str().as_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir(proc_dir).at("list", proc_dir)? {
        let name = entry.at("list", proc_dir)?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.filter(|pid| *pid != std::process::id()) else {
            continue;
        };
        let Some(process) = raw_pid(pid) else {
            continue;
        };
        // Opened first, so that it cannot be another one than the one looked at.
        let Ok(process) = rustix::process::pidfd_open(process, PidfdFlags::empty()) else {
            continue;
        };
        // One that ended has no command line.
        let line = fs::read(proc_path(pid, "cmdline")).unwrap_or_default();
        if line.windows(prefix.len()).any(|part| part == prefix) {
            found.push(process);
        }
    }
    Ok(found)
}

/// A process's start time; `None` when it has ended, also when nobody has waited for it yet.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(proc_path(pid, "stat")).ok()?;
    parse_stat(&stat)
}

/// The start time out of `/proc/PID/stat`, unless the process is a zombie or dead.
fn parse_stat(stat: &str) -> Option<u64> {
    // The second field is the command's name in parentheses and may hold anything.
    let fields = &stat[stat.rfind(')')? + 1..];
    let mut fields = fields.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X" | "x") {
        return None;
    }
    // The state was field 3; the start time is field 22.
    fields.nth(22 - 4)?.parse().ok()
}

/// Memory of a process in bytes: its own, plus its share of what it shares (PSS).
pub(crate) fn memory(process: RunningNode) -> Result<u64> {
    let path = proc_path(process.pid, "smaps_rollup");
    let text = fs::read_to_string(&path).at("read", &path)?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok());
    kib.map(|kib| kib << 10)
        .ok_or(std::io::Error::from(std::io::ErrorKind::InvalidData))
        .at("read", &path)
}

/// What a process has taken so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessFigures {
    /// When it was started; another value means another process, whose time begins at zero.
    pub started: u64,
    /// Processor time.
    pub cpu: Duration,
    /// Memory that is resident, in bytes.
    pub resident_bytes: u64,
}

/// The kernel tells times of processes in hundredths of a second, on every architecture.
const TICK: Duration = Duration::from_millis(10);

pub(crate) fn figures(process: RunningNode) -> Result<ProcessFigures> {
    let malformed = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let path = proc_path(process.pid, "stat");
    let stat = fs::read_to_string(&path).at("read", &path)?;
    let ticks = cpu_ticks(&stat).ok_or_else(malformed).at("read", &path)?;
    let path = proc_path(process.pid, "status");
    let status = fs::read_to_string(&path).at("read", &path)?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let kib = kib.ok_or_else(malformed).at("read", &path)?;
    Ok(ProcessFigures {
        started: process.start_time,
        cpu: TICK * u32::try_from(ticks).unwrap_or(u32::MAX),
        resident_bytes: kib << 10,
    })
}

/// Bytes of open files that lay in a node's directory and have no name any more. None of a process
/// that has ended or may not be looked into.
pub(crate) fn nameless_bytes(process: RunningNode, node_dir: &Path) -> u64 {
    let node_dir = fs::canonicalize(node_dir).unwrap_or_else(|_| node_dir.to_owned());
    let open = fs::read_dir(proc_path(process.pid, "fd"));
    let nameless = open.into_iter().flatten().flatten().filter(|file| {
        let target = fs::read_link(file.path());
        target.is_ok_and(|target| {
            target.starts_with(&node_dir) && target.as_os_str().as_bytes().ends_with(b" (deleted)")
        })
    });
    // Through the link, to the file that is open.
    let bytes = nameless.filter_map(|file| Some(fs::metadata(file.path()).ok()?.blocks() * 512));
    bytes.sum()
}

/// Time in user and kernel mode out of `/proc/PID/stat`, fields 14 and 15.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let fields = &stat[stat.rfind(')')? + 1..];
    let mut fields = fields.split_ascii_whitespace().skip(14 - 3);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// Makes the kernel choose this process rather than another when memory runs out. Best effort:
/// it is a hint.
pub(crate) fn set_oom_score(pid: u32, adjustment: u16) {
    let path = proc_path(pid, "oom_score_adj");
    if let Err(error) = fs::write(&path, adjustment.to_string()) {
        tracing::debug!(%error, path = %path.display(), "cannot set");
    }
}

fn raw_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

fn proc_path(pid: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_start_time_survives_a_nasty_command_name() {
        let stat = "42 (a) S (b) R) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 2";
        assert_eq!(parse_stat(stat), Some(98765));
        assert_eq!(parse_stat(&stat.replace(") S 1", ") Z 1")), None);
        assert_eq!(parse_stat("garbage"), None);
    }

    #[test]
    fn a_process_that_was_not_waited_for_has_ended() {
        let mut child = Command::new("true").spawn().expect("true is essential");
        let pid = child.id();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while start_time(pid).is_some() {
            assert!(std::time::Instant::now() < deadline, "still running");
            std::thread::yield_now();
        }
        child.wait().expect("our child");
    }

    #[tokio::test]
    async fn a_recycled_process_id_is_not_signalled() {
        let mut child = Command::new("sleep")
            .arg("600")
            .stdin(Stdio::null())
            .spawn()
            .expect("sleep is essential");
        let pid = child.id();
        let start_time = start_time(pid).expect("it runs");
        let stranger = RunningNode {
            pid,
            start_time: start_time + 1,
        };
        assert!(ProcessHandle::open(stranger).expect("no error").is_none());

        let handle = ProcessHandle::open(RunningNode { pid, start_time })
            .expect("no error")
            .expect("it runs");
        let soon = Duration::from_millis(20);
        assert!(!handle.ended_within(soon).await.expect("waited"));
        handle.signal(Signal::KILL).expect("ours");
        let long = Duration::from_secs(10);
        assert!(handle.ended_within(long).await.expect("waited"));
        child.wait().expect("our child");
        handle.signal(Signal::KILL).expect("ended, no error");
    }

    /// Programs that fill a directory, and start others that do, have ended when it is removed.
    #[test]
    fn workers_have_ended_when_their_directory_is_removed() {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("template.new");
        let script = r#"while :; do (for i in $(seq 99); do : >"$0/$i$RANDOM"; done) & wait; done"#;
        for _ in 0..5 {
            fs::create_dir(&dir).expect("new");
            let mut fillers: Vec<_> = (0..3)
                .map(|_| Command::new("bash").args(["-c", script]).arg(&dir).spawn())
                .map(|filler| filler.expect("bash is essential"))
                .collect();
            while fs::read_dir(&dir).expect("there").count() < 500 {
                std::thread::yield_now();
            }
            kill_workers(&dir).expect("looked");
            fs::remove_dir_all(&dir).expect("nobody fills it");
            for filler in &mut fillers {
                filler.wait().expect("our child");
            }
        }
    }

    /// A process has no command line for an instant within `execve`, as kernel threads never
    /// have one: with its start time recorded it is known all the same.
    #[test]
    fn a_recorded_process_is_known_between_two_programs() {
        let server = Path::new("/bin/sh");
        let dir = Path::new("/nowhere/nd-exec");
        let option = format!(
            "--defaults-file={}/{}",
            dir.display(),
            config_file::FILE_NAME
        );
        for _ in 0..200 {
            let mut child = Command::new("setsid")
                .args([
                    "sh",
                    "-c",
                    "exec sh -c 'read line' sh \"$1\"",
                    "sh",
                    &option,
                ])
                .stdin(Stdio::piped())
                .spawn()
                .expect("setsid is essential");
            let pid = child.id();
            let start_time = start_time(pid).expect("it runs");
            let recorded = RunningNode { pid, start_time };
            // Looked at all through its two changes of program.
            for _ in 0..20 {
                let line = fs::read(proc_path(pid, "cmdline")).expect("it runs");
                let ours = line.is_empty() || option_file(server, &line).is_some();
                let found = find(server, dir, Some(recorded)).expect("look");
                assert!(found == Some(recorded) || !ours, "{line:?}");
            }
            drop(child.stdin.take());
            child.wait().expect("our child");
        }
    }

    #[test]
    fn only_the_server_itself_counts() {
        let config = Path::new("/nowhere/nd-1/my.cnf");
        let mut client = Command::new("sh")
            .args(["-c", "read line", "mariadb-backup"])
            .arg(format!("--defaults-file={}", config.display()))
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh is essential");
        let same_name = Path::new("/opt/mariadb-backup");
        // A new program's command line shows a moment after its start.
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while server_config(same_name, client.id()).as_deref() != Some(config) {
            assert!(std::time::Instant::now() < deadline, "not seen");
            std::thread::yield_now();
        }
        let server = Path::new("/usr/sbin/mariadbd");
        assert_eq!(server_config(server, client.id()), None);
        drop(client.stdin.take());
        client.wait().expect("our child");
    }
}
