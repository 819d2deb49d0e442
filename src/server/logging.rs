//! The log: errors to standard error, the rest to standard output, as service managers and the reference's users expect.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt;

use crate::config::{LogLevel, Note};

/// Starts logging at this level. A second call changes nothing.
pub fn start_log(level: LogLevel) {
    let level = match level {
        LogLevel::None => LevelFilter::OFF,
        LogLevel::Critical | LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let writer = std::io::stderr.with_max_level(tracing::Level::ERROR).or_else(std::io::stdout);
    // Complaints about the log itself would go to standard error, and panic when that is gone as well.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    let log = log.with_max_level(level).with_ansi(false).with_writer(writer);
    // Only fails when a log was started before.
    let _ = log.try_init();
}

impl Note {
    /// Logs it.
    pub fn log(&self) {
        match self.level {
            LogLevel::Warning => tracing::warn!("{}", self.text),
            LogLevel::Error | LogLevel::Critical => tracing::error!("{}", self.text),
            _ => tracing::info!("{}", self.text),
        }
    }
}
