//! The server's binary as its users meet it: started with a configuration file, asked over HTTP, ended by signals.

mod api;
mod client;
mod crash;
mod ending;
mod process;
mod refused_starts;
mod secrets;
mod shipped_files;
mod stuck_node;
