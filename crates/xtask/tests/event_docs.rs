//! The kinds of events in docs/alerts.md are those that there are.

use std::fs;
use std::path::Path;

use openpeta_types::EventKind;

#[test]
fn every_kind_of_event_is_documented_as_it_is() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/alerts.md");
    let page = fs::read_to_string(page).expect("docs/alerts.md exists");
    let table = page.split_once("### Kinds of events").expect("a section").1;
    let rows = table
        .lines()
        .skip_while(|line| !line.starts_with("| `"))
        .take_while(|line| line.starts_with("| `"));
    let expected = EventKind::ALL.iter().map(|kind| {
        let severity = match kind {
            EventKind::AlertFiring | EventKind::AlertResolved => "the rule's",
            kind => kind.severity().as_str(),
        };
        format!("| `{kind}` | {severity} | {} |", kind.meaning())
    });
    assert_eq!(rows.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}
