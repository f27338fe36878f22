//! A dump that a live server gives while it is imported: MariaDB's own dump program reads one snapshot of it, and what
//! that writes is stored nowhere.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use openpeta_engine::ImportSource;

/// The program.
const PROGRAM: &str = "mariadb-dump";
/// Before the address of a server.
pub(crate) const SCHEME: &str = "mysql://";
/// What is kept of its complaints.
const MOST_COMPLAINTS: u64 = 4096;

/// A database of a live server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiveDatabase {
    /// Address and port; without, those of the option file, or its socket.
    address: Option<(String, u16)>,
    database: String,
}

impl LiveDatabase {
    /// Reads `mysql://HOST[:PORT]/DATABASE`, or `mysql:///DATABASE` of the server that the option file names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or("it is no address of a server")?;
        if rest.contains(['@', '?', '#']) {
            return Err("user and password stand in the option file alone");
        }
        let (place, database) = rest.split_once('/').ok_or("it names no database")?;
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| "its port is wrong")?)
            }
            _ => (place, 3306),
        };
        let host = host.trim_matches(['[', ']']);
        if (host.is_empty() && !place.is_empty()) || host.starts_with('-') {
            return Err("it names no host");
        }
        if database.is_empty() || database.contains('/') || database.starts_with('-') {
            return Err("it names no database");
        }
        Ok(Self {
            address: (!host.is_empty()).then(|| (host.to_owned(), port)),
            database: database.to_owned(),
        })
    }

    /// The database's name there.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// What tells a client where the server is, and how to log in.
    pub(super) fn place(&self, options: &Path) -> Vec<String> {
        let mut place = vec![format!("--defaults-file={}", options.display())];
        if let Some((host, port)) = &self.address {
            place.push(format!("--host={host}"));
            place.push(format!("--port={port}"));
            place.push("--protocol=tcp".to_owned());
        }
        place
    }

    /// Has it dumped; user, password and settings of TLS are in an option file of the operator's.
    /// If it `tells_position`, the dump says where the server's log was at its moment.
    pub(crate) fn dump(&self, options: &Path, tells_position: bool) -> ImportSource {
        let mut command = Command::new(PROGRAM);
        command.args(self.place(options));
        if tells_position {
            command.arg("--master-data=2");
        }
        command
            .args([
                "--single-transaction",
                "--quick",
                "--routines",
                "--events",
                "--triggers",
            ])
            .args([
                "--hex-blob",
                "--default-character-set=utf8mb4",
                "--max-allowed-packet=1G",
                "--",
            ])
            .arg(&self.database)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let name = match &self.address {
            Some((host, port)) => format!("{host}:{port}/{}", self.database),
            None => self.database.clone(),
        };
        // What views say of tables may have the database's name in it.
        ImportSource::stream(name, None, move || Ok(Box::new(Dump::begin(command)?)))
            .of_database(&self.database)
    }
}

/// Whether the option file can be used.
pub(crate) fn check_options(options: Option<PathBuf>) -> Result<PathBuf, String> {
    let options = options.ok_or(
        "an import from a server needs an option file with user and password (--defaults-file)",
    )?;
    std::fs::File::open(&options).map_err(|error| format!("{}: {error}", options.display()))?;
    Ok(options)
}

/// A dump under way.
struct Dump {
    child: Child,
    output: ChildStdout,
    complaints: Option<JoinHandle<String>>,
}

impl Dump {
    fn begin(mut command: Command) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let missing = || io::Error::other("the program has no output");
        let output = child.stdout.take().ok_or_else(missing)?;
        let mut errors = child.stderr.take().ok_or_else(missing)?;
        let complaints = std::thread::spawn(move || {
            let mut kept = Vec::new();
            let _ = (&mut errors).take(MOST_COMPLAINTS).read_to_end(&mut kept);
            // It must not wait for somebody who reads.
            let _ = io::copy(&mut errors, &mut io::sink());
            String::from_utf8_lossy(&kept).trim().to_owned()
        });
        Ok(Self {
            child,
            output,
            complaints: Some(complaints),
        })
    }
}

impl Read for Dump {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.output.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        // Its end is one only if the program says so.
        if self.child.wait()?.success() {
            return Ok(0);
        }
        let complaints = self.complaints.take().and_then(|it| it.join().ok());
        Err(io::Error::other(complaints.unwrap_or_default()))
    }
}

impl Drop for Dump {
    fn drop(&mut self) {
        // Nobody wants the rest.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_wrong_ones_refused() {
        let read = |text| LiveDatabase::parse(text).map(|it| (it.address, it.database));
        let found = |host: &str, port, database: &str| {
            Ok((Some((host.to_owned(), port)), database.to_owned()))
        };
        assert_eq!(read("mysql:///shop"), Ok((None, "shop".to_owned())));
        assert_eq!(
            read("mysql://db.example.com/shop"),
            found("db.example.com", 3306, "shop")
        );
        assert_eq!(
            read("mysql://10.0.0.1:3307/shop"),
            found("10.0.0.1", 3307, "shop")
        );
        assert_eq!(read("mysql://[::1]:3307/shop"), found("::1", 3307, "shop"));
        assert_eq!(read("mysql://[::1]/shop"), found("::1", 3306, "shop"));
        for text in [
            "mysql://",
            "mysql://host",
            "mysql://host/",
            "mysql://:3306/shop",
            "mysql://host:x/shop",
            "mysql://bob:secret@host/shop",
            "mysql://--host/shop",
            "mysql://host/--all-databases",
            "mysql://host/a/b",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
