//! A whole service on free ports in a directory of its own, and a client that sends exactly
//! the bytes it is told to.

// Every test binary uses a part of it.
#![allow(dead_code)]

pub mod client;

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use openpeta_rpc_api::{Acs3Request, Credentials, Format, V1Request, sign_acs3, signed_form_v1};
use openpeta_server::{Config, Service};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use client::{Reply, exchange};

/// A running service. It has no spare nodes, so that starting it starts no process.
pub struct TestService {
    runtime: Runtime,
    service: Option<Service>,
    config: Config,
    pub dir: TempDir,
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub key: Key,
}

/// An access key.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

impl Key {
    pub fn credentials(&self) -> Credentials<'_> {
        Credentials {
            access_key_id: &self.id,
            access_key_secret: &self.secret,
            security_token: self.token.as_deref(),
        }
    }
}

impl TestService {
    pub fn start() -> Self {
        Self::start_with(|_| ())
    }

    /// Starts a service whose configuration is the default one with changes.
    pub fn start_with(tune: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        copy_directory(&seed(), dir.path());
        let mut config = test_config();
        tune(&mut config);
        let runtime = runtime();
        let service = runtime
            .block_on(Service::start(dir.path(), config.clone()))
            .expect("the service starts");
        let tenant = service.default_tenant();
        let key = Key {
            id: tenant.access_key_id.to_string(),
            secret: tenant.access_key_secret.expose().to_owned(),
            token: None,
        };
        let (http, https) = (service.http_address(), service.https_address());
        Self {
            runtime,
            service: Some(service),
            config,
            dir,
            http,
            https,
            key,
        }
    }

    /// The address that metrics alone are served on.
    pub fn metrics_address(&self) -> SocketAddr {
        let service = self.service.as_ref().expect("it runs");
        service.metrics_address().expect("one is configured")
    }

    /// As SIGHUP does.
    pub fn reload(&self) {
        self.service.as_ref().expect("it runs").reload();
    }

    /// Stops the service in good order; returns when it is stopped.
    pub fn stop(&mut self) {
        if let Some(service) = self.service.take() {
            self.runtime.block_on(service.stop());
        }
    }

    /// Begins to stop the service; the handle ends when it is stopped.
    pub fn begin_stop(&mut self) -> tokio::task::JoinHandle<()> {
        let service = self.service.take().expect("it runs");
        self.runtime.spawn(service.stop())
    }

    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Stops the service and starts another one in the same directory.
    pub fn restart(&mut self) {
        self.stop();
        // Tasks of the old service end with its runtime, and let go of the store.
        let old = std::mem::replace(&mut self.runtime, runtime());
        old.shutdown_timeout(std::time::Duration::from_secs(10));
        let service = self
            .runtime
            .block_on(Service::start(self.dir.path(), self.config.clone()))
            .expect("the service starts again");
        (self.http, self.https) = (service.http_address(), service.https_address());
        self.service = Some(service);
    }

    /// A signed query or form of the default tenant, made now.
    pub fn form(&self, method: &str, action: &str, parameters: &[(&str, &str)]) -> String {
        form(
            &self.key,
            method,
            action,
            parameters,
            Format::Json,
            Timestamp::now(),
            &nonce(),
        )
    }

    /// Sends a signed GET.
    pub fn get(&self, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.get_as(&self.key, action, parameters)
    }

    /// Sends a signed GET of somebody else.
    pub fn get_as(&self, key: &Key, action: &str, parameters: &[(&str, &str)]) -> Reply {
        let query = form(
            key,
            "GET",
            action,
            parameters,
            Format::Json,
            Timestamp::now(),
            &nonce(),
        );
        self.get_query(&query)
    }

    /// Sends a GET with that query.
    pub fn get_query(&self, query: &str) -> Reply {
        let request = format!("GET /?{query} HTTP/1.1\r\nHost: api.test:80\r\n\r\n");
        exchange(self.http, request.as_bytes())
    }

