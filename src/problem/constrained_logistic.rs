//! Logistic regression under linear equations and on a sphere.
//!
//! minimise (1/N) sum of ln(1 + exp(-y_i a_i'w)) over w in R^p, subject to C w = e and |w|^2 = radius^2.

use sprs::CsMatI;

use super::linear_model::Classes;
use super::loss::{Logistic, Loss};
use super::nonlinear::{NonlinearProgram, Pattern};
use crate::linalg::product::dot;
use crate::linalg::{ColumnBlock, DesignError, DesignMatrix};

/// The problem. The Hessian of the loss, A' diag(d) A / N, is summed from the sparse rows into one dense p x p triangle:
/// made for up to a few thousand features.
pub struct ConstrainedLogistic {
    design: ColumnBlock,
    /// -1 or +1.
    labels: Vec<f64>,
    /// 1/N for every row.
    weights: Vec<f64>,
    equations: Vec<f64>,
    right: Vec<f64>,
    jacobian: Pattern,
    hessian: Pattern,
    free: (Vec<f64>, Vec<f64>),
    start: Vec<f64>,
    start_multipliers: Vec<f64>,
}

/// What is wrong with the parts of a [`ConstrainedLogistic`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConstrainedLogisticError {
    /// The data matrix is not one.
    #[error(transparent)]
    Design(#[from] DesignError),
    /// The labels are not two classes.
    #[error("{0}")]
    Labels(String),
    /// Sizes that don't fit.
    #[error("{what} has {actual} entries; {expected} are expected")]
    Length {
        /// Which vector.
        what: &'static str,
        /// The length that fits.
        expected: usize,
        /// The length that was given.
        actual: usize,
    },
}

impl ConstrainedLogistic {
    /// From the rows a_i, labels of two classes (the larger one is +1), the rows of C one after the other, e, and the radius
    /// of the sphere. The start is w = 1 with multipliers 1.
    ///
    /// # Errors
    /// Data that aren't finite, labels of one class or of more than two, sizes that don't fit.
    pub fn new(
        data: CsMatI<f64, u32>,
        labels: &[f64],
        equations: Vec<f64>,
        right: Vec<f64>,
        radius: f64,
    ) -> Result<Self, ConstrainedLogisticError> {
        let (rows, p) = data.shape();
        let lengths = [("the vector of labels", rows, labels.len()), ("C", right.len() * p, equations.len())];
        for (what, expected, actual) in lengths {
            if expected != actual {
                return Err(ConstrainedLogisticError::Length { what, expected, actual });
            }
        }
        let (_, labels) = Classes::from_labels(labels)
            .map_err(|error| ConstrainedLogisticError::Labels(error.to_string()))?;
        let design = DesignMatrix::from_sparse(data)?;
        let columns: Vec<usize> = (0..p).collect();
        let mut right = right;
        let m = right.len() + 1;
        right.push(radius * radius);
        Ok(Self {
            design: design.select(&columns),
            weights: vec![1.0 / rows.max(1) as f64; rows],
            labels,
            equations,
            jacobian: full_rows(m, p),
            hessian: lower_triangle(p),
            free: (vec![f64::NEG_INFINITY; p], vec![f64::INFINITY; p]),
            start: vec![1.0; p],
            start_multipliers: vec![1.0; m],
            right,
        })
    }

    /// The instance of the published experiment in a form that can be reproduced: ten equations,
    /// C_ij = sqrt(2) cos(i j + 0.37 i^2), e_i = sin(i) / 2, i = 1..10, j = 1..p, and the unit sphere.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn published(data: CsMatI<f64, u32>, labels: &[f64]) -> Result<Self, ConstrainedLogisticError> {
        let p = data.cols();
        let row = |i: usize| {
            (1..=p).map(move |j| {
                let i = i as f64;
                std::f64::consts::SQRT_2 * (i * j as f64 + 0.37 * i * i).cos()
            })
        };
        let equations = (1..=10).flat_map(row).collect();
        let right = (1..=10).map(|i| 0.5 * f64::from(i).sin()).collect();
        Self::new(data, labels, equations, right, 1.0)
    }

    /// z = A w into the workspace.
    fn predict(&self, w: &[f64], z: &mut Vec<f64>) {
        z.clear();
        z.resize(self.labels.len(), 0.0);
        self.design.add_product(w, z);
    }
}

fn full_rows(m: usize, n: usize) -> Pattern {
    let offsets = (0..=m).map(|i| i * n).collect();
    Pattern::new((m, n), offsets, (0..m).flat_map(|_| 0..n as u32).collect(), vec![(); m * n])
}

fn lower_triangle(n: usize) -> Pattern {
    let offsets = (0..=n).map(|i| i * (i + 1) / 2).collect();
    Pattern::new((n, n), offsets, (0..n as u32).flat_map(|i| 0..=i).collect(), vec![(); n * (n + 1) / 2])
}

/// Scratch memory: one number per row twice, and the dense Hessian.
#[derive(Clone, Default)]
pub struct ConstrainedLogisticWorkspace {
    z: Vec<f64>,
    derivatives: Vec<f64>,
    gram: Vec<f64>,
}

impl NonlinearProgram for ConstrainedLogistic {
    type Workspace = ConstrainedLogisticWorkspace;

    fn workspace(&self) -> ConstrainedLogisticWorkspace {
        ConstrainedLogisticWorkspace::default()
    }

    fn variable_count(&self) -> usize {
        self.start.len()
    }

