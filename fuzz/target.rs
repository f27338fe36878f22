//! The target that the binary is named after.
#![no_main]

use std::sync::LazyLock;

use openpeta_fuzz::Target;

static TARGET: LazyLock<&Target> =
    LazyLock::new(|| Target::find(env!("CARGO_BIN_NAME")).expect("a target of this name"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
