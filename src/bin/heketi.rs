//! The server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use heketi::server;

/// REST server that manages the life cycle of GlusterFS volumes
#[derive(Parser)]
#[command(name = "heketi", version, disable_version_flag = true)]
struct Args {
    /// Configuration file (JSON)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show the version
    #[arg(short, long)]
    version: bool,
    /// Let everybody do everything (for tests only)
    #[arg(long)]
    disable_auth: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    println!("Heketi {} (heketi-rs)", env!("CARGO_PKG_VERSION"));
    if args.version {
        return ExitCode::SUCCESS;
    }
    let Some(file) = args.config else {
        eprintln!("Please provide configuration file");
        return ExitCode::FAILURE;
    };
    match run(&file, args.disable_auth) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ERROR: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(file: &std::path::Path, disable_auth: bool) -> anyhow::Result<()> {
    let (mut config, notes) = server::read_config(file, &|name| std::env::var(name).ok())?;
    if disable_auth {
        eprintln!("WARNING: Heketi started with --disable-auth");
        config.auth_enabled = false;
    }
    server::start_log(config.log_level);
    for note in &notes {
        note.log();
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(server::run(config))
}
