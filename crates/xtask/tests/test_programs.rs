//! Where the tests of a crate are one program, it has all of them.

use std::fs;
use std::path::{Path, PathBuf};

/// The files directly in a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a readable folder");
    let paths = entries.map(|entry| entry.expect("a readable entry").path());
    paths.filter(|path| path.is_file()).collect()
}

#[test]
fn no_file_of_tests_is_left_out() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut looked_at = 0;
    for entry in fs::read_dir(&crates).expect("the crates") {
        let folder = entry.expect("a readable entry").path();
        let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else {
            continue;
        };
        if !manifest.contains("\nautotests = false\n") {
            continue;
        }
        let tests = folder.join("tests");
        let main = fs::read_to_string(tests.join("main.rs")).expect("a tests/main.rs");
        for file in files(&tests) {
            let name = file.file_stem().expect("a name").to_string_lossy();
            let is_there = name == "main" || main.contains(&format!("\nmod {name};\n"));
            assert!(is_there, "{} is in no test program", file.display());
            looked_at += 1;
        }
    }
    assert!(looked_at > 50, "{looked_at} files are few: where are they?");
}
