//! All files of tests here are one program: each would take as long to link as all of them do.

mod console;
mod http;
mod lifecycle;
mod metrics;
mod mutations;
mod refusals;
mod secrets;
mod signatures;
mod support;
