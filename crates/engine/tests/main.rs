//! All files of tests here are one program: each would take as long to link as all of them do.

mod backup;
mod beyond;
mod binlog;
mod common;
mod databases;
mod ddl;
mod export;
mod follow;
mod import;
mod lexing;
mod lifecycle;
mod measure;
mod moving;
mod partitions;
mod physical;
mod privileges;
mod route;
mod sizes;
mod spread;
mod sql;
mod super_account;
mod xa;
