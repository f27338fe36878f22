//! Times of a node's life and its memory. Run by hand:
//! `cargo nextest run --release -p openpeta-engine --run-ignored only --no-capture measure`.

use std::time::Instant;

use crate::common::{Bed, SETTINGS, STOP_DEADLINE, node};

#[tokio::test]
#[ignore = "prints numbers, checks nothing"]
async fn measure() {
    let bed = Bed::with(|config| config.template_dir = None).await;
    let engine = &bed.engine;
    let begun = Instant::now();
    engine.prepare_template().await.expect("make");
    println!("template        {:>8.1?}", begun.elapsed());
    let nodes: Vec<_> = (0..10).map(|n| node(&format!("nd-{n}"))).collect();
    for node in &nodes {
        let begun = Instant::now();
        engine.create_node(node, &SETTINGS).await.expect("create");
        let created = begun.elapsed();
        engine.start_node(node).await.expect("start");
        let total = begun.elapsed();
        println!(
            "create {created:>8.1?}  start {:>8.1?}  both {total:>8.1?}",
            total - created
        );
    }
    let memory: u64 = nodes
        .iter()
        .map(|node| engine.memory(node).expect("measure"))
        .sum();
    println!(
        "memory (PSS)    {} MiB each of {}",
        (memory >> 20) / 10,
        nodes.len()
    );
    let usage = engine.disk(&nodes[0]).await.expect("measure").usage;
    println!("disk            {} MiB", usage.total_bytes() >> 20);
    let begun = Instant::now();
    for node in &nodes {
        engine.stop_node(node, STOP_DEADLINE).await.expect("stop");
    }
    println!("stop            {:>8.1?} each", begun.elapsed() / 10);
}
