//! Stands between `mariadb-backup` and the server: puts the proof of the password in, so that the
//! program needs none, and holds two of its statements until we are done at that moment.
//!
//! `mariadb-backup` tells nobody when all that it copied is the content of one moment. But it
//! asks the server for it: between `BACKUP STAGE BLOCK_COMMIT` and `BACKUP STAGE END` nothing is
//! committed, and that is the moment to which the copy is brought. So a snapshot that is begun
//! while `END` is held here sees exactly what the copy has.

use std::io;
use std::path::{Path, PathBuf};

use openpeta_types::Secret;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::error::{AtPath, Result};
use crate::user::NodeUser;

/// The password that the program is given: its proof has the right length.
pub(super) const NO_PASSWORD: &str = "none";

/// The length of a proof by `mysql_native_password`.
const PROOF: usize = 20;

/// The longest packet of a login, either way.
const MAX_PACKET: usize = 64 << 10;

/// A statement of `mariadb-backup` that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Definitions and tables without transactions are as they will be in the copy.
    BlockCommit,
    /// Everything is.
    End,
}

/// A statement is held until it is told to go.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) stage: Stage,
    pub(super) go: oneshot::Sender<()>,
}

/// A socket that one process may use to reach the server. Gone when dropped.
pub(super) struct Relay {
    path: PathBuf,
    program: watch::Sender<Option<u32>>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Listens at `path` for connections to the server at `server`.
    pub(super) fn open(
        path: PathBuf,
        server: PathBuf,
        user: &NodeUser,
        password: Secret,
    ) -> Result<(Self, mpsc::Receiver<Held>)> {
        remove(&path)?;
        let listener = UnixListener::bind(&path).at("listen at", &path)?;
        if let Some((uid, gid)) = user.owner() {
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(rustix::fs::CWD, &path, Some(uid), Some(gid), flags)
                .at("give away", &path)?;
        }
        let (program, known) = watch::channel(None);
        let (held, stages) = mpsc::channel(1);
        let task = tokio::spawn(accept(listener, server, password, known, held));
        let relay = Self {
            path,
            program,
            task,
        };
        Ok((relay, stages))
    }

    /// Says which process may connect.
    pub(super) fn admit(&self, pid: u32) {
        self.program.send_replace(Some(pid));
    }

    /// Ends all connections: nothing is held any more.
    pub(super) fn close(&self) {
        self.task.abort();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
        // A socket that stays is replaced by the next one.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}

async fn accept(
    listener: UnixListener,
    server: PathBuf,
    password: Secret,
    mut program: watch::Receiver<Option<u32>>,
    held: mpsc::Sender<Held>,
) {
    // Connections end with this task.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let Ok(pid) = program.wait_for(Option::is_some).await.map(|pid| *pid) else {
            return;
        };
        let peer = client.peer_cred().ok().and_then(|peer| peer.pid());
        if peer.and_then(|peer| u32::try_from(peer).ok()) != pid {
            tracing::warn!(
                ?peer,
                ?pid,
                "somebody else connects to the socket of a backup"
            );
            continue;
        }
        let (server, password, held) = (server.clone(), password.clone(), held.clone());
        connections.spawn(async move {
            // The program tells what it could not do for want of its connection.
            if let Err(error) = relay(client, &server, &password, &held).await {
                tracing::debug!(%error, "a connection of a backup ended");
            }
        });
    }
}

/// Carries packets both ways until either side ends.
async fn relay(
    client: UnixStream,
    server: &Path,
    password: &Secret,
    held: &mpsc::Sender<Held>,
) -> io::Result<()> {
    let server = UnixStream::connect(server).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let greeting = read_packet(&mut from_server).await?;
    to_client.write_all(&greeting).await?;
    let mut login = read_packet(&mut from_client).await?;
    put_proof(&greeting, &mut login, password)
        .ok_or_else(|| io::Error::other("the login is not as expected"))?;
    to_server.write_all(&login).await?;
    let answers = async {
        tokio::io::copy(&mut from_server, &mut to_client).await?;
        Ok::<_, io::Error>(())
    };
    let commands = async {
        loop {
            let mut command = read_packet(&mut from_client).await?;
            quote_lock(&mut command);
            if let Some(stage) = stage_of(&command) {
                let (go, told) = oneshot::channel();
                let held = held.send(Held { stage, go }).await;
                held.map_err(io::Error::other)?;
                told.await.map_err(io::Error::other)?;
            }
            to_server.write_all(&command).await?;
        }
    };
    tokio::select! {
        done = answers => done,
        done = commands => done,
    }
}

