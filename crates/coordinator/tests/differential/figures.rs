//! How many statements were run, and what was refused.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::generator::{Sort, Statement};
use super::outcome::Outcome;

#[derive(Default)]
pub struct Figures {
    /// By sort: run, failed on both alike, refused.
    sorts: BTreeMap<&'static str, [u64; 3]>,
    reasons: BTreeMap<String, (u64, String)>,
}

impl Figures {
    pub fn count(&mut self, statement: &Statement, ours: &Outcome, plain: Option<&Outcome>) {
        let sort = match statement.sort {
            Sort::Read => "reads",
            Sort::Write | Sort::Rows => "writes",
            Sort::Definition => "definitions",
            Sort::Control => "transactions, variables, `SHOW`",
        };
        let counts = self.sorts.entry(sort).or_default();
        counts[0] += 1;
        if let Some(code) = ours.refusal() {
            counts[2] += 1;
            let reason = self
                .reasons
                .entry(code.to_owned())
                .or_insert_with(|| (0, statement.shown()));
            reason.0 += 1;
        } else if plain.is_some_and(Outcome::is_failed) {
            counts[1] += 1;
        }
    }

    fn total(&self) -> [u64; 3] {
        let mut total = [0; 3];
        for counts in self.sorts.values() {
            for (sum, count) in total.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        total
    }

    /// Of the statements that one server would run, in percent.
    pub fn refused_share(&self) -> f64 {
        let [run, failed, refused] = self.total();
        refused as f64 * 100.0 / (run - failed) as f64
    }

    pub fn told(&self) -> String {
        let mut text = self.table();
        for (code, (count, example)) in &self.reasons {
            writeln!(text, "{code} ({count}): {example}").unwrap();
        }
        text
    }

    fn table(&self) -> String {
        let mut text =
            "| statements | run | failed on both alike | refused |\n|---|---|---|---|\n".to_owned();
        for (sort, [run, failed, refused]) in &self.sorts {
            writeln!(text, "| {sort} | {run} | {failed} | {refused} |").unwrap();
        }
        let [run, failed, refused] = self.total();
        writeln!(
            text,
            "| all | {run} | {failed} | {refused}, {:.2} % of what one server runs |",
            self.refused_share()
        )
        .unwrap();
        let reasons: Vec<_> = self
            .reasons
            .iter()
            .map(|(code, (count, _))| format!("[{code}](#{code}) {count}"))
            .collect();
        if !reasons.is_empty() {
            writeln!(text, "\nRefused: {}.", reasons.join(", ")).unwrap();
        }
        text
    }

    /// Puts the figures into the manual.
    pub fn write(&self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sharding-sql.md");
        let manual = std::fs::read_to_string(&path).expect("the manual");
        let (begin, end) = ("<!-- figures -->\n", "<!-- end of figures -->\n");
        let (before, rest) = manual.split_once(begin).expect("a place for the figures");
        let (_, after) = rest.split_once(end).expect("an end of the figures");
        let text = format!("{before}{begin}{}{end}{after}", self.table());
        std::fs::write(path, text).expect("written");
    }
}
