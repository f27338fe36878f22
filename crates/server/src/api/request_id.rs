//! RequestIds.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use openpeta_types::RequestId;

/// A RequestId that no other call has: a counter under two random keys of this process. It
/// need not be hard to guess, and so costs no system call.
pub(super) fn new_request_id() -> RequestId {
    static KEYS: LazyLock<[RandomState; 2]> =
        LazyLock::new(|| [RandomState::new(), RandomState::new()]);
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let [high, low] = &*KEYS;
    let bits = u128::from(high.hash_one(count)) << 64 | u128::from(low.hash_one(count));
    RequestId::from_random(bits.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique() {
        let ids: HashSet<_> = (0..100_000).map(|_| new_request_id()).collect();
        assert_eq!(ids.len(), 100_000);
    }
}
