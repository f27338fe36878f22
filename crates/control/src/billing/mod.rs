//! Billing: what things cost, what was ordered, what was used, and what happens when it is not
//! paid for.
//!
//! Amounts are whole hundredths of one currency throughout. Orders and usage records carry what
//! they cost in any case; balances move only when the configuration says `charge = true`.

mod clock;
mod locks;
mod orders;
mod prices;
mod quotes;
mod release;
#[cfg(test)]
mod tests;
mod usage;

pub(crate) use clock::SteadyClock;
pub(crate) use orders::{Purchase, Sale};
pub(crate) use prices::{Lot, PriceList, Quote, Term};
