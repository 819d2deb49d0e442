//! The table of what was measured and what is to be reached.

use std::time::Duration;

/// The value below which this share of the sorted times lies.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or_default()
}

pub fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}

/// Prints each figure as it is found, and counts those that were to be reached.
#[derive(Default)]
pub struct Figures {
    reached: usize,
    missed: usize,
}

impl Figures {
    fn line(&mut self, name: &str, value: &str, target: &str, reached: bool) {
        let word = if reached { "reached" } else { "MISSED" };
        *(if reached { &mut self.reached } else { &mut self.missed }) += 1;
        println!("{name:<64} {value:>14}   {target:<16} {word}");
    }

    /// A figure with no target.
    pub fn note(&self, name: &str, value: &str) {
        println!("{name:<64} {value:>14}");
    }

    pub fn at_most(&mut self, name: &str, value: Duration, limit: Duration) {
        self.line(name, &millis(value), &format!("under {} ms", limit.as_millis()), value < limit);
    }

    pub fn at_least(&mut self, name: &str, value: f64, least: f64) {
        self.line(name, &format!("{value:.0}"), &format!("at least {least}"), value >= least);
    }

    pub fn below(&mut self, name: &str, value: f64, limit: f64) {
        self.line(name, &format!("{value:.1}"), &format!("under {limit}"), value < limit);
    }

    pub fn ratio(&mut self, name: &str, value: f64, limit: f64) {
        self.line(name, &format!("{value:.2} x"), &format!("within {limit} x"), value <= limit);
    }

    pub fn summary(&self) {
        println!("\n{} targets reached, {} missed", self.reached, self.missed);
    }
}
