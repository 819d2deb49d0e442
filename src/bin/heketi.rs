//! The server. So far it answers `--version` and says honestly that it cannot serve yet.

use std::process::ExitCode;

use clap::Parser;

/// A drop-in replacement for the Heketi v10 server
#[derive(Parser)]
#[command(name = "heketi", version)]
struct Args {}

fn main() -> ExitCode {
    Args::parse();
    eprintln!("ERROR: this build does not serve yet; see README.md for what is there");
    ExitCode::FAILURE
}
