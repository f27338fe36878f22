//! Billing: what things cost, what was ordered, what was used, and what happens when it is not
//! paid for.
//!
//! Amounts are whole hundredths of one currency throughout. Orders and usage records carry what
//! they cost in any case; balances move only when the configuration says `charge = true`.

mod orders;
mod prices;
mod quotes;
#[cfg(test)]
mod tests;

pub(crate) use orders::{Purchase, Sale};
pub(crate) use prices::{Lot, PriceList, Quote, Term};
