//! `connect`: runs the MySQL command line client against an instance's endpoint.
//!
//! The password reaches the client through a file in memory that only this user may read, and
//! that is gone with the client: never through its arguments or a file on disk.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use openpeta_types::Secret;
use rustix::fs::{MemfdFlags, Mode};

use crate::cli::options::ServiceOptions;
use crate::client::Client;
use crate::failure::Failure;
use crate::ordered_json::Node;
use crate::secret_input;
use crate::wait::ask;

/// The clients that are tried, in this order.
const CLIENTS: &[&str] = &["mariadb", "mysql"];
/// Where the password comes from when there is nobody to ask.
const PASSWORD_VARIABLE: &str = "OPENPETA_PASSWORD";
/// The system's option files; the user's own, `~/.my.cnf`, comes after them.
const OPTION_FILES: &[&str] = &["/etc/my.cnf", "/etc/mysql/my.cnf"];

/// The arguments of `connect`.
#[derive(Args, Debug)]
pub struct ConnectArguments {
    /// The instance, for example pd-abcdefg62469a; may be left out when there is only one
    instance: Option<String>,
    /// Database account; may be left out when the instance has only one
    #[arg(long, short)]
    user: Option<String>,
    /// Database to use; may be left out when the instance has only one
    #[arg(long, short = 'D')]
    database: Option<String>,
    /// Run these statements and leave
    #[arg(long, short, value_name = "SQL")]
    execute: Option<String>,
    /// Kind of endpoint: INTERNAL, VPC or PUBLIC; by default the private one
    #[arg(long, value_name = "TYPE", ignore_case = true)]
    endpoint: Option<String>,
    /// Further arguments of the mariadb or mysql client, after --
    #[arg(last = true)]
    extra: Vec<OsString>,
    #[command(flatten)]
    service: ServiceOptions,
}

/// Looks the instance up and becomes the MySQL client.
///
/// # Errors
/// When the instance, its endpoint or its account cannot be found, or no client is installed.
pub fn run(arguments: ConnectArguments, data_dir: Option<PathBuf>) -> Result<(), Failure> {
    let client = arguments.service.client(data_dir)?;
    let instance_id = match arguments.instance {
        Some(instance_id) => instance_id,
        None => only_instance(&client)?,
    };
    let instance_id = instance_id.as_str();
    let instance = ask(
        &client,
        "DescribeInstanceInfo",
        &[("InstanceId", instance_id)],
    )?
    .node;
    let endpoint = endpoint(&instance, arguments.endpoint.as_deref())?;
    let user = match arguments.user {
        Some(user) => user,
        None => only_account(&client, instance_id)?,
    };
    let database = arguments.database.or_else(|| only_database(&instance));
    let program = find_client()?;
    let password = password(&user)?;
    let options = option_file(&password)?;

    let mut command = Command::new(program);
    // Must be the first argument, or the client does not take it.
    command.arg(format!(
        "--defaults-file=/proc/self/fd/{}",
        options.as_raw_fd()
    ));
    command.arg("--protocol=TCP");
    command.arg(format!("--host={}", endpoint.host));
    command.arg(format!("--port={}", endpoint.port));
    command.arg(format!("--user={user}"));
    if let Some(database) = database.filter(|database| !database.is_empty()) {
        command.arg(format!("--database={database}"));
    }
    if let Some(sql) = arguments.execute {
        command.arg(format!("--execute={sql}"));
    }
    command.args(arguments.extra);
    command.env_remove(PASSWORD_VARIABLE);
    let error = command.exec();
    Err(Failure::local(
        "ClientFailed",
        format!("cannot run {}: {error}", command.get_program().display()),
    ))
}

#[derive(Debug, PartialEq, Eq)]
struct Endpoint {
    host: String,
    port: String,
}

/// The endpoint of that kind; without a kind the private one, else whichever there is.
fn endpoint(instance: &Node, kind: Option<&str>) -> Result<Endpoint, Failure> {
    let endpoints = instance.list("NetworkInfoItems");
    let is = |endpoint: &Node, kind: &str| {
        endpoint
            .text("NetworkType")
            .is_some_and(|own| own.eq_ignore_ascii_case(kind))
    };
    let chosen = match kind {
        Some(kind) => endpoints.iter().find(|endpoint| is(endpoint, kind)),
        None => endpoints
            .iter()
            .find(|endpoint| !is(endpoint, "PUBLIC"))
            .or(endpoints.first()),
    };
    let found = chosen.and_then(|endpoint| {
        Some(Endpoint {
            host: endpoint.text("ConnectionString")?.to_owned(),
            port: endpoint.text("Port")?.to_owned(),
        })
    });
    found.ok_or_else(|| {
        let id = instance.text("InstanceId").unwrap_or("the instance");
        let status = instance.text("InstanceStatus").unwrap_or("?");
        let kind = kind.map_or_else(String::new, |kind| format!(" {kind}"));
        Failure::local(
            "NoEndpoint",
            format!("{id} has no{kind} endpoint; its status is {status}"),
        )
    })
}