/// Reads a packet with its header.
async fn read_packet(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet).await?;
    let length = u32::from_le_bytes([packet[0], packet[1], packet[2], 0]) as usize;
    if length > MAX_PACKET {
        return Err(io::ErrorKind::InvalidData.into());
    }
    packet.resize(4 + length, 0);
    stream.read_exact(&mut packet[4..]).await?;
    Ok(packet)
}

/// The stage that a command asks for, if it is to be held.
fn stage_of(packet: &[u8]) -> Option<Stage> {
    const QUERY: u8 = 3;
    let text = packet.get(4..)?.strip_prefix(&[QUERY])?;
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_ascii_whitespace().map(str::to_ascii_uppercase);
    let mut next = || words.next().unwrap_or_default();
    if (&*next(), &*next()) != ("BACKUP", "STAGE") {
        return None;
    }
    match &*next() {
        "BLOCK_COMMIT" => Some(Stage::BlockCommit),
        "END" => Some(Stage::End),
        _ => None,
    }
}

/// Quotes the name in `BACKUP LOCK`, which the program does not: a table's name may have what
/// quotes it in it.
fn quote_lock(packet: &mut Vec<u8>) {
    const LOCK: &[u8] = b"\x03BACKUP LOCK `";
    const BETWEEN: &[u8] = b"`.`";
    let Some(names) = packet.get(4..).and_then(|text| text.strip_prefix(LOCK)) else {
        return;
    };
    // Names of databases are plain.
    let between = names.windows(3).position(|three| three == BETWEEN);
    let Some((between, names)) = between.zip(names.strip_suffix(b"`")) else {
        return;
    };
    let Some(name) = names.get(between + BETWEEN.len()..) else {
        return;
    };
    let start = packet.len() - 1 - name.len();
    let name = name.to_vec();
    packet.truncate(start);
    for byte in name {
        packet.push(byte);
        if byte == b'`' {
            packet.push(byte);
        }
    }
    packet.push(b'`');
    let length = u32::try_from(packet.len() - 4).unwrap_or_default();
    packet[..3].copy_from_slice(&length.to_le_bytes()[..3]);
}

/// Replaces the proof in a login by the right one for the server's greeting; `None` when either
/// is not as it should be.
fn put_proof(greeting: &[u8], login: &mut [u8], password: &Secret) -> Option<()> {
    let challenge = challenge(greeting)?;
    // Header, capabilities, packet size, character set and filler come before the name.
    let name = login.get(4 + 32..)?;
    let at = 4 + 32 + name.iter().position(|&byte| byte == 0)? + 1;
    if usize::from(*login.get(at)?) != PROOF {
        return None;
    }
    let place = login.get_mut(at + 1..at + 1 + PROOF)?;
    let sha1 = |parts: &[&[u8]]| digest(&SHA1_FOR_LEGACY_USE_ONLY, &parts.concat());
    let once = sha1(&[password.expose().as_bytes()]);
    let twice = sha1(&[once.as_ref()]);
    let mask = sha1(&[&challenge, twice.as_ref()]);
    let proof = once.as_ref().iter().zip(mask.as_ref());
    for (byte, (once, mask)) in place.iter_mut().zip(proof) {
        *byte = once ^ mask;
    }
    Some(())
}

