//! The built binary on a data directory of its own.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tempfile::TempDir;
use toml::{Table, Value as Setting};

use crate::ports::Ports;
use crate::processes::processes_of;
use crate::rows::{content, edit_store, leftover_rows};
use crate::secrets::places_of;
use crate::{Api, Credentials, PATIENCE, Process, admin, kill_and_wait};

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it wrote since it was started.
    pub log: String,
}

/// A process that another one has taken over from.
pub struct Predecessor(Option<Child>);

impl Predecessor {
    /// Whether it has ended.
    ///
    /// # Panics
    /// When it was waited for already.
    pub fn has_ended(&mut self) -> bool {
        let child = self.0.as_mut().expect("nobody has waited for it");
        child.try_wait().expect("it is our child").is_some()
    }

    /// Waits until it has ended by itself; returns its exit code.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn wait(mut self) -> Option<i32> {
        crate::wait_for("the end of the earlier process", || {
            self.has_ended().then_some(())
        });
        let mut child = self.0.take()?;
        child.wait().expect("it is our child").code()
    }
}

impl Drop for Predecessor {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A data directory and the process that serves it, which may be started as often as wanted.
/// Dropping it ends that process and its nodes, and removes the directory.
pub struct Service {
    /// What is run to serve: the service's program, or something that ends by running it.
    pub binary: PathBuf,
    home: TempDir,
    data_dir: PathBuf,
    /// The configuration file; to begin with ports and networks of its own, no spare nodes, no
    /// throttling.
    pub config: Table,
    /// The address of the HTTP endpoint; a free port to begin with.
    pub http_listen: String,
    ports: Ports,
    process: Option<Child>,
}

impl Service {
    /// A service that was never started. `binary` is `env!("CARGO_BIN_EXE_openpeta")`.
    ///
    /// # Panics
    /// When there is no place for it.
    #[must_use]
    pub fn new(binary: &str) -> Self {
        let home = tempfile::Builder::new()
            .prefix("openpeta-test-")
            .tempdir()
            .expect("a temporary directory");
        // Nodes may run as another user, who must get through.
        fs::set_permissions(home.path(), Permissions::from_mode(0o711)).expect("it is ours");
        let ports = Ports::claim();
        Self {
            binary: binary.into(),
            data_dir: home.path().join("data"),
            home,
            config: default_config(&ports),
            http_listen: "127.0.0.1:0".to_owned(),
            ports,
            process: None,
        }
    }

    /// A running service.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn started(binary: &str) -> Self {
        let mut service = Self::new(binary);
        service.start();
        service
    }

    /// Sets a value of the configuration, for example `nodes`, `spare`, `1`; the next start
    /// reads it.
    pub fn set(&mut self, section: &str, name: &str, value: impl Into<Setting>) {
        let section = self
            .config
            .entry(section)
            .or_insert_with(|| Setting::Table(Table::new()));
        let table = section.as_table_mut().expect("a section");
        table.insert(name.to_owned(), value.into());
    }

    /// Starts the process and waits until it is ready.
    ///
    /// # Panics
    /// When it ends instead.
    #[track_caller]
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// As [`start`](Self::start), with variables in the environment.
    ///
    /// # Panics
    /// When it ends instead.
    #[track_caller]
    pub fn start_with(&mut self, environment: &[(&str, &str)]) {
        if let Err(exit) = self.try_start(environment) {
            panic!("the service does not start: {exit:?}");
        }
    }

    /// Starts the process and waits until it is ready, or has ended.
    ///
    /// # Errors
    /// How it ended.
    ///
    /// # Panics
    /// When it does neither.
    pub fn try_start(&mut self, environment: &[(&str, &str)]) -> Result<(), Exit> {
        assert!(self.process.is_none(), "it runs already");
        let child = self.spawn_and_wait(environment, &[])?;
        self.process = Some(child);
        Ok(())
    }

