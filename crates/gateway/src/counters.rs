//! What the gateway counts per instance.

use std::sync::atomic::{AtomicU64, Ordering};

/// Totals of one instance since it was first published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstanceCounters {
    /// Sessions open now.
    pub sessions: u64,
    /// Connections that passed the whitelist and the limits.
    pub accepted: u64,
    /// Connections refused because the whitelist does not admit their address.
    pub refused_whitelist: u64,
    /// Connections refused because of a limit on sessions.
    pub refused_limit: u64,
    /// Logins with an unknown account or a wrong password.
    pub failed_logins: u64,
    /// Logins that were not finished in time.
    pub login_timeouts: u64,
    /// Connections for which the node could not be reached.
    pub node_failures: u64,
    /// Commands begun, of closed sessions.
    pub commands: u64,
    /// Replies that were errors, of closed sessions.
    pub errors: u64,
    /// Bytes received from clients, as they came over the network.
    pub bytes_in: u64,
    /// Bytes received from the node for clients.
    pub bytes_out: u64,
}

/// Declares the counters and how they are summed up.
macro_rules! loop_counters {
    ($($name:ident),* $(,)?) => {
        /// The share of one event loop. Only its thread writes, so plain additions do, and it has
        /// cache lines of its own, so counting costs no traffic between processors.
        #[derive(Default)]
        #[repr(align(128))]
        pub(crate) struct LoopCounters {
            $(pub(crate) $name: Counter,)*
        }

        impl LoopCounters {
            pub(crate) fn add_to(&self, total: &mut InstanceCounters) {
                $(total.$name += self.$name.get();)*
            }
        }
    };
}

loop_counters!(
    accepted,
    refused_whitelist,
    refused_limit,
    failed_logins,
    login_timeouts,
    node_failures,
    commands,
    errors,
    bytes_in,
    bytes_out,
);

/// A number that one thread adds to and any thread reads.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(count), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
