//! The answer to DescribeInstanceResourceUsage and DescribeDatabaseResourceUsage.

use jiff::Timestamp;

use crate::{ApiResponse, FieldWriter};

/// What is shown in the place of a size that is not known.
const UNKNOWN: i64 = -1;

/// Disk space at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceSample {
    /// What was measured; `None` when nothing could be.
    pub sizes: Option<Sizes>,
    /// When.
    pub at: Timestamp,
}

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Data files.
    pub data: u64,
    /// Binary logs.
    pub binlog: u64,
    /// What there may be in all.
    pub total: u64,
}

impl Sizes {
    /// What is left.
    fn other(&self) -> u64 {
        self.total
            .saturating_sub(self.data)
            .saturating_sub(self.binlog)
    }
}

/// The answer to both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceUsageResponse {
    /// Samples, oldest first.
    pub samples: Vec<ResourceSample>,
}

impl ApiResponse for ResourceUsageResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        let each = |writer: &mut W, sample: &ResourceSample| {
            let size = |of: fn(&Sizes) -> u64| match &sample.sizes {
                Some(sizes) => i64::try_from(of(sizes)).unwrap_or(i64::MAX),
                None => UNKNOWN,
            };
            writer.integer("OtherSize", size(Sizes::other));
            writer.integer("DataSize", size(|sizes| sizes.data));
            writer.integer("BinlogSize", size(|sizes| sizes.binlog));
            writer.integer("TotalSize", size(|sizes| sizes.total));
            writer.time("Date", sample.at);
        };
        writer.list("MonitorDatas", "MonitorData", &self.samples, each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, render_response};
    use openpeta_types::RequestId;

    fn shown(sizes: Option<Sizes>) -> String {
        let sample = ResourceSample {
            sizes,
            at: Timestamp::UNIX_EPOCH,
        };
        let response = ResourceUsageResponse {
            samples: vec![sample],
        };
        let id = RequestId::from_random([1; 16]);
        render_response(Format::Json, "DescribeInstanceResourceUsage", id, &response)
    }

    #[test]
    fn what_is_left_adds_up_and_nothing_is_minus_one() {
        let sizes = Sizes {
            data: 90,
            binlog: 1,
            total: 19296,
        };
        let expected = r#""OtherSize":19205,"DataSize":90,"BinlogSize":1,"TotalSize":19296,"#;
        assert!(shown(Some(sizes)).contains(expected));
        let full = Sizes { total: 10, ..sizes };
        assert!(shown(Some(full)).contains(r#""OtherSize":0,"#));
        let unknown = r#""OtherSize":-1,"DataSize":-1,"BinlogSize":-1,"TotalSize":-1,"#;
        assert!(shown(None).contains(unknown));
    }
}