    /// Starts a process that takes over from the one that runs, and waits until it is ready;
    /// returns the earlier one, which has its sessions still.
    ///
    /// # Panics
    /// When it ends instead.
    #[track_caller]
    pub fn replace(&mut self) -> Predecessor {
        let earlier = self.try_replace(&[]);
        earlier.unwrap_or_else(|exit| panic!("nobody takes over: {exit:?}"))
    }

    /// As above, with variables in the environment.
    ///
    /// # Errors
    /// How it ended.
    ///
    /// # Panics
    /// When it neither is ready nor ends.
    pub fn try_replace(&mut self, environment: &[(&str, &str)]) -> Result<Predecessor, Exit> {
        let child = self.spawn_and_wait(environment, &["--replace"])?;
        let earlier = self.process.replace(child).expect("it runs");
        Ok(Predecessor(Some(earlier)))
    }

    /// Starts the process and waits until it is ready, or has ended.
    fn spawn_and_wait(
        &self,
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Result<Child, Exit> {
        let begin = self.log().len();
        let mut child = self.spawn(environment, arguments);
        let ready = self.follow(&mut child);
        let deadline = Instant::now() + PATIENCE;
        let ended = loop {
            match ready.recv_timeout(Duration::from_millis(200)) {
                Ok(()) => return Ok(child),
                // Its output is closed: it ends.
                Err(RecvTimeoutError::Disconnected) => break child.wait(),
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(RecvTimeoutError::Timeout) => {
                    let _ = child.kill();
                    panic!("not ready in time: {}", self.log());
                }
            }
        };
        let status = ended.expect("it is our child");
        Err(self.exit(status, begin))
    }

    /// Starts the process and kills it after a while, however far it has come.
    ///
    /// # Panics
    /// When it runs already.
    pub fn kill_while_starting(&mut self, after: Duration) {
        assert!(self.process.is_none(), "it runs already");
        let mut child = self.spawn(&[], &[]);
        std::thread::sleep(after);
        // It may have ended by itself.
        let _ = child.kill();
        child.wait().expect("it is our child");
    }

    fn spawn(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Child {
        fs::write(self.config_path(), self.config.to_string()).expect("home is writable");
        Command::new(&self.binary)
            .arg("serve")
            .arg("--data-dir")
            .arg(&self.data_dir)
            .arg("--config")
            .arg(self.config_path())
            .args(["--http-listen", &self.http_listen])
            .args(["--https-listen", "127.0.0.1:0"])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.open_log())
            .spawn()
            .expect("the binary runs")
    }

    /// Copies standard output into the log; tells when the line comes that it is ready.
    fn follow(&self, child: &mut Child) -> Receiver<()> {
        let output = child.stdout.take().expect("piped");
        let mut log = self.open_log();
        let (sender, ready) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // The log is only for whoever reads a failure.
                let _ = writeln!(log, "{line}");
                if line.starts_with("ready ") {
                    // Nobody may wait any more.
                    let _ = sender.send(());
                }
            }
        });
        ready
    }

    /// Asks the process to stop and waits until it has; returns its exit code.
    ///
    /// # Panics
    /// When it does not run, or does not stop.
    #[track_caller]
    pub fn stop(&mut self) -> Option<i32> {
        let pid = i32::try_from(self.pid()).expect("a process id");
        let pid = Pid::from_raw(pid).expect("not 0");
        kill_process(pid, Signal::TERM).expect("it runs");
        self.wait_for_exit().code
    }

    /// Kills the process, as a crash does; nodes go on.
    ///
    /// # Panics
    /// When it does not run.
    #[track_caller]
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().expect("it is our child");
        process.wait().expect("it is our child");
    }

    /// Waits until the process ends by itself.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait_for_exit(&mut self) -> Exit {
        let mut process = self.process.take().expect("it runs");
        let start = Instant::now();
        loop {
            if let Some(status) = process.try_wait().expect("it is our child") {
                return self.exit(status, 0);
            }
            if start.elapsed() > PATIENCE {
                let _ = process.kill();
                let _ = process.wait();
                panic!("the service does not end: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn exit(&self, status: ExitStatus, begin: usize) -> Exit {
        let log = self.log();
        Exit {
            code: status.code(),
            signal: status.signal(),
            log: log.get(begin..).unwrap_or_default().to_owned(),
        }
    }

    /// The process id.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The directory that holds data directory, configuration and log; tests may put more there.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The configuration file.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.home.path().join("openpeta.toml")
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("service.log")
    }

    fn open_log(&self) -> File {
        let mut options = OpenOptions::new();
        options
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("home is writable")
    }

    /// All that the service wrote so far, over all starts.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The content of `credentials.json`.
    ///
    /// # Panics
    /// When the service was never ready.
    #[must_use]
    pub fn credentials(&self) -> Value {
        let text = fs::read(self.data_dir.join("credentials.json")).expect("it was ready once");
        serde_json::from_slice(&text).expect("JSON")
    }

    /// A client with the default tenant's key.
    ///
    /// # Panics
    /// When the service was never ready.
    #[must_use]
    pub fn api(&self) -> Api {
        let credentials = self.credentials();
        let text = |name: &str| credentials[name].as_str().expect("a text");
        let address = |name: &str| {
            let (_, address) = text(name).split_once("//").expect("a URL");
            address.parse().expect("an address")
        };
        Api {
            http: address("http_endpoint"),
            https: address("https_endpoint"),
            tls: trust(Path::new(text("ca_file"))),
            key: Credentials::of(&credentials),
            account_id: text("account_id").to_owned(),
        }
    }

    /// Sends an operator's command, for example `{"command": "node-list"}`.
    ///
    /// # Errors
    /// The refusal, with `code` and `message`.
    ///
    /// # Panics
    /// When the service does not run.
    pub fn admin(&self, command: &Value) -> Result<Value, Value> {
        admin::ask(&self.data_dir, command)
    }

    /// Runs the binary as a client of this service.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn cli(&self, arguments: &[&str]) -> Output {
        Command::new(&self.binary)
            .args(arguments)
            .env("OPENPETA_DATA_DIR", &self.data_dir)
            .env_remove("OPENPETA_PROFILE")
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs")
    }

    /// The directory of nodes, without symbolic links.
    #[must_use]
    pub fn nodes_dir(&self) -> PathBuf {
        let dir = self.data_dir.join("nodes");
        dir.canonicalize().unwrap_or(dir)
    }

    /// Processes that belong to the data directory, the service itself left out.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        let dirs = [self.data_dir.clone(), self.nodes_dir()];
        let own = self.process.as_ref().map(Child::id);
        let mut found = processes_of(&dirs);
        found.retain(|process| Some(process.pid) != own);
        found
    }

    /// Ids of this data directory's `mariadbd` processes.
    #[must_use]
    pub fn node_pids(&self) -> Vec<u32> {
        self.processes()
            .into_iter()
            .filter(|process| process.name == "mariadbd")
            .map(|process| process.pid)
            .collect()
    }

    /// Addresses of endpoints that somebody listens on.
    #[must_use]
    pub fn listening(&self) -> Vec<String> {
        self.ports.listening()
    }

    /// The first port for Classic endpoints.
    #[must_use]
    pub fn first_port(&self) -> u16 {
        *self.ports.classic().start()
    }

    /// Audit rows of an action, newest first, each with `request_id`, `outcome`, `parameters`.
    ///
    /// # Panics
    /// When the service does not run.
    #[must_use]
    pub fn audit(&self, action: &str) -> Vec<Value> {
        let command = serde_json::json!({
            "command": "audit-list", "action": action, "limit": 10_000,
        });
        let rows = self.admin(&command).expect("audit rows can be listed");
        rows.as_array().expect("a list").clone()
    }

    /// Changes the store behind the service's back.
    ///
    /// # Panics
    /// While the service runs, and when a statement fails.
    pub fn edit_store(&self, statements: &str) {
        assert!(self.process.is_none(), "stop it first");
        edit_store(&self.data_dir, statements);
    }

    /// All that the store holds, to be compared with what it held.
    ///
    /// # Panics
    /// While the service runs.
    #[must_use]
    pub fn store_content(&self) -> Vec<String> {
        assert!(self.process.is_none(), "stop it first");
        content(&self.data_dir)
    }

    /// Where one of these secrets can be read on this machine: in the log, in a file of the
    /// service or its nodes, in the command line or environment of one of their processes.
    /// `credentials.json` is there to be read and is left out.
    #[must_use]
    pub fn places_of(&self, secrets: &[&str]) -> Vec<String> {
        places_of(self, secrets)
    }

    /// What is left of instances on this machine, in words. For a service whose instances are
    /// all gone.
    ///
    /// # Panics
    /// While the service runs: its store is looked into.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        assert!(self.process.is_none(), "stop it first");
        let processes = self.processes().into_iter();
        let directories = [self.nodes_dir(), self.data_dir.join("backups")];
        let entries = directories.iter().filter_map(|dir| fs::read_dir(dir).ok());
        let entries = entries
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().display().to_string()));
        processes
            .map(|process| format!("process {} {}", process.pid, process.name))
            .chain(entries)
            .chain(
                self.listening()
                    .into_iter()
                    .map(|a| format!("listener {a}")),
            )
            .chain(leftover_rows(&self.data_dir))
            .collect()
    }

    /// Stops the service and looks for anything that is left of instances.
    ///
    /// # Panics
    /// When there is anything, or it does not stop in good order.
    #[track_caller]
    pub fn assert_nothing_left(&mut self) {
        assert_eq!(self.api().instances(), Vec::<String>::new());
        assert_eq!(self.stop(), Some(0));
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            // Calls that succeed are most of it and tell nothing.
            let matters = |line: &&str| !line.contains("status=200");
            let tail: Vec<_> = log.lines().rev().filter(matters).take(30).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            let mut stderr = std::io::stderr().lock();
            let _ = writeln!(stderr, "the service's log ends:\n{}", tail.join("\n"));
            if self.process.is_some() {
                let tasks = self.cli(&["admin", "task", "list"]);
                let tasks = String::from_utf8_lossy(&tasks.stdout).into_owned();
                let open: Vec<_> = tasks
                    .lines()
                    .filter(|task| !task.contains("Succeeded"))
                    .collect();
                let _ = writeln!(stderr, "its open tasks:\n{}", open.join("\n"));
            }
        }
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        for process in self.processes() {
            kill_and_wait(process.pid);
        }
        // A directory that the node user cannot reach has its nodes elsewhere.
        for name in ["nodes", "template"] {
            let Ok(target) = fs::read_link(self.data_dir.join(name)) else {
                continue;
            };
            if let Some(dir) = target.parent().filter(|dir| dir.is_absolute()) {
                let _ = fs::remove_dir_all(dir);
            }
        }
    }
}

/// Ports and networks of its own, no spare nodes, short times for stopping, calls as fast as a
/// test likes.
fn default_config(ports: &Ports) -> Table {
    let classic = ports.classic();
    let [first, second] = ports.network();
    let text = format!(
        "[network]\n\
         classic_port_first = {}\n\
         classic_port_last = {}\n\
         default_vpc_cidr = \"{first}.{second}.0.0/16\"\n\
         default_vswitch_cidr = \"{first}.{second}.16.0/20\"\n\
         public_address = \"{first}.{second}.0.1\"\n\
         [nodes]\n\
         spare = 0\n\
         [backup]\n\
         recycle_days = 0\n\
         [gateway]\n\
         drain_seconds = 2\n\
         [api.throttle]\n\
         changes_per_second = 0\n",
        classic.start(),
        classic.end()
    );
    text.parse().expect("TOML")
}

/// A TLS configuration that trusts one CA.
fn trust(ca_file: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(ca_file).expect("a CA");
    roots.add(ca).expect("a usable CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions that it has")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
