//! Multinomial (softmax) regression: minimise (1/n) sum of phi(a_r'X + b; c_r) + h(X) over X, p x k, and b, one
//! intercept per class, never penalised and zero where it is not asked for.

use std::sync::Arc;

use rayon::prelude::*;

use super::ModelError;
use super::loss::Softmax;
use super::penalty::Penalty;
use crate::linalg::DesignMatrix;
use crate::linalg::product::{PARALLEL_ENTRIES, norm_inf};

/// Data with classes 0 .. k - 1, the softmax loss and a penalty.
#[derive(Debug, Clone)]
pub struct MultinomialModel {
    /// The data matrix A, n x p.
    pub design: DesignMatrix,
    /// The class of each row.
    pub target: Vec<usize>,
    /// The loss, with the number k of classes.
    pub loss: Softmax,
    /// The penalty on the p k coefficients; feature j and class c have the index j k + c.
    pub penalty: Arc<dyn Penalty>,
    /// Whether to fit an intercept for each class.
    pub intercept: bool,
}

impl MultinomialModel {
    /// A model of k classes.
    pub fn new(
        design: DesignMatrix,
        target: Vec<usize>,
        classes: usize,
        penalty: impl Penalty + 'static,
    ) -> Self {
        Self { design, target, loss: Softmax { classes }, penalty: Arc::new(penalty), intercept: false }
    }

    /// Maps labels of any kind to classes 0, 1, ... in ascending order: the labels and each row's class.
    ///
    /// # Errors
    /// A label that is not finite; fewer than two distinct ones.
    pub fn classes_from_labels(labels: &[f64]) -> Result<(Vec<f64>, Vec<usize>), ModelError> {
        if let Some(row) = labels.iter().position(|label| !label.is_finite()) {
            let (value, expected) = (labels[row], "labels must be finite numbers");
            return Err(ModelError::Target { row, value, expected });
        }
        // zero of either sign is one label
        let mut distinct: Vec<f64> = labels.iter().map(|label| label + 0.0).collect();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup();
        if distinct.len() < 2 {
            let expected = "softmax needs at least two";
            return Err(ModelError::Classes { found: distinct.len(), expected });
        }
        let class = |label: &f64| distinct.partition_point(|other| other < label);
        let target = labels.iter().map(class).collect();
        Ok((distinct, target))
    }

    /// The mean loss at predictors z, n x k row by row; the rows of P go to `probabilities`. Parallel over fixed pieces of
    /// the rows. O(n k).
    pub fn mean_loss(&self, z: &[f64], probabilities: &mut [f64]) -> f64 {
        const ROWS: usize = 512;
        let k = self.loss.classes;
        let piece = |((z, p), classes): ((&[f64], &mut [f64]), &[usize])| self.loss.sum(z, classes, p);
        let total: f64 = if z.len() < PARALLEL_ENTRIES {
            let rows = z.chunks(ROWS * k).zip(probabilities.chunks_mut(ROWS * k));
            rows.zip(self.target.chunks(ROWS)).map(piece).sum()
        } else {
            let rows = z.par_chunks(ROWS * k).zip(probabilities.par_chunks_mut(ROWS * k));
            let parts: Vec<f64> = rows.zip(self.target.par_chunks(ROWS)).map(piece).collect();
            parts.into_iter().sum()
        };
        total / self.target.len() as f64
    }

    /// The smallest l1 for which X = 0 solves the model with penalty l1 sum of |x|, whatever its penalty is now: the
    /// largest entry of A'(P - Y) / n, P the classes' shares with intercepts, 1/k without.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn l1_max(&self) -> Result<f64, ModelError> {
        self.check()?;
        let (k, n) = (self.loss.classes, self.target.len());
        let mut share = vec![1.0 / k as f64; k];
        if self.intercept {
            share.fill(0.0);
            self.target.iter().for_each(|&class| share[class] += 1.0 / n as f64);
        }
        let mut residual: Vec<f64> = share.iter().map(|p| p / n as f64).cycle().take(n * k).collect();
        self.target.iter().enumerate().for_each(|(r, &class)| residual[r * k + class] -= 1.0 / n as f64);
        let mut gradient = vec![0.0; self.unknowns()];
        self.design.multiply_transpose_many(k, &residual, &mut gradient);
        Ok(norm_inf(&gradient))
    }

    /// The model on some of the rows; the classes stay.
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        let target = rows.iter().map(|&r| self.target[r]).collect();
        Self { design: self.design.select_rows(rows), target, ..self.clone() }
    }

    /// p k, the number of coefficients.
    pub fn unknowns(&self) -> usize {
        self.design.columns() * self.loss.classes
    }

    /// Checks sizes, classes and the penalty.
    ///
    /// # Errors
    /// The first thing that is wrong, with its row or column.
    pub fn check(&self) -> Result<(), ModelError> {
        let rows = self.design.rows();
        if rows == 0 {
            return Err(ModelError::Empty);
        }
        if self.target.len() != rows {
            return Err(ModelError::Length { what: "targets", given: self.target.len(), rows });
        }
        if self.loss.classes < 2 {
            return Err(ModelError::Classes {
                found: self.loss.classes,
                expected: "softmax needs at least two",
            });
        }
        if let Some(row) = self.target.iter().position(|&class| class >= self.loss.classes) {
            let expected = "classes must be below the number of classes";
            return Err(ModelError::Target { row, value: self.target[row] as f64, expected });
        }
        if self.intercept {
            let mut seen = vec![false; self.loss.classes];
            self.target.iter().for_each(|&class| seen[class] = true);
            let found = seen.iter().filter(|seen| **seen).count();
            if found < self.loss.classes {
                let expected = "with intercepts every class must occur";
                return Err(ModelError::Classes { found, expected });
            }
        }
        self.penalty.check(self.unknowns()).map_err(ModelError::Penalty)
    }
}
