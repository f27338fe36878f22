use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Reply, Seen, Service, error, ok};

const ORDER: &[&str] = &[
    "call",
    "CreateInstance",
    "--DBName=shop",
    "--NodeSpec=petadata.s2.xlarge",
    "--NodeNumber=1",
    "--AccountName=app",
    "--AccountPassword=Passw0rd!",
    "--wait",
];

fn tasks(list: &str) -> Reply {
    ok(&format!(
        r#"{{"RequestId":"R","Tasks":{{"Task":[{list}]}}}}"#
    ))
}

fn task(id: u32, status: &str, percent: u32, step: &str) -> String {
    format!(
        r#"{{"TaskId":"{id}","Status":"{status}","TaskAction":"A","Progress":"{percent}","ProgressInfo":"{step}"}}"#
    )
}

fn instance(status: &str) -> Reply {
    ok(&format!(
        r#"{{"RequestId":"R","InstanceId":"pd-a","InstanceStatus":"{status}","NetworkInfoItems":{{"NetworkInfoItem":[{{"NetworkType":"INTERNAL","ConnectionString":"127.0.0.1","Port":"3307"}}]}}}}"#
    ))
}

/// Answers as a service does whose create goes through these stages, one a look.
fn creating(stages: Vec<(&'static str, u32, &'static str)>) -> impl Fn(&Seen) -> Reply {
    let looks = AtomicUsize::new(0);
    move |seen: &Seen| match seen.action.as_str() {
        "CreateInstance" => ok(r#"{"RequestId":"R","InstanceId":"pd-a","OrderId":"7"}"#),
        "DescribeTasks" => {
            assert_eq!(seen.get("TaskAction"), Some("CreateInstance"));
            let look = looks.fetch_add(1, Ordering::Relaxed).min(stages.len() - 1);
            let (status, percent, step) = stages[look];
            tasks(&task(12, status, percent, step))
        }
        "DescribeInstanceInfo" => instance("ACTIVE"),
        "DescribeTaskStatus" => ok(r#"{"RequestId":"R","TaskId":"12","Message":"disk is full"}"#),
        other => panic!("{other}"),
    }
}

#[test]
fn an_order_is_followed_until_it_is_active() {
    let service = Service::start(creating(vec![
        ("0", 0, "waiting"),
        ("1", 40, "start node"),
        ("1", 40, "start node"),
        ("2", 100, "done"),
    ]));
    let ran = service.run(ORDER);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("InstanceId  pd-a\n"), "{ran:?}");
    assert!(
        ran.stdout.contains(
            "pd-a is ACTIVE\nINTERNAL endpoint  127.0.0.1:3307\nConnect with  openpeta connect pd-a\n"
        ),
        "{ran:?}"
    );
    assert_eq!(
        ran.stderr,
        "CreateInstance pd-a 0%: waiting\nCreateInstance pd-a 40%: start node\n\
         CreateInstance pd-a 100%: done\n"
    );
}

#[test]
fn json_holds_the_answer_and_the_instance() {
    let service = Service::start(creating(vec![("2", 100, "done")]));
    let mut arguments = ORDER.to_vec();
    arguments.push("--json");
    let shown = service.run(&arguments).success();
    let document: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(document["InstanceId"], "pd-a");
    assert_eq!(document["Wait"]["Instance"]["InstanceStatus"], "ACTIVE");
}

#[test]
fn a_failed_task_is_told_with_step_and_reason() {
    let service = Service::start(creating(vec![
        ("1", 40, "start node"),
        ("3", 40, "start node"),
    ]));
    let ran = service.run(ORDER);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(
        ran.stderr.ends_with(
            "error: TaskFailed: CreateInstance of pd-a failed (task 12): start node: disk is full\n"
        ),
        "{ran:?}"
    );
}

#[test]
fn a_task_that_takes_too_long_goes_on_without_us() {
    let service = Service::start(creating(vec![("1", 40, "start node")]));
    let mut arguments = ORDER.to_vec();
    arguments.extend(["--timeout", "0"]);
    let ran = service.run(&arguments);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stderr.contains("WaitTimeout"), "{ran:?}");
}

#[test]
fn a_deletion_is_done_when_the_instance_is_gone() {
    let looks = AtomicUsize::new(0);
    let service = Service::start(move |seen| match seen.action.as_str() {
        "DeleteInstance" => ok(r#"{"RequestId":"R"}"#),
        "DescribeInstanceInfo" => instance("DELETE"),
        "DescribeTasks" => match looks.fetch_add(1, Ordering::Relaxed) {
            // An older task of the same kind, which failed, must not be taken for this one.
            0 => tasks(&task(3, "3", 10, "stop node")),
            1 => tasks(&format!(
                "{},{}",
                task(3, "3", 10, "stop node"),
                task(14, "1", 50, "remove files")
            )),
            _ => error(404, "InvalidDBInstanceId.NotFound", "gone"),
        },
        other => panic!("{other}"),
    });
    let ran = service.run(&["delete-instance", "--instance-id=pd-a", "--wait"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.ends_with("pd-a is gone\n"), "{ran:?}");
    assert_eq!(ran.stderr, "DeleteInstance pd-a 50%: remove files\n");
}

#[test]
fn a_service_that_restarts_meanwhile_is_waited_for() {
    let looks = AtomicUsize::new(0);
    let service = Service::start(move |seen| match seen.action.as_str() {
        "CreateInstance" => ok(r#"{"RequestId":"R","InstanceId":"pd-a"}"#),
        "DescribeInstanceInfo" => instance("ACTIVE"),
        _ => match looks.fetch_add(1, Ordering::Relaxed) {
            0 => error(503, "ServiceUnavailable", "draining"),
            1 => error(403, "Throttling.User", "slow down"),
            _ => tasks(&task(12, "2", 100, "done")),
        },
    });
    assert_eq!(service.run(ORDER).code, 0);
}

#[test]
fn an_undone_order_is_a_failure() {
    let looks = AtomicUsize::new(0);
    let service = Service::start(move |seen| match seen.action.as_str() {
        "CreateInstance" => ok(r#"{"RequestId":"R","InstanceId":"pd-a"}"#),
        "DescribeTasks" if looks.fetch_add(1, Ordering::Relaxed) == 0 => {
            tasks(&task(12, "1", 40, "The disk is full."))
        }
        _ => error(404, "InvalidDBInstanceId.NotFound", "gone"),
    });
    let ran = service.run(ORDER);
    assert_eq!(ran.code, 4);
    let told = "CreateInstance of pd-a failed and was undone: The disk is full.";
    assert!(ran.stderr.contains(told), "{ran:?}");
}

#[test]
fn there_is_nothing_to_wait_for_after_a_question() {
    let service = Service::start(|_| ok("{}"));
    let ran = service.run(&["call", "DescribeInstances", "--wait"]);
    assert_eq!(ran.code, 2);
    assert!(service.seen().is_empty());
}
