//! The command line's parts: from cell files to blobs, and from `/dev/bulkhead` to tables.
//!
//! One rule: nothing that a file, a tree or a device says makes it panic; every complaint names the thing and the value.
#![deny(unsafe_code)]

pub mod args;
pub mod board;
pub mod cell_file;
pub mod command;
pub mod console;
pub mod device;
pub mod drivers;
pub mod error;
pub mod explain;
pub mod fault;
pub mod file;
pub mod finding;
pub mod guest_tree;
pub mod health;
pub mod image;
pub mod interruption;
pub mod journal;
pub mod layout;
pub mod linux;
pub mod live;
pub mod log;
pub mod log_names;
pub mod machine;
pub mod map;
pub mod map_picture;
pub mod offer;
pub mod progress;
pub mod report;
pub mod reservation;
pub mod resolve;
pub mod restarts;
pub mod serial;
pub mod store;
pub mod suggest;
pub mod symbols;
pub mod top;
pub mod tree;
