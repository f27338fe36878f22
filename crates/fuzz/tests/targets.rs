//! Every target, over its seeds, what was found before, and some thousand damaged ones. A failure
//! names the bytes.

use openpeta_fuzz::{Mutator, TARGETS, Target};

/// Damaged inputs of each target.
const RUNS: usize = 4000;

fn told(target: &Target, bytes: &[u8]) {
    panic!("{} fails on \"{}\"", target.name, bytes.escape_ascii());
}

fn run(name: &str) {
    let target = Target::find(name).expect("a target");
    let corpus = target.corpus();
    assert!(!corpus.is_empty());
    let mut mutator = Mutator::new(1);
    for bytes in &corpus {
        target.run_told(bytes, told);
    }
    for _ in 0..RUNS {
        target.run_told(&mutator.mutated(&corpus), told);
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { run(stringify!($name)); })*

        #[test]
        fn none_is_left_out() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets!(client_packets server_packets commands replies compressed proxy_header statement request values policy session);
