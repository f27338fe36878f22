//! What is asked of a live server whose database is taken over: whether it can be, where its log
//! is, a piece of that log, and what its tables have at one moment.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use openpeta_engine::{SourcePosition, TableSum};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::server::LiveDatabase;

/// MariaDB's client.
const CLIENT: &str = "mariadb";
/// What reads the log of a server.
const LOG_READER: &str = "mariadb-binlog";
/// What is kept of their complaints.
const MOST_COMPLAINTS: u64 = 4096;

/// Every value of a query, row by row.
type Values = Vec<Vec<String>>;

/// A log file of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceLog {
    pub(crate) file: String,
    pub(crate) bytes: u64,
}

impl LiveDatabase {
    /// What keeps the database from being followed, if anything does.
    ///
    /// # Errors
    /// What the server or the program says.
    pub(crate) async fn obstacle(
        &self,
        options: &Path,
        version: &str,
    ) -> Result<Option<String>, String> {
        let settings = "SELECT VERSION(), @@log_bin, @@binlog_format, @@binlog_row_image, \
                        @@server_id";
        let rows = self.query(options, settings).await?;
        let settings = rows.into_iter().next().unwrap_or_default();
        if let Some(what) = unsuitable(&settings, version) {
            return Ok(Some(what));
        }
        // Only MariaDB has it.
        let compressed = self.query(options, "SELECT @@log_bin_compress").await?;
        if compressed.into_iter().flatten().next().as_deref() != Some("0") {
            return Ok(Some("its log is compressed (log_bin_compress)".to_owned()));
        }
        let status = self.query(options, "SHOW MASTER STATUS").await?;
        let filters = status.first().map(|row| row.iter().skip(2).take(2));
        if filters.is_some_and(|mut filters| filters.any(|filter| !filter.is_empty())) {
            let what = "its log leaves databases out (binlog_do_db or binlog_ignore_db)";
            return Ok(Some(what.to_owned()));
        }
        if let Some(what) = self.obstacle_in_schema(options).await? {
            return Ok(Some(what));
        }
        // Whether the account may read the log is told by reading its end.
        let Some(end) = self.logs(options).await?.pop() else {
            return Ok(Some("it has no binary log".to_owned()));
        };
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let at = SourcePosition {
            file: end.file,
            position: end.bytes,
        };
        self.fetch_log(options, &at, dir.path()).await?;
        Ok(None)
    }

    async fn obstacle_in_schema(&self, options: &Path) -> Result<Option<String>, String> {
        let name = self.quoted();
        let named = format!(
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {name}"
        );
        let named = self.query(options, &named).await?;
        if named.into_iter().flatten().next().as_deref() != Some(self.database()) {
            return Ok(Some(format!("it has no database {}", self.database())));
        }
        for (query, what) in [
            (
                format!(
                    "SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {name} \
                     AND TABLE_TYPE IN ('BASE TABLE', 'SEQUENCE') AND COALESCE(ENGINE, '') <> 'InnoDB' LIMIT 1"
                ),
                "is not of InnoDB: it has no exact moment",
            ),
            (
                format!(
                    "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {name} \
                     AND TABLE_TYPE NOT IN ('BASE TABLE', 'SEQUENCE', 'VIEW') LIMIT 1"
                ),
                "keeps its history, which a dump does not have",
            ),
            (
                format!(
                    "SELECT TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA FROM information_schema.REFERENTIAL_CONSTRAINTS \
                     WHERE CONSTRAINT_SCHEMA = {name} AND UNIQUE_CONSTRAINT_SCHEMA <> {name} LIMIT 1"
                ),
                "refers to another database",
            ),
            (
                format!(
                    "SELECT TABLE_NAME, '' FROM information_schema.TABLES \
                     WHERE TABLE_SCHEMA = {name} AND TABLE_NAME = 'openpeta_import_position'"
                ),
                "has a name that is used here",
            ),
        ] {
            if let Some(row) = self.query(options, &query).await?.first() {
                let (table, detail) = (row.first(), row.get(1).filter(|it| !it.is_empty()));
                let table = table.map(String::as_str).unwrap_or_default();
                let detail = detail.map(|detail| format!(" ({detail})"));
                let detail = detail.unwrap_or_default();
                return Ok(Some(format!("table {table} {what}{detail}")));
            }
        }
        Ok(None)
    }

