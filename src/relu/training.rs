//! The training problem: data, targets, loss, and the weight of the regulariser.

use faer::{Mat, MatRef};

use super::{Error, Loss};
use crate::linalg::DesignMatrix;
use crate::linalg::cone_projection::Cone;
use crate::linalg::factor::DenseQr;
use crate::linalg::panel;
use crate::linalg::product::norm;
use crate::problem::{Classes, ModelError};

/// min over u_j, a_j of sum_k l(f(x_k); y_k) + (beta / 2) sum_j (|u_j|^2 + a_j^2), f(x) = sum_j (x'u_j)_+ a_j.
///
/// The loss is a sum over the rows; a mean is the same problem with beta multiplied by their number. A column of ones
/// gives a bias, regularised like every weight. Data are held densely: 8 n d bytes.
#[derive(Debug, Clone)]
pub struct Training {
    rows: usize,
    columns: usize,
    /// X, column-major.
    values: Vec<f64>,
    target: Vec<f64>,
    loss: Loss,
    beta: f64,
}

impl Training {
    /// Checks and copies the data.
    ///
    /// # Errors
    /// No rows or no columns, a target that the loss doesn't take, one class only, beta that isn't positive.
    pub fn new(design: &DesignMatrix, target: Vec<f64>, loss: Loss, beta: f64) -> Result<Self, Error> {
        let (rows, columns) = (design.rows(), design.columns());
        if rows == 0 || columns == 0 {
            return Err(Error::Empty { rows, columns });
        }
        if target.len() != rows {
            return Err(ModelError::Length { what: "targets", given: target.len(), rows }.into());
        }
        if let Some(row) = target.iter().position(|y| !y.is_finite()) {
            let expected = "targets must be finite";
            return Err(ModelError::Target { row, value: target[row], expected }.into());
        }
        if loss.needs_classes() {
            if let Some(row) = target.iter().position(|y| y.abs() != 1.0) {
                let expected = "this loss takes the classes -1 and +1";
                return Err(ModelError::Target { row, value: target[row], expected }.into());
            }
            Classes::from_labels(&target)?;
        }
        if !(beta > 0.0 && beta.is_finite()) {
            return Err(Error::Beta(beta));
        }
        let entries = rows.checked_mul(columns).filter(|entries| *entries < isize::MAX as usize / 8);
        let entries = entries.ok_or(Error::TooLarge { rows, columns })?;
        let mut values = vec![0.0; entries];
        let mut unit = vec![0.0; columns];
        for (j, column) in values.chunks_exact_mut(rows).enumerate() {
            unit[j] = 1.0;
            design.multiply(&unit, column);
            unit[j] = 0.0;
        }
        Ok(Self { rows, columns, values, target, loss, beta })
    }

    /// n.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// d.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// X, n x d.
    pub fn x(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.values, self.rows, self.columns)
    }

    /// The targets.
    pub fn target(&self) -> &[f64] {
        &self.target
    }

    /// The loss.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// The weight of the regulariser.
    pub fn beta(&self) -> f64 {
        self.beta
    }

    /// The same data with another beta.
    ///
    /// # Errors
    /// A beta that isn't positive.
    pub fn with_beta(&self, beta: f64) -> Result<Self, Error> {
        if !(beta > 0.0 && beta.is_finite()) {
            return Err(Error::Beta(beta));
        }
        Ok(Self { beta, ..self.clone() })
    }

    /// The same problem on other rows, given one after the other.
    pub(super) fn with_rows(&self, rows: &[f64]) -> Self {
        let mut values = vec![0.0; self.values.len()];
        for (k, row) in rows.chunks_exact(self.columns).enumerate() {
            row.iter().enumerate().for_each(|(j, v)| values[j * self.rows + k] = *v);
        }
        Self { values, ..self.clone() }
    }

    /// Sum of the losses at outputs z.
    pub fn loss_value(&self, z: &[f64]) -> f64 {
        z.iter().zip(&self.target).map(|(&z, &y)| self.loss.value(z, y)).sum()
    }
}

