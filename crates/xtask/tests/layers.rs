//! The shape of the source tree: each crate uses only the layers below it, and no file grows
//! beyond what can be read at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The crates that ship, lowest first: each may use only those before it.
const LAYERS: [&str; 15] = [
    "openpeta-types",
    "openpeta-rpc-api",
    "openpeta-mysql-wire",
    "openpeta-sql-route",
    "openpeta-xa",
    "openpeta-relay-io",
    "openpeta-store",
    "openpeta-engine",
    "openpeta-coordinator",
    "openpeta-tasks",
    "openpeta-monitor",
    "openpeta-control",
    "openpeta-gateway",
    "openpeta-server",
    "openpeta",
];

/// Crates that stand beside the layers: they may use any, and nothing that ships uses them.
const BESIDE: [&str; 3] = ["openpeta-fuzz", "openpeta-testkit", "openpeta-xtask"];

/// Lines that a source file may have.
const MAX_LINES: usize = 800;

fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors()
        .nth(2)
        .expect("this crate lies in crates/xtask")
        .to_owned()
}

/// The packages of the workspace.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    metadata["packages"].as_array().expect("a list").clone()
}

/// Why a dependency is not allowed, if it is not.
fn fault(user: &str, used: &str, kind: Option<&str>) -> Option<String> {
    let layer = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let Some(own) = layer(user) else {
        let known = BESIDE.contains(&user);
        return (!known).then(|| format!("{user} is in no layer; add it to the list"));
    };
    if user == used && kind == Some("dev") {
        // A crate's tests may turn on features of their own crate.
        return None;
    }
    if BESIDE.contains(&used) {
        let allowed = used == "openpeta-testkit" && kind == Some("dev");
        return (!allowed).then(|| format!("{user} ships and must not use {used}"));
    }
    match layer(used) {
        Some(below) if below < own => None,
        _ => Some(format!("{user} must not use {used}, which is not below it")),
    }
}

#[test]
fn every_crate_uses_only_the_layers_below() {
    let mut faults = Vec::new();
    for package in packages() {
        let user = package["name"].as_str().expect("a name");
        if !LAYERS.contains(&user) && !BESIDE.contains(&user) {
            faults.push(format!("{user} is in no layer; add it to the list"));
        }
        for dependency in package["dependencies"].as_array().expect("a list") {
            let used = dependency["name"].as_str().expect("a name");
            // Only crates of the workspace have a path.
            if dependency["path"].is_string() {
                faults.extend(fault(user, used, dependency["kind"].as_str()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_rule_tells_right_from_wrong() {
    assert_eq!(fault("openpeta-store", "openpeta-types", None), None);
    assert_eq!(
        fault("openpeta-store", "openpeta-testkit", Some("dev")),
        None
    );
    assert_eq!(fault("openpeta-store", "openpeta-store", Some("dev")), None);
    assert_eq!(fault("openpeta-testkit", "openpeta-server", None), None);
    assert!(fault("openpeta-store", "openpeta-testkit", None).is_some());
    assert!(fault("openpeta-store", "openpeta-control", None).is_some());
    assert!(fault("openpeta-store", "openpeta-control", Some("dev")).is_some());
    assert!(fault("openpeta-store", "openpeta-xtask", Some("dev")).is_some());
    assert!(fault("openpeta-new", "openpeta-types", None).is_some());
}

/// Every Rust file below a folder.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let entry = entry.expect("a readable entry");
        let kind = entry.file_type().expect("a file type");
        let path = entry.path();
        if kind.is_dir() && entry.file_name() != "target" {
            rust_files(&path, found);
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_source_file_is_too_long() {
    let mut files = Vec::new();
    rust_files(&repository().join("crates"), &mut files);
    assert!(files.len() > 50, "the search goes wrong");
    let too_long: Vec<_> = files
        .iter()
        .map(|path| {
            (
                path,
                fs::read_to_string(path).expect("a text").lines().count(),
            )
        })
        .filter(|(_, lines)| *lines >= MAX_LINES)
        .collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
}