    /// The server's log files, oldest first.
    ///
    /// # Errors
    /// What the server or the program says.
    pub(crate) async fn logs(&self, options: &Path) -> Result<Vec<SourceLog>, String> {
        let rows = self.query(options, "SHOW BINARY LOGS").await?;
        let read = |row: Vec<String>| {
            let mut row = row.into_iter();
            let (file, bytes) = (row.next()?, row.next()?.parse().ok()?);
            Some(SourceLog { file, bytes })
        };
        rows.into_iter()
            .map(|row| read(row).ok_or_else(|| "its log files are not listed".to_owned()))
            .collect()
    }

    /// Fetches what a log file has from a position on into an empty directory.
    ///
    /// # Errors
    /// What the server or the program says.
    pub(crate) async fn fetch_log(
        &self,
        options: &Path,
        from: &SourcePosition,
        dir: &Path,
    ) -> Result<(), String> {
        let mut command = self.command(LOG_READER, options);
        command
            .args(["--read-from-remote-server", "--raw"])
            // What it writes is the prefix, and the name of the log file.
            .arg(format!("--result-file={}/", dir.display()))
            .arg(format!("--start-position={}", from.position))
            .arg("--")
            .arg(&from.file)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = command.spawn().map_err(|error| error.to_string())?;
        Running::of(child).end().await
    }

