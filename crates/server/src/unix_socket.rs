//! Unix sockets in the data directory, for the service's user alone.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::ServeError;

/// A socket's path may be this long (`sun_path` without its end).
const LONGEST_PATH: usize = 107;

/// Opens a listening socket in place of one that a dead process left. The caller holds the data
/// directory, so that no living process can have one there.
///
/// # Errors
/// [`ServeError::DataDir`].
pub(crate) fn listen(path: &Path) -> Result<UnixListener, ServeError> {
    let open = || {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (short, _dir) = shortened(path)?;
        let listener = UnixListener::bind(short)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
        Ok(listener)
    };
    open().map_err(|reason| ServeError::DataDir {
        path: path.to_owned(),
        reason,
    })
}

/// Connects to one.
///
/// # Errors
/// What the operating system reports.
pub(crate) async fn connect(path: &Path) -> io::Result<UnixStream> {
    let (short, _dir) = shortened(path)?;
    UnixStream::connect(short).await
}

/// A name for the path that is short enough for a socket, as long as the file is open: a data
/// directory's path may have any length.
fn shortened(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().len() <= LONGEST_PATH {
        return Ok((path.to_owned(), None));
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let dir = File::open(dir)?;
    let short = format!("/proc/self/fd/{}", dir.as_raw_fd());
    Ok((Path::new(&short).join(name), Some(dir)))
}
