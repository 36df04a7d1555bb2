//! The trace of a run: one row per record, and its CSV form.

use std::io::{self, Write};

/// One row of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Iteration, from 0 (the start).
    pub iteration: usize,
    /// Wall-clock time since the run started.
    pub seconds: f64,
    /// Objective at this iterate.
    pub objective: f64,
    /// Relative certificate at this iterate.
    pub certificate: f64,
    /// The method's own columns, in the order of [`History::columns`].
    pub extra: Vec<f64>,
}

/// The records of a run in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Names of the method's own columns.
    pub columns: Vec<&'static str>,
    /// The rows.
    pub records: Vec<Record>,
}

impl History {
    /// Writes the trace as CSV: `iteration,seconds,objective,certificate,` and then the method's own columns.
    /// Numbers are written so that reading them back gives the same bits.
    ///
    /// # Errors
    /// Whatever the writer reports.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "iteration,seconds,objective,certificate")?;
        for column in &self.columns {
            write!(out, ",{column}")?;
        }
        writeln!(out)?;
        for record in &self.records {
            write!(
                out,
                "{},{:.6},{:e},{:e}",
                record.iteration, record.seconds, record.objective, record.certificate
            )?;
            for value in &record.extra {
                write!(out, ",{value}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_reads_back_with_the_same_bits() {
        let record = Record {
            iteration: 3,
            seconds: 0.25,
            objective: 0.1 + 0.2,
            certificate: 1e-310,
            extra: vec![7.0],
        };
        let history = History { columns: vec!["nonzeros"], records: vec![record] };
        let mut text = Vec::new();
        history.write_csv(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let fields: Vec<&str> = text.lines().nth(1).unwrap().split(',').collect();
        assert_eq!(text.lines().next().unwrap(), "iteration,seconds,objective,certificate,nonzeros");
        assert_eq!(fields[2].parse::<f64>().unwrap(), 0.1 + 0.2);
        assert_eq!(fields[3].parse::<f64>().unwrap(), 1e-310);
        assert_eq!(fields[4], "7");
    }
}
