//! The pre-initialised data directory that nodes are copied from.
//!
//! `mariadb-install-db` takes seconds on a busy machine, a copy a tenth of one; so it runs once
//! per installation. The template is rebuilt when it is missing, half made, of another server
//! version, or made for another redo log size or administration password.
//!
//! It has two accounts: `openpeta_admin`@`localhost` with a password and all privileges, and
//! the server's own `mariadb.sys`@`localhost`, locked, which owns the system views. There is no
//! `root`, no anonymous user, no account that logs in by the identity of its process (the
//! gateway's connections come from the same process user as an operator's), and no `test`
//! database. Operators use `openpeta_admin`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use ring::digest;
use rustix::fs::{Gid, Uid};
use serde::{Deserialize, Serialize};

use crate::config::EngineConfig;
use crate::error::{AtPath, EngineError, Result};
use crate::sql::{ADMIN_ACCOUNT, native_password_hash};
use crate::user::NodeUser;
use crate::{config_file, copy, process, quote};

/// Raised when the way the template is made changes.
const FORMAT: u32 = 1;

const STAMP: &str = "stamp.json";

/// What a template was made with; compared as a whole.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    format: u32,
    server_version: String,
    redo_log_bytes: u64,
    /// SHA-256 of the administration account's stored hash.
    admin_fingerprint: String,
}

/// Makes sure that the template is there and fits, and returns its data directory.
///
/// Processes that share a template take turns.
pub(crate) fn prepare(
    config: &EngineConfig,
    user: &NodeUser,
    server_version: &str,
    template: &Path,
) -> Result<PathBuf> {
    let admin_hash = native_password_hash(&config.admin_password);
    let fingerprint = digest::digest(&digest::SHA256, admin_hash.as_bytes());
    let wanted = Stamp {
        format: FORMAT,
        server_version: server_version.to_owned(),
        redo_log_bytes: config.template_redo_log_bytes,
        admin_fingerprint: fingerprint
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    };
    let data = template.join("data");
    if is_current(template, &wanted) {
        return Ok(data);
    }
    let lock_path = beside(template, "lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&lock_path)
        .at("open", &lock_path)?;
    lock.lock().at("lock", &lock_path)?;
    if is_current(template, &wanted) {
        return Ok(data);
    }
    // With the lock held, whatever lies beside the template was left by a killed process, whose
    // programs may still be at work on it.
    let (new, old) = (beside(template, "new"), beside(template, "old"));
    process::kill_workers(&new)?;
    remove(&new)?;
    remove(&old)?;
    let started = std::time::Instant::now();
    build(config, user, &wanted, &admin_hash, &new)?;
    if template.exists() {
        fs::rename(template, &old).at("rename", template)?;
    }
    fs::rename(&new, template).at("rename", &new)?;
    sync_dir(template.parent().unwrap_or(Path::new("/")))?;
    remove(&old)?;
    tracing::info!(path = %template.display(), took = ?started.elapsed(), "node template made");
    Ok(data)
}

fn is_current(template: &Path, wanted: &Stamp) -> bool {
    fs::read(template.join(STAMP))
        .ok()
        .and_then(|text| serde_json::from_slice::<Stamp>(&text).ok())
        .is_some_and(|stamp| stamp == *wanted)
}

/// Makes a template in `dir`, which must not exist. When it returns, all is on disk.
fn build(
    config: &EngineConfig,
    user: &NodeUser,
    stamp: &Stamp,
    admin_hash: &str,
    dir: &Path,
) -> Result<()> {
    make_for_node(dir, user)?;
    let handle = File::open(dir).at("open", dir)?;
    let raw = dir.join("raw");
    let options = dir.join("install.cnf");
    let accounts = dir.join("accounts.sql");
    let temporary = dir.join("tmp");
    make_for_node(&temporary, user)?;
    let option_text = config_file::render_install(&raw, config.template_redo_log_bytes);
    write_for_node(&options, &option_text, user)?;
    write_for_node(&accounts, &account_statements(admin_hash), user)?;
    install(config, user, &options, &raw, &accounts, &temporary)?;
    copy::make_sparse(&raw)?;
    // The final copy is ours: a node that was broken into cannot change what others start from.
    let me = (
        Uid::from_raw(rustix::process::geteuid().as_raw()),
        Gid::from_raw(rustix::process::getegid().as_raw()),
    );
    copy::copy_tree(&raw, &dir.join("data"), Some(me))?;
    // The copy reserved what the holes stand for; give that back.
    copy::make_sparse(&dir.join("data"))?;
    for leftover in [&options, &accounts] {
        fs::remove_file(leftover).at("remove", leftover)?;
    }
    remove(&raw)?;
    remove(&temporary)?;
    rustix::fs::fchown(&handle, Some(me.0), Some(me.1)).at("take back", dir)?;
    let stamp_path = dir.join(STAMP);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&stamp_path)
        .at("create", &stamp_path)?;
    serde_json::to_writer(&mut file, stamp)
        .map_err(std::io::Error::from)
        .at("write", &stamp_path)?;
    file.sync_all().at("sync", &stamp_path)?;
    sync_dir(dir)
}

