//! Regions and zones: all documented ones exist and mean this machine.

/// A zone of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Zone id, for example `cn-hangzhou-b`.
    pub zone_id: &'static str,
    /// Whether VPC instances can be ordered there.
    pub vpc_enabled: bool,
}

/// A region with its zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Region id, for example `cn-hangzhou`.
    pub region_id: &'static str,
    /// Its zones, never empty.
    pub zones: &'static [Zone],
}

/// Shorthand for a zone with VPC.
const fn z(zone_id: &'static str) -> Zone {
    Zone {
        zone_id,
        vpc_enabled: true,
    }
}

/// The regions that the document and the SDKs name, with the zones that the document names
/// and one or two more where it names none.
pub const REGIONS: &[Region] = &[
    Region {
        region_id: "cn-hangzhou",
        zones: &[
            z("cn-hangzhou-b"),
            z("cn-hangzhou-e"),
            z("cn-hangzhou-f"),
            z("cn-hangzhou-g"),
        ],
    },
    Region {
        region_id: "cn-beijing",
        zones: &[z("cn-beijing-a"), z("cn-beijing-c"), z("cn-beijing-g")],
    },
    Region {
        region_id: "cn-qingdao",
        zones: &[z("cn-qingdao-b"), z("cn-qingdao-c")],
    },
    Region {
        region_id: "cn-shanghai",
        zones: &[z("cn-shanghai-a"), z("cn-shanghai-b")],
    },
    Region {
        region_id: "cn-shenzhen",
        zones: &[z("cn-shenzhen-a"), z("cn-shenzhen-b")],
    },
    Region {
        region_id: "cn-hongkong",
        zones: &[z("cn-hongkong-a"), z("cn-hongkong-b")],
    },
    Region {
        region_id: "cn-zhangjiakou",
        zones: &[z("cn-zhangjiakou-a")],
    },
    Region {
        region_id: "cn-huhehaote",
        zones: &[z("cn-huhehaote-a")],
    },
    Region {
        region_id: "ap-southeast-1",
        zones: &[z("ap-southeast-1a"), z("ap-southeast-1b")],
    },
    Region {
        region_id: "ap-southeast-2",
        zones: &[z("ap-southeast-2a")],
    },
    Region {
        region_id: "ap-southeast-5",
        zones: &[z("ap-southeast-5a")],
    },
    Region {
        region_id: "us-west-1",
        zones: &[z("us-west-1a")],
    },
    Region {
        region_id: "us-east-1",
        zones: &[z("us-east-1a")],
    },
    Region {
        region_id: "eu-central-1",
        zones: &[z("eu-central-1a")],
    },
    Region {
        region_id: "me-east-1",
        zones: &[z("me-east-1a")],
    },
];

/// The region of that id.
#[must_use]
pub fn region(region_id: &str) -> Option<&'static Region> {
    REGIONS.iter().find(|region| region.region_id == region_id)
}

/// The zone of that id, if it belongs to that region.
#[must_use]
pub fn zone(region_id: &str, zone_id: &str) -> Option<&'static Zone> {
    region(region_id)?
        .zones
        .iter()
        .find(|zone| zone.zone_id == zone_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_zones_exist() {
        for (region_id, zone_id) in [
            ("cn-hangzhou", "cn-hangzhou-b"),
            ("cn-hangzhou", "cn-hangzhou-e"),
            ("cn-beijing", "cn-beijing-c"),
            ("cn-beijing", "cn-beijing-g"),
            ("cn-zhangjiakou", "cn-zhangjiakou-a"),
            ("us-west-1", "us-west-1a"),
            ("us-east-1", "us-east-1a"),
            ("ap-southeast-1", "ap-southeast-1b"),
        ] {
            assert!(zone(region_id, zone_id).is_some(), "{zone_id}");
        }
        assert!(zone("cn-beijing", "cn-hangzhou-b").is_none());
    }
}
