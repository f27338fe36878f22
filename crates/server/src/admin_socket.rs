//! The operator's socket, `DIR/admin.sock`: one JSON object a line each way. Who may open it
//! is decided by the file system: it belongs to the service's user alone.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use openpeta_control::Control;
use openpeta_control::admin::protocol::{AdminCommand, AdminReply};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tracing::warn;

use crate::ServeError;

/// Bytes of a command; a policy document is the longest part of one.
const MAX_COMMAND: u64 = 1 << 20;

/// The open socket; removed when dropped.
pub(crate) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Opens the socket in place of one that a dead process left. The caller holds the data
    /// directory, so that no living process can have one there.
    ///
    /// # Errors
    /// [`ServeError::DataDir`].
    pub(crate) fn open(path: &Path) -> Result<Self, ServeError> {
        let open = || {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = bind(path)?;
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
            Ok(listener)
        };
        let listener = open().map_err(|reason| ServeError::DataDir {
            path: path.to_owned(),
            reason,
        })?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Answers commands until dropped; commands under way are dropped with it.
    pub(crate) async fn serve(self, control: Control) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(serve(stream, control.clone()))),
                    Err(error) => {
                        warn!(%error, "cannot accept on the admin socket");
                        tokio::task::yield_now().await;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Binds under a short name: the length of a socket's path is limited to about a hundred
/// bytes, that of a data directory's is not.
fn bind(path: &Path) -> io::Result<UnixListener> {
    const MAX_PATH: usize = 107;
    if path.as_os_str().len() <= MAX_PATH {
        return UnixListener::bind(path);
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let dir = std::fs::File::open(dir)?;
    let fd = std::os::fd::AsRawFd::as_raw_fd(&dir);
    UnixListener::bind(Path::new("/proc/self/fd").join(fd.to_string()).join(name))
}

async fn serve(stream: UnixStream, control: Control) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut lines)
            .take(MAX_COMMAND)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let complete = line.ends_with(b"\n");
        let reply = match serde_json::from_slice::<AdminCommand>(&line) {
            Ok(command) => control.admin(command, Timestamp::now()).await,
            Err(error) => AdminReply::Error {
                code: "InvalidCommand".into(),
                message: if complete {
                    error.to_string()
                } else {
                    "not one line".into()
                },
            },
        };
        let Ok(mut reply) = serde_json::to_vec(&reply) else {
            return;
        };
        reply.push(b'\n');
        if write.write_all(&reply).await.is_err() || !complete {
            return;
        }
    }
}
