//! Starts a node's server process.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use crate::config_file;
use crate::error::{AtPath, Result};
use crate::process::{self, RunningNode};
use crate::user::NodeUser;

/// Spawns the server of a node's directory with its output going to `log`.
///
/// The process is in a session of its own and survives this one. When it ends while this process
/// lives, it is waited for in the background, so that no zombie stays.
///
/// The limit of open files is inherited; the server raises it as far as the hard limit allows.
///
/// Must be called inside a tokio runtime.
pub(crate) fn spawn(
    server: &Path,
    node_dir: &Path,
    log: File,
    user: &NodeUser,
    oom_score_adj: u16,
) -> Result<Option<RunningNode>> {
    let mut option = std::ffi::OsString::from("--defaults-file=");
    option.push(node_dir.join(config_file::FILE_NAME));
    let errors = log.try_clone().at("open", node_dir)?;
    let mut command = user.command(server);
    command
        .arg(option)
        .stdout(Stdio::from(log))
        .stderr(Stdio::from(errors));
    let mut child = tokio::process::Command::from(command)
        .spawn()
        .at("run", server)?;
    // Nobody has waited for the child yet, so the id is still its own.
    let pid = child.id().unwrap_or_default();
    let process = process::start_time(pid).map(|start_time| RunningNode { pid, start_time });
    process::set_oom_score(pid, oom_score_adj);
    tokio::spawn(async move {
        match child.wait().await {
            Ok(status) => tracing::debug!(pid, %status, "a server process ended"),
            Err(error) => tracing::warn!(pid, %error, "cannot wait for a server process"),
        }
    });
    Ok(process)
}
