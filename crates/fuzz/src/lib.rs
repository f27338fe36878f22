//! Fuzz targets: each takes any bytes, gives them to something that reads bytes from outside, and
//! panics when that breaks a promise. The same functions run
//!
//! - in this crate's test, for a moment, over seeds and damaged seeds;
//! - by `cargo xtask fuzz TARGET --seconds N`, for as long as one likes, on any toolchain;
//! - by `cargo +nightly fuzz run TARGET` in the folder `fuzz`, led by coverage, which finds most.
//!
//! What one of them found and was mended lies in `crates/fuzz/corpus/TARGET` and is run each time.

mod mutate;
mod targets;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use self::mutate::Mutator;
use self::targets::{api, policy, session, sql, wire};

/// One of them.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// Bytes that get far.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 11] = [
    target("client_packets", wire::client_packets, wire::client_seeds),
    target("server_packets", wire::server_packets, wire::server_seeds),
    target("commands", wire::commands, wire::command_seeds),
    target("replies", wire::replies, wire::reply_seeds),
    target("compressed", wire::compressed, wire::compressed_seeds),
    target("proxy_header", wire::proxy_header, wire::proxy_seeds),
    target("statement", sql::statement, sql::seeds),
    target("request", api::request, api::request_seeds),
    target("values", api::values, api::value_seeds),
    target("policy", policy::run, policy::seeds),
    target("session", session::run, session::seeds),
];

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

impl Target {
    /// The target of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// The seeds, and what was found before.
    #[must_use]
    pub fn corpus(&self) -> Vec<Vec<u8>> {
        let mut corpus = (self.seeds)();
        let found = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
        if let Ok(files) = std::fs::read_dir(found.join(self.name)) {
            let mut files: Vec<_> = files.flatten().map(|file| file.path()).collect();
            files.sort();
            corpus.extend(files.iter().filter_map(|file| std::fs::read(file).ok()));
        }
        corpus
    }

    /// Runs it over its corpus, then over damaged pieces of it until `patience` is over, and
    /// returns how many that were. Bytes on which it fails are handed to `failed` first.
    pub fn run_for(&self, patience: Duration, seed: u64, failed: fn(&Self, &[u8])) -> u64 {
        let end = Instant::now() + patience;
        let corpus = self.corpus();
        for bytes in &corpus {
            self.run_told(bytes, failed);
        }
        let mut mutator = Mutator::new(seed);
        let mut count = corpus.len() as u64;
        while Instant::now() < end {
            for _ in 0..64 {
                self.run_told(&mutator.mutated(&corpus), failed);
            }
            count += 64;
        }
        count
    }

    /// Runs it, and tells of a panic before it goes on.
    pub fn run_told(&self, bytes: &[u8], failed: fn(&Self, &[u8])) {
        let result = std::panic::catch_unwind(|| (self.run)(bytes));
        if let Err(panic) = result {
            failed(self, bytes);
            std::panic::resume_unwind(panic);
        }
    }
}
