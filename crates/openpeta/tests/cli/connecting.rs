use crate::support::{Ran, Reply, Seen, Service, ok, write_program};

const FAKE_CLIENT: &str = r#"#!/bin/sh
for argument in "$@"; do echo "argument $argument"; done
file=${1#--defaults-file=}
stat -L -c 'mode %a' "$file"
cat "$file"
env | grep -c 'Passw0rd'
exit 7
"#;

fn instance_with_accounts(accounts: &'static str) -> impl Fn(&Seen) -> Reply {
    move |seen: &Seen| match seen.action.as_str() {
        "DescribeInstanceInfo" => ok(
            r#"{"RequestId":"R","InstanceId":"pd-a","InstanceStatus":"ACTIVE","NetworkInfoItems":{"NetworkInfoItem":[{"NetworkType":"INTERNAL","ConnectionString":"127.0.0.1","Port":"3307"}]},"Databases":{"Database":[{"DBName":"shop"}]}}"#,
        ),
        "DescribeAccounts" => ok(&format!(
            r#"{{"RequestId":"R","AccountList":{{"Account":[{accounts}]}}}}"#
        )),
        "DescribeInstances" => {
            ok(r#"{"RequestId":"R","Instances":{"Instance":[{"InstanceId":"pd-a"}]}}"#)
        }
        other => panic!("{other}"),
    }
}

fn connect(service: &Service, arguments: &[&str]) -> Ran {
    let programs = tempfile::tempdir().unwrap();
    write_program(&programs.path().join("mariadb"), FAKE_CLIENT);
    let path = std::env::var("PATH").unwrap();
    let mut command = service.command(&["connect"]);
    command
        .args(arguments)
        .env("PATH", format!("{}:{path}", programs.path().display()))
        .env("OPENPETA_PASSWORD", r#"Passw0rd"\"#);
    Ran::of(command)
}

#[test]
fn the_client_is_run_with_its_password_in_a_private_file() {
    let service = Service::start(instance_with_accounts(r#"{"AccountName":"app"}"#));
    std::fs::write(service.dir.path().join(".my.cnf"), "[client]\n").unwrap();
    // The instance is the only one, and so are its account and its database.
    let ran = connect(&service, &["-e", "select 1", "--", "--batch"]);
    // The exit code is the client's.
    assert_eq!(ran.code, 7, "{ran:?}");
    for line in [
        "argument --protocol=TCP",
        "argument --host=127.0.0.1",
        "argument --port=3307",
        "argument --user=app",
        "argument --database=shop",
        "argument --execute=select 1",
        "argument --batch",
        "mode 600",
        "[client]",
        r#"password="Passw0rd\"\\""#,
    ] {
        assert!(ran.stdout.lines().any(|own| own == line), "{line}: {ran:?}");
    }
    let include = format!("!include {}/.my.cnf", service.dir.path().display());
    assert!(ran.stdout.contains(&include), "{ran:?}");
    // Neither in its arguments nor in its environment.
    assert_eq!(ran.stdout.matches("Passw0rd").count(), 1, "{ran:?}");
    assert!(ran.stdout.ends_with("0\n"), "{ran:?}");
}

#[test]
fn several_accounts_need_a_choice() {
    let service = Service::start(instance_with_accounts(
        r#"{"AccountName":"app"},{"AccountName":"report"}"#,
    ));
    let ran = connect(&service, &[]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("app, report"), "{ran:?}");
    let ran = connect(&service, &["--user", "report", "--database", ""]);
    assert!(ran.stdout.contains("--user=report\n"), "{ran:?}");
    assert!(!ran.stdout.contains("--database"), "{ran:?}");
}

#[test]
fn an_endpoint_that_does_not_exist_is_named() {
    let service = Service::start(instance_with_accounts(r#"{"AccountName":"app"}"#));
    let ran = connect(&service, &["pd-a", "--endpoint", "PUBLIC"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("pd-a has no PUBLIC endpoint"),
        "{ran:?}"
    );
}
