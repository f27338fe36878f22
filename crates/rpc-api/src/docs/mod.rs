//! The API reference out of the table of actions: pages in Markdown, and a description that
//! programs read.

mod action_page;
mod json;
mod openapi;
mod sample;
mod snippets;

pub use action_page::action_page;
pub use openapi::{COMMON_ERRORS, openapi, openapi_compact};
pub use sample::{PLACEHOLDERS, example_parameters};

use std::fmt::Write;

use crate::{Action, ERRORS, Section};

/// What all actions have in common; written by hand.
const CALLING: &str = include_str!("calling.md");

/// The files of the reference: name and text.
#[must_use]
pub fn pages() -> Vec<(String, String)> {
    let actions = Action::ALL
        .iter()
        .map(|&action| (format!("{}.md", action.name()), action_page(action)));
    let others = [
        ("README.md".to_owned(), index_page()),
        ("calling.md".to_owned(), CALLING.to_owned()),
        ("errors.md".to_owned(), errors_page()),
        ("openapi.json".to_owned(), openapi()),
    ];
    others.into_iter().chain(actions).collect()
}

/// The list of actions, section by section.
#[must_use]
pub fn index_page() -> String {
    let mut page = String::from(
        "# API reference\n\n\
         API version 2016-01-01. How to call it, what all actions have in common: \
         [calling.md](calling.md). All error codes: [errors.md](errors.md). The same for \
         programs: [openapi.json](openapi.json), in OpenAPI 3.1. A running service has both: `/openapi.json`, \
         and `/api`, a page on which calls can be tried.\n",
    );
    for &section in Section::ALL {
        let _ = write!(
            page,
            "\n## {}\n\n| Action | |\n| --- | --- |\n",
            section.title()
        );
        for spec in Action::ALL.iter().map(|action| action.spec()) {
            if spec.section == section {
                let name = spec.name;
                let _ = writeln!(page, "| [{name}]({name}.md) | {} |", spec.description);
            }
        }
    }
    page
}

/// The error catalogue.
#[must_use]
pub fn errors_page() -> String {
    let mut page = String::from(
        "# Errors\n\n\
         `<name>` stands for the name of the parameter at fault. A message may be followed by \
         a sentence that says more. Codes marked with * are not in the catalogue of the API \
         document; they fill its gaps with the names that Aliyun's gateway uses, or by \
         analogy. Not every code is answered by this release.\n\n\
         The same call, sent again with a fresh nonce and timestamp, may succeed after \
         `Throttling`, `ServiceUnavailable` and `InternalError`; with a ClientToken it does \
         nothing twice.\n\n\
         | Code | HTTP status | Message |\n| --- | --- | --- |\n",
    );
    for entry in ERRORS {
        let mark = if entry.documented { "" } else { " *" };
        let _ = writeln!(
            page,
            "| `{}`{mark} | {} | {} |",
            entry.code,
            entry.http_status,
            escaped(entry.message),
        );
    }
    page
}

/// A text for a cell of a table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_action_has_a_page_that_the_index_links() {
        let pages = pages();
        let names: HashSet<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), Action::ALL.len() + 4);
        let index = index_page();
        for &action in Action::ALL {
            assert!(index.contains(&format!("({}.md)", action.name())));
        }
    }

    #[test]
    fn links_between_pages_lead_somewhere() {
        let pages = pages();
        for (name, text) in &pages {
            for target in text
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                let file = target.split('#').next().unwrap_or_default();
                assert!(
                    pages.iter().any(|(other, _)| other == file),
                    "{name}: {target}"
                );
            }
        }
    }
}
