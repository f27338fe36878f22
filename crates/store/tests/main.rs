//! All files of tests here are one program: each would take as long to link as all of them do.

mod backup_bases;
mod backup_sets;
mod common;
mod durability;
mod endpoints;
mod events;
mod history;
mod listings;
mod resources;
mod totals;
mod visible;