    /// What the tables have at one moment, and where the log is then.
    ///
    /// # Errors
    /// What the server or the program says.
    pub(crate) async fn snapshot(
        &self,
        options: &Path,
        checks: &BTreeMap<String, String>,
    ) -> Result<Snapshot, String> {
        let mut script = "SET time_zone='+00:00', NAMES utf8mb4;\n\
             SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;\n\
             START TRANSACTION WITH CONSISTENT SNAPSHOT;\n\
             SHOW STATUS WHERE Variable_name IN \
             ('binlog_snapshot_file', 'binlog_snapshot_position');\n"
            .to_owned();
        for check in checks.values() {
            script.push_str(check);
            script.push_str(";\n");
        }
        let mut command = self.command(CLIENT, options);
        command
            // Each answer as it comes.
            .args(["--batch", "--skip-column-names", "--unbuffered"])
            .arg("--default-character-set=utf8mb4")
            .arg(format!("--database={}", self.database()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let missing = || "the program has no input or output".to_owned();
        let mut input = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        let mut running = Running::of(child);
        // A script of many tables is longer than the pipe.
        let writing = tokio::spawn(async move {
            let _ = input.write_all(script.as_bytes()).await;
        });
        let mut lines = BufReader::new(output).lines();
        let mut found = BTreeMap::new();
        while found.len() < 2 {
            let Some(line) = next_line(&mut lines).await? else {
                running.end().await?;
                return Err("it does not tell where its log was (binlog_snapshot_file)".to_owned());
            };
            if let Some((name, value)) = line.split_once('\t') {
                found.insert(name.to_ascii_lowercase(), value.to_owned());
            }
        }
        let file = found.remove("binlog_snapshot_file").unwrap_or_default();
        let position = found.remove("binlog_snapshot_position");
        let position = position.and_then(|text| text.parse().ok());
        running.writing = Some(writing);
        Ok(Snapshot {
            position: SourcePosition {
                file,
                position: position.ok_or("it does not tell where its log was")?,
            },
            tables: checks.keys().cloned().collect(),
            lines,
            running,
        })
    }

    async fn query(&self, options: &Path, query: &str) -> Result<Values, String> {
        let mut command = self.command(CLIENT, options);
        command
            .args(["--batch", "--skip-column-names", "--connect-timeout=10"])
            .arg("--default-character-set=utf8mb4")
            .arg(format!("--execute={query}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut text = String::new();
        let output = child.stdout.take();
        let running = Running::of(child);
        if let Some(mut output) = output {
            let read = output.read_to_string(&mut text).await;
            read.map_err(|error| error.to_string())?;
        }
        running.end().await?;
        let row = |line: &str| line.split('\t').map(str::to_owned).collect();
        Ok(text.lines().map(row).collect())
    }

    fn command(&self, program: &str, options: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .args(self.place(options))
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn quoted(&self) -> String {
        openpeta_engine::quote::string(self.database())
    }
}

/// What of a server's settings stands in the way.
fn unsuitable(settings: &[String], version: &str) -> Option<String> {
    let [theirs, log_bin, format, image, server_id] = settings else {
        return Some("it does not tell its settings".to_owned());
    };
    if !theirs.contains("MariaDB") {
        return Some(format!(
            "it is {theirs}: only MariaDB's binary log can be followed here"
        ));
    }
    if series(theirs) > series(version) {
        return Some(format!(
            "it is {theirs}, newer than the instance's {version}"
        ));
    }
    if log_bin != "1" {
        return Some("it has no binary log (log_bin)".to_owned());
    }
    if format != "ROW" {
        return Some(format!("its binlog_format is {format}, not ROW"));
    }
    if image != "FULL" {
        return Some(format!("its binlog_row_image is {image}, not FULL"));
    }
    (server_id == "0").then(|| "its server_id is 0".to_owned())
}

/// The first two numbers of a version.
fn series(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

async fn next_line(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<Option<String>, String> {
    lines.next_line().await.map_err(|error| error.to_string())
}

/// A moment of the source, while its tables are read.
pub(crate) struct Snapshot {
    /// Where the log is at that moment.
    pub(crate) position: SourcePosition,
    tables: Vec<String>,
    lines: Lines<BufReader<ChildStdout>>,
    running: Running,
}

impl Snapshot {
    /// What is in each table.
    ///
    /// # Errors
    /// What the server or the program says.
    pub(crate) async fn sums(mut self) -> Result<BTreeMap<String, TableSum>, String> {
        let mut sums = BTreeMap::new();
        for table in self.tables {
            let Some(line) = next_line(&mut self.lines).await? else {
                break;
            };
            let (rows, checksum) = line.split_once('\t').unwrap_or_default();
            let sum = TableSum {
                rows: rows.parse().map_err(|_| format!("{table}: {line}"))?,
                checksum: checksum.to_owned(),
            };
            sums.insert(table, sum);
        }
        self.running.end().await?;
        Ok(sums)
    }
}

/// A program under way; it is killed when nobody waits any more.
struct Running {
    child: Child,
    complaints: JoinHandle<String>,
    writing: Option<JoinHandle<()>>,
}

impl Running {
    fn of(mut child: Child) -> Self {
        let errors = child.stderr.take();
        let complaints = tokio::spawn(async move {
            let Some(mut errors) = errors else {
                return String::new();
            };
            let mut kept = Vec::new();
            let _ = (&mut errors)
                .take(MOST_COMPLAINTS)
                .read_to_end(&mut kept)
                .await;
            // It must not wait for somebody who reads.
            let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
            String::from_utf8_lossy(&kept).trim().to_owned()
        });
        Self {
            child,
            complaints,
            writing: None,
        }
    }

    /// Waits for its end; what it complained of if that is a bad one.
    async fn end(mut self) -> Result<(), String> {
        if let Some(writing) = self.writing.take() {
            let _ = writing.await;
        }
        let status = self.child.wait().await.map_err(|error| error.to_string())?;
        match status.success() {
            true => Ok(()),
            false => Err(self.complaints.await.unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_followed_are_told() {
        let ours = "10.11.19-MariaDB-0+deb12u1";
        let told = |settings: [&str; 5]| unsuitable(&settings.map(str::to_owned), ours);
        assert_eq!(told(["10.6.18-MariaDB", "1", "ROW", "FULL", "1"]), None);
        assert_eq!(told([ours, "1", "ROW", "FULL", "7"]), None);
        for (settings, what) in [
            (["8.0.36", "1", "ROW", "FULL", "1"], "only MariaDB"),
            (["11.4.2-MariaDB", "1", "ROW", "FULL", "1"], "newer"),
            (["10.6.18-MariaDB", "0", "ROW", "FULL", "1"], "log_bin"),
            (
                ["10.6.18-MariaDB", "1", "MIXED", "FULL", "1"],
                "binlog_format",
            ),
            (["10.6.18-MariaDB", "1", "ROW", "MINIMAL", "1"], "row_image"),
            (["10.6.18-MariaDB", "1", "ROW", "FULL", "0"], "server_id"),
        ] {
            let told = told(settings).expect("it cannot be followed");
            assert!(told.contains(what), "{told}");
        }
    }
}
