//! The API's metrics out of the columns that are kept.

use openpeta_rpc_api::monitoring::MonitorKey;

use super::columns::Column;

/// How a metric is worked out of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// What was counted, by second.
    PerSecond(&'static [Column]),
    /// Milliseconds that each of these took, of so many microseconds in all.
    MeanMillis(Column, &'static [Column]),
    /// Microseconds as milliseconds.
    Millis(Column),
    /// The mean of what was seen at each look.
    MeanSeen(Column),
    /// Bytes; of those that the source has.
    Bytes(&'static [Column]),
    /// The bytes used, of the quota, in percent.
    UsedPercent,
    /// Processor time, in percent of one processor.
    CpuPercent,
}

/// What counts for the quota.
const USED: &[Column] = &[Column::Data, Column::Binlog, Column::OtherFiles];
const READS: &[Column] = &[Column::SingleReads, Column::MultiReads];
const WRITES: &[Column] = &[Column::SingleWrites, Column::MultiWrites];

impl Figure {
    /// The metric of that key.
    pub(crate) fn of(key: MonitorKey) -> Option<Self> {
        use Column as C;
        Some(match (key.group, key.key) {
            ("gas", "stps") => Self::PerSecond(WRITES),
            ("gas", "sqps") => Self::PerSecond(READS),
            ("gas", "swart") => Self::MeanMillis(C::WriteTime, WRITES),
            ("gas", "swmrt") => Self::Millis(C::LongestWrite),
            ("gas", "swnb") => Self::PerSecond(&[C::BytesIn]),
            ("gas", "sqart") => Self::MeanMillis(C::ReadTime, READS),
            ("gas", "sqmrt") => Self::Millis(C::LongestRead),
            ("gas", "scon") => Self::MeanSeen(C::Sessions),
            ("gas", "disk_usage") => Self::UsedPercent,
            ("gas", "disk_total") => Self::Bytes(&[C::Quota]),
            ("gas", "disk_used") => Self::Bytes(USED),
            ("gcs", "scon") => Self::PerSecond(&[C::Connections]),
            ("gcs", "sqps") => Self::PerSecond(&[C::Finished, C::Failed]),
            ("gcs", "sni") => Self::PerSecond(&[C::BytesIn]),
            ("gcs", "sno") => Self::PerSecond(&[C::BytesOut]),
            ("gcs", "ses") => Self::PerSecond(&[C::Set]),
            ("gcs", "ser") => Self::PerSecond(&[C::Failed]),
            ("gcs", "sfn") => Self::PerSecond(&[C::Finished]),
            ("gcs", "smpm") => Self::PerSecond(&[C::MultiWrites]),
            ("gcs", "smpq") => Self::PerSecond(&[C::MultiReads]),
            ("gcs", "sos") => Self::PerSecond(&[C::Other]),
            ("gcs", "sspm") => Self::PerSecond(&[C::SingleWrites]),
            ("gcs", "sspq") => Self::PerSecond(&[C::SingleReads]),
            ("gcs", "stbs") => Self::PerSecond(&[C::Begins]),
            ("gcs", "stcs") => Self::PerSecond(&[C::Commits]),
            ("gcs", "stos") => Self::PerSecond(&[C::OtherTransaction]),
            ("gcs", "strs") => Self::PerSecond(&[C::Rollbacks]),
            _ => return None,
        })
    }

    /// The columns that it is worked out of, the order being that of [`value`](Self::value).
    pub(crate) fn columns(self) -> Vec<Column> {
        match self {
            Self::PerSecond(counted) => [&[Column::Covered], counted].concat(),
            Self::MeanMillis(time, among) => [&[time], among].concat(),
            Self::Millis(column) => vec![column],
            Self::MeanSeen(column) => vec![Column::Looks, column],
            Self::Bytes(columns) => columns.to_vec(),
            Self::UsedPercent => [&[Column::Quota], USED].concat(),
            Self::CpuPercent => vec![Column::CpuCovered, Column::Cpu],
        }
    }

    /// The value of these columns' values; none where there is nothing to tell one by: nothing was
    /// sampled, or there was no statement whose time could be told.
    pub(crate) fn value(self, columns: &[Option<i64>]) -> Option<f64> {
        let (first, rest) = columns.split_first()?;
        let first = (*first)? as f64;
        let rest: i64 = rest.iter().flatten().sum();
        let rest = rest as f64;
        let ratio = |of: f64, among: f64| (among > 0.0).then(|| of / among);
        match self {
            Self::PerSecond(_) => ratio(rest * 1000.0, first),
            Self::MeanMillis(..) => ratio(first / 1000.0, rest),
            Self::Millis(_) => Some(first / 1000.0),
            Self::MeanSeen(_) => ratio(rest, first),
            Self::Bytes(_) => Some(first + rest),
            Self::UsedPercent => ratio(rest * 100.0, first),
            // Microseconds in milliseconds.
            Self::CpuPercent => ratio(rest / 10.0, first),
        }
    }
}

#[cfg(test)]
mod tests {
    use openpeta_rpc_api::monitoring::MONITOR_GROUPS;

    use super::*;

    #[test]
    fn every_metric_is_worked_out() {
        for group in &MONITOR_GROUPS {
            for item in group.items {
                let key = MonitorKey {
                    group: group.name,
                    key: item.key,
                };
                assert!(Figure::of(key).is_some(), "{key:?}");
            }
        }
    }

    #[test]
    fn values_are_those_of_their_columns() {
        let of = |figure: Figure, columns: &[i64]| {
            let columns: Vec<_> = columns.iter().copied().map(Some).collect();
            figure.value(&columns)
        };
        assert_eq!(of(Figure::PerSecond(READS), &[4000, 6, 2]), Some(2.0));
        assert_eq!(
            of(Figure::MeanMillis(Column::ReadTime, READS), &[4500, 2, 1]),
            Some(1.5)
        );
        assert_eq!(of(Figure::Millis(Column::LongestRead), &[250]), Some(0.25));
        assert_eq!(of(Figure::MeanSeen(Column::Sessions), &[5, 8]), Some(1.6));
        assert_eq!(of(Figure::Bytes(USED), &[5, 6, 7]), Some(18.0));
        assert_eq!(of(Figure::UsedPercent, &[50, 5, 5]), Some(20.0));
        assert_eq!(of(Figure::CpuPercent, &[2000, 500_000]), Some(25.0));
    }

    #[test]
    fn without_samples_there_is_no_value() {
        assert_eq!(Figure::PerSecond(READS).value(&[None, None, None]), None);
        assert_eq!(
            Figure::PerSecond(READS).value(&[Some(1000), Some(0), Some(0)]),
            Some(0.0)
        );
        // A database has no binary logs of its own.
        assert_eq!(Figure::Bytes(USED).value(&[Some(5), None, None]), Some(5.0));
        assert_eq!(Figure::Bytes(USED).value(&[None, Some(5), None]), None);
        // Time without a statement is no mean, and zero would be a wrong one.
        let mean = Figure::MeanMillis(Column::ReadTime, READS);
        assert_eq!(mean.value(&[Some(0), Some(0), Some(0)]), None);
    }
}
