//! What was sampled of an instance or a database over time, for `openpeta metrics`.

use jiff::Timestamp;
use openpeta_rpc_api::ApiError;
use openpeta_types::{DbName, InstanceId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sampling::{Column, Figure, Steps, of_database, of_instance};
use crate::{Control, ControlError};

/// Most points of a series.
const MOST_POINTS: i64 = 10_000;
/// Samples are of so many seconds.
const FINEST: u32 = 5;

/// Declares the items with their names, units and how they are worked out.
macro_rules! items {
    ($($(#[$doc:meta])* $item:ident = $name:literal, $unit:literal, $figure:expr;)*) => {
        /// Something that is sampled.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum HistoryItem { $($(#[$doc])* #[serde(rename = $name)] $item,)* }

        impl HistoryItem {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$item,)*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$item => $name,)* }
            }

            /// What its values are of.
            #[must_use]
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$item => $unit,)* }
            }

            const fn figure(self) -> Figure {
                match self { $(Self::$item => $figure,)* }
            }
        }
    };
}

items! {
    /// Statements.
    Statements = "statements", "1/s", Figure::PerSecond(&[Column::Finished, Column::Failed]);
    /// Statements that read.
    Reads = "reads", "1/s", Figure::PerSecond(&[Column::SingleReads, Column::MultiReads]);
    /// Statements that write.
    Writes = "writes", "1/s", Figure::PerSecond(&[Column::SingleWrites, Column::MultiWrites]);
    /// Statements that failed.
    Failed = "failed", "1/s", Figure::PerSecond(&[Column::Failed]);
    /// The mean time of reads.
    ReadTime = "read-time", "ms", Figure::MeanMillis(Column::ReadTime, &[Column::SingleReads, Column::MultiReads]);
    /// The mean time of writes.
    WriteTime = "write-time", "ms", Figure::MeanMillis(Column::WriteTime, &[Column::SingleWrites, Column::MultiWrites]);
    /// The longest read.
    LongestRead = "longest-read", "ms", Figure::Millis(Column::LongestRead);
    /// The longest write.
    LongestWrite = "longest-write", "ms", Figure::Millis(Column::LongestWrite);
    /// Open sessions.
    Sessions = "sessions", "", Figure::MeanSeen(Column::Sessions);
    /// Connections let in.
    Connections = "connections", "1/s", Figure::PerSecond(&[Column::Connections]);
    /// Connections that the whitelist refused.
    Refused = "refused", "1/s", Figure::PerSecond(&[Column::Refused]);
    /// Bytes from clients.
    Received = "received", "B/s", Figure::PerSecond(&[Column::BytesIn]);
    /// Bytes for clients.
    Sent = "sent", "B/s", Figure::PerSecond(&[Column::BytesOut]);
    /// Processor time of the node.
    Cpu = "cpu", "%", Figure::CpuPercent;
    /// Resident memory of the node.
    Memory = "memory", "B", Figure::Bytes(&[Column::Resident]);
    /// Bytes of files.
    Disk = "disk", "B", Figure::Bytes(&[Column::Data, Column::Binlog, Column::OtherFiles]);
    /// Bytes of data files.
    Data = "data", "B", Figure::Bytes(&[Column::Data]);
    /// Bytes of secondary indexes, a part of the data.
    Index = "index", "B", Figure::Bytes(&[Column::Index]);
    /// Bytes of data files that are free for new rows.
    Free = "free", "B", Figure::Bytes(&[Column::Free]);
    /// Bytes of binary logs.
    Binlog = "binlog", "B", Figure::Bytes(&[Column::Binlog]);
    /// Bytes of temporary tables and files.
    Temporary = "temporary", "B", Figure::Bytes(&[Column::Temporary]);
    /// Bytes that there may be.
    Quota = "quota", "B", Figure::Bytes(&[Column::Quota]);
    /// Bytes of files, of the quota.
    DiskUsed = "disk-used", "%", Figure::UsedPercent;
}

