use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use openpeta_control::admin::protocol::{AdminCommand, AdminReply};
use serde_json::{Value, json};

use crate::support::{Ran, binary};

/// Takes one command on `dir/admin.sock` and answers it.
fn answer_once(dir: &Path, reply: AdminReply) -> JoinHandle<AdminCommand> {
    let socket = UnixListener::bind(dir.join("admin.sock")).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = socket.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        let mut text = serde_json::to_vec(&reply).unwrap();
        text.push(b'\n');
        stream.write_all(&text).unwrap();
        serde_json::from_str(&line).unwrap()
    })
}

fn run(arguments: &[&str], reply: AdminReply) -> (Ran, AdminCommand) {
    let dir = tempfile::tempdir().unwrap();
    let service = answer_once(dir.path(), reply);
    let ran = Ran::of(binary(dir.path(), arguments));
    (ran, service.join().unwrap())
}

#[test]
fn a_new_tenant_is_shown_as_exactly_three_members() {
    let reply = json!({"name": "acme", "account_id": "1000000000000001",
                       "access_key_id": "k", "access_key_secret": "s"});
    let (ran, command) = run(
        &["admin", "tenant", "create", "--name", "acme", "--json"],
        AdminReply::Ok(reply),
    );
    assert_eq!(
        ran.success(),
        "{\"account_id\":\"1000000000000001\",\"access_key_id\":\"k\",\"access_key_secret\":\"s\"}\n"
    );
    assert!(matches!(command, AdminCommand::TenantCreate { name } if name == "acme"));
}

#[test]
fn lists_are_tables() {
    let reply = json!([{"name": "acme", "balance_cents": 5, "account_id": "12"}]);
    let (ran, command) = run(&["admin", "tenant", "list"], AdminReply::Ok(reply));
    assert_eq!(
        ran.success(),
        "ACCOUNT_ID  NAME  BALANCE_CENTS\n12          acme  5\n"
    );
    assert!(matches!(command, AdminCommand::TenantList));
}

#[test]
fn a_refusal_is_told() {
    let reply = AdminReply::Error {
        code: "TaskRunning".to_owned(),
        message: "it runs".to_owned(),
    };
    let (ran, command) = run(&["admin", "task", "retry", "42"], reply);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.stderr, "error: TaskRunning: it runs\n");
    assert!(matches!(command, AdminCommand::TaskRetry { task_id } if task_id.number() == 42));
}

#[test]
fn a_policy_comes_from_a_file_or_as_text() {
    let policy = r#"{"Version":"1","Statement":[]}"#;
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("policy.json");
    std::fs::write(&file, format!("{policy}\n")).unwrap();
    for given in [policy, file.to_str().unwrap()] {
        let arguments = [
            "admin",
            "policy",
            "attach",
            "--account-id=12",
            "--user-name=u",
            "--policy-name=p",
            "--document",
            given,
        ];
        let (ran, command) = run(&arguments, AdminReply::Ok(Value::Null));
        assert_eq!(ran.success(), "done\n");
        let AdminCommand::PolicyAttach { document, .. } = command else {
            panic!("{command:?}")
        };
        assert_eq!(document, policy);
    }
}

#[test]
fn every_command_can_be_typed() {
    for line in [
        "tenant update --account-id 12 --balance-cents -5 --real-name-verified true",
        "access-key create --account-id 12 --user-name u",
        "access-key disable --access-key-id k",
        "access-key list --account-id 12",
        "ram-user create --account-id 12 --user-name u",
        "ram-user delete --account-id 12 --user-name u",
        "ram-user list --account-id 12",
        "policy detach --account-id 12 --user-name u --policy-name p",
        "policy list --account-id 12 --user-name u",
        "policy explain --account-id 12 --user u --action DeleteInstance --resource pd-a --source-ip 10.1.2.3 --secure-transport false --at 2026-01-31T08:00:00Z",
        "sts issue --account-id 12 --duration-seconds 900",
        "vpc create --region-id cn-hangzhou --cidr 10.1.0.0/16",
        "vpc delete --vpc-id vpc-a",
        "vpc list",
        "vswitch create --vpc-id vpc-a --zone-id cn-hangzhou-b --cidr 10.1.0.0/24",
        "vswitch delete --vswitch-id vsw-a",
        "vswitch list",
        "instance list",
        "instance statistics --instance-id pd-a --of digests",
        "instance lock --instance-id pd-a --reason maintenance",
        "instance unlock --instance-id pd-a",
        "instance delete --instance-id pd-a",
        "instance renew --instance-id pd-a --months 12",
        "instance disk-quota --instance-id pd-a --bytes 1073741824",
        "instance slow-log --instance-id pd-a --threshold-ms 250",
        "instance watch-indexes --instance-id pd-a --off",
        "instance slow-log --instance-id pd-a --default",
        "account limits --instance-id pd-a --account-name alice --connections 5 --queries-per-second 0",
        "node list",
        "partition list --instance-id pd-a --db-name shop --count",
        "partition list --instance pd-a --database shop",
        "partition move --instance-id pd-a --db-name shop --partition 3,5 --node 1",
        "task list --status failed --limit 5",
        "task show 42",
        "task cancel 42",
        "alert create --name busy --item gcs.sqps --above 100 --for 90s --severity critical --repeat 4h",
        "alert delete --name busy",
        "alert pause --name busy",
        "alert resume --name busy",
        "alert list",
        "alert items",
        "webhook create --name ops --url https://example.com/ --all-events",
        "webhook delete --name ops",
        "webhook list",
        "webhook test --name ops",
        "event list --instance-id pd-a --kind node-crashed,task-stuck --since 7d --severity warning",
        "audit list --action CreateInstance",
    ] {
        let arguments: Vec<&str> = ["admin"].into_iter().chain(line.split(' ')).collect();
        let (ran, command) = run(&arguments, AdminReply::Ok(json!([])));
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        let sent = serde_json::to_value(&command).unwrap();
        let mut words = line.split(' ');
        let name = format!("{}-{}", words.next().unwrap(), words.next().unwrap());
        assert_eq!(sent["command"], name.as_str());
    }
}

#[test]
fn nothing_that_listens_is_unreachable() {
    let dir = tempfile::tempdir().unwrap();
    let ran = Ran::of(binary(dir.path(), &["admin", "node", "list"]));
    assert_eq!(ran.code, 3);
    drop(UnixListener::bind(dir.path().join("admin.sock")).unwrap());
    let ran = Ran::of(binary(dir.path(), &["admin", "node", "list"]));
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("has stopped"), "{ran:?}");
}

#[test]
fn a_long_path_is_no_obstacle() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("x".repeat(120));
    std::fs::create_dir(&dir).unwrap();
    // The listener has the same limit, so the socket is bound elsewhere and moved.
    let service = answer_once(parent.path(), AdminReply::Ok(json!([])));
    std::fs::rename(parent.path().join("admin.sock"), dir.join("admin.sock")).unwrap();
    Ran::of(binary(&dir, &["admin", "node", "list"])).success();
    service.join().unwrap();
}
