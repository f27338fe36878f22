//! Requests about metrics and disk space.

use openpeta_rpc_api::monitoring::{
    DescribeDatabasePerformanceRequest, DescribeDatabaseResourceUsageRequest,
    DescribeInstancePerformanceRequest, DescribeInstanceResourceUsageRequest,
    DescribeMonitorItemsRequest, ItemLevel, MonitorKey,
};

use crate::{INSTANCE, Pairs, needs_instance, read, refuses};

const WINDOW: Pairs<'_> = &[
    ("StartTime", "2019-01-17T08:00:00Z"),
    ("EndTime", "2019-01-17T09:00:00Z"),
    ("Interval", "5"),
];
const KEYS: Pairs<'_> = &[("DBName", "adb"), ("KeyList", "sqps, scon,sqps")];

#[test]
fn windows_have_an_order_and_at_most_400_points() {
    let base = [&INSTANCE[..], WINDOW, KEYS].concat();
    needs_instance::<DescribeInstancePerformanceRequest>(&base[1..]);
    needs_instance::<DescribeDatabasePerformanceRequest>(&base[1..]);
    let request: DescribeInstancePerformanceRequest = read(&base, &[]).expect("valid");
    let key = |group, key| MonitorKey { group, key };
    assert_eq!(request.keys, [key("gas", "sqps"), key("gas", "scon")]);
    assert_eq!(request.window.interval_minutes, 5);

    // 400 minutes are 400 points of a minute.
    let last = ("EndTime", "2019-01-17T14:40:00Z");
    let minutely = ("Interval", "1");
    assert!(read::<DescribeInstancePerformanceRequest>(&base, &[minutely, last]).is_ok());
    let same = [("EndTime", "2019-01-17T08:00:00Z")];
    assert!(read::<DescribeInstancePerformanceRequest>(&base, &same).is_ok());
    let windows: [(Pairs<'_>, &str); 9] = [
        (
            &[("EndTime", "2019-01-17T14:40:01Z"), minutely],
            "InvalidParameter",
        ),
        (&[("EndTime", "2999-01-01T00:00:00Z")], "InvalidParameter"),
        (
            &[("EndTime", "2019-01-17T07:59:59Z")],
            "InvalidStartTimeAndEndTime.Malformed",
        ),
        (&[("StartTime", "yesterday")], "InvalidStartTime.Malformed"),
        (&[("EndTime", "2019-01-17")], "InvalidEndTime.Malformed"),
        (&[("Interval", "0")], "InvalidInterval.Malformed"),
        (&[("Interval", "-1")], "InvalidInterval.Malformed"),
        (&[("Interval", "1.5")], "InvalidInterval.Malformed"),
        (&[("Interval", "2147483648")], "InvalidInterval.Malformed"),
    ];
    refuses::<DescribeInstancePerformanceRequest>(&base, &windows);
    refuses::<DescribeDatabasePerformanceRequest>(&base, &windows);
    let base = [&INSTANCE[..], WINDOW, &KEYS[..1]].concat();
    refuses::<DescribeInstanceResourceUsageRequest>(&base, &windows);
    refuses::<DescribeDatabaseResourceUsageRequest>(&base, &windows);
}

#[test]
fn keys_are_those_of_the_group() {
    let base = [&INSTANCE[..], WINDOW, KEYS].concat();
    for (group, key) in [("gas", "disk_used"), ("gcs", "sfn"), ("", "sfn")] {
        let changes = [("MonitorGroup", group), ("KeyList", key)];
        let request = read::<DescribeDatabasePerformanceRequest>(&base, &changes);
        let keys = request.expect("valid").keys;
        let group = if key == "sfn" { "gcs" } else { group };
        assert_eq!(keys, [MonitorKey { group, key }]);
    }
    let unknown = "InvalidKeyList.ValueNotSupported";
    let cases: [(Pairs<'_>, &str); 5] = [
        (&[("KeyList", "sqps,qps")], unknown),
        (&[("KeyList", "sqps,")], unknown),
        (&[("KeyList", "SQPS")], unknown),
        (&[("MonitorGroup", "gas"), ("KeyList", "sfn")], unknown),
        (
            &[("MonitorGroup", "all")],
            "InvalidMonitorGroup.ValueNotSupported",
        ),
    ];
    refuses::<DescribeInstancePerformanceRequest>(&base, &cases);
    refuses::<DescribeDatabasePerformanceRequest>(&base, &cases);
}

#[test]
fn a_part_of_a_window_is_missing_the_rest() {
    needs_instance::<DescribeInstanceResourceUsageRequest>(&[]);
    needs_instance::<DescribeDatabaseResourceUsageRequest>(&KEYS[..1]);
    let now: DescribeInstanceResourceUsageRequest = read(&INSTANCE, &[]).expect("valid");
    assert_eq!(now.window, None);
    for left_out in 0..WINDOW.len() {
        let mut part = WINDOW.to_vec();
        part.remove(left_out);
        let case = [(&part[..], "MissingParameter")];
        refuses::<DescribeInstanceResourceUsageRequest>(&INSTANCE, &case);
        let base = [&INSTANCE[..], &KEYS[..1]].concat();
        refuses::<DescribeDatabaseResourceUsageRequest>(&base, &case);
    }
}

#[test]
fn metrics_have_levels_and_versions() {
    let base = [INSTANCE[0], ("ItemLevel", "DATABASE_PERFORMANCE")];
    needs_instance::<DescribeMonitorItemsRequest>(&base[1..]);
    let request: DescribeMonitorItemsRequest = read(&base, &[]).expect("valid");
    assert!(request.grouped && request.item_level == ItemLevel::Performance);
    let old = [("MonitorVersion", "0"), ("ItemLevel", "INSTANCE_RESOURCE")];
    let request: DescribeMonitorItemsRequest = read(&base, &old).expect("valid");
    assert!(!request.grouped && request.item_level == ItemLevel::Resource);
    refuses::<DescribeMonitorItemsRequest>(
        &base,
        &[
            (
                &[("ItemLevel", "instance_performance")],
                "InvalidItemLevel.ValueNotSupported",
            ),
            (
                &[("MonitorVersion", "2")],
                "InvalidMonitorVersion.ValueNotSupported",
            ),
        ],
    );
}
