//! A real MariaDB server in a temporary directory.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::eventually;

/// Settings of a node as the service runs them, as far as a session can notice. Without cached
/// threads, since a session on one of those numbers its statements on from its predecessor.
const SETTINGS: &str = "
skip-name-resolve
skip-networking
performance_schema=OFF
innodb_buffer_pool_size=32M
innodb_log_file_size=16M
innodb_flush_log_at_trx_commit=0
max_connections=200
thread_cache_size=0
max_allowed_packet=64M
local_infile=ON
character-set-server=utf8mb4
default_time_zone='+00:00'
proxy_protocol_networks=localhost
";

pub struct Node {
    pub socket: PathBuf,
    directory: tempfile::TempDir,
    process: Child,
}

impl Node {
    /// Starts a server with the given statements run in it as its administrator.
    pub fn start(prepare: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("openpeta-gw-")
            .tempdir()
            .unwrap();
        let root = directory.path();
        fs::set_permissions(root, fs::Permissions::from_mode(0o711)).unwrap();
        copy_directory(template(), &root.join("data"));
        // A server that starts removes the temporary tables of all others with the same place for them.
        fs::create_dir(root.join("tmp")).unwrap();
        let socket = root.join("mysqld.sock");
        let config = format!(
            "[mariadbd]\n{SETTINGS}\ndatadir={0}/data\nsocket={0}/mysqld.sock\n\
             pid_file={0}/pid\nlog_error={0}/error.log\ntmpdir={0}/tmp\n",
            root.display()
        );
        fs::write(root.join("node.cnf"), config).unwrap();
        own_by_node_user(root);
        let process = spawn(root);
        let node = Self {
            socket,
            directory,
            process,
        };
        node.wait_until_ready();
        node.administer(prepare);
        node
    }

    /// Stops the server from doing anything until [`Self::resume`]; its connections stay.
    pub fn freeze(&self) {
        openpeta_testkit::freeze(self.process.id());
    }

    /// Lets it go on.
    pub fn resume(&self) {
        openpeta_testkit::thaw(self.process.id());
    }

    /// Kills the server at once, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Has the server shut down in good order.
    pub fn stop(&mut self) {
        self.administer("SHUTDOWN");
        self.process.wait().unwrap();
    }

    /// Starts a killed server again.
    pub fn restart(&mut self) {
        self.process = spawn(self.directory.path());
        self.wait_until_ready();
    }

    /// A client program connected as the server's administrator, past the gateway.
    pub fn admin_client(&self) -> Command {
        let mut command = Command::new("mariadb");
        command
            .args(["--no-defaults", "-N", "-u", "root", "-S"])
            .arg(&self.socket);
        command
    }

    /// Runs statements as the server's administrator and returns what they print.
    pub fn administer(&self, statements: &str) -> String {
        let mut client = self.admin_client();
        let output = client.args(["-e", statements]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{statements}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a script for the command line client, with its own commands, as the administrator.
    pub fn run_script(&self, script: &str) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(script.as_bytes()).unwrap();
        file.rewind().unwrap();
        let output = self.admin_client().stdin(file).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn wait_until_ready(&self) {
        eventually("the node accepts connections", || {
            UnixStream::connect(&self.socket).is_ok()
        });
    }
}

impl Drop for Node {
    #[allow(clippy::print_stderr)]
    fn drop(&mut self) {
        let ended = self.process.try_wait();
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log =
                fs::read_to_string(self.directory.path().join("error.log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            // A server that crashed tells of it in many lines.
            let from = lines
                .iter()
                .position(|line| line.contains("got signal"))
                .unwrap_or(lines.len().saturating_sub(20));
            eprintln!(
                "the node ({ended:?}) said last:\n{}",
                lines[from..].join("\n")
            );
        }
    }
}

/// Runs as its own user when the tests run as root, and ends with the test in any case.
fn spawn(root: &Path) -> Child {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid=mysql", "--regid=mysql", "--clear-groups"]);
    }
    command
        .args(["--pdeathsig=KILL", "mariadbd"])
        .arg(format!(
            "--defaults-file={}",
            root.join("node.cnf").display()
        ))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// An initialised data directory to copy from. Making it takes seconds, so it is kept with the
/// build's other products and shared by all test processes.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gateway-node-template");
        let parent = kept.parent().unwrap();
        fs::create_dir_all(parent).unwrap();
        // One process makes it, the others wait.
        let lock = File::create(kept.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        if kept.exists() {
            return kept;
        }
        let fresh = tempfile::Builder::new()
            .prefix("template-")
            .tempdir_in(parent)
            .unwrap();
        let mut install = Command::new("mariadb-install-db");
        if is_root() {
            install.arg("--user=root");
        }
        let output = install
            .args(["--no-defaults", "--skip-test-db", "--skip-name-resolve"])
            .args([
                "--auth-root-authentication-method=normal",
                "--innodb-log-file-size=16M",
            ])
            .arg(format!("--datadir={}", fresh.path().join("data").display()))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        fs::rename(fresh.path().join("data"), &kept).unwrap();
        kept
    })
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn own_by_node_user(path: &Path) {
    if !is_root() {
        return;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd
        .lines()
        .find(|line| line.starts_with("mysql:"))
        .unwrap();
    let ids: Vec<u32> = line
        .split(':')
        .skip(2)
        .take(2)
        .map(|id| id.parse().unwrap())
        .collect();
    own(path, ids[0], ids[1]);
}

fn own(path: &Path, user: u32, group: u32) {
    chown(path, Some(user), Some(group)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            own(&entry.unwrap().path(), user, group);
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// How long tests wait for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);
