use openpeta_rpc_api::Action;

use crate::support::{Ran, Service, binary, ok};

fn run(arguments: &[&str]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    Ran::of(binary(dir.path(), arguments))
}

#[test]
fn help_names_every_command_and_every_action() {
    let help = run(&["--help"]).success();
    for word in [
        "serve",
        "admin",
        "call",
        "connect",
        "completion",
        "Exit codes",
    ] {
        assert!(help.contains(word), "{word}");
    }
    let listed = help.lines().filter(|line| line.starts_with("    ")).count();
    assert!(listed >= Action::ALL.len(), "{listed}");
    assert!(help.contains("create-instance\n"), "{help}");
}

#[test]
fn help_of_an_action_tells_what_it_takes() {
    let help = run(&["create-instance", "--help"]).success();
    for text in [
        "--db-name",
        "[required]",
        "[default: the region of the credentials]",
        "[default: petadata.s2.xlarge]",
        "[values: PrePaid, PostPaid]",
        "@FILE, @- or env:NAME",
        "--wait",
    ] {
        assert!(help.contains(text), "{text} is not in {help}");
    }
    assert!(
        !run(&["describe-instances", "-h"])
            .success()
            .contains("--wait")
    );
}

#[test]
fn what_is_missing_is_named() {
    let ran = run(&["create-instance", "--db-name", "shop"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--account-name"), "{ran:?}");
    assert_eq!(run(&["no-such-thing"]).code, 2);
}

#[test]
fn a_missing_password_is_named_when_there_is_nobody_to_ask() {
    let service = Service::start(|_| ok("{}"));
    let arguments = ["create-account", "--instance-id=pd-a", "--account-name=app"];
    let ran = service.run(&arguments);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--account-password"), "{ran:?}");
    assert!(service.seen().is_empty());
}

#[test]
fn without_arguments_the_next_step_is_shown() {
    let shown = run(&[]).success();
    assert!(shown.contains("\n    openpeta serve\n"), "{shown}");

    let none = r#"{"RequestId":"R","TotalCount":0,"Instances":{"Instance":[]}}"#;
    let service = Service::start(move |_| ok(none));
    let shown = service.run(&[]).success();
    assert!(
        shown.contains("\n    openpeta create-instance --db-name"),
        "{shown}"
    );

    let one = r#"{"RequestId":"R","Instances":{"Instance":[{"InstanceId":"pd-a"}]}}"#;
    let service = Service::start(move |_| ok(one));
    let shown = service.run(&[]).success();
    assert!(shown.contains("\n    openpeta connect pd-a\n"), "{shown}");
}
