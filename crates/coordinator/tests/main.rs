//! All files of tests here are one program: each would take as long to link as all of them do.

mod acknowledged;
mod bank;
mod begins;
mod common;
mod differential;
mod distributed;
mod documented;
mod ended;
mod found;
mod heat;
mod history;
mod known;
mod load;
mod locks;
mod lost;
mod moving;
mod quick;
mod quick_writes;
mod read_only;
mod reads;
mod reads_support;
mod redistributed;
mod routines;
mod sessions;
mod stalled;
mod told;
