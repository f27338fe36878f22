//! The system user that nodes run as, and the commands run as that user.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Gid, Uid};

use crate::error::{AtPath, EngineError, Result};

/// Directories searched for programs, after those of `PATH`.
const PROGRAM_DIRS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// `PATH` of the programs that the engine runs.
pub(crate) const SAFE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The user that nodes run as, and how to become that user.
#[derive(Clone, Debug)]
pub(crate) struct NodeUser {
    /// Set when it is another user than the one this process runs as.
    switch_to: Option<(u32, u32)>,
    setpriv: PathBuf,
    setsid: PathBuf,
}

impl NodeUser {
    /// Looks the configured user up.
    pub(crate) fn resolve(name: Option<&str>) -> Result<Self> {
        let me = rustix::process::geteuid().as_raw();
        let switch_to = match name {
            None if me == 0 => return Err(EngineError::NodeUserNeeded),
            None => None,
            Some(name) => {
                let (uid, gid) = look_up(name)?;
                if uid == 0 {
                    return Err(EngineError::NodeUserNeeded);
                }
                if uid != me && me != 0 {
                    let name = name.to_owned();
                    return Err(EngineError::CannotSwitchUser { name });
                }
                (uid != me).then_some((uid, gid))
            }
        };
        Ok(Self {
            switch_to,
            setpriv: find_program(Path::new("setpriv"))?,
            setsid: find_program(Path::new("setsid"))?,
        })
    }

    /// Whether nodes run as another user than this process.
    pub(crate) const fn is_other(&self) -> bool {
        self.switch_to.is_some()
    }

    /// The group to which a directory is given so that nodes may pass through it.
    pub(crate) fn group(&self) -> Option<Gid> {
        self.switch_to.map(|(_, gid)| Gid::from_raw(gid))
    }

    /// The node user as owner for files, when it is not this process's own.
    pub(crate) fn owner(&self) -> Option<(Uid, Gid)> {
        self.switch_to
            .map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid)))
    }

    /// Gives an open file or directory to the node user.
    pub(crate) fn give(&self, file: &File, path: &Path) -> Result<()> {
        match self.owner() {
            Some((uid, gid)) => {
                rustix::fs::fchown(file, Some(uid), Some(gid)).at("give away", path)
            }
            None => Ok(()),
        }
    }

    /// A command that runs a program as the node user, in a session of its own, with nothing
    /// of this process's environment, and without a way to gain privileges.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(&self.setpriv);
        command.arg("--no-new-privs");
        if let Some((uid, gid)) = self.switch_to {
            command
                .arg(format!("--reuid={uid}"))
                .arg(format!("--regid={gid}"))
                .arg("--clear-groups");
        }
        // setsid does not fork here: the new process leads no group yet, so the process id
        // stays the one that spawn returns.
        command.arg(&self.setsid).arg(program);
        command
            .env_clear()
            .env("PATH", SAFE_PATH)
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    /// Whether the node user can enter a directory, tried as that user.
    pub(crate) fn can_enter(&self, dir: &Path) -> Result<bool> {
        if !self.is_other() {
            return Ok(true);
        }
        let test = find_program(Path::new("test"))?;
        let status = self
            .command(&test)
            .arg("-x")
            .arg(dir)
            .status()
            .at("run", &self.setpriv)?;
        Ok(status.success())
    }
}

/// Finds a program: a path is taken as it is, a name is searched for.
pub(crate) fn find_program(program: &Path) -> Result<PathBuf> {
    let runnable = |path: &Path| {
        fs::metadata(path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let found = if program.components().count() > 1 {
        runnable(program).then(|| program.to_owned())
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(PROGRAM_DIRS.map(PathBuf::from))
            .map(|dir| dir.join(program))
            .find(|candidate| candidate.is_absolute() && runnable(candidate))
    };
    found.ok_or_else(|| EngineError::BinaryMissing {
        path: program.to_owned(),
    })
}

/// User and group id of a system user, from whatever name service the system has.
fn look_up(name: &str) -> Result<(u32, u32)> {
    let unknown = || EngineError::UnknownUser {
        name: name.to_owned(),
    };
    let getent = find_program(Path::new("getent"))?;
    let output = Command::new(&getent)
        .arg("passwd")
        .arg("--")
        .arg(name)
        .stdin(Stdio::null())
        .output()
        .at("run", &getent)?;
    let line = OsStr::from_bytes(&output.stdout).to_string_lossy();
    // name:password:uid:gid:…
    let mut fields = line.split(':').skip(2);
    let mut id = || fields.next().and_then(|field| field.trim().parse().ok());
    match (id(), id()) {
        (Some(uid), Some(gid)) => Ok((uid, gid)),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        let by_name = find_program(Path::new("setsid")).expect("util-linux is essential");
        assert!(by_name.is_absolute());
        assert_eq!(find_program(&by_name).expect("it is there"), by_name);
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = find_program(Path::new("/nonexistent/mariadbd")).expect_err("nothing there");
        assert!(error.to_string().contains("/nonexistent/mariadbd"));
        let error = find_program(Path::new("no-such-mariadbd")).expect_err("nothing there");
        assert!(matches!(error, EngineError::BinaryMissing { .. }));
    }

    #[test]
    fn users_are_looked_up() {
        assert_eq!(look_up("root").expect("always there"), (0, 0));
        assert!(matches!(
            look_up("no-such-user-here"),
            Err(EngineError::UnknownUser { .. })
        ));
    }
}
