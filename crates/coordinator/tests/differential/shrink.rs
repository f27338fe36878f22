//! As few statements as still lead to a difference.

use std::time::{Duration, Instant};

use super::generator::{Sort, Statement};
use super::outcome::{self, Outcome};
use super::{both, emptied};
use crate::common::World;

/// How many seconds it may take, unless `OPENPETA_PATIENCE` says something else.
const PATIENCE: u64 = 60;

/// Leaves statements out, as long as the last one still differs.
pub async fn shrunk(world: &World, mut history: Vec<Statement>) -> Vec<Statement> {
    let patience = super::setting("OPENPETA_PATIENCE").unwrap_or(PATIENCE);
    let end = Instant::now() + Duration::from_secs(patience);
    let last = history.pop().expect("one that differs");
    let mut wanted = None;
    let mut still = async |before: &[Statement]| {
        let found = difference(world, before, &last).await;
        if found.is_some() && wanted.is_none() {
            wanted.clone_from(&found);
        }
        found.is_some() && found == wanted
    };
    // With all before it: what is looked for.
    if !still(&history).await {
        history.push(last);
        return history;
    }
    let without_reads: Vec<_> = history
        .iter()
        .filter(|it| it.sort != Sort::Read)
        .cloned()
        .collect();
    if still(&without_reads).await {
        history = without_reads;
    }
    let mut size = history.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < history.len() && Instant::now() < end {
            let mut fewer = history.clone();
            fewer.drain(at..(at + size).min(history.len()));
            match still(&fewer).await {
                true => history = fewer,
                false => at += size,
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    history.push(last);
    history
}

/// Of what kind the difference is that the last statement shows: how both have answered it.
async fn difference(
    world: &World,
    before: &[Statement],
    last: &Statement,
) -> Option<(&'static str, &'static str, [u16; 2])> {
    let mut pair = emptied(world).await;
    for statement in before {
        // What differs on the way is another difference.
        if both(&mut pair, statement).await.is_err() {
            return None;
        }
    }
    let parameters = last.parameters.as_deref();
    let ours = outcome::run(&mut pair.ours, &last.text, parameters).await;
    let plain = outcome::run(&mut pair.plain, last.for_plain(), parameters).await;
    ours.against(&plain, last)?;
    let code = |outcome: &Outcome| match outcome {
        Outcome::Failed(code, _) => *code,
        _ => 0,
    };
    Some((ours.kind(), plain.kind(), [code(&ours), code(&plain)]))
}
