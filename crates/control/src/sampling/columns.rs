//! What is kept of an instance or a database: the columns of its rows in the archive.

use openpeta_monitor::Fold;

use crate::Traffic;

/// Declares the columns with how their values are put together. Their order is what is on disk:
/// new ones come last.
macro_rules! columns {
    ($($(#[$doc:meta])* $name:ident: $fold:ident,)*) => {
        /// A column of a row.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Column { $($(#[$doc])* $name,)* }

        /// How the values of each column are put together.
        pub(crate) const FOLDS: &[Fold] = &[$(Fold::$fold,)*];
    };
}

columns! {
    /// Milliseconds for which sessions were counted.
    Covered: Sum,
    /// Times that sessions were looked at.
    Looks: Sum,
    Connections: Sum,
    Refused: Sum,
    Commands: Sum,
    Errors: Sum,
    BytesIn: Sum,
    BytesOut: Sum,
    Finished: Sum,
    Failed: Sum,
    Set: Sum,
    SingleReads: Sum,
    MultiReads: Sum,
    SingleWrites: Sum,
    MultiWrites: Sum,
    Begins: Sum,
    Commits: Sum,
    Rollbacks: Sum,
    OtherTransaction: Sum,
    Other: Sum,
    /// Microseconds that reads took.
    ReadTime: Sum,
    /// Microseconds that writes took.
    WriteTime: Sum,
    /// Microseconds that the longest read took; no value without one.
    LongestRead: Max,
    LongestWrite: Max,
    /// Sessions, added up over all looks.
    Sessions: Sum,
    MostSessions: Max,
    /// Bytes of data files.
    Data: Last,
    /// Bytes of binary logs.
    Binlog: Last,
    /// Bytes of redo logs, temporary files, error logs.
    OtherFiles: Last,
    /// Bytes that there may be.
    Quota: Last,
    /// Microseconds of processor time.
    Cpu: Sum,
    /// Milliseconds for which processor time was looked at.
    CpuCovered: Sum,
    /// Resident bytes.
    Resident: Last,
    /// Bytes of secondary indexes, a part of the data.
    Index: Last,
    /// Bytes of data files that are free for new rows, a part of the data.
    Free: Last,
    /// Bytes of temporary tables and files.
    Temporary: Last,
    /// Milliseconds that a replica is behind. Reserved: no instance has a replica yet.
    #[expect(dead_code, reason = "its place is kept")]
    ReplicaBehind: Last,
}

impl Column {
    pub(crate) const fn fold(self) -> Fold {
        FOLDS[self as usize]
    }
}

/// The totals of which each row has what was added.
pub(super) fn totals(traffic: &Traffic) -> [(Column, u64); 20] {
    [
        (Column::Connections, traffic.connections),
        (Column::Refused, traffic.refused),
        (Column::Commands, traffic.commands),
        (Column::Errors, traffic.errors),
        (Column::BytesIn, traffic.bytes_in),
        (Column::BytesOut, traffic.bytes_out),
        (Column::Finished, traffic.finished),
        (Column::Failed, traffic.failed),
        (Column::Set, traffic.set),
        (Column::SingleReads, traffic.single_reads),
        (Column::MultiReads, traffic.multi_reads),
        (Column::SingleWrites, traffic.single_writes),
        (Column::MultiWrites, traffic.multi_writes),
        (Column::Begins, traffic.begins),
        (Column::Commits, traffic.commits),
        (Column::Rollbacks, traffic.rollbacks),
        (Column::OtherTransaction, traffic.other_transaction),
        (Column::Other, traffic.other),
        (Column::ReadTime, traffic.read_us),
        (Column::WriteTime, traffic.write_us),
    ]
}
