//! Backups of databases (API document 11): one file per verb.

mod policy;
