//! `openpeta download-backup`: a backup set into a file, going on where an earlier try was cut off.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use openpeta_types::{BackupId, DbName, InstanceId};
use serde_json::{Value, json};

use crate::cli::options::ServiceOptions;
use crate::client::{Client, Part};
use crate::failure::Failure;
use crate::invocation::{Invocation, Parameters};
use crate::output;

/// Tries in a row that bring nothing.
const TRIES: u32 = 5;
/// Bytes that are moved at once.
const CHUNK: usize = 64 << 10;

/// Fetch a backup set into a file, a tar archive; goes on where it was cut off
#[derive(Args, Debug)]
pub struct DownloadArguments {
    /// The instance
    #[arg(value_parser = InstanceId::parse)]
    instance_id: InstanceId,
    /// The database
    #[arg(long, value_parser = DbName::parse)]
    db_name: DbName,
    /// The set [default: the newest whole one]
    #[arg(long, value_parser = BackupId::parse)]
    backup_id: Option<BackupId>,
    /// The file, which must not exist [default: DATABASE-SET.tar in this directory]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print what was fetched as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: ServiceOptions,
}

/// Fetches the set.
///
/// # Errors
/// Whatever keeps it from being fetched. What has come stays in FILE.part, and the same command
/// goes on from there.
pub fn run(arguments: DownloadArguments, data_dir: Option<PathBuf>) -> Result<(), Failure> {
    let client = arguments.service.client(data_dir)?;
    let (backup_id, link) = arguments.link(&client, arguments.backup_id)?;
    let usual = || PathBuf::from(format!("{}-{backup_id}.tar", arguments.db_name));
    let path = arguments.output.clone().unwrap_or_else(usual);
    if path.exists() {
        let what = format!("{} exists already", path.display());
        return Err(Failure::local("FileExists", what));
    }
    let part = partial(&path, backup_id);
    let fetched = arguments.fetch(&client, &part, backup_id, link);
    let bytes = fetched.inspect_err(|_| {
        output::remark(&format!(
            "What has come is in {}; the same command goes on from there.",
            part.display()
        ));
    })?;
    fs::rename(&part, &path).map_err(|error| local(&path, &error))?;
    if arguments.json {
        let fetched = json!({
            "BackupId": backup_id.number(),
            "File": path.display().to_string(),
            "Bytes": bytes,
        });
        return output::result(&fetched.to_string());
    }
    output::result(&format!(
        "{}: set {backup_id}, {bytes} bytes. To unpack it: tar xf {}",
        path.display(),
        path.display()
    ))
}

impl DownloadArguments {
    /// A set and a link to it.
    fn link(
        &self,
        client: &Client,
        backup_id: Option<BackupId>,
    ) -> Result<(BackupId, String), Failure> {
        let mut parameters = Parameters::default();
        parameters.set("InstanceId", self.instance_id.as_str());
        parameters.set("DBName", self.db_name.as_str());
        parameters.set("BackupStatus", "Success");
        parameters.set("StartTime", "2000-01-01T00:00Z");
        parameters.set("EndTime", "2999-01-01T00:00Z");
        if let Some(backup_id) = backup_id {
            parameters.set("BackupId", backup_id.to_string());
        }
        let answer = client.call(&Invocation::new("DescribeDatabaseBackup", parameters))?;
        let answer: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        let set = &answer["BackupItems"]["Backup"][0];
        let Some(number) = set["BackupId"].as_i64() else {
            let what = "there is no such whole backup set of the database";
            return Err(Failure::local("NoBackup", what.to_owned()));
        };
        let Some(link) = set["BackupDownloadURL"].as_str() else {
            let what = "the service gives no link to it: that takes a call over HTTPS and the permission to restore";
            return Err(Failure::local("NoDownload", what.to_owned()));
        };
        Ok((BackupId::from_number(number), link.to_owned()))
    }

    /// Fetches what is missing, with another link for each try; bytes of the whole.
    fn fetch(
        &self,
        client: &Client,
        part: &Path,
        backup_id: BackupId,
        mut link: String,
    ) -> Result<u64, Failure> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        let mut file = options.open(part).map_err(|error| local(part, &error))?;
        let mut tries = 0;
        loop {
            let have = file.metadata().map_err(|error| local(part, &error))?.len();
            let outcome = append(client, &link, &mut file, have, part);
            let now = file.metadata().map_err(|error| local(part, &error))?.len();
            match outcome {
                Ok(total) if total == now => {
                    file.sync_all().map_err(|error| local(part, &error))?;
                    return Ok(total);
                }
                Err(error @ Failure::Refused { .. }) => return Err(error),
                Err(error) if now == have && tries + 1 >= TRIES => return Err(error),
                Ok(_) | Err(_) => {}
            }
            tries = if now == have { tries + 1 } else { 0 };
            (_, link) = self.link(client, Some(backup_id))?;
        }
    }
}

/// Appends what comes; bytes of the whole.
fn append(
    client: &Client,
    link: &str,
    file: &mut File,
    have: u64,
    path: &Path,
) -> Result<u64, Failure> {
    let (mut reader, total) = match client.fetch(link, have)? {
        Part::Rest { reader, total } => (reader, total),
        Part::Nothing { total } if total == have => return Ok(total),
        Part::Nothing { .. } => {
            let what = format!("{} is longer than the set", path.display());
            return Err(Failure::local("WrongFile", what));
        }
    };
    let mut chunk = vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(total),
            Ok(length) => file
                .write_all(&chunk[..length])
                .map_err(|error| local(path, &error))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::ConnectionLost(error.to_string())),
        }
    }
}

/// Where a set is while it is not whole. Another set must not go on from there.
fn partial(path: &Path, backup_id: BackupId) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{backup_id}.part"));
    name.into()
}

fn local(path: &Path, error: &io::Error) -> Failure {
    Failure::local("CannotWrite", format!("{}: {error}", path.display()))
}
