//! The server.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use heketi::server;

/// How long the runtime's threads may take to end.
const LAST_THREADS: Duration = Duration::from_secs(2);

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
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stdout(), "Heketi {} (heketi-rs)", env!("CARGO_PKG_VERSION"));
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
            let _ = writeln!(std::io::stderr(), "ERROR: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes. Some errors name their cause in their own text.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for text in error.chain().map(ToString::to_string).filter(|text| !text.is_empty()) {
        if line.is_empty() {
            line = text;
        } else if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
    }
    line.replace('\n', " ")
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(server::run(config));
    // What still runs has been given its time; a thread that hangs must not keep the process alive.
    runtime.shutdown_timeout(LAST_THREADS);
    ended
}
