//! The server.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
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
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return not_parsed(&error),
    };
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

/// Shows the help, or says what is wrong with the command line, in the reference's words and with its status.
fn not_parsed(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = write!(std::io::stdout(), "{error}");
        return ExitCode::SUCCESS;
    }
    let given = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(given)) if error.kind() == ErrorKind::UnknownArgument => Some(given.as_str()),
        _ => None,
    };
    let text = match given {
        Some(flag) if flag.starts_with('-') => format!("unknown flag: {flag}"),
        Some(command) => format!("unknown command {command:?} for \"heketi\""),
        None => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    };
    let _ = writeln!(std::io::stderr(), "Error: {text}\nRun 'heketi --help' for usage.");
    ExitCode::from(255)
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
