//! The operator's socket, `DIR/admin.sock`: one JSON object a line each way. Who may open it
//! is decided by the file system: it belongs to the service's user alone.

use std::io;

use jiff::Timestamp;
use openpeta_control::Control;
use openpeta_control::admin::StreamedExport;
use openpeta_control::admin::protocol::{AdminCommand, AdminReply};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::warn;

/// Bytes of a command; a policy document is the longest part of one.
const MAX_COMMAND: u64 = 1 << 20;

/// Answers commands until told to stop; those under way are finished then.
pub(crate) async fn serve(listener: UnixListener, control: Control, stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut stopping = stop.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(answer(stream, control.clone(), stop.clone()));
                }
                Err(error) => {
                    warn!(%error, "cannot accept on the admin socket");
                    tokio::task::yield_now().await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = stopped(&mut stopping) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that the service is gone, which is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn answer(stream: UnixStream, control: Control, mut stop: watch::Receiver<bool>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut lines).take(MAX_COMMAND);
        let read = tokio::select! {
            biased;
            read = limited.read_until(b'\n', &mut line) => read,
            () = stopped(&mut stop) => return,
        };
        match read {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let complete = line.ends_with(b"\n");
        let reply = match serde_json::from_slice::<AdminCommand>(&line) {
            Ok(command @ AdminCommand::ExportStream { .. }) => {
                let begun = control.begin_stream(command, Timestamp::now());
                match export(begun, &mut write, &mut stop).await {
                    Ok(()) => continue,
                    Err(_) => return,
                }
            }
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
        if send(&mut write, &reply).await.is_err() || !complete {
            return;
        }
    }
}

async fn send(write: &mut OwnedWriteHalf, reply: &AdminReply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    write.write_all(&line).await
}

/// Sends an export in frames. What is sent when the service is told to stop is not whole.
async fn export(
    begun: Result<StreamedExport, AdminReply>,
    write: &mut OwnedWriteHalf,
    stop: &mut watch::Receiver<bool>,
) -> io::Result<()> {
    let mut export = match begun {
        Ok(export) => export,
        Err(reply) => return send(write, &reply).await,
    };
    send(write, &AdminReply::Ok(serde_json::json!({}))).await?;
    loop {
        let piece = tokio::select! {
            biased;
            () = stopped(stop) => return Ok(()),
            piece = export.next() => piece,
        };
        let piece = piece.unwrap_or_default();
        let length = u32::try_from(piece.len()).map_err(io::Error::other)?;
        tokio::select! {
            biased;
            () = stopped(stop) => return Ok(()),
            sent = async {
                write.write_all(&length.to_be_bytes()).await?;
                write.write_all(&piece).await
            } => sent?,
        }
        if length == 0 {
            break;
        }
    }
    send(write, &export.end().await).await
}
