//! The answer: factors and biases, and what can be asked of them.

use serde::{Deserialize, Serialize};

use super::Error;
use crate::linalg::factor::DenseCholesky;
use crate::linalg::product::dot_serial;
use crate::linalg::tall::TallMatrix;

/// v_ij ~ mean + b_i + c_j + x_i'y_j.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LowRankModel {
    mean: f64,
    biases: bool,
    /// Rows x_i, with b_i behind them where there are biases.
    rows: TallMatrix,
    columns: TallMatrix,
}

impl LowRankModel {
    /// A model from its parts; with `biases` the last column of each factor is its bias.
    pub fn new(mean: f64, rows: TallMatrix, columns: TallMatrix, biases: bool) -> Self {
        Self { mean, biases, rows, columns }
    }

    /// Checks a model that comes from outside.
    ///
    /// # Errors
    /// `Start` with what is wrong: factors of different widths, no bias where one is claimed, a number that isn't finite.
    pub fn check(&self) -> Result<(), Error> {
        if self.rows.columns() != self.columns.columns() {
            return Err(Error::Start(format!(
                "the row factors have {} columns, the column factors {}",
                self.rows.columns(),
                self.columns.columns()
            )));
        }
        if self.biases && self.rows.columns() == 0 {
            return Err(Error::Start("biases are claimed and there is no column for them".into()));
        }
        let finite = |factor: &TallMatrix| factor.as_slice().iter().all(|value| value.is_finite());
        if !(self.mean.is_finite() && finite(&self.rows) && finite(&self.columns)) {
            return Err(Error::Start("a number is not finite".into()));
        }
        Ok(())
    }

    /// k.
    pub fn rank(&self) -> usize {
        self.rows.columns() - usize::from(self.biases)
    }

    /// (m, n).
    pub fn shape(&self) -> (usize, usize) {
        (self.rows.rows(), self.columns.rows())
    }

    /// The constant term.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Whether there are biases; then they are the last column of each factor.
    pub fn has_biases(&self) -> bool {
        self.biases
    }

    /// x_i, and b_i, by rows.
    pub fn row_factors(&self) -> &TallMatrix {
        &self.rows
    }

    /// y_j, and c_j, by rows.
    pub fn column_factors(&self) -> &TallMatrix {
        &self.columns
    }

    /// The value at (i, j). An index beyond the matrix stands for a row or column of which nothing is known: its factor and
    /// bias count as zero.
    pub fn predict(&self, i: usize, j: usize) -> f64 {
        let (m, n) = self.shape();
        match (i < m, j < n) {
            (true, true) => self.score(self.rows.row(i), j),
            (true, false) if self.biases => self.mean + self.rows.row(i)[self.rank()],
            (false, true) if self.biases => self.mean + self.columns.row(j)[self.rank()],
            _ => self.mean,
        }
    }

    /// The value at column j for the row factor (and bias) x.
    pub fn score(&self, x: &[f64], j: usize) -> f64 {
        let (k, y) = (self.rank(), self.columns.row(j));
        let biases = if self.biases { x[k] + y[k] } else { 0.0 };
        self.mean + biases + dot_serial(&x[..k], &y[..k])
    }

    /// Root mean square error over entries (row, column, value); NaN without any.
    pub fn rmse(&self, entries: &[(u32, u32, f64)]) -> f64 {
        let squares: f64 = entries
            .iter()
            .map(|&(i, j, value)| {
                let error = value - self.predict(i as usize, j as usize);
                error * error
            })
            .sum();
        (squares / entries.len() as f64).sqrt()
    }

    /// The n columns with the highest values for the row factor (and bias) x, without those in `exclude`, which ascends:
    /// pairs (column, value), best first. O(n_columns (k + log n)).
    pub fn top(&self, x: &[f64], n: usize, exclude: &[u32]) -> Vec<(u32, f64)> {
        let mut scored: Vec<(u32, f64)> = (0..self.columns.rows())
            .map(|j| j as u32)
            .filter(|j| exclude.binary_search(j).is_err())
            .map(|j| (j, self.score(x, j as usize)))
            .collect();
        // ties go to the smaller number, so that the order is the same everywhere
        let order = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if n < scored.len() {
            scored.select_nth_unstable_by(n, order);
            scored.truncate(n);
        }
        scored.sort_unstable_by(order);
        scored
    }

    /// The factor (and bias) of a new row from some of its values: min over x of the sum of (v - prediction)^2 / 2 plus
    /// ridge/2 |x|^2, the ridge times the number of values with `by_count`. O(values k^2 + k^3).
    ///
    /// # Errors
    /// `Index` for a column outside, `Value` for one that isn't finite, `Option` for a negative ridge, `Factor` where too few
    /// values determine x and there is no ridge.
    pub fn fold_in(&self, values: &[(u32, f64)], ridge: f64, by_count: bool) -> Result<Vec<f64>, Error> {
        let (rows, columns) = self.shape();
        let d = self.rows.columns();
        if !(ridge >= 0.0 && ridge.is_finite()) {
            return Err(Error::Option(format!("the ridge is {ridge}; it must be finite and not negative")));
        }
        let (mut gram, mut sum) = (vec![0.0; d * d], vec![0.0; d]);
        for &(column, value) in values {
            if column as usize >= columns {
                return Err(Error::Index { row: rows as u32, column, rows, columns });
            }
            if !value.is_finite() {
                return Err(Error::Value { row: rows as u32, column, value });
            }
            let mut y = self.columns.row(column as usize).to_vec();
            let mut target = value - self.mean;
            if self.biases {
                target -= std::mem::replace(&mut y[d - 1], 1.0);
            }
            for i in 0..d {
                sum[i] += y[i] * target;
                for j in 0..d {
                    gram[i * d + j] += y[i] * y[j];
                }
            }
        }
        let total = ridge * if by_count { values.len().max(1) as f64 } else { 1.0 };
        (0..d).for_each(|i| gram[i * d + i] += total);
        let mut cholesky = DenseCholesky::new();
        cholesky.factor(d, &gram)?;
        cholesky.solve_in_place(&mut sum)?;
        Ok(sum)
    }
}
