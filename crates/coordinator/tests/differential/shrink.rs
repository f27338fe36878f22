//! As few statements as still lead to a difference.

use std::time::{Duration, Instant};

use super::generator::{Sort, Statement};
use super::{both, emptied};
use crate::common::World;

/// How many seconds it may take, unless `OPENPETA_PATIENCE` says something else.
const PATIENCE: u64 = 60;

/// Leaves statements out, as long as the last one still differs.
pub async fn shrunk(world: &World, mut history: Vec<Statement>) -> Vec<Statement> {
    let patience = super::setting("OPENPETA_PATIENCE").unwrap_or(PATIENCE);
    let end = Instant::now() + Duration::from_secs(patience);
    let last = history.pop().expect("one that differs");
    let without_reads: Vec<_> = history
        .iter()
        .filter(|it| it.sort != Sort::Read)
        .cloned()
        .collect();
    if still(world, &without_reads, &last).await {
        history = without_reads;
    }
    let mut size = history.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < history.len() && Instant::now() < end {
            let mut fewer = history.clone();
            fewer.drain(at..(at + size).min(history.len()));
            match still(world, &fewer, &last).await {
                true => history = fewer,
                false => at += size,
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    history.push(last);
    history
}

async fn still(world: &World, before: &[Statement], last: &Statement) -> bool {
    let mut pair = emptied(world).await;
    for statement in before {
        // What differs on the way is another difference.
        if both(&mut pair, statement).await.is_err() {
            return false;
        }
    }
    both(&mut pair, last).await.is_err()
}
