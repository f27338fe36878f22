use std::io::Write;
use std::process::Stdio;

use crate::support::{Ran, Service, binary, error, ok};

const INSTANCES: &str = r#"{"RequestId":"R1","PageNumber":1,"PageSize":10,"TotalCount":1,"Instances":{"Instance":[{"InstanceId":"pd-a","ConnectionString":"127.0.0.1","Port":"3306","InstanceStatus":"ACTIVE","RegionId":"cn-hangzhou","Databases":{"Database":[{"DBName":"shop","ChargeType":"PostPaid"}]}}]}}"#;

#[test]
fn a_list_is_shown_as_a_table() {
    let service = Service::start(|_| ok(INSTANCES));
    let shown = service.run(&["describe-instances"]).success();
    let expected = "\
PageNumber  1
PageSize    10
TotalCount  1

Instances
INSTANCEID  INSTANCESTATUS  CONNECTIONSTRING  PORT  DATABASES      REGIONID
pd-a        ACTIVE          127.0.0.1         3306  shop PostPaid  cn-hangzhou
";
    assert_eq!(shown, expected);
    let seen = service.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].secure);
    assert!(seen[0].parameters.is_empty(), "{seen:?}");
}

#[test]
fn json_is_the_answer_as_it_came() {
    let service = Service::start(|_| ok(INSTANCES));
    for arguments in [
        &["describe-instances", "--json"][..],
        &["call", "DescribeInstances", "--json"],
        &["call", "--json", "DescribeInstances"],
        &["DescribeInstances", "--json"],
    ] {
        let shown = service.run(arguments).success();
        assert_eq!(shown, format!("{INSTANCES}\n"), "{arguments:?}");
    }
}

