//! `openpeta admin import …`, `openpeta admin export …`: as typed, as sent, as shown.

use std::path::PathBuf;

use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use openpeta_control::admin::protocol::AdminCommand;
use openpeta_types::{
    AccountName, Compression, DbName, ExportForm, ExportLayout, InstanceId, TaskId,
};

use crate::admin::show::{FIELDS, Form};
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Load a dump into an empty database: a task does it, and compares what came of it
    Start {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
        /// The database, which exists and is empty
        #[arg(long, value_parser = DbName::parse)]
        db_name: DbName,
        /// A file or directory of the service's machine, or an http(s) URL: a dump of mariadb-dump or
        /// mysqldump (plain, gzip, Zstandard), a directory of mydumper, a backup set or an export; or a live server's
        /// database, as mysql://HOST:PORT/DATABASE, of which one snapshot is read
        #[arg(long, value_name = "PATH|URL")]
        from: String,
        /// Certificates to trust for the URL, in place of the system's
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
        /// Options of MariaDB's clients, by which a live server is logged in to: a section [client] with user, password
        /// and how to use TLS
        #[arg(long, value_name = "FILE")]
        defaults_file: Option<PathBuf>,
        /// Which database of the dump, if it has several
        #[arg(long, value_name = "NAME")]
        source_db: Option<String>,
        /// Put the nearest collation in the place of those of MySQL 8 that MariaDB does not know
        #[arg(long)]
        map_collations: bool,
        /// The account that views and programs run as whose own does not exist
        #[arg(long, value_name = "ACCOUNT", value_parser = AccountName::parse_lookup)]
        definer: Option<AccountName>,
        /// Keep definers that do not exist: what is theirs fails until there are such accounts
        #[arg(long, conflicts_with = "definer")]
        keep_definers: bool,
        /// Follow the live server after that: what is written there since is applied from its binary log,
        /// until `import cut-over`
        #[arg(long)]
        follow: bool,
    },
    /// Have an import that follows a live server take its place. Stop writing there first
    CutOver {
        /// The task
        #[arg(value_parser = TaskId::parse)]
        task_id: TaskId,
    },
    /// Show how far an import is, and what came of it: tables, rows, checksums, notes
    Show {
        /// The task
        #[arg(value_parser = TaskId::parse)]
        task_id: TaskId,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Export {
    /// Write a database as of one moment, with a manifest of rows and checksums: a task does it
    Start {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
        /// The database
        #[arg(long, value_parser = DbName::parse)]
        db_name: DbName,
        /// A directory of the service's machine that does not exist yet
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// How it is laid out: as one text that a client loads, or as the files that mydumper writes and
        /// myloader loads
        #[arg(long, value_name = "LAYOUT", default_value = "sql", value_parser = layouts())]
        layout: ExportLayout,
        /// How the files are compressed; without it by Zstandard, those of mydumper by gzip, which every version
        /// of it reads
        #[arg(long, value_name = "METHOD", value_parser = compressions())]
        compress: Option<Compression>,
        /// Write tables of a database over several nodes without saying how they are distributed (DISTRIBUTE BY), so that any
        /// server loads them
        #[arg(long)]
        for_one_node: bool,
    },
    /// Write a database as of one moment to standard output, as one text. It is whole if the command succeeds;
    /// near its end the text tells the rows and checksum of each table, which an import compares
    Stream {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
        /// The database
        #[arg(long, value_parser = DbName::parse)]
        db_name: DbName,
        /// How it is compressed
        #[arg(long, value_name = "METHOD", default_value = "none", value_parser = compressions())]
        compress: Compression,
        /// Write tables of a database over several nodes without saying how they are distributed (DISTRIBUTE BY), so that any
        /// server loads them
        #[arg(long)]
        for_one_node: bool,
    },
    /// Show how far an export is, and what came of it: tables, rows, checksums
    Show {
        /// The task
        #[arg(value_parser = TaskId::parse)]
        task_id: TaskId,
    },
}

/// The form of what is told of a task that imports or exports.
const SHOWN: Form = Form::Fields {
    columns: &["table", "rows", "checksum", "compared_with"],
};

impl Import {
    /// The command as it is sent, and the form in which its reply is shown.
    pub(super) fn into_command(self) -> Result<(AdminCommand, Form), Failure> {
        Ok(match self {
            Self::Start {
                instance_id,
                db_name,
                from,
                ca_file,
                defaults_file,
                source_db,
                map_collations,
                definer,
                keep_definers,
                follow,
            } => (
                AdminCommand::ImportStart {
                    instance_id,
                    db_name,
                    from: match from.contains("://") {
                        true => from,
                        false => absolute("--from", from.into())?.display().to_string(),
                    },
                    ca_file: ca_file
                        .map(|file| absolute("--ca-file", file))
                        .transpose()?,
                    defaults_file: defaults_file
                        .map(|file| absolute("--defaults-file", file))
                        .transpose()?,
                    source_db,
                    map_collations,
                    definer,
                    keep_definers,
                    follow,
                },
                FIELDS,
            ),
            Self::CutOver { task_id } => (AdminCommand::ImportCutOver { task_id }, FIELDS),
            Self::Show { task_id } => (AdminCommand::ImportShow { task_id }, SHOWN),
        })
    }
}

impl Export {
    /// The command as it is sent, and the form in which its reply is shown.
    pub(super) fn into_command(self) -> Result<(AdminCommand, Form), Failure> {
        Ok(match self {
            Self::Start {
                instance_id,
                db_name,
                to,
                layout,
                compress,
                for_one_node,
            } => (
                AdminCommand::ExportStart {
                    instance_id,
                    db_name,
                    to: absolute("--to", to)?,
                    form: ExportForm {
                        layout,
                        compression: compress.unwrap_or(match layout {
                            ExportLayout::Sql => Compression::Zstd,
                            ExportLayout::Mydumper => Compression::Gzip,
                        }),
                        for_one_node,
                    },
                },
                FIELDS,
            ),
            Self::Stream {
                instance_id,
                db_name,
                compress,
                for_one_node,
            } => (
                AdminCommand::ExportStream {
                    instance_id,
                    db_name,
                    compression: compress,
                    for_one_node,
                },
                FIELDS,
            ),
            Self::Show { task_id } => (AdminCommand::ImportShow { task_id }, SHOWN),
        })
    }
}

fn layouts() -> impl TypedValueParser<Value = ExportLayout> {
    let names = ExportLayout::ALL.iter().map(|layout| layout.as_str());
    let parse = |name: String| ExportLayout::parse(&name).ok_or("there is no such layout");
    PossibleValuesParser::new(names).try_map(parse)
}

fn compressions() -> impl TypedValueParser<Value = Compression> {
    let names = Compression::ALL.iter().map(|method| method.as_str());
    let parse = |name: String| Compression::parse(&name).ok_or("there is no such method");
    PossibleValuesParser::new(names).try_map(parse)
}

/// The service has another working directory.
fn absolute(option: &str, path: PathBuf) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::Usage(format!("{option}: {error}")))
}
