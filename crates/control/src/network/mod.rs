//! Where instances can be reached: endpoints at addresses of the host, of VSwitches and of the
//! public side; what they are called, and how they are opened and closed.

mod names;
mod opening;
mod places;
#[cfg(test)]
mod tests;

pub(crate) use names::{ConnectionString, check_prefix, usual_prefix};
pub(crate) use opening::{Opened, check_reachable, reachable_address};
