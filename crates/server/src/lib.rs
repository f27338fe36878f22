//! The service's outside and its start: the signed API over HTTP and HTTPS, the operator's
//! socket, health and metrics, certificates, the log, and the wiring of store, gateway and
//! control plane.
//!
//! No rule of the API lives here: what an action does is the control plane's, how it looks on
//! the wire is `rpc-api`'s.

mod actions;
mod admin_socket;
mod api;
mod config;
mod console;
mod coordination;
mod credentials;
mod data_dir;
mod error;
mod gateway_adapter;
mod handover;
mod http;
mod logging;
mod metrics;
mod notify;
mod plane;
mod serve;
mod service;
mod successor;
mod telemetry;
mod tls;
mod unix_socket;

pub use config::{
    ApiConfig, Config, GatewayConfig, HttpForSecrets, HttpLimits, LogConfig, LogFormat,
    ThrottleConfig,
};
pub use error::ServeError;
pub use handover::Retired;
pub use serve::{ServeOptions, serve};
pub use service::{HandOver, Service};
pub use telemetry::{TelemetryConfig, TelemetryHeaders};
pub use tls::TlsConfig;
