//! A known workload gives the known figures through the signed API, over a kill -9 too.

use jiff::{SignedDuration, Timestamp};
use openpeta_testkit::{Api, DATABASE, Service, Session, wait_for};
use serde_json::Value;

/// What the workload does, by the key that tells of it.
const DONE: [(&str, u32); 12] = [
    ("sqps", 25),
    ("sfn", 23),
    ("ser", FAILED),
    ("ses", 3),
    ("sspq", 10),
    ("sspm", 6),
    ("smpq", 0),
    ("smpm", 0),
    ("stbs", 2),
    ("stcs", 1),
    ("strs", 1),
    ("stos", 1),
];
const FAILED: u32 = 2;

fn work(session: &mut Session) {
    let mut succeed = |statement: &str, times: usize| {
        for _ in 0..times {
            session.query(statement).expect("it may");
        }
    };
    succeed("CREATE TABLE t (id INT)", 1);
    succeed("INSERT INTO t VALUES (1), (2)", 4);
    succeed("SET @a = 1", 3);
    succeed("BEGIN", 1);
    succeed("UPDATE t SET id = id + 1", 2);
    succeed("SAVEPOINT s", 1);
    succeed("COMMIT", 1);
    succeed("BEGIN", 1);
    succeed("ROLLBACK", 1);
    succeed("SELECT * FROM t", 8);
    for _ in 0..FAILED {
        session.query("SELECT no_such").expect_err("it is unknown");
    }
}

/// Asks for a day around now, in one step.
struct Window {
    start: String,
    end: String,
}

impl Window {
    fn around(now: Timestamp) -> Self {
        let hours = |hours| SignedDuration::from_hours(hours);
        let time = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:00Z").to_string();
        Self {
            start: time(now - hours(12)),
            end: time(now + hours(12)),
        }
    }

    fn ask(&self, api: &Api, action: &str, instance: &str, others: &[(&str, &str)]) -> Vec<Value> {
        let window = [
            ("InstanceId", instance),
            ("StartTime", &*self.start),
            ("EndTime", &*self.end),
            ("Interval", "1440"),
        ];
        let answer = api.call(action, &[&window, others].concat());
        let answer = answer.expect("a right call");
        answer["MonitorDatas"]["MonitorData"]
            .as_array()
            .expect("a list")
            .clone()
    }

    /// The one value of each key; none where nothing was sampled.
    fn values(
        &self,
        api: &Api,
        instance: &str,
        database: bool,
        group: &str,
        keys: &[&str],
    ) -> Option<Vec<f64>> {
        let list = keys.join(",");
        let mut others = vec![("MonitorGroup", group), ("KeyList", &*list)];
        let action = match database {
            true => "DescribeDatabasePerformance",
            false => "DescribeInstancePerformance",
        };
        if database {
            others.push(("DBName", DATABASE));
        }
        let series = self.ask(api, action, instance, &others);
        let names: Vec<_> = series
            .iter()
            .map(|one| one["Key"].as_str().expect("a key"))
            .collect();
        assert_eq!(names, keys);
        let value = |series: &Value| {
            let points = series["PerformanceValues"]["PerformanceValue"]
                .as_array()
                .expect("a list");
            assert!(points.len() <= 1, "{points:?}");
            points.first()?["Value"].as_str()?.parse().ok()
        };
        series.iter().map(value).collect()
    }
}

/// Whether statements are in the proportion in which they ran; all in the same time.
fn is_known(window: &Window, api: &Api, instance: &str, database: bool) -> bool {
    let keys = DONE.map(|(key, _)| key);
    let Some(values) = window.values(api, instance, database, "gcs", &keys) else {
        return false;
    };
    let failed = values[2];
    DONE.iter().zip(&values).all(|((_, count), value)| {
        (value * f64::from(FAILED) - failed * f64::from(*count)).abs()
            < failed * 0.001 * f64::from(*count + 1)
            && failed > 0.0
    })
}

#[test]
fn a_known_workload_gives_the_known_figures() {
    let mut service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let login = api.wait_active(&instance);
    let mut session = login.connect().expect("a session");
    let window = Window::around(Timestamp::now());
    work(&mut session);
    for database in [false, true] {
        wait_for("the figures of the workload", || {
            is_known(&window, &api, &instance, database).then_some(())
        });
    }

    let traffic = ["scon", "sni", "sno"];
    let traffic = window
        .values(&api, &instance, false, "gcs", &traffic)
        .expect("sampled");
    assert!(traffic.iter().all(|value| *value > 0.0), "{traffic:?}");
    let keys = [
        "stps", "sqps", "swart", "swmrt", "sqart", "sqmrt", "swnb", "scon",
    ];
    for database in [false, true] {
        let values = window
            .values(&api, &instance, database, "gas", &keys)
            .expect("sampled");
        assert!(
            (values[0] * 10.0 - values[1] * 6.0).abs() < values[1] * 0.01,
            "{values:?}"
        );
        assert!(0.0 < values[2] && values[2] <= values[3], "{values:?}");
        assert!(0.0 < values[4] && values[4] <= values[5], "{values:?}");
        assert!(values[6] > 0.0 && values[7] > 0.0, "{values:?}");
        let disk = wait_for("sizes", || {
            let keys = ["disk_used", "disk_total", "disk_usage"];
            window.values(&api, &instance, database, "gas", &keys)
        });
        assert!(0.0 < disk[0] && disk[0] < disk[1], "{disk:?}");
        assert!(
            (disk[2] - disk[0] * 100.0 / disk[1]).abs() < 0.001,
            "{disk:?}"
        );
    }
    let sizes = window.ask(&api, "DescribeInstanceResourceUsage", &instance, &[]);
    let size = |name: &str| sizes[0][name].as_i64().expect("a number");
    assert!(size("DataSize") > 0 && size("BinlogSize") > 0);
    assert_eq!(
        size("OtherSize") + size("DataSize") + size("BinlogSize"),
        size("TotalSize")
    );
    let of_database = [("DBName", DATABASE)];
    let sizes = window.ask(
        &api,
        "DescribeDatabaseResourceUsage",
        &instance,
        &of_database,
    );
    assert_eq!(sizes.len(), 1);

    // Nothing was sampled yesterday, and nothing is told of it.
    let before = Window::around(Timestamp::now() - SignedDuration::from_hours(48));
    assert_eq!(before.values(&api, &instance, false, "gcs", &["sfn"]), None);
    assert_eq!(
        before.ask(&api, "DescribeInstanceResourceUsage", &instance, &[]),
        [Value::Null; 0]
    );

    drop(session);
    service.kill();
    service.start();
    let api = service.api();
    assert!(
        is_known(&window, &api, &instance, false),
        "what was told is still there"
    );
    assert!(is_known(&window, &api, &instance, true));
    let _ = api.wait_active(&instance);
    api.delete(&instance);
    service.assert_nothing_left();
}
