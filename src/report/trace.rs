//! Reads the CSV traces that solvers write.

use std::path::Path;

use crate::read::{ReadError, Source};

/// A trace: its name and its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The file's name without folder and ending.
    pub name: String,
    /// Iteration of each record.
    pub iterations: Vec<f64>,
    /// Seconds since the start.
    pub seconds: Vec<f64>,
    /// Objective.
    pub objective: Vec<f64>,
    /// Relative certificate.
    pub certificate: Vec<f64>,
    /// Function evaluations so far, where the trace has a column `evaluations`.
    pub evaluations: Option<Vec<f64>>,
}

impl Trace {
    /// Reads `iteration,seconds,objective,certificate,...`; of further columns only `evaluations` is kept.
    ///
    /// # Errors
    /// A missing file, another header, a row that is too short or has a field that is not a number: with file, line
    /// and field.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let source = Source::open(path)?;
        Self::parse(source.bytes(), source.name())
    }

    /// Parses CSV text; `name` is used in messages.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &[u8], name: &str) -> Result<Self, ReadError> {
        const HEADER: [&str; 4] = ["iteration", "seconds", "objective", "certificate"];
        let error = |line: u64, column: Option<usize>, problem: String, expected: &str| ReadError {
            file: name.into(),
            line: Some(line as usize),
            column,
            problem,
            expected: expected.into(),
        };
        let mut rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
        let mut columns: [Vec<f64>; 4] = Default::default();
        let mut evaluations: Option<(usize, Vec<f64>)> = None;
        for (index, row) in rows.byte_records().enumerate() {
            let row = row.map_err(|flaw| {
                let line = flaw.position().map_or(1, csv::Position::line);
                error(line, None, flaw.to_string(), "comma-separated values are expected")
            })?;
            let line = row.position().map_or(1, csv::Position::line);
            if index == 0 {
                let starts_right =
                    HEADER.iter().enumerate().all(|(k, want)| row.get(k) == Some(want.as_bytes()));
                if !starts_right {
                    let expected = "a trace starts with iteration,seconds,objective,certificate";
                    return Err(error(line, None, "this is not the header of a trace".into(), expected));
                }
                evaluations = row.iter().position(|name| name == b"evaluations").map(|k| (k, Vec::new()));
                continue;
            }
            let own = evaluations.as_mut().map(|(k, column)| (*k, "evaluations", column));
            let common = columns.iter_mut().enumerate().map(|(k, column)| (k, HEADER[k], column));
            for (k, name, column) in common.chain(own) {
                let field = String::from_utf8_lossy(row.get(k).unwrap_or_default());
                let value = field.trim().parse::<f64>().map_err(|_| {
                    error(line, None, format!("{name} `{field}` is no number"), "a number is expected")
                })?;
                column.push(value);
            }
        }
        if columns[0].is_empty() {
            return Err(error(1, None, "no records".into(), "a trace has at least one row"));
        }
        let stem =
            Path::new(name).file_stem().map_or(name.into(), |stem| stem.to_string_lossy().into_owned());
        let [iterations, seconds, objective, certificate] = columns;
        let evaluations = evaluations.map(|(_, column)| column);
        Ok(Self { name: stem, iterations, seconds, objective, certificate, evaluations })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn flaws_are_named_with_their_line() {
        let good = "iteration,seconds,objective,certificate,nonzeros\n0,0.0,1e0,5e-1,3\n1,0.1,inf,NaN,4\n";
        let trace = Trace::parse(good.as_bytes(), "runs/a.csv").unwrap();
        assert_eq!((trace.name.as_str(), trace.iterations.len(), trace.objective[0]), ("a", 2, 1.0));
        let counted = "iteration,seconds,objective,certificate,nonzeros,evaluations\n0,0,1,1,3,17\n";
        assert_eq!(Trace::parse(counted.as_bytes(), "a").unwrap().evaluations, Some(vec![17.0]));
        assert_eq!(trace.evaluations, None);
        for (text, words) in [
            ("", "no records"),
            ("iteration,seconds,objective,certificate\n", "no records"),
            ("a,b\n1,2\n", "x:1: this is not the header"),
            ("iteration,seconds,objective,certificate\n0,0,1\n", "x:2: certificate `` is no number"),
            ("iteration,seconds,objective,certificate\n0,0,1,1\n1,q,1,1\n", "x:3: seconds `q` is no number"),
        ] {
            let message = Trace::parse(text.as_bytes(), "x").unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Trace::parse(&bytes, "x");
            let mut text = b"iteration,seconds,objective,certificate\n".to_vec();
            text.extend(bytes);
            let _ = Trace::parse(&text, "x");
        }
    }
}
