//! How much partitions of databases over several nodes are used: the coordinator's counters.

use openpeta_control::PartitionUse;

use super::bound::{Bound, OTHER};
use super::exposition::Exposition;

/// A database, and its partitions in their order.
pub(super) struct UsedPartitions<'a> {
    pub(super) instance: &'a str,
    pub(super) database: &'a str,
    /// What the database is called in its bound.
    pub(super) key: String,
    pub(super) partitions: Vec<PartitionUse>,
}

pub(super) fn add(out: &mut Exposition, bound: &mut Bound, all: &[UsedPartitions<'_>]) {
    let key = |its: &UsedPartitions<'_>, partition: usize| format!("{}/{partition}", its.key);
    let keys: Vec<String> = all
        .iter()
        .flat_map(|its| (0..its.partitions.len()).map(|partition| key(its, partition)))
        .collect();
    bound.present(keys.iter().map(String::as_str));
    for its in all {
        for (partition, used) in its.partitions.iter().enumerate() {
            let totals = [used.reads, used.writes, used.rows_read, used.rows_written];
            let key = key(its, partition);
            if bound.shows(&key) {
                let partition = partition.to_string();
                add_partition(out, [its.instance, its.database, &partition], &totals);
            } else {
                bound.add(&key, &totals);
            }
        }
    }
    if bound.has_others() {
        let totals = bound.others(4);
        add_partition(out, [OTHER; 3], &totals);
    }
}

fn add_partition(out: &mut Exposition, [instance, database, partition]: [&str; 3], totals: &[u64]) {
    let families = [
        ("openpeta_partition_statements", "read"),
        ("openpeta_partition_statements", "write"),
        ("openpeta_partition_rows", "read"),
        ("openpeta_partition_rows", "write"),
    ];
    for ((family, class), total) in families.into_iter().zip(totals) {
        out.add(family, &[instance, database, partition, class], *total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::exposition::Format;
    use crate::metrics::families::FAMILIES;

    #[test]
    fn however_many_partitions_there_are_the_series_are_not() {
        let used = |reads| PartitionUse {
            reads,
            rows_written: 2,
            ..PartitionUse::default()
        };
        let all = [UsedPartitions {
            instance: "pd-a",
            database: "shop",
            key: "pd-a/shop".to_owned(),
            partitions: (0..4).map(used).collect(),
        }];
        let mut bound = Bound::new(2);
        let mut out = Exposition::new(FAMILIES, Format::Prometheus);
        add(&mut out, &mut bound, &all);
        let text = out.text();
        for line in [
            "openpeta_partition_statements_total{instance_id=\"pd-a\",database=\"shop\",partition=\"1\",class=\"read\"} 1",
            "openpeta_partition_rows_total{instance_id=\"pd-a\",database=\"shop\",partition=\"0\",class=\"write\"} 2",
            "openpeta_partition_statements_total{instance_id=\"other\",database=\"other\",partition=\"other\",class=\"read\"} 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("partition=\"2\""));
    }
}