/// The training problem in the variables that the solvers work in.
///
/// Rows of zeros are left out (a constant). With more columns than rows, X is replaced by R' of X' = Q R and weights by
/// Q'v, which changes neither X v nor the norm of the weights that matter, those in the span of the rows. X and beta are
/// divided by `scale`, weights multiplied by it: the same problem.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub n: usize,
    pub d: usize,
    /// X, n x d.
    pub x: Mat<f64>,
    /// Rows of X one after the other.
    pub rows: Vec<f64>,
    /// Their norms.
    pub norms: Vec<f64>,
    pub y: Vec<f64>,
    pub loss: Loss,
    pub beta: f64,
    pub scale: f64,
    /// Loss of the rows left out.
    pub constant: f64,
    /// Rows of the data that are kept.
    pub kept: Vec<usize>,
    basis: Option<Mat<f64>>,
}

impl Program {
    pub fn new(training: &Training) -> Result<Self, Error> {
        let x = training.x();
        let kept: Vec<usize> =
            (0..training.rows).filter(|&k| (0..training.columns).any(|j| x[(k, j)] != 0.0)).collect();
        let constant = (0..training.rows)
            .filter(|k| kept.binary_search(k).is_err())
            .map(|k| training.loss.value(0.0, training.target[k]))
            .sum();
        let (n, columns) = (kept.len(), training.columns);
        let mut reduced = Mat::from_fn(n, columns, |k, j| x[(kept[k], j)]);
        let mut basis = None;
        if columns > n && n > 0 {
            let transposed = reduced.transpose().to_owned();
            let qr = DenseQr::factor(transposed.as_ref())?;
            reduced = qr.r().transpose().to_owned();
            basis = Some(qr.orthonormal_factor()?);
        }
        let d = reduced.ncols();
        let square: f64 = (0..d).map(|j| reduced.col(j).iter().map(|v| v * v).sum::<f64>()).sum();
        let scale = if square > 0.0 { (square / n as f64).sqrt() } else { 1.0 };
        if !scale.is_finite() {
            return Err(Error::Option("the data are too large: their squares overflow".into()));
        }
        let x = Mat::from_fn(n, d, |k, j| reduced[(k, j)] / scale);
        let rows: Vec<f64> = (0..n).flat_map(|k| (0..d).map(move |j| (k, j))).map(|i| x[i]).collect();
        let norms = rows.chunks(d.max(1)).map(norm).collect();
        let y = kept.iter().map(|&k| training.target[k]).collect();
        let (loss, beta) = (training.loss, training.beta / scale);
        Ok(Self { n, d, x, rows, norms, y, loss, beta, scale, constant, kept, basis })
    }

    /// Weights of the data's columns in the variables used here.
    pub fn inward(&self, v: &[f64]) -> Vec<f64> {
        match &self.basis {
            None => v.iter().map(|v| v * self.scale).collect(),
            Some(q) => (0..self.d)
                .map(|j| self.scale * q.col(j).iter().zip(v).map(|(q, v)| q * v).sum::<f64>())
                .collect(),
        }
    }

    /// Weights used here as weights of the data's columns.
    pub fn outward(&self, v: &[f64]) -> Vec<f64> {
        match &self.basis {
            None => v.iter().map(|v| v / self.scale).collect(),
            Some(q) => (0..q.nrows())
                .map(|i| (0..self.d).map(|j| q[(i, j)] * v[j]).sum::<f64>() / self.scale)
                .collect(),
        }
    }

    /// Sum of the losses at outputs z of the kept rows.
    pub fn loss_value(&self, z: &[f64]) -> f64 {
        z.iter().zip(&self.y).map(|(&z, &y)| self.loss.value(z, y)).sum::<f64>() + self.constant
    }

    /// The cone of the weights with the given signs on every row.
    pub fn cone<'a>(&'a self, signs: &'a [f64]) -> Cone<'a> {
        Cone { rows: &self.rows, signs, norms: &self.norms }
    }

    /// X as a view.
    pub fn x(&self) -> MatRef<'_, f64> {
        self.x.as_ref()
    }

    /// out_k <- x_k'v.
    pub fn multiply(&self, v: &[f64], out: &mut [f64]) {
        panel::multiply_rows(&self.rows, v, out);
    }
}
