//! Observed entries with named rows and columns, from triplets or a Matrix Market file.

use gradus::completion::{Duplicates, Error, Observations};
use gradus::read::matrix_market::{self, Matrix};
use gradus::read::{Source, source, triplets};

use crate::output::Failure;

/// Observed entries, and the names of their rows and columns.
pub struct Ratings {
    /// Names of the rows.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Row, column and value in the file's order.
    pub entries: Vec<(u32, u32, f64)>,
    /// One weight an entry, or none at all.
    pub weights: Vec<f64>,
    file: String,
}

impl Ratings {
    /// Reads `row,column,value`, with a weight behind if `weighted`; or Matrix Market coordinates by the ending `.mtx`,
    /// whose rows and columns are named by their numbers from 1.
    pub fn read(file: &str, weighted: bool) -> Result<Self, Failure> {
        let input = Source::open(file)?;
        let plain = source::without_compression(input.name()).to_ascii_lowercase();
        if plain.ends_with(".mtx") {
            return Self::from_matrix_market(file, &input, weighted);
        }
        let options = triplets::Options { weights: weighted, ..Default::default() };
        let triplets = triplets::parse(input.bytes(), input.name(), &options)?;
        let names = |identifiers: &triplets::Identifiers| identifiers.names().map(String::from).collect();
        Ok(Self {
            rows: names(&triplets.rows),
            columns: names(&triplets.columns),
            entries: triplets.entries,
            weights: triplets.weights,
            file: file.into(),
        })
    }

    fn from_matrix_market(file: &str, input: &Source, weighted: bool) -> Result<Self, Failure> {
        if weighted {
            return Err(Failure::Usage(
                "--weights needs a file of lines row,column,value,weight; Matrix Market files have none"
                    .into(),
            ));
        }
        let Matrix::Sparse(matrix) = matrix_market::parse(input.bytes(), input.name())?.matrix else {
            return Err(Failure::Input(anyhow::anyhow!("{file}: coordinate storage is expected")));
        };
        let (m, n) = matrix.shape();
        let entries = matrix.iter().map(|(&value, (i, j))| (i, j, value)).collect();
        let names = |count: usize| (1..=count).map(|number| number.to_string()).collect();
        Ok(Self { rows: names(m), columns: names(n), entries, weights: Vec::new(), file: file.into() })
    }

    /// Takes every `every`-th entry out, counted from 0: k - 1, 2k - 1, ...
    pub fn take_every(&mut self, every: usize) -> Vec<(u32, u32, f64)> {
        let is_held_out = |t: usize| t % every == every - 1;
        let held_out = self
            .entries
            .iter()
            .enumerate()
            .filter(|(t, _)| is_held_out(*t))
            .map(|(_, entry)| *entry)
            .collect();
        let mut t = 0;
        self.entries.retain(|_| {
            t += 1;
            !is_held_out(t - 1)
        });
        t = 0;
        self.weights.retain(|_| {
            t += 1;
            !is_held_out(t - 1)
        });
        held_out
    }

    /// Entries of another file by this one's numbers; names that this one lacks get u32::MAX.
    pub fn translate(&self, other: &Self) -> Vec<(u32, u32, f64)> {
        let table = |from: &[String], to: &[String]| -> Vec<u32> {
            let numbers: std::collections::HashMap<&str, u32> =
                to.iter().enumerate().map(|(number, name)| (&**name, number as u32)).collect();
            from.iter().map(|name| numbers.get(&**name).copied().unwrap_or(u32::MAX)).collect()
        };
        let (rows, columns) = (table(&other.rows, &self.rows), table(&other.columns, &self.columns));
        other.entries.iter().map(|&(i, j, value)| (rows[i as usize], columns[j as usize], value)).collect()
    }

    /// The entries as a problem; the triplets are given up.
    pub fn observations(&mut self, duplicates: Duplicates) -> Result<Observations, Failure> {
        let entries = std::mem::take(&mut self.entries);
        let weights = std::mem::take(&mut self.weights);
        let weights = (!weights.is_empty()).then_some(&weights[..]);
        let problem =
            Observations::with_weights(self.rows.len(), self.columns.len(), &entries, weights, duplicates);
        problem.map_err(|error| self.failure(error))
    }

    /// An error of the library with names in place of numbers.
    pub fn failure(&self, error: Error) -> Failure {
        let at = |row: u32, column: u32| {
            let name =
                |names: &[String], number: u32| names.get(number as usize).cloned().unwrap_or_default();
            format!(
                "{}: row '{}', column '{}'",
                self.file,
                name(&self.rows, row),
                name(&self.columns, column)
            )
        };
        let message = match error {
            Error::Option(message) => return Failure::Usage(message),
            Error::Duplicate { row, column } => {
                format!("{}: more than one value; --duplicates mean, last or sum allows it", at(row, column))
            }
            Error::Value { row, column, value } => {
                format!("{}: the value is {value}; it must be finite", at(row, column))
            }
            Error::Weight { row, column, weight } => {
                format!("{}: the weight is {weight}; it must be finite and not negative", at(row, column))
            }
            Error::Implicit { row, column, value } => {
                format!("{}: the value is {value}; implicit feedback needs positive ones", at(row, column))
            }
            other => format!("{}: {other}", self.file),
        };
        Failure::Input(anyhow::anyhow!("{message}"))
    }

    /// A hash of each name: a split by these does not depend on the order of the file.
    pub fn keys(names: &[String]) -> Vec<u64> {
        names
            .iter()
            .map(|name| {
                // FNV-1a
                name.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, byte| {
                    (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
                })
            })
            .collect()
    }
}
