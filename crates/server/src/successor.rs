//! A new process in place of this one, started by this one (SIGUSR2).

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::Stdio;

use tokio::process::{Child, Command};
use tracing::{info, warn};

use crate::notify;

const REPLACE: &str = "--replace";

/// Starts the program that is now at the path of this one, with the same arguments, to take over.
pub(crate) fn start() {
    let mut arguments = env::args_os();
    let Some(program) = arguments.next() else {
        return;
    };
    notify::reloading();
    let spawned = Command::new(&program)
        .args(replacing(arguments))
        .stdin(Stdio::null())
        .spawn();
    match spawned {
        Ok(child) => {
            info!(pid = child.id(), "a process was started to take over");
            tokio::spawn(watch(child));
        }
        Err(error) => {
            warn!(%error, program = %program.display(), "cannot start a process to take over");
            notify::not_replaced();
        }
    }
}

/// It is this process's child whatever becomes of it.
async fn watch(mut child: Child) {
    let pid = child.id();
    match child.wait().await {
        Ok(status) => {
            warn!(pid, %status, "the process that was started to take over has ended");
            notify::not_replaced();
        }
        Err(error) => warn!(pid, %error, "cannot wait for the process that was started"),
    }
}

fn replacing(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.collect();
    if !arguments
        .iter()
        .any(|argument| argument == OsStr::new(REPLACE))
    {
        arguments.push(REPLACE.into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_those_of_this_process() {
        let texts = |texts: &[&str]| texts.iter().map(OsString::from).collect::<Vec<_>>();
        let plain = texts(&["serve", "--data-dir", "a b"]);
        let expected = texts(&["serve", "--data-dir", "a b", "--replace"]);
        assert_eq!(replacing(plain.into_iter()), expected);
        assert_eq!(replacing(expected.clone().into_iter()), expected);
    }
}