#[test]
fn an_order_is_sent_whole_and_keeps_its_password_off_the_command_line() {
    let service = Service::start(|_| ok(r#"{"RequestId":"R","InstanceId":"pd-a","OrderId":"7"}"#));
    let mut command = service.command(&[
        "create-instance",
        "--db-name=shop",
        "--account-name",
        "app",
        "--account-password",
        "@-",
        "--pay-type",
        "PostPaid",
    ]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"pass word&+1=\n").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(shown, "RequestId   R\nInstanceId  pd-a\nOrderId     7\n");
    let seen = &service.seen()[0];
    for (name, value) in [
        ("RegionId", "cn-hangzhou"),
        ("ZoneId", "cn-hangzhou-b"),
        ("DBName", "shop"),
        ("NodeSpec", "petadata.s2.xlarge"),
        ("NodeNumber", "1"),
        ("AccountPassword", "pass word&+1="),
        ("ChargeType", "PostPaid"),
    ] {
        assert_eq!(seen.get(name), Some(value), "{name}");
    }
    // So that it can be repeated when the answer gets lost.
    assert!(
        seen.get("ClientToken")
            .is_some_and(|token| token.len() == 36)
    );
}

#[test]
fn call_sends_what_it_is_given() {
    let service = Service::start(|_| ok(r#"{"RequestId":"R"}"#));
    let arguments = [
        "call",
        "DeleteInstance",
        "--InstanceId",
        "pd-é",
        "--Xyz=--1",
    ];
    service.run(&arguments).success();
    let seen = service.seen();
    let given: Vec<_> = seen[0]
        .parameters
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(given, [("InstanceId", "pd-é"), ("Xyz", "--1")]);
}

#[test]
fn repeated_parameters_are_numbered() {
    let service = Service::start(|_| ok(r#"{"RequestId":"R"}"#));
    service
        .run(&[
            "tag-resources",
            "--resource-type=instance",
            "--resource-id=pd-a",
            "--resource-id=pd-b",
            "--tag=env=a=b",
            "--tag=bare",
        ])
        .success();
    let seen = &service.seen()[0];
    for (name, value) in [
        ("ResourceId.1", Some("pd-a")),
        ("ResourceId.2", Some("pd-b")),
        ("Tag.1.Key", Some("env")),
        ("Tag.1.Value", Some("a=b")),
        ("Tag.2.Key", Some("bare")),
        ("Tag.2.Value", None),
    ] {
        assert_eq!(seen.get(name), value, "{name}");
    }
}

#[test]
fn an_api_error_is_told_with_its_code_and_request() {
    let service = Service::start(|_| error(404, "InvalidDBInstanceId.NotFound", "No such thing."));
    let ran = service.run(&["describe-instance-info", "--instance-id", "pd-x"]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.stdout, "");
    assert_eq!(
        ran.stderr,
        "error: InvalidDBInstanceId.NotFound: No such thing. (RequestId: REQ-1)\n"
    );
    let ran = service.run(&["call", "DescribeInstanceInfo", "--json"]);
    assert_eq!(ran.code, 1);
    let body: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(body["Code"], "InvalidDBInstanceId.NotFound");
    assert_eq!(body["RequestId"], "REQ-1");
}

#[test]
fn a_wrong_secret_is_refused() {
    let service = Service::start(|_| ok(INSTANCES));
    let file = service.dir.path().join("credentials.json");
    let text = std::fs::read_to_string(&file)
        .unwrap()
        .replace("test secret", "another");
    std::fs::write(&file, text).unwrap();
    let ran = service.run(&["describe-instances"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("BadSignature"), "{ran:?}");
}

#[test]
fn plain_http_is_for_calls_without_secrets() {
    let service = Service::start(|_| ok(INSTANCES));
    service.run(&["describe-instances", "--http"]).success();
    assert!(!service.seen()[0].secure);
    let arguments = [
        "call",
        "CreateAccount",
        "--http",
        "--AccountPassword",
        "env:SECRET",
    ];
    let mut command = service.command(&arguments);
    command.env("SECRET", "hunter2A!");
    let ran = Ran::of(command);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("plain HTTP"), "{ran:?}");
    assert!(!ran.stderr.contains("hunter2A!"));
    assert_eq!(service.seen().len(), 1);
}

#[test]
fn a_service_with_another_certificate_is_not_trusted() {
    let service = Service::start(|_| ok(INSTANCES));
    let other = Service::start(|_| ok(INSTANCES));
    std::fs::copy(
        other.dir.path().join("ca.pem"),
        service.dir.path().join("ca.pem"),
    )
    .unwrap();
    let ran = service.run(&["describe-instances"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("is not trusted"), "{ran:?}");
    assert!(service.seen().is_empty());
}

#[test]
fn nobody_there_is_an_exit_code_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let ran = Ran::of(binary(dir.path(), &["describe-instances", "--json"]));
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("openpeta serve"), "{ran:?}");
    let body: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(body["Code"], "ServiceUnreachable");

    let service = Service::start(|_| ok(INSTANCES));
    let file = service.dir.path().join("credentials.json");
    std::fs::copy(service.dir.path().join("ca.pem"), dir.path().join("ca.pem")).unwrap();
    std::fs::copy(file, dir.path().join("credentials.json")).unwrap();
    drop(service);
    let ran = Ran::of(binary(dir.path(), &["describe-instances"]));
    assert_eq!(ran.code, 3, "{ran:?}");
}

#[test]
fn a_profile_may_lie_elsewhere() {
    let service = Service::start(|_| ok(INSTANCES));
    let empty = tempfile::tempdir().unwrap();
    let file = service.dir.path().join("credentials.json");
    let mut command = binary(empty.path(), &["describe-instances"]);
    command.env("OPENPETA_PROFILE", &file);
    Ran::of(command).success();
    let arguments = ["describe-instances", "--profile", file.to_str().unwrap()];
    Ran::of(binary(empty.path(), &arguments)).success();
    // A data directory on the command line means its own credentials.
    let data_dir = empty.path().to_str().unwrap();
    let mut command = binary(
        empty.path(),
        &["--data-dir", data_dir, "describe-instances"],
    );
    command.env("OPENPETA_PROFILE", &file);
    assert_eq!(Ran::of(command).code, 3);
}
