//! All files of tests here are one program: each would take as long to link as all of them do.

mod admission;
mod commands;
mod compression;
mod console;
mod differential;
mod faults;
mod handover;
mod hostile;
mod kill;
mod limits;
mod login;
mod proxied;
mod revival;
mod slow_log;
mod statements;
mod support;
mod tools;
mod warm;
mod warm_leaks;
