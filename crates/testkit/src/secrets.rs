//! The search for secrets that can be read by somebody.

use std::fs;
use std::path::{Path, PathBuf};

use memchr::memmem;
use openpeta_mysql_wire::auth::{native, sha2};

use crate::Service;

/// A form in which a secret, or what is as good as one, could lie about.
struct Form {
    name: String,
    bytes: Vec<u8>,
}

/// See [`Service::places_of`].
pub(crate) fn places_of(service: &Service, secrets: &[&str]) -> Vec<String> {
    let forms: Vec<Form> = secrets.iter().flat_map(|secret| forms_of(secret)).collect();
    let mut files = Vec::new();
    for dir in [service.home().to_owned(), service.nodes_dir()] {
        files_below(&dir, &mut files);
    }
    let processes = service.processes().into_iter().map(|process| process.pid);
    for pid in processes.chain([service.pid()]) {
        files.extend(["cmdline", "environ"].map(|name| format!("/proc/{pid}/{name}").into()));
    }
    files.sort();
    files.dedup();
    assert!(files.len() > 30, "the search goes wrong: {files:?}");
    files
        .iter()
        .filter(|path| {
            path.file_name()
                .is_none_or(|name| name != "credentials.json")
        })
        .flat_map(|path| {
            let content = content_of(path);
            let found = forms.iter().filter(|form| contains(&content, &form.bytes));
            let named: Vec<_> = found
                .map(|form| format!("{} in {}", form.name, path.display()))
                .collect();
            named
        })
        .collect()
}

fn forms_of(secret: &str) -> Vec<Form> {
    let native = native::verifier(secret.as_bytes());
    let sha2 = sha2::verifier(secret.as_bytes());
    let form = |name: &str, bytes: &[u8]| Form {
        name: format!("{name} of {secret:?}"),
        bytes: bytes.to_vec(),
    };
    vec![
        form("the text", secret.as_bytes()),
        form("the percent-encoded text", encoded(secret).as_bytes()),
        form("the native verifier", &native),
        form("the hexadecimal native verifier", hex(&native).as_bytes()),
        form("the SHA-256 verifier", &sha2),
    ]
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn contains(content: &[u8], wanted: &[u8]) -> bool {
    memmem::find(content, wanted).is_some()
}

/// The content of a file without its empty pages, which are most of a new database. Temporary
/// files come and go; one that is gone is empty.
fn content_of(path: &Path) -> Vec<u8> {
    const PAGE: usize = 4096;
    let content = fs::read(path).unwrap_or_default();
    let pages = content.chunks(PAGE).filter(|page| **page != [0; PAGE]);
    pages.flatten().copied().collect()
}

/// Every regular file below a directory.
fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            files_below(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_in_every_form() {
        for form in forms_of("S3cret!") {
            let content = [b"SS3", form.bytes.as_slice(), b"x"].concat();
            assert!(contains(&content, &form.bytes), "{}", form.name);
            assert!(!contains(&content[..form.bytes.len() + 2], &form.bytes));
        }
        assert_eq!(encoded("a!é"), "a%21%C3%A9");
    }
}
