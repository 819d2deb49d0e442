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
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false,
          action = clap::ArgAction::Set, hide_default_value = true, hide_possible_values = true, value_name = "BOOL")]
    disable_auth: bool,
}

/// The exit code of the reference when the command line is wrong.
const USAGE: u8 = 255;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    // The form of the reference; scripts cut the second word out, and put it into file names.
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

/// Tells what is wrong with the command line, in the reference's words where it has some.
fn refuse(error: &clap::Error) -> ExitCode {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.as_str(),
        _ => "",
    };
    let (text, hint) = match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with("--") => (format!("unknown flag: {argument}"), ""),
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let letters = argument.trim_start_matches('-');
            let letter = letters.chars().next().map(String::from).unwrap_or_default();
            (format!("unknown shorthand flag: '{letter}' in -{letters}"), "")
        }
        ErrorKind::UnknownArgument => {
            (format!("unknown command {argument:?} for \"heketi\""), "Run 'heketi --help' for usage.")
        }
        ErrorKind::InvalidValue if argument.starts_with("--config") => {
            ("flag needs an argument: --config".to_owned(), "")
        }
        // Help is no mistake.
        _ => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    println!("{text}");
    eprintln!("Error: {text}");
    if !hint.is_empty() {
        eprintln!("{hint}");
    }
    ExitCode::from(USAGE)
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
