//! Multinomial (softmax) regression: minimise (1/n) sum of phi(a_r'X; c_r) + h(X) over X, p x k.

use std::sync::Arc;

use super::ModelError;
use super::loss::Softmax;
use super::penalty::Penalty;
use crate::linalg::DesignMatrix;

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
}

impl MultinomialModel {
    /// A model of k classes.
    pub fn new(
        design: DesignMatrix,
        target: Vec<usize>,
        classes: usize,
        penalty: impl Penalty + 'static,
    ) -> Self {
        Self { design, target, loss: Softmax { classes }, penalty: Arc::new(penalty) }
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
        self.penalty.check(self.unknowns()).map_err(ModelError::Penalty)
    }
}