/// The random bytes in a greeting of protocol version 10.
fn challenge(greeting: &[u8]) -> Option<[u8; PROOF]> {
    let rest = greeting.get(4..)?.strip_prefix(&[10])?;
    let version = rest.iter().position(|&byte| byte == 0)?;
    let rest = rest.get(version + 1..)?;
    let mut challenge = [0; PROOF];
    // Thread id, first part, zero, capabilities, character set, status, capabilities, length,
    // ten reserved bytes, second part.
    challenge[..8].copy_from_slice(rest.get(4..12)?);
    challenge[8..].copy_from_slice(rest.get(31..43)?);
    Some(challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Vec<u8> {
        let mut packet = vec![0, 0, 0, 0, 3];
        packet.extend_from_slice(text.as_bytes());
        packet
    }

    #[test]
    fn the_stages_around_the_moment_are_held() {
        for (text, stage) in [
            ("BACKUP STAGE START", None),
            ("BACKUP STAGE FLUSH", None),
            ("BACKUP STAGE BLOCK_DDL", None),
            ("BACKUP STAGE BLOCK_COMMIT", Some(Stage::BlockCommit)),
            (" backup  stage end", Some(Stage::End)),
            ("BACKUP UNLOCK", None),
            ("SELECT 'BACKUP STAGE END'", None),
        ] {
            assert_eq!(stage_of(&query(text)), stage, "{text}");
        }
        assert_eq!(stage_of(&[0, 0, 0, 0]), None);
        assert_eq!(stage_of(&[0, 0, 0, 0, 2, b'x']), None, "not a query");
    }

    #[test]
    fn names_in_locks_are_quoted() {
        for (text, quoted) in [
            ("BACKUP LOCK `a`.`b`", "BACKUP LOCK `a`.`b`"),
            ("BACKUP LOCK `a`.`b`c``d`", "BACKUP LOCK `a`.`b``c````d`"),
            ("BACKUP LOCK `a`.`b`.`c`", "BACKUP LOCK `a`.`b``.``c`"),
            ("BACKUP LOCK `a`.`b", "BACKUP LOCK `a`.`b"),
            ("BACKUP LOCK `a`.``", "BACKUP LOCK `a`.``"),
            ("BACKUP LOCK `a`.`", "BACKUP LOCK `a`.`"),
            ("BACKUP UNLOCK", "BACKUP UNLOCK"),
        ] {
            let mut packet = query(text);
            let length = u8::try_from(packet.len() - 4).expect("short");
            packet[0] = length;
            quote_lock(&mut packet);
            assert_eq!(&packet[5..], quoted.as_bytes(), "{text}");
            assert_eq!(usize::from(packet[0]), packet.len() - 4, "{text}");
        }
    }

    fn greeting() -> Vec<u8> {
        let mut packet = vec![0, 0, 0, 0, 10];
        packet.extend_from_slice(b"5.5.5-10.11.19\0");
        packet.extend_from_slice(&[7, 0, 0, 0]);
        packet.extend_from_slice(b"abcdefgh\0");
        packet.extend_from_slice(&[0; 8]);
        packet.extend_from_slice(&[0; 10]);
        packet.extend_from_slice(b"ijklmnopqrst\0mysql_native_password\0");
        packet
    }

    #[test]
    fn the_proof_is_that_of_the_password() {
        let greeting = greeting();
        assert_eq!(challenge(&greeting), Some(*b"abcdefghijklmnopqrst"));
        let mut login = vec![0; 4 + 32];
        login.extend_from_slice(b"admin\0\x14");
        let at = login.len();
        login.extend_from_slice(&[0xff; PROOF]);
        login.extend_from_slice(b"mysql_native_password\0");
        let before = login.clone();
        put_proof(&greeting, &mut login, &Secret::new("secret")).expect("well formed");
        // As MariaDB checks it: what is left without the mask, hashed, is the stored hash.
        let sha1 = |bytes: &[u8]| digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes);
        let stored = sha1(sha1(b"secret").as_ref());
        let mask = sha1(&[b"abcdefghijklmnopqrst", stored.as_ref()].concat());
        let once: Vec<u8> = login[at..at + PROOF]
            .iter()
            .zip(mask.as_ref())
            .map(|(proof, mask)| proof ^ mask)
            .collect();
        assert_eq!(sha1(&once).as_ref(), stored.as_ref());
        assert_eq!(login[..at], before[..at]);
        assert_eq!(login[at + PROOF..], before[at + PROOF..]);
    }

    #[test]
    fn a_login_of_another_form_is_refused() {
        let password = Secret::new("secret");
        let mut login = vec![0; 4 + 32];
        login.extend_from_slice(b"admin\0\0");
        assert_eq!(put_proof(&greeting(), &mut login, &password), None);
        for length in 0..login.len() {
            assert_eq!(
                put_proof(&greeting(), &mut login[..length], &password),
                None
            );
        }
        let greeting = greeting();
        for length in 0..60 {
            assert_eq!(
                put_proof(&greeting[..length], &mut login.clone(), &password),
                None
            );
        }
    }
}
