//! The log: errors to standard error, the rest to standard output, as service managers and the reference's users expect;
//! lines in the reference's form (spec-api.md 12 and 4.1), so that what reads its log reads ours.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

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
    let writer = std::io::stderr.with_max_level(Level::ERROR).or_else(std::io::stdout);
    let log = tracing_subscriber::fmt::layer().with_ansi(false);
    // It would complain on standard error, and panic when that is gone as well.
    let log = log.log_internal_errors(false).event_format(Lines).with_writer(writer);
    // What libraries say of each packet would drown what operators look for.
    let ours = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("heketi", level);
    let ours = ours.with_target(ACCESS, level);
    // Only fails when a log was started before.
    let _ = tracing_subscriber::registry().with(log.with_filter(ours)).try_init();
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

/// `[heketi] LEVEL 2006/01/02 15:04:05 message key=value`, and `[negroni] 2006-01-02T15:04:05Z | message` for requests.
/// Times are UTC.
struct Lines;

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N> for Lines {
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let Moment { year, month, day, hour, minute, second } = Moment::of(seconds);
        let Fields { message, others } = fields;
        if event.metadata().target() == ACCESS {
            return writeln!(
                writer,
                "[negroni] {year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z | {message}{others}"
            );
        }
        let level = match *event.metadata().level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARNING",
            Level::INFO => "INFO",
            _ => "DEBUG",
        };
        writeln!(
            writer,
            "[heketi] {level} {year}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02} {message}{others}"
        )
    }
}

/// The target of the access log.
const ACCESS: &str = "access";

/// What an event says: its message, and the rest as ` key=value`.
#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write;
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            // Where in which crate: of events that came through the `log` crate.
            name if name.starts_with("log.") => Ok(()),
            name => write!(self.others, " {name}={value:?}"),
        };
    }
}

/// A moment of the calendar, UTC.
#[derive(Debug, PartialEq, Eq)]
struct Moment {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Moment {
    /// The moment this many seconds after the beginning of 1970.
    fn of(seconds: u64) -> Self {
        // Days are counted from the first of March of the year 0, so that a leap day ends a year of four; 146097 days are
        // 400 years.
        let days = seconds / 86400 + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        Self {
            year: year + era * 400 + u64::from(month <= 2),
            month,
            day,
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn moments_of_the_calendar() {
        let text = |seconds| {
            let Moment { year, month, day, hour, minute, second } = Moment::of(seconds);
            format!("{year}-{month}-{day} {hour}:{minute}:{second}")
        };
        assert_eq!(text(0), "1970-1-1 0:0:0");
        assert_eq!(text(951_782_399), "2000-2-28 23:59:59");
        assert_eq!(text(951_782_400), "2000-2-29 0:0:0");
        assert_eq!(text(1_798_761_599), "2026-12-31 23:59:59");
        assert_eq!(text(4_107_542_400), "2100-3-1 0:0:0");
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_have_the_references_form() {
        let sink = Sink::default();
        let into = sink.clone();
        let log = tracing_subscriber::fmt().event_format(Lines).with_writer(move || into.clone()).finish();
        tracing::subscriber::with_default(log, || {
            tracing::warn!(node = "n1", count = 3, "no \"quotes\" around {}", "texts");
            tracing::info!(target: "access", "200 | GET /volumes");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let masked: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        assert_eq!(
            masked,
            "[heketi] WARNING 9999/99/99 99:99:99 no \"quotes\" around texts node=n9 count=9\n\
             [negroni] 9999-99-99T99:99:99Z | 999 | GET /volumes\n"
        );
    }
}
