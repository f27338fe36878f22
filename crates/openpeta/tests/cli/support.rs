//! A service that answers from a script, and the binary run against it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use openpeta_rpc_api::{RawRequest, decode};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

/// The access key of every test.
pub const KEY_ID: &str = "testid";
const KEY_SECRET: &str = "test secret/+";

/// A call as the service understood it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub action: String,
    pub parameters: Vec<(String, String)>,
    pub secure: bool,
}

impl Seen {
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// HTTP status and body.
pub type Reply = (u16, String);

pub fn ok(body: &str) -> Reply {
    (200, body.to_owned())
}

pub fn error(status: u16, code: &str, message: &str) -> Reply {
    let body =
        format!(r#"{{"RequestId":"REQ-1","HostId":"h","Code":"{code}","Message":"{message}"}}"#);
    (status, body)
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    stopped: AtomicBool,
    tls: Arc<ServerConfig>,
}

/// The service, and a data directory with credentials for it.
pub struct Service {
    pub dir: TempDir,
    shared: Arc<Shared>,
    ports: [u16; 2],
}

impl Service {
    /// Starts one that answers each call by the script.
    pub fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            seen: Mutex::default(),
            stopped: AtomicBool::new(false),
            tls: tls_config(&dir.path().join("ca.pem")),
        });
        let ports = [false, true].map(|secure| listen(&shared, secure));
        let credentials = format!(
            r#"{{"http_endpoint":"http://127.0.0.1:{}","https_endpoint":"https://127.0.0.1:{}",
                "ca_file":"ca.pem","account_id":"1","access_key_id":"{KEY_ID}",
                "access_key_secret":"{KEY_SECRET}","region_id":"cn-hangzhou",
                "zone_id":"cn-hangzhou-b"}}"#,
            ports[0], ports[1]
        );
        std::fs::write(dir.path().join("credentials.json"), credentials).unwrap();
        Self { dir, shared, ports }
    }

    /// The calls so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Runs the binary against it.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments))
    }

    /// The binary with these arguments, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        binary(self.dir.path(), arguments)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        for port in self.ports {
            // Wakes the listener, which then sees that it is to end.
            drop(TcpStream::connect(("127.0.0.1", port)));
        }
    }
}

/// The binary with its data in `data_dir` and nothing of the user's environment.
pub fn binary(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openpeta"));
    command
        .args(arguments)
        .env("OPENPETA_DATA_DIR", data_dir)
        .env("HOME", data_dir)
        .env_remove("OPENPETA_PROFILE")
        .env_remove("OPENPETA_PASSWORD")
        .env_remove("XDG_DATA_HOME")
        .stdin(Stdio::null());
    command
}

/// What a run of the binary left.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(mut command: Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Standard output of a run that went well.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }
}

/// A certificate for 127.0.0.1 that is its own authority.
fn tls_config(ca_file: &Path) -> Arc<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(ca_file, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    Arc::new(config)
}

fn listen(shared: &Arc<Shared>, secure: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if shared.stopped.load(Ordering::Acquire) {
                return;
            }
            let Ok(stream) = stream else { continue };
            // A client that breaks off is its own test's business.
            let _ = if secure {
                let connection = ServerConnection::new(Arc::clone(&shared.tls)).unwrap();
                serve(StreamOwned::new(connection, stream), &shared, true)
            } else {
                serve(stream, &shared, false)
            };
        }
    });
    port
}

/// Answers one request and ends the connection.
fn serve(stream: impl Read + Write, shared: &Shared, secure: bool) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first)?;
    let mut headers: Vec<(String, String)> = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header = |name: &str| {
        headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let length = header("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let words: Vec<&str> = first.split(' ').collect();
    let (status, text) = answer(words[0], words[1], &header, &body, shared, secure);
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        text.len()
    );
    let stream = stream.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

/// Verifies the request as the real service does, then follows the script.
fn answer<'a>(
    method: &'a str,
    path: &'a str,
    header: &'a dyn Fn(&str) -> Option<&'a str>,
    body: &'a [u8],
    shared: &Shared,
    secure: bool,
) -> Reply {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    assert_eq!(query, "", "parameters belong into the body");
    let raw = RawRequest {
        method,
        path,
        query,
        header,
        body,
    };
    let call = match decode(&raw) {
        Ok(call) => call,
        Err(refused) => return error(400, "Undecodable", &format!("{:?}", refused.error)),
    };
    let verified = call
        .check_time(Timestamp::now())
        .and_then(|()| call.verify(KEY_SECRET));
    if verified.is_err() || call.access_key_id() != KEY_ID {
        return error(403, "BadSignature", "the signature is wrong");
    }
    let pairs = call.params().iter();
    let seen = Seen {
        action: call.action_name().to_owned(),
        parameters: pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
        secure,
    };
    shared.seen.lock().unwrap().push(seen.clone());
    (shared.script)(&seen)
}

/// Writes an executable script.
pub fn write_program(path: &PathBuf, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
