//! Node specs: what a client orders, and what a node gets for it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Storage family of a node spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NodeFamily {
    /// `petadata.s2.*`: row store.
    RowStore,
    /// `petadata.c2.*`: row store with a columnar replica.
    Columnar,
}

/// The name of a node spec, for example `petadata.s2.xlarge`; its settings come from the
/// [`NodeSpecCatalogue`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeSpec(Box<str>);

impl NodeSpec {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The storage family, told by the name's second part.
    #[must_use]
    pub fn family(&self) -> NodeFamily {
        if self.0.starts_with("petadata.c2.") {
            NodeFamily::Columnar
        } else {
            NodeFamily::RowStore
        }
    }
}

impl fmt::Display for NodeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a node of some spec really gets. Sizes are in bytes.
///
/// The sold sizes of a spec (cores, memory, disk) are names; these are the settings that the
/// operator maps them to, so that a laptop can run a "32 GB" node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSettings {
    /// `innodb_buffer_pool_size`.
    pub buffer_pool_bytes: u64,
    /// `innodb_log_file_size`.
    pub redo_log_bytes: u64,
    /// Client sessions that the gateway lets through to the instance.
    pub max_connections: u32,
    /// Data, binlogs and temporary files together; beyond it the instance is locked for writes.
    pub disk_quota_bytes: u64,
}

/// The node specs on offer and their settings, from the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeSpecCatalogue(BTreeMap<NodeSpec, NodeSettings>);

impl NodeSpecCatalogue {
    /// The spec of that name, if it is on offer.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(&NodeSpec, &NodeSettings)> {
        self.0.get_key_value(&NodeSpec(name.into()))
    }

    /// All specs, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeSpec, &NodeSettings)> {
        self.0.iter()
    }
}

impl Default for NodeSpecCatalogue {
    /// The sizes of the old service, mapped to settings that a small machine can carry.
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        let settings = |pool: u64, connections, disk: u64| NodeSettings {
            buffer_pool_bytes: pool * MIB,
            redo_log_bytes: 16 * MIB,
            max_connections: connections,
            disk_quota_bytes: disk * GIB,
        };
        let sizes = [
            ("large", settings(64, 500, 256)),
            ("xlarge", settings(64, 1_000, 512)),
            ("2xlarge", settings(128, 2_000, 1_024)),
            ("4xlarge", settings(256, 4_000, 2_048)),
        ];
        let specs = ["s2", "c2"].into_iter().flat_map(|family| {
            sizes.clone().map(|(size, settings)| {
                (
                    NodeSpec(format!("petadata.{family}.{size}").into()),
                    settings,
                )
            })
        });
        Self(specs.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_specs_are_on_offer() {
        let catalogue = NodeSpecCatalogue::default();
        let (spec, settings) = catalogue
            .find("petadata.s2.xlarge")
            .expect("the seed's spec");
        assert_eq!(spec.family(), NodeFamily::RowStore);
        assert_eq!(settings.max_connections, 1_000);
        let (columnar, _) = catalogue
            .find("petadata.c2.xlarge")
            .expect("known, if not available");
        assert_eq!(columnar.family(), NodeFamily::Columnar);
        assert!(catalogue.find("petadata.s2.huge").is_none());
    }
}
