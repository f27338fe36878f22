//! MariaDB's own programs for copies of data files, run as the node user.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;

use crate::error::{AtPath, EngineError, Result};
use crate::user::find_program;

/// How much of what a program printed a message quotes.
const QUOTED: usize = 4 << 10;

/// Where the programs are.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    /// `mariadb-backup`.
    pub(super) backup: PathBuf,
    /// `mbstream`.
    pub(super) stream: PathBuf,
}

impl Tools {
    /// Finds those that belong to the server: beside it, if they are there.
    pub(super) fn find(server: &Path, version: &str) -> Result<Self> {
        let find = |name: &str| {
            let beside = server.parent().map(|dir| dir.join(name));
            let beside = beside.and_then(|path| find_program(&path).ok());
            beside.map_or_else(|| find_program(Path::new(name)), Ok)
        };
        let tools = Self {
            backup: find("mariadb-backup")?,
            stream: find("mbstream")?,
        };
        let output = Command::new(&tools.backup)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .at("run", &tools.backup)?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        // The server's has what its packager added.
        let is_its = |word: &str| word.contains("MariaDB") && version.starts_with(word);
        match text.split_ascii_whitespace().any(is_its) {
            true => Ok(tools),
            false => Err(EngineError::BackupToolFailed {
                program: tools.backup.display().to_string(),
                output: format!("it is not of {version}: {}", text.trim()),
            }),
        }
    }
}

/// A program at work. When dropped, it and all that it started are killed.
pub(super) struct Tool {
    name: String,
    child: Child,
    group: Option<Pid>,
}

impl Tool {
    /// Starts a program, in a session of its own as all commands of the node user are.
    pub(super) fn spawn(command: Command, program: &Path) -> Result<Self> {
        let mut command = tokio::process::Command::from(command);
        let child = command.kill_on_drop(true).spawn().at("run", program)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Ok(Self {
            name: program
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            group: pid.and_then(Pid::from_raw),
            child,
        })
    }

    /// Its process id, until it was waited for.
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for its end, which must be a good one.
    pub(super) async fn finish(mut self, printed: &str) -> Result<()> {
        let status = self.child.wait().await;
        let status: ExitStatus = status.at("wait for", Path::new(&self.name))?;
        self.group = None;
        match status.success() {
            true => Ok(()),
            false => Err(EngineError::BackupToolFailed {
                program: self.name.clone(),
                output: format!("{status}: {}", printed.trim()),
            }),
        }
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs a program to its end.
pub(super) async fn run(mut command: Command, program: &Path) -> Result<()> {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut tool = Tool::spawn(command, program)?;
    let errors = tool.child().stderr.take();
    let printed = tail(errors).await.at("read from", program)?;
    tool.finish(&printed).await
}

/// Reads to the end; keeps the last of it.
pub(super) async fn tail(source: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let Some(mut source) = source else {
        return Ok(String::new());
    };
    let mut kept = Vec::new();
    while source.read_buf(&mut kept).await? > 0 {
        if kept.len() > 4 * QUOTED {
            kept.drain(..kept.len() - QUOTED);
        }
    }
    let start = kept.len().saturating_sub(QUOTED);
    Ok(String::from_utf8_lossy(&kept[start..]).into_owned())
}
