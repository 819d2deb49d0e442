//! The server's binary as its users meet it: started with a configuration file, asked over HTTP, ended by signals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it did not expect should stop there"
)]

mod api;
mod client;
mod crash;
mod ending;
mod process;
mod refused_starts;
mod secrets;
mod shipped_files;
mod stuck_node;
