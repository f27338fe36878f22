//! Each code of a refusal has a section in the manual.

use std::collections::BTreeSet;
use std::path::Path;

/// The codes in a source: what stands in quotes behind `Refusal::new(`, and behind the mark of texts.
fn codes(source: &str, found: &mut BTreeSet<String>) {
    for mark in ["Refusal::new(", "\"OpenPeta: "] {
        for (at, _) in source.match_indices(mark) {
            let rest = source[at + mark.len()..]
                .trim_start()
                .trim_start_matches('"');
            let is_of_code = |c: char| c.is_ascii_lowercase() || c == '-';
            let end = rest.find(|c| !is_of_code(c)).unwrap_or(rest.len());
            let ends_well = rest[end..].starts_with('"') || rest[end..].starts_with(':');
            if end > 1 && ends_well {
                found.insert(rest[..end].to_owned());
            }
        }
    }
}

fn read_all(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).expect("sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_all(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            codes(&std::fs::read_to_string(&path).expect("text"), found);
        }
    }
}

#[test]
fn every_refusal_is_in_the_manual() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    read_all(&own.join("src"), &mut found);
    assert!(found.len() > 40, "{found:?}");
    let manual = own.join("../../docs/sharding-sql.md");
    let manual = std::fs::read_to_string(manual).expect("the manual");
    let sections: BTreeSet<_> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let missing: Vec<_> = found
        .iter()
        .filter(|code| !sections.contains(code.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
