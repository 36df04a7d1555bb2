//! The iteration log: one line per iteration that an expert can read.
//!
//! A solver names its trace columns; a line is made of a record alone, so that the log can be written while the solver runs (by
//! an observer of its [`Monitor`](crate::control::Monitor)) or afterwards from its history.

use std::fmt::Write;

use crate::control::{History, Record};

/// Width of a column of numbers.
const WIDTH: usize = 10;

/// The names above the columns.
///
/// ```
/// let header = gradus::constrained::log::header(&["violation", "step"]);
/// assert_eq!(header, "iter          objective     error violation      step");
/// ```
pub fn header(columns: &[&str]) -> String {
    let mut line = format!("{:>4} {:>18} {:>9}", "iter", "objective", "error");
    for column in columns {
        // writing to a String cannot fail
        let _ = write!(line, "{:>WIDTH$}", shortened(column));
    }
    line
}

/// One iteration.
///
/// ```
/// use gradus::control::Record;
/// let record = Record { iteration: 3, seconds: 0.1, objective: -1.5, certificate: 2e-5, extra: vec![1e-3, 0.0, 12.0] };
/// assert_eq!(
///     gradus::constrained::log::line(&record),
///     "   3    -1.5000000000e0    2.0e-5    1.0e-3         0        12"
/// );
/// ```
pub fn line(record: &Record) -> String {
    let objective = format!("{:.10e}", record.objective);
    let mut line = format!("{:>4} {objective:>18} {:>9}", record.iteration, number(record.certificate));
    for &value in &record.extra {
        let _ = write!(line, "{:>WIDTH$}", number(value));
    }
    line
}

/// A whole history, with the header again every 20 lines.
pub fn table(history: &History) -> String {
    let mut text = String::new();
    for (k, record) in history.records.iter().enumerate() {
        if k % 20 == 0 {
            let _ = writeln!(text, "{}", header(&history.columns));
        }
        let _ = writeln!(text, "{}", line(record));
    }
    text
}

/// Whole numbers as they are, others with two digits.
fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e6 { format!("{value}") } else { format!("{value:.1e}") }
}

/// A name cut to the width of its column.
fn shortened(name: &str) -> String {
    name.chars().take(WIDTH - 1).collect::<String>().replace('_', " ")
}