fn only_instance(client: &Client) -> Result<String, Failure> {
    let answer = ask(client, "DescribeInstances", &[("PageSize", "50")])?.node;
    let ids: Vec<&str> = answer
        .list("Instances")
        .iter()
        .filter_map(|instance| instance.text("InstanceId"))
        .collect();
    match ids.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Failure::Usage(
            "there is no instance yet: order one with `openpeta create-instance`".to_owned(),
        )),
        several => Err(Failure::Usage(format!(
            "there are several instances, name one of: {}",
            several.join(", ")
        ))),
    }
}

fn only_account(client: &Client, instance_id: &str) -> Result<String, Failure> {
    let answer = ask(client, "DescribeAccounts", &[("InstanceId", instance_id)])?.node;
    let names: Vec<&str> = answer
        .list("AccountList")
        .iter()
        .filter_map(|account| account.text("AccountName"))
        .collect();
    match names.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Failure::Usage(format!(
            "{instance_id} has no account: give --user"
        ))),
        several => Err(Failure::Usage(format!(
            "{instance_id} has several accounts, give --user with one of: {}",
            several.join(", ")
        ))),
    }
}

fn only_database(instance: &Node) -> Option<String> {
    match instance.list("Databases") {
        [only] => only.text("DBName").map(str::to_owned),
        _ => None,
    }
}

fn find_client() -> Result<PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    CLIENTS
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|program| rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok())
        .ok_or_else(|| {
            Failure::local(
                "ClientNotInstalled",
                "there is no mariadb or mysql client in PATH; on Debian: apt-get install \
                 mariadb-client",
            )
        })
}

fn password(user: &str) -> Result<Secret, Failure> {
    if let Ok(password) = std::env::var(PASSWORD_VARIABLE) {
        return Ok(Secret::new(password));
    }
    if !secret_input::can_prompt() {
        return Err(Failure::Usage(format!(
            "there is no terminal to ask for the password of {user} on: set {PASSWORD_VARIABLE}"
        )));
    }
    secret_input::prompt(&format!("Password of {user}"), false).map(Secret::new)
}

/// An option file in memory: what the client would have read anyway, then the password, so
/// that it wins over one of the user's own. Its descriptor outlives `exec`.
fn option_file(password: &Secret) -> Result<OwnedFd, Failure> {
    let failed =
        |error: std::io::Error| Failure::local("ClientFailed", format!("option file: {error}"));
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".my.cnf"));
    let mut text = String::new();
    for file in OPTION_FILES.iter().map(PathBuf::from).chain(home) {
        if file.is_file() {
            text.push_str(&format!("!include {}\n", file.display()));
        }
    }
    text.push_str(&format!(
        "[client]\npassword=\"{}\"\n",
        escape(password.expose())
    ));
    // No CLOEXEC: the client reads it after exec.
    let file = rustix::fs::memfd_create("openpeta-client-options", MemfdFlags::empty())
        .map_err(|error| failed(error.into()))?;
    // Clients ignore an option file that others may write.
    rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR).map_err(|error| failed(error.into()))?;
    let mut file = std::fs::File::from(file);
    file.write_all(text.as_bytes()).map_err(failed)?;
    Ok(file.into())
}

/// A value inside double quotes of an option file.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> Node {
        serde_json::from_str(
            r#"{"InstanceId":"pd-a","InstanceStatus":"ACTIVE","NetworkInfoItems":{"NetworkInfoItem":[
            {"NetworkType":"PUBLIC","ConnectionString":"p","Port":"3200"},
            {"NetworkType":"VPC","ConnectionString":"v","Port":"3306"}]},
            "Databases":{"Database":[{"DBName":"shop"}]}}"#,
        )
        .unwrap()
    }

    #[test]
    fn the_private_endpoint_is_preferred() {
        assert_eq!(endpoint(&instance(), None).unwrap().host, "v");
        assert_eq!(endpoint(&instance(), Some("public")).unwrap().port, "3200");
        let failure = endpoint(&instance(), Some("INTERNAL")).unwrap_err();
        assert!(
            failure.to_string().contains("no INTERNAL endpoint"),
            "{failure}"
        );
    }

    #[test]
    fn the_only_database_is_used() {
        assert_eq!(only_database(&instance()).as_deref(), Some("shop"));
    }

    #[test]
    fn quotes_in_passwords_are_escaped() {
        assert_eq!(escape(r#"a"b\c"#), r#"a\"b\\c"#);
    }
}
