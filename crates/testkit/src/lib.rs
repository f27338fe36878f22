//! Fixtures for tests of the whole program: the built binary on a data directory of its own, a
//! client of the signed API, a MySQL client, and a look at what a service leaves behind.
//!
//! Holds no test and nothing that ships. What goes wrong in a fixture panics, as tests want it.

mod admin;
mod api;
mod collector;
mod examples;
mod http;
mod ports;
mod processes;
mod rows;
mod secrets;
mod service;
mod session;
mod wait;

pub use api::{Api, CallError, Credentials, Request, Scheme, Signing};
pub use collector::{Behaviour, Collector, ReceivedSpan};
pub use examples::Examples;
pub use http::Answer;
pub use processes::{Process, freeze, is_alive, kill_and_wait, thaw};
pub use service::{Exit, Predecessor, Service};
pub use session::{Login, Session, SqlError};
pub use wait::{Chance, PATIENCE, wait_for};

/// The password of the account that [`Api::order`] makes.
pub const PASSWORD: &str = "Passw0rd!";
/// The account that [`Api::order`] makes.
pub const USER: &str = "alice";
/// The database that [`Api::order`] makes.
pub const DATABASE: &str = "shop";