/// What a history is asked of.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuestion {
    /// The instance.
    pub instance_id: InstanceId,
    /// One of its databases; `None` for the whole of it.
    pub db_name: Option<DbName>,
    /// What of it.
    pub items: Vec<HistoryItem>,
    /// When the first step begins.
    pub from: Timestamp,
    /// No step begins then or later.
    pub until: Timestamp,
    /// Seconds of a step.
    pub step_seconds: u32,
}

/// A history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// When the first step begins, in seconds of Unix time.
    pub from: i64,
    /// Seconds of a step.
    pub step_seconds: u32,
    /// In the order that they were asked for.
    pub series: Vec<HistorySeries>,
}

/// An item over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistorySeries {
    /// The item.
    pub item: HistoryItem,
    /// What the values are of.
    pub unit: String,
    /// A value for each step; none where nothing was sampled.
    pub values: Vec<Option<f64>>,
}

impl Control {
    pub(super) fn history(&self, question: &HistoryQuestion) -> Result<Value, ControlError> {
        let detail = self.parts.store.instance_detail(&question.instance_id);
        let detail = detail.ok_or_else(ApiError::instance_not_found)?;
        let source = match &question.db_name {
            None => of_instance(&question.instance_id),
            Some(name) => {
                let mut databases = detail.databases.iter();
                let database = databases.find(|database| database.db_name == *name);
                of_database(database.ok_or_else(ApiError::db_not_found)?)
            }
        };
        let steps = steps(question)?;
        let series = question.items.iter().map(|item| HistorySeries {
            item: *item,
            unit: item.unit().to_owned(),
            values: self.item_values(&source, item.figure(), &steps),
        });
        let history = History {
            from: steps.start,
            step_seconds: question.step_seconds,
            series: series.collect(),
        };
        serde_json::to_value(history).map_err(ControlError::internal)
    }

    fn item_values(&self, source: &str, figure: Figure, steps: &Steps) -> Vec<Option<f64>> {
        let columns = figure.columns();
        let answer = self.parts.samples.query(source, &columns, steps);
        let count = answer.columns.first().map_or(0, Vec::len);
        let value = |step: usize| {
            let row: Vec<_> = answer.columns.iter().map(|column| column[step]).collect();
            figure.value(&row)
        };
        (0..count).map(value).collect()
    }
}

fn steps(question: &HistoryQuestion) -> Result<Steps, ApiError> {
    let wrong = |what, detail| Err(ApiError::invalid_parameter(what).with_detail(detail));
    let step = question.step_seconds;
    if step == 0 || !step.is_multiple_of(FINEST) {
        return wrong("step_seconds", "Samples are of 5 seconds: take a multiple.");
    }
    let step = i64::from(step);
    let begin = question.from.as_second();
    let steps = Steps {
        start: begin - begin.rem_euclid(step),
        end: question.until.as_second(),
        step,
    };
    if steps.end <= steps.start {
        return wrong("until", "It is not after the beginning.");
    }
    if (steps.end - steps.start) / step > MOST_POINTS {
        return wrong("step_seconds", "That would be more than 10,000 points.");
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(from: i64, until: i64, step_seconds: u32) -> HistoryQuestion {
        HistoryQuestion {
            instance_id: InstanceId::parse("pd-abcdefghijklmn").expect("an id"),
            db_name: None,
            items: Vec::new(),
            from: Timestamp::from_second(from).expect("a time"),
            until: Timestamp::from_second(until).expect("a time"),
            step_seconds,
        }
    }

    #[test]
    fn steps_begin_at_multiples_and_are_not_too_many() {
        let found = steps(&question(1003, 2000, 10)).expect("right");
        assert_eq!((found.start, found.end, found.step), (1000, 2000, 10));
        for wrong in [
            question(0, 100, 0),
            question(0, 100, 7),
            question(100, 100, 5),
            question(0, 1_000_000, 5),
        ] {
            assert!(steps(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn items_travel_by_their_names() {
        for item in HistoryItem::ALL {
            let text = serde_json::to_value(item).expect("text");
            assert_eq!(text, item.name());
        }
    }
}