    /// Sends a command of the operator; returns what it gives.
    pub fn admin(&self, command: &Value) -> Value {
        use std::io::{BufRead, BufReader, Write};
        let mut socket =
            UnixStream::connect(self.dir.path().join("admin.sock")).expect("admin socket");
        writeln!(socket, "{command}").expect("send");
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line).expect("reply");
        let reply: Value = serde_json::from_str(&line).expect("one JSON line");
        reply
            .get("ok")
            .unwrap_or_else(|| panic!("{command}: {reply}"))
            .clone()
    }
}

impl Drop for TestService {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The configuration of tests: free ports, no nodes.
pub fn test_config() -> Config {
    let mut config = Config::default();
    config.api.http_listen = "127.0.0.1:0".parse().expect("address");
    config.api.https_listen = "127.0.0.1:0".parse().expect("address");
    config.nodes.spare = 0;
    config.gateway.workers = 1;
    config
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime")
}

/// A data directory as the first start leaves it, made once for all tests: making the template
/// of nodes takes seconds.
fn seed() -> PathBuf {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(base).expect("target directory");
    let lock = std::fs::File::create(base.join("server-seed.lock")).expect("lock file");
    lock.lock().expect("lock");
    let seed = base.join("server-seed");
    let complete = base.join("server-seed.complete");
    // A seed of another schema cannot be opened.
    let schema = include_str!("../../../store/migrations/schema.sql");
    if std::fs::read_to_string(&complete).ok().as_deref() != Some(schema) {
        let _ = std::fs::remove_file(&complete);
        let _ = std::fs::remove_dir_all(&seed);
        let runtime = runtime();
        runtime.block_on(async {
            let service = Service::start(&seed, test_config())
                .await
                .expect("the seed starts");
            service.stop().await;
        });
        drop(runtime);
        std::fs::write(complete, schema).expect("mark");
    }
    seed
}

fn copy_directory(from: &Path, to: &Path) {
    let status = Command::new("cp")
        .args(["-a", "--sparse=always"])
        .arg(from.join("."))
        .arg(to)
        .status()
        .expect("cp runs");
    assert!(status.success(), "cp failed");
}

/// A text that was not used before.
pub fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{}-{}-{count}",
        std::process::id(),
        Timestamp::now().as_nanosecond()
    )
}

/// A signed query or form.
pub fn form(
    key: &Key,
    method: &str,
    action: &str,
    parameters: &[(&str, &str)],
    format: Format,
    timestamp: Timestamp,
    nonce: &str,
) -> String {
    signed_form_v1(&V1Request {
        method,
        action,
        parameters,
        format,
        credentials: key.credentials(),
        timestamp,
        nonce,
    })
    .expect("parameters are unique")
}

/// A whole request signed with ACS3.
pub fn acs3(
    key: &Key,
    method: &str,
    action: &str,
    query: &[(&str, &str)],
    body: &[u8],
    headers: &[(&str, &str)],
) -> Vec<u8> {
    acs3_at("/", key, method, action, query, body, headers)
}

/// As [`acs3`], to another path.
pub fn acs3_at(
    path: &str,
    key: &Key,
    method: &str,
    action: &str,
    query: &[(&str, &str)],
    body: &[u8],
    headers: &[(&str, &str)],
) -> Vec<u8> {
    let (query, headers) = sign_acs3(&Acs3Request {
        method,
        path,
        host: "api.test:80",
        action,
        query,
        body,
        headers,
        credentials: key.credentials(),
        timestamp: Timestamp::now(),
        nonce: &nonce(),
    });
    let mut request = format!("{method} {path}?{query} HTTP/1.1\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if method == "POST" {
        request.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    [request.as_bytes(), body].concat()
}

/// The texts that an answer in either form can be searched for.
pub fn code_of(reply: &Reply) -> String {
    let body = reply.text();
    if let Ok(json) = serde_json::from_str::<Value>(&body) {
        return json["Code"].as_str().unwrap_or("OK").to_owned();
    }
    match body.split_once("<Code>") {
        Some((_, rest)) => rest.split('<').next().unwrap_or_default().to_owned(),
        None => "OK".to_owned(),
    }
}
