//! Where nodes and template lie, and that the node user can get there.
//!
//! Both normally lie in the data directory, `DIR/nodes` and `DIR/template`. A data directory
//! of mode 0700 is opened for passage (not for reading) to the node user's group. If the node
//! user still cannot get there, because a directory above denies it, as `/root` does, both lie
//! in `/var/lib/openpeta/<id>` instead, where the id is derived from the data directory's path,
//! and `DIR/nodes` and `DIR/template` are symlinks to them. The symlink is the record: once
//! made it is followed, also when the data directory is moved.

use std::fs::{self, DirBuilder, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use openpeta_types::NodeId;
use ring::digest;

use crate::config::EngineConfig;
use crate::error::{AtPath, EngineError, Result};
use crate::user::NodeUser;

/// `sun_path` has 108 bytes, one of them for the final NUL.
const SOCKET_PATH_LIMIT: usize = 107;

/// The length of the node ids that the service makes.
const USUAL_NODE_ID_LENGTH: usize = 17;

const SOCKET_NAME: &str = "mysqld.sock";

/// The directories of an engine, all without symlinks.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) nodes: PathBuf,
    pub(crate) template: PathBuf,
}

impl Layout {
    /// Finds or makes the directories.
    pub(crate) fn open(config: &EngineConfig, user: &NodeUser) -> Result<Self> {
        let data_dir = make_dir(&config.data_dir, 0o700)?;
        check_text(&data_dir)?;
        let base = base_dir(&data_dir, config, user)?;
        let nodes = make_dir(&base.join("nodes"), 0o700)?;
        open_for_passage(&nodes, user)?;
        if !user.can_enter(&nodes)? {
            return Err(EngineError::Unreachable { path: nodes });
        }
        let template = match &config.template_dir {
            Some(dir) => {
                let name = dir.file_name().unwrap_or_default();
                make_dir(dir.parent().unwrap_or(Path::new("/")), 0o711)?.join(name)
            }
            None => base.join("template"),
        };
        let layout = Self { nodes, template };
        check_text(&layout.template)?;
        let usual = layout.nodes.join("x".repeat(USUAL_NODE_ID_LENGTH));
        check_socket_path(usual.join(SOCKET_NAME))?;
        Ok(layout)
    }

    /// A node's directory.
    pub(crate) fn node(&self, node: &NodeId) -> PathBuf {
        self.nodes.join(node.as_str())
    }

    /// A node's socket; an error when the node's id makes the path too long.
    pub(crate) fn socket(&self, node: &NodeId) -> Result<PathBuf> {
        check_socket_path(self.node(node).join(SOCKET_NAME))
    }
}

/// The directory that holds `nodes` and `template`.
fn base_dir(data_dir: &Path, config: &EngineConfig, user: &NodeUser) -> Result<PathBuf> {
    let link = data_dir.join("nodes");
    if let Ok(target) = fs::read_link(&link) {
        let nodes = make_dir(&data_dir.join(target), 0o700)?;
        let base = nodes.parent().unwrap_or(Path::new("/")).to_owned();
        open_for_passage(&base, user)?;
        return Ok(base);
    }
    open_for_passage(data_dir, user)?;
    if user.can_enter(data_dir)? {
        return Ok(data_dir.to_owned());
    }
    if link.exists() {
        // Nodes were made here when the way was open; they are not moved behind one's back.
        return Err(EngineError::Unreachable { path: link });
    }
    let base = relocate(data_dir, config, user)?;
    tracing::info!(
        data_dir = %data_dir.display(),
        nodes = %base.display(),
        "the node user cannot reach the data directory; nodes lie elsewhere"
    );
    Ok(base)
}

/// Makes the directory elsewhere and the symlinks to it.
fn relocate(data_dir: &Path, config: &EngineConfig, user: &NodeUser) -> Result<PathBuf> {
    let hash = digest::digest(&digest::SHA256, data_dir.as_os_str().as_bytes());
    let id: String = hash.as_ref()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let root = make_dir(&config.relocation_dir, 0o711)?;
    let base = make_dir(&root.join(id), 0o700)?;
    open_for_passage(&base, user)?;
    if !user.can_enter(&base)? {
        return Err(EngineError::Unreachable { path: base });
    }
    make_dir(&base.join("nodes"), 0o700)?;
    for name in ["template", "nodes"] {
        let link = data_dir.join(name);
        match symlink(base.join(name), &link) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            result => result.at("link", &link)?,
        }
    }
    Ok(base)
}

/// Makes a directory with its parents, if need be, and returns its path without symlinks. The
/// mode is that of the directory itself; parents get the usual one.
fn make_dir(dir: &Path, mode: u32) -> Result<PathBuf> {
    if !dir.is_dir() {
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent).at("create", parent)?;
        }
        DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(dir)
            .at("create", dir)?;
    }
    fs::canonicalize(dir).at("resolve", dir)
}

/// Lets the node user's group pass through a directory of our own, without letting it list the
/// directory. Other modes than 0700 are somebody's choice and stay.
fn open_for_passage(dir: &Path, user: &NodeUser) -> Result<()> {
    let Some(group) = user.group() else {
        return Ok(());
    };
    let meta = fs::metadata(dir).at("look at", dir)?;
    let ours = meta.uid() == rustix::process::geteuid().as_raw();
    if !ours || meta.permissions().mode() & 0o077 != 0 {
        return Ok(());
    }
    let handle = File::open(dir).at("open", dir)?;
    rustix::fs::fchown(&handle, None, Some(group)).at("change the group of", dir)?;
    let mode = (meta.permissions().mode() & 0o7700) | 0o010;
    fs::set_permissions(dir, fs::Permissions::from_mode(mode)).at("change the mode of", dir)
}

/// Refuses a path that cannot be written into an option file.
pub(crate) fn check_text(path: &Path) -> Result<()> {
    let fine = path.to_str().is_some_and(|text| {
        !text
            .chars()
            .any(|c| c.is_control() || c == '"' || c == '\'')
    });
    if fine {
        Ok(())
    } else {
        Err(EngineError::InvalidPath {
            path: path.to_owned(),
        })
    }
}

fn check_socket_path(path: PathBuf) -> Result<PathBuf> {
    let length = path.as_os_str().len();
    if length <= SOCKET_PATH_LIMIT {
        Ok(path)
    } else {
        Err(EngineError::SocketPathTooLong {
            path,
            length,
            limit: SOCKET_PATH_LIMIT,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_socket_path_is_what_the_kernel_takes() {
        let path = |length: usize| PathBuf::from(format!("/{}", "a".repeat(length - 1)));
        assert!(check_socket_path(path(107)).is_ok());
        let error = check_socket_path(path(108)).expect_err("one too many");
        assert!(error.to_string().contains("108"), "{error}");
        std::os::unix::net::SocketAddr::from_pathname(path(107)).expect("the kernel's own limit");
        assert!(std::os::unix::net::SocketAddr::from_pathname(path(108)).is_err());
    }

    #[test]
    fn paths_that_would_break_an_option_file_are_refused() {
        assert!(check_text(Path::new("/srv/my data/#1")).is_ok());
        for bad in ["/a\"b", "/a\nb", "/a'b"] {
            assert!(check_text(Path::new(bad)).is_err(), "{bad:?}");
        }
    }
}
