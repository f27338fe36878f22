//! The API reference in docs/api is what the table of actions says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use openpeta_rpc_api::{Action, docs};

#[test]
fn the_api_reference_is_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api");
    let written: BTreeMap<String, String> = fs::read_dir(&folder)
        .expect("docs/api exists")
        .map(|entry| entry.expect("a readable folder").path())
        .map(|path| {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, fs::read_to_string(&path).expect("a text"))
        })
        .collect();
    let expected: BTreeMap<String, String> = docs::pages().into_iter().collect();
    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&written), names(&expected), "run `cargo xtask docs`");
    for (name, text) in expected {
        assert!(
            written[&name] == text,
            "docs/api/{name} is stale; run `cargo xtask docs`"
        );
    }
}

#[test]
fn every_action_is_on_the_compatibility_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md");
    let page = fs::read_to_string(page).expect("docs/compatibility.md exists");
    for action in Action::ALL {
        let name = action.name();
        let is_named = page
            .split(|letter: char| !letter.is_ascii_alphanumeric())
            .any(|word| word == name);
        assert!(is_named, "docs/compatibility.md does not speak of {name}");
    }
}
