//! The actions, one file each, in the sections of the API: what the table says about it, and
//! for the available ones the typed request and answer.

pub mod accounts;
pub mod backups;
mod common;
pub mod databases;
pub mod instances;
pub mod monitoring;
pub mod orders;
pub mod regions;
pub mod tables;
pub mod tags;