    fn constraint_count(&self) -> usize {
        self.right.len()
    }

    fn variable_bounds(&self) -> (&[f64], &[f64]) {
        (&self.free.0, &self.free.1)
    }

    fn constraint_bounds(&self) -> (&[f64], &[f64]) {
        (&self.right, &self.right)
    }

    fn start(&self) -> &[f64] {
        &self.start
    }

    fn start_multipliers(&self) -> &[f64] {
        &self.start_multipliers
    }

    fn is_linear(&self, row: usize) -> bool {
        row + 1 < self.right.len()
    }

    fn jacobian_pattern(&self) -> &Pattern {
        &self.jacobian
    }

    fn hessian_pattern(&self) -> Option<&Pattern> {
        Some(&self.hessian)
    }

    fn objective(&self, w: &[f64], workspace: &mut ConstrainedLogisticWorkspace) -> f64 {
        self.predict(w, &mut workspace.z);
        Logistic.sum(&workspace.z, &self.labels, &self.weights)
    }

    fn constraints(&self, w: &[f64], values: &mut [f64], _workspace: &mut ConstrainedLogisticWorkspace) {
        let (sphere, linear) = match values.split_last_mut() {
            Some(split) => split,
            None => return,
        };
        for (value, row) in linear.iter_mut().zip(self.equations.chunks_exact(w.len().max(1))) {
            *value = dot(row, w);
        }
        *sphere = dot(w, w);
    }

    fn gradient(&self, w: &[f64], values: &mut [f64], workspace: &mut ConstrainedLogisticWorkspace) {
        self.predict(w, &mut workspace.z);
        workspace.derivatives.resize(self.labels.len(), 0.0);
        Logistic.derivatives(&workspace.z, &self.labels, &self.weights, &mut workspace.derivatives);
        self.design.multiply_transpose(&workspace.derivatives, values);
    }

    fn jacobian(&self, w: &[f64], values: &mut [f64], _workspace: &mut ConstrainedLogisticWorkspace) {
        let (linear, sphere) = values.split_at_mut(self.equations.len());
        linear.copy_from_slice(&self.equations);
        sphere.iter_mut().zip(w).for_each(|(value, w)| *value = 2.0 * w);
    }

    fn hessian(
        &self,
        w: &[f64],
        sigma: f64,
        multipliers: &[f64],
        values: &mut [f64],
        workspace: &mut ConstrainedLogisticWorkspace,
    ) {
        let p = w.len();
        self.predict(w, &mut workspace.z);
        workspace.derivatives.resize(self.labels.len(), 0.0);
        Logistic.curvatures(&workspace.z, &self.labels, &self.weights, &mut workspace.derivatives);
        self.design.gram(&workspace.derivatives, &mut workspace.gram);
        let curvature = 2.0 * multipliers.last().copied().unwrap_or(0.0);
        let mut rest = values;
        for i in 0..p {
            let (row, below) = std::mem::take(&mut rest).split_at_mut(i + 1);
            for (value, gram) in row.iter_mut().zip(&workspace.gram[i * p..]) {
                *value = sigma * gram;
            }
            row[i] += curvature;
            rest = below;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::check_derivatives;
    use sprs::TriMatI;

    #[test]
    fn derivatives_and_values_are_those_of_the_formula() {
        let (rows, p) = (30, 12);
        let mut data = TriMatI::<f64, u32>::new((rows, p));
        for k in 0..100 {
            data.add_triplet((7 * k) % rows, (5 * k + k / 30) % p, (k as f64).sin());
        }
        let labels: Vec<f64> = (0..rows).map(|i| if i % 3 == 0 { 1.0 } else { 2.0 }).collect();
        let matrix: CsMatI<f64, u32> = data.to_csr();
        let problem = ConstrainedLogistic::published(matrix.clone(), &labels).unwrap();
        let w: Vec<f64> = (0..p).map(|j| 0.3 * (j as f64).cos()).collect();
        let y: Vec<f64> = (0..11).map(|i| (i as f64).sin()).collect();
        let check = check_derivatives(&problem, &w, &y, 1e-3);
        assert!(check.worst() < 1e-9, "{check:?}");
        let mut mean = 0.0;
        for (i, row) in matrix.outer_iterator().enumerate() {
            let z: f64 = row.iter().map(|(j, v)| v * w[j]).sum();
            mean += (1.0 + (-z * if i % 3 == 0 { -1.0 } else { 1.0 }).exp()).ln() / rows as f64;
        }
        assert!((problem.objective(&w, &mut problem.workspace()) - mean).abs() < 1e-14);
        let mut c = vec![0.0; 11];
        problem.constraints(&w, &mut c, &mut problem.workspace());
        assert!((c[10] - w.iter().map(|w| w * w).sum::<f64>()).abs() < 1e-14);
        assert_eq!(problem.constraint_bounds().0[10], 1.0);
    }

    #[test]
    fn sizes_and_labels_are_checked() {
        let data = || CsMatI::<f64, u32>::zero((2, 3));
        let one_class = ConstrainedLogistic::new(data(), &[1.0, 1.0], vec![], vec![], 1.0).err();
        assert!(matches!(one_class, Some(ConstrainedLogisticError::Labels(_))));
        let short = ConstrainedLogistic::new(data(), &[1.0, 2.0], vec![1.0], vec![0.0], 1.0).err();
        assert!(matches!(short, Some(ConstrainedLogisticError::Length { expected: 3, actual: 1, .. })));
    }
}