/// Runs `mariadb-install-db` as the node user. It gets a directory of its own for temporary
/// files: every server removes the temporary tables that it finds in its own when it starts, also
/// those of another server that is at work there.
fn install(
    config: &EngineConfig,
    user: &NodeUser,
    options: &Path,
    data: &Path,
    accounts: &Path,
    temporary: &Path,
) -> Result<()> {
    let mut command = install_command(config, user, options, data, accounts, temporary);
    let output = command.output().at("run", &config.install_db)?;
    if output.status.success() && data.join("mysql").is_dir() {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let start = text.floor_char_boundary(text.len().saturating_sub(4 << 10));
    Err(EngineError::TemplateFailed {
        output: format!("{}: {}", output.status, text[start..].trim()),
    })
}

/// What makes of a directory one that a server starts with, whatever it has already.
pub(crate) fn install_command(
    config: &EngineConfig,
    user: &NodeUser,
    options: &Path,
    data: &Path,
    accounts: &Path,
    temporary: &Path,
) -> Command {
    let with = |option: &str, path: &Path| {
        let mut argument = std::ffi::OsString::from(option);
        argument.push(path);
        argument
    };
    let mut command = user.command(&config.install_db);
    command
        .env("TMPDIR", temporary)
        // This one must come first.
        .arg(with("--defaults-file=", options))
        .arg(with("--datadir=", data))
        .arg(with("--extra-file=", accounts))
        .args([
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ]);
    command
}

/// What replaces the accounts that the installation made. Account statements do not work while
/// the server initialises itself, so the tables are written.
pub(crate) fn account_statements(admin_hash: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    let privileges = format!(
        "{{\"access\":{all},\"plugin\":\"mysql_native_password\",\
         \"authentication_string\":\"{admin_hash}\",\"password_last_changed\":{now}}}",
        all = u64::MAX,
    );
    format!(
        "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';\n\
         DELETE FROM mysql.proxies_priv;\n\
         DELETE FROM mysql.db;\n\
         INSERT INTO mysql.global_priv (Host, User, Priv) VALUES ('localhost', {user}, {privileges});\n",
        user = quote::string(ADMIN_ACCOUNT),
        privileges = quote::string(&privileges),
    )
}

pub(crate) fn make_for_node(path: &Path, user: &NodeUser) -> Result<()> {
    DirBuilder::new()
        .mode(0o700)
        .create(path)
        .at("create", path)?;
    let handle = File::open(path).at("open", path)?;
    user.give(&handle, path)
}

pub(crate) fn write_for_node(path: &Path, text: &str, user: &NodeUser) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .at("create", path)?;
    file.write_all(text.as_bytes()).at("write", path)?;
    user.give(&file, path)
}

/// The template's path with an ending.
fn beside(template: &Path, ending: &str) -> PathBuf {
    let mut name = template.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    template.with_file_name(name)
}

/// Removes a directory tree if it is there.
pub(crate) fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("remove", dir),
        _ => Ok(()),
    }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir)
        .and_then(|handle| handle.sync_all())
        .at("sync", dir)
}
