//! All files of tests here are one program: each would take as long to link as all of them do.

mod accounts;
mod action_coverage;
mod active_instant;
mod alerts;
mod backups;
mod databases;
mod diagnose;
mod endpoints;
mod events;
mod handover;
mod handover_nodes;
mod limits;
mod monitoring;
mod parameter_faults;
mod promises;
mod races;
mod races_of_switches;
mod start_faults;
mod statistics;
mod tables;
mod telemetry;
