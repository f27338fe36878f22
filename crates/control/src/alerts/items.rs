//! The figures that rules may be about: those of the API's monitor sets, and what a node takes.

use openpeta_rpc_api::monitoring::{MONITOR_GROUPS, MonitorKey};

use crate::sampling::{Column, Figure};

/// Files of nodes are measured every 30 seconds.
const LEAST_OF_MEASURED: i64 = 120;

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    figure: Figure,
    scale: Scale,
}

/// Whether a share is told in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    AsIs,
    Percent,
}

/// What a node takes: name, figure, unit.
const RESOURCES: &[(&str, Figure, &str)] = &[
    (
        "resource.data_bytes",
        Figure::Bytes(&[Column::Data]),
        "bytes",
    ),
    (
        "resource.binlog_bytes",
        Figure::Bytes(&[Column::Binlog]),
        "bytes",
    ),
    (
        "resource.used_bytes",
        Figure::Bytes(&[Column::Data, Column::Binlog, Column::OtherFiles]),
        "bytes",
    ),
    (
        "resource.used_percent",
        Figure::UsedPercent,
        "% of the disk quota",
    ),
    (
        "resource.memory_bytes",
        Figure::Bytes(&[Column::Resident]),
        "bytes",
    ),
    (
        CPU,
        Figure::MeanMillis(Column::Cpu, &[Column::CpuCovered]),
        "% of a core",
    ),
];
const CPU: &str = "resource.cpu_percent";

impl Item {
    /// The figure of that name: `gas.…`, `gcs.…` with the key of a monitor set, or `resource.…`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let resource = RESOURCES.iter().find(|(known, ..)| *known == name);
        if let Some((name, figure, _)) = resource {
            let scale = match *name == CPU {
                true => Scale::Percent,
                false => Scale::AsIs,
            };
            return Some(Self {
                figure: *figure,
                scale,
            });
        }
        let (group, key) = name.split_once('.')?;
        let group = MONITOR_GROUPS.iter().find(|known| known.name == group)?;
        let item = group.items.iter().find(|item| item.key == key)?;
        let key = MonitorKey {
            group: group.name,
            key: item.key,
        };
        Some(Self {
            figure: Figure::of(key)?,
            scale: Scale::AsIs,
        })
    }

    pub(crate) fn columns(self) -> Vec<Column> {
        self.figure.columns()
    }

    pub(crate) fn value(self, columns: &[Option<i64>]) -> Option<f64> {
        let value = self.figure.value(columns)?;
        Some(match self.scale {
            Scale::AsIs => value,
            Scale::Percent => value * 100.0,
        })
    }

    /// The seconds that a value is of, when so many are configured.
    pub(crate) fn window(self, configured: i64) -> i64 {
        match self.figure {
            Figure::Bytes(_) | Figure::UsedPercent | Figure::MeanMillis(Column::Cpu, _) => {
                configured.max(LEAST_OF_MEASURED)
            }
            _ => configured,
        }
    }
}

/// Every figure's name, with its unit.
pub(crate) fn names() -> Vec<(String, &'static str)> {
    let of_sets = MONITOR_GROUPS.iter().flat_map(|group| {
        let name = move |key| format!("{}.{key}", group.name);
        group
            .items
            .iter()
            .map(move |item| (name(item.key), item.unit))
    });
    let of_nodes = RESOURCES
        .iter()
        .map(|(name, _, unit)| ((*name).to_owned(), *unit));
    of_sets.chain(of_nodes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_a_name_that_is_known() {
        for (name, _) in names() {
            let item = Item::parse(&name).unwrap_or_else(|| panic!("{name}"));
            assert!(!item.columns().is_empty());
        }
        assert_eq!(names().len(), 27 + RESOURCES.len());
        for unknown in [
            "",
            "gas",
            "gas.",
            "gas.nothing",
            "other.scon",
            "resource.data",
        ] {
            assert_eq!(Item::parse(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn processor_time_is_told_in_percent_of_a_core() {
        let item = Item::parse(CPU).expect("known");
        // 1.5 s in 2 s.
        assert_eq!(item.value(&[Some(1_500_000), Some(2_000)]), Some(75.0));
        assert_eq!(item.value(&[None, None]), None);
    }
}
