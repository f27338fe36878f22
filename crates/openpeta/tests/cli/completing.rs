//! Completion, asked for as the shells do.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Ran, Seen, Service, binary, error, ok};

/// The service of a tenant with two instances.
fn service() -> Service {
    Service::start(|call: &Seen| match call.action.as_str() {
        "DescribeInstances" => ok(r#"{"RequestId":"R","TotalCount":2,"Instances":{"Instance":[
            {"InstanceId":"pd-aaa","InstanceName":"orders","InstanceStatus":"ACTIVE",
             "Databases":{"Database":[{"DBName":"shop"}]}},
            {"InstanceId":"pd-bbb","InstanceName":"","InstanceStatus":"CREATE",
             "Databases":{"Database":[{"DBName":"books"}]}}]}}"#),
        "DescribeDatabases" => ok(r#"{"RequestId":"R","Databases":{"Database":[
            {"DBName":"shop","NodeSpec":"petadata.s2.xlarge","DBStatus":"ACTIVE"}]}}"#),
        "DescribeAccounts" => ok(r#"{"RequestId":"R","AccountList":{"Account":[
            {"AccountName":"alice","AccountType":"Super","AccountStatus":"ACTIVE"}]}}"#),
        "DescribeTables" => ok(r#"{"RequestId":"R","Tables":{"Table":[{"TableName":"orders"}]}}"#),
        "ListTagResources" => ok(r#"{"RequestId":"R","TagResources":{"TagResource":[
            {"TagKey":"team","TagValue":"my shop"},{"TagKey":"team","TagValue":"my shop"}]}}"#),
        _ => error(500, "Unexpected", "nobody asked for that"),
    })
}

/// What the program offers for the last word, as fish shows it.
fn offered(service: &Service, words: &[&str]) -> Vec<String> {
    let index = words.len().to_string();
    let asked = [&["__complete", "fish", &index, "--", "openpeta"], words].concat();
    let ran = service.run(&asked);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{words:?}");
    ran.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn objects_of_the_service_are_offered() {
    let service = service();
    let offered = |words: &[&str]| offered(&service, words);
    assert_eq!(
        offered(&["delete-instance", "--instance-id", "pd-"]),
        ["pd-aaa\torders, ACTIVE", "pd-bbb\tCREATE"]
    );
    assert_eq!(offered(&["connect", "pd-b"]), ["pd-bbb\tCREATE"]);
    assert_eq!(offered(&["DeleteInstance", "pd-b"]), ["pd-bbb\tCREATE"]);
    assert_eq!(
        offered(&["delete-account", "pd-aaa", "--account-name", ""]),
        ["alice\tSuper, ACTIVE"]
    );
    let of_database = ["describe-table-info", "--InstanceId=pd-aaa", "--DBName"];
    assert_eq!(
        offered(&[&of_database[..], &["s"]].concat()),
        ["shop\tpetadata.s2.xlarge, ACTIVE"]
    );
    let of_table = [&of_database[..], &["shop", "--table-name", ""]].concat();
    assert_eq!(offered(&of_table), ["orders"]);
    // No instance is named: databases of all of them.
    assert_eq!(
        offered(&["describe-tables", "--db-name=b"]),
        ["--db-name=books"]
    );
    assert_eq!(offered(&["tag-resources", "--tag", "te"]), ["team=my shop"]);
    let raw = [
        "call",
        "DeleteAccount",
        "--InstanceId",
        "pd-aaa",
        "--AccountName",
    ];
    assert_eq!(
        offered(&[&raw[..], &["a"]].concat()),
        ["alice\tSuper, ACTIVE"]
    );
}

#[test]
fn what_is_to_be_made_is_not_offered() {
    let service = service();
    let words = ["create-database", "pd-aaa", "--db-name", ""];
    assert_eq!(offered(&service, &words), [""; 0]);
    assert!(service.seen().is_empty());
}

#[test]
fn files_are_offered_after_an_at_sign() {
    let service = service();
    std::fs::write(service.dir.path().join("table.sql"), "").unwrap();
    let start = format!("@{}/tab", service.dir.path().display());
    let words = ["create-table", "pd-aaa", "--table-ddl", &start];
    assert_eq!(offered(&service, &words), [format!("{start}le.sql")]);
}

#[test]
fn nothing_is_said_when_nothing_can_be_asked() {
    let asked = [
        "__complete",
        "bash",
        "2",
        "--",
        "openpeta",
        "connect",
        "pd-",
    ];
    let quiet = |ran: Ran| {
        assert_eq!(
            (ran.code, ran.stdout, ran.stderr),
            (0, "".into(), "".into())
        )
    };
    // No profile.
    let dir = tempfile::tempdir().unwrap();
    quiet(Ran::of(binary(dir.path(), &asked)));
    // A profile that is none.
    std::fs::write(dir.path().join("credentials.json"), "{").unwrap();
    quiet(Ran::of(binary(dir.path(), &asked)));
    // Somebody listens and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = service();
    let file = service.dir.path().join("credentials.json");
    let port = silent.local_addr().unwrap().port();
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, after) = text.split_once("https://127.0.0.1:").unwrap();
    let (_, after) = after.split_once('"').unwrap();
    std::fs::write(&file, format!("{before}https://127.0.0.1:{port}\"{after}")).unwrap();
    let start = Instant::now();
    quiet(service.run(&asked));
    assert!(start.elapsed() < Duration::from_secs(4));
    // Nobody listens.
    drop(silent);
    quiet(service.run(&asked));
    // The line makes no sense.
    quiet(service.run(&[
        "__complete",
        "bash",
        "9",
        "--",
        "openpeta",
        "--nonsense",
        "x",
    ]));
}

