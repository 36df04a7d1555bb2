//! Vectors from files of their own: weights and offsets of rows, factors and groups of features.

use gradus::read;

use super::{Arguments, Shape};
use crate::output::Failure;

/// Weights and offsets of the training rows.
pub type RowData = (Option<Vec<f64>>, Option<Vec<f64>>);

/// A file of one number a line (or one row), as many as are expected.
fn vector(file: &str, expected: usize, of_what: &str) -> Result<Vec<f64>, Failure> {
    let table = read::dense(file)?;
    let fits = (table.rows == 1 || table.columns == 1) && table.values.len() == expected;
    if fits {
        return Ok(table.values);
    }
    Err(Failure::Input(anyhow::anyhow!(
        "{file}: {} x {} numbers; one for each of the {expected} {of_what} is expected",
        table.rows,
        table.columns
    )))
}

/// One number each, none of them negative.
fn weights(file: &str, count: usize, what: &str) -> Result<Vec<f64>, Failure> {
    let values = vector(file, count, what)?;
    match values.iter().position(|value| *value < 0.0) {
        None => Ok(values),
        Some(k) => Err(Failure::Input(anyhow::anyhow!(
            "{file}: weight {} is {}; weights must be finite and not negative",
            k + 1,
            values[k]
        ))),
    }
}

impl Arguments {
    /// Weights and offsets of the training rows, those held out left out.
    pub fn row_data(&self, rows: usize) -> Result<RowData, Failure> {
        type Reader = fn(&str, usize, &str) -> Result<Vec<f64>, Failure>;
        let read = |file: &Option<String>, reader: Reader| -> Result<Option<Vec<f64>>, Failure> {
            let Some(file) = file else { return Ok(None) };
            let mut values = reader(file, rows, "rows")?;
            if let Some(k) = self.test_every {
                values = values.iter().enumerate().filter(|(i, _)| i % k != k - 1).map(|(_, v)| *v).collect();
            }
            Ok(Some(values))
        };
        Ok((read(&self.weights, weights)?, read(&self.offsets, vector)?))
    }

    /// Everything of the penalty but l1, for the columns that are used (and the one of ones) and so many rows.
    pub fn shape(&self, columns: usize, used: Option<&[u32]>, rows: usize) -> Result<Shape, Failure> {
        let taken = |values: Vec<f64>| -> Vec<f64> {
            used.map_or_else(|| values.clone(), |used| used.iter().map(|&j| values[j as usize]).collect())
        };
        let penalty_weights = match &self.penalty_weights {
            None => None,
            Some(file) => {
                let mut given = taken(weights(file, columns, "features")?);
                // the column of ones is penalised like any other
                given.extend(self.bias.then_some(1.0));
                Some(given)
            }
        };
        let groups = match &self.groups {
            None => None,
            Some(file) => Some(groups(file, &taken(vector(file, columns, "features")?), self.bias)?),
        };
        let bounds = match *self.bounds.as_slice() {
            [lower, upper] => Some((lower, upper)),
            _ => self.nonnegative.then_some((0.0, f64::INFINITY)),
        };
        let l2 = self.c.map_or(self.l2, |c| 1.0 / (c * rows.max(1) as f64));
        Ok(Shape { l2, weights: penalty_weights, bounds, groups })
    }
}

/// The features of each group, groups in ascending order of their numbers; a column of ones is a group of its own.
fn groups(file: &str, numbers: &[f64], bias: bool) -> Result<Vec<Vec<usize>>, Failure> {
    if let Some(j) = numbers.iter().position(|number| number.fract() != 0.0 || !number.is_finite()) {
        let number = numbers[j];
        return Err(Failure::Input(anyhow::anyhow!(
            "{file}: feature {} has the group {number}, no integer",
            j + 1
        )));
    }
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]).then(a.cmp(&b)));
    let same = |a: &usize, b: &usize| numbers[*a] == numbers[*b];
    let mut groups: Vec<Vec<usize>> = order.chunk_by(same).map(<[usize]>::to_vec).collect();
    groups.extend(bias.then(|| vec![numbers.len()]));
    Ok(groups)
}
