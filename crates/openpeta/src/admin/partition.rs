//! `openpeta admin partition …`: as typed, as sent, as shown.

use clap::{Args, Subcommand};
use openpeta_control::admin::protocol::AdminCommand;
use openpeta_types::{DbName, InstanceId};

use crate::admin::show::{FIELDS, Form};

#[derive(Debug, Subcommand)]
pub(super) enum Partition {
    /// List partitions: which node each is on, how large it is and how much it is used
    List {
        #[command(flatten)]
        of: Of,
        /// Count rows, which reads an index of each table, instead of estimating them
        #[arg(long)]
        count: bool,
    },
    /// Move partitions to another node of the database, while it is used
    Move {
        #[command(flatten)]
        of: Of,
        /// The partition; several with commas between them
        #[arg(long, value_name = "P[,P]", value_delimiter = ',', required = true)]
        partition: Vec<u16>,
        /// The number of the node
        #[arg(long)]
        node: u16,
    },
}

/// A database over several nodes.
#[derive(Args, Debug)]
pub(super) struct Of {
    /// The instance
    #[arg(long, alias = "instance", value_parser = InstanceId::parse)]
    instance_id: InstanceId,
    /// The database
    #[arg(long, alias = "database", value_parser = DbName::parse)]
    db_name: DbName,
}

impl Partition {
    /// The command as it is sent, and the form in which its reply is shown.
    pub(super) fn into_command(self) -> (AdminCommand, Form) {
        match self {
            Self::List { of, count } => (
                AdminCommand::PartitionList {
                    instance_id: of.instance_id,
                    db_name: of.db_name,
                    count,
                },
                Form::Rows {
                    columns: &[
                        "partition",
                        "node",
                        "rows",
                        "bytes",
                        "reads_per_second",
                        "writes_per_second",
                        "rows_read_per_second",
                        "rows_written_per_second",
                    ],
                },
            ),
            Self::Move {
                of,
                partition,
                node,
            } => (
                AdminCommand::PartitionMove {
                    instance_id: of.instance_id,
                    db_name: of.db_name,
                    partitions: partition.into_iter().collect(),
                    node,
                },
                FIELDS,
            ),
        }
    }
}