/// The script of a shell, made by the program as it lies.
fn script(service: &Service, shell: &str) -> std::path::PathBuf {
    let file = service.dir.path().join(shell);
    std::fs::write(&file, service.run(&["completion", shell]).success()).unwrap();
    file
}

/// What a shell's own code prints, with the tenant's data directory.
fn shell(service: &Service, program: &str, options: &[&str], code: &str) -> String {
    let mut command = Command::new(program);
    let hint = "scripts/install-packages.sh --tests installs it";
    let home: &Path = service.dir.path();
    command.args(options).arg(code);
    command.env("OPENPETA_DATA_DIR", home).env("HOME", home);
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; {hint}"));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{program}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_completes() {
    let service = service();
    let script = script(&service, "bash");
    let complete = |words: &str, current: usize| {
        let code = format!(
            "compopt() {{ echo \"$@\"; }}; source {}; COMP_WORDS=({words}); COMP_CWORD={current}; \
             _openpeta; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        shell(&service, "bash", &["--norc", "-c"], &code)
    };
    assert_eq!(
        complete("openpeta describe-security", 1),
        "describe-security-ips\n"
    );
    assert_eq!(complete("openpeta connect pd-", 2), "pd-aaa\npd-bbb\n");
    // Bash cuts at `=` and replaces what stands after it.
    assert_eq!(
        complete("openpeta delete-instance --instance-id = pd-b", 4),
        "pd-bbb\n"
    );
    assert_eq!(
        complete("openpeta delete-instance --instance-id =", 3),
        "pd-aaa\npd-bbb\n"
    );
    assert_eq!(
        complete("openpeta tag-resources --tag team = my", 5),
        "my\\ shop\n"
    );
    assert_eq!(complete("openpeta describe-tables --table-ddl x", 3), "\n");
}

#[test]
fn fish_completes() {
    let service = service();
    let script = script(&service, "fish");
    let complete = |line: &str| {
        let code = format!(
            "source {}; complete --do-complete '{line}'",
            script.display()
        );
        shell(&service, "fish", &["--no-config", "-c"], &code)
    };
    assert_eq!(
        complete("openpeta connect pd-a"),
        "pd-aaa\torders, ACTIVE\n"
    );
    assert_eq!(
        complete("openpeta delete-instance --instance-id=pd-b"),
        "--instance-id=pd-bbb\tCREATE\n"
    );
}

#[test]
fn zsh_completes() {
    let service = service();
    let script = script(&service, "zsh");
    let complete = |words: &str, current: usize| {
        let code = format!(
            "compdef() {{ }}; _describe() {{ print -rl -- \"${{@[5,-1]}}\" \"${{(@P)3:-}}\" \"${{(@P)4:-}}\" }}; \
             source {}; words=({words}); CURRENT={current}; _openpeta",
            script.display()
        );
        shell(&service, "zsh", &["-f", "-c"], &code)
    };
    assert!(complete("openpeta connect pd-a", 3).contains("pd-aaa:orders, ACTIVE\n"));
}
