//! Where second derivatives come from, and differences of the Lagrangian's gradient.
//!
//! Columns of the Hessian without a common row are moved together (Curtis, Powell and Reid 1974), so that a banded Hessian costs as
//! many gradients as its band is wide, whatever n.

use super::super::EvaluationError;
use super::super::evaluator::{Evaluator, add_transpose_product};
use super::form::Selected;
use crate::problem::closures::colours;

/// Where second derivatives come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondDerivatives {
    /// The problem's Hessian; limited memory where it stores none.
    #[default]
    Automatic,
    /// The problem's Hessian; a problem that stores none is refused.
    Exact,
    /// Central differences of the gradient of the Lagrangian, in the Hessian's pattern; a problem without one is refused.
    Differences,
    /// BFGS from the last six changes of the gradient of the Lagrangian: no pattern is needed, nothing evaluated.
    LimitedMemory,
}

impl SecondDerivatives {
    /// Names for command lines.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("auto", Self::Automatic),
        ("exact", Self::Exact),
        ("differences", Self::Differences),
        ("limited-memory", Self::LimitedMemory),
    ];

    /// What is used for a problem that stores its Hessian or doesn't.
    pub(super) fn resolved(self, stored: bool) -> Self {
        match self {
            Self::Automatic if stored => Self::Exact,
            Self::Automatic => Self::LimitedMemory,
            other => other,
        }
    }
}

/// Central differences in a pattern.
pub(super) struct Differences {
    /// Free variables that are moved together.
    sets: Vec<Vec<u32>>,
    set_of: Vec<u32>,
    moved: Vec<f64>,
    gradients: [Vec<f64>; 2],
    jacobian: Vec<f64>,
}

impl Differences {
    pub fn new(hessian: &Selected, evaluator: &Evaluator) -> Self {
        let sets = colours(&hessian.pattern);
        let mut set_of = vec![0; hessian.pattern.rows()];
        for (k, set) in sets.iter().enumerate() {
            set.iter().for_each(|&j| set_of[j as usize] = k as u32);
        }
        let n = evaluator.variables();
        Self {
            sets,
            set_of,
            moved: vec![0.0; n],
            gradients: [vec![0.0; n], vec![0.0; n]],
            jacobian: vec![0.0; evaluator.jacobian_pattern().nnz()],
        }
    }

    /// Hessian of sigma f + y'c at x, all in the problem's own numbering, into the kept `values`.
    pub fn hessian(
        &mut self,
        evaluator: &mut Evaluator,
        hessian: &Selected,
        free: &[u32],
        point: (&[f64], f64, &[f64]),
        values: &mut [f64],
    ) -> Result<(), EvaluationError> {
        let (x, sigma, y) = point;
        let bounds = evaluator.bounds();
        // never across a bound, where functions may end
        let steps: Vec<f64> = free
            .iter()
            .map(|&j| {
                let j = j as usize;
                let room = 0.5 * (x[j] - bounds.lower[j]).min(bounds.upper[j] - x[j]);
                (f64::EPSILON.cbrt() * x[j].abs().max(1.0)).min(room.max(1e-10))
            })
            .collect();
        let pattern = &hessian.pattern;
        let (offsets, columns) = (pattern.proper_indptr(), pattern.indices());
        for (number, set) in self.sets.iter().enumerate() {
            for (side, gradient) in self.gradients.iter_mut().enumerate() {
                self.moved.copy_from_slice(x);
                let sign = 1.0 - 2.0 * side as f64;
                for &k in set {
                    self.moved[free[k as usize] as usize] += sign * steps[k as usize];
                }
                evaluator.derivatives(&self.moved, gradient, &mut self.jacobian)?;
                gradient.iter_mut().for_each(|g| *g *= sigma);
                add_transpose_product(evaluator.jacobian_pattern(), &self.jacobian, y, gradient);
            }
            let [forward, backward] = &self.gradients;
            for (row, pair) in offsets.windows(2).enumerate() {
                for k in pair[0]..pair[1] {
                    let column = columns[k] as usize;
                    // an entry of the lower triangle serves both its mirror images
                    let (at, by) = match (self.set_of[row], self.set_of[column]) {
                        (_, set) if set == number as u32 => (row, column),
                        (set, _) if set == number as u32 => (column, row),
                        _ => continue,
                    };
                    let at = free[at] as usize;
                    values[k] = (forward[at] - backward[at]) / (2.0 * steps[by]);
                }
            }
        }
        Ok(())
    }
}
