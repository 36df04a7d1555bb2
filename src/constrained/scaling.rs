//! Scaling of objective and constraints by their gradients at the start.

use sprs::CsMatI;

use crate::problem::NonlinearProgram;

/// Gradients above this in the maximum norm are scaled down to it.
const LARGEST_GRADIENT: f64 = 100.0;
/// No factor is smaller.
const SMALLEST_FACTOR: f64 = 1e-8;

/// The scaled problem has objective s_f f and constraints s_c,i c_i.
///
/// s_f = min(1, 100 / |grad f|), s_c,i = min(1, 100 / |grad c_i|) in maximum norms at the problem's start, neither below 1e-8
/// (Waechter and Biegler 2006, section 3.8). Variables keep their scale. With unscaled multipliers (y, z) those of the scaled
/// problem are y_i s_f / s_c,i and z s_f.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// s_f.
    pub objective: f64,
    /// s_c, one factor per constraint.
    pub constraints: Vec<f64>,
}

impl Scaling {
    /// All factors one.
    pub fn none(constraints: usize) -> Self {
        Self { objective: 1.0, constraints: vec![1.0; constraints] }
    }

    /// From the gradients at the problem's start. A factor whose gradient isn't finite there is one.
    pub fn at_start<P: NonlinearProgram>(problem: &P) -> Self {
        let mut gradient = vec![0.0; problem.variable_count()];
        let pattern = problem.jacobian_pattern();
        let mut jacobian = vec![0.0; pattern.nnz()];
        let mut workspace = problem.workspace();
        problem.gradient_and_jacobian(problem.start(), &mut gradient, &mut jacobian, &mut workspace);
        Self::from_gradients(&gradient, pattern, &jacobian)
    }

    /// From given gradients of the objective and of the constraints.
    pub fn from_gradients(gradient: &[f64], pattern: &CsMatI<(), u32, usize>, jacobian: &[f64]) -> Self {
        let offsets = pattern.proper_indptr();
        let row = |pair: &[usize]| factor(&jacobian[pair[0]..pair[1]]);
        Self { objective: factor(gradient), constraints: offsets.windows(2).map(row).collect() }
    }

    /// s_f / s_c,i: what turns an unscaled multiplier into a scaled one.
    pub fn multiplier(&self, row: usize) -> f64 {
        self.objective / self.constraints[row]
    }

    /// Turns the scaled problem's multipliers into those of the problem itself.
    pub fn unscale_multipliers(&self, multipliers: &mut [f64]) {
        for (y, factor) in multipliers.iter_mut().zip(&self.constraints) {
            *y *= factor / self.objective;
        }
    }

    /// Turns multipliers of the problem itself into the scaled problem's.
    pub fn scale_multipliers(&self, multipliers: &mut [f64]) {
        for (y, factor) in multipliers.iter_mut().zip(&self.constraints) {
            *y *= self.objective / factor;
        }
    }
}

fn factor(gradient: &[f64]) -> f64 {
    let finite = gradient.iter().all(|value| value.is_finite());
    let largest = gradient.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    if finite && largest > LARGEST_GRADIENT { (LARGEST_GRADIENT / largest).max(SMALLEST_FACTOR) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_gradients_are_scaled_and_none_to_nothing() {
        let pattern = CsMatI::new((4, 2), vec![0, 2, 3, 3, 4], vec![0, 1, 0, 1], vec![(); 4]);
        let scaling = Scaling::from_gradients(&[1e3, -2e4], &pattern, &[3.0, -200.0, 1e30, f64::NAN]);
        assert_eq!(scaling.objective, 100.0 / 2e4);
        assert_eq!(scaling.constraints, [0.5, 1e-8, 1.0, 1.0]);
        let (mut y, unscaled) = ([3.0, -1.0, 0.5, 2.0], [3.0, -1.0, 0.5, 2.0]);
        scaling.scale_multipliers(&mut y);
        assert!((y[0] - 3.0 * scaling.multiplier(0)).abs() < 1e-15);
        scaling.unscale_multipliers(&mut y);
        assert!(y.iter().zip(unscaled).all(|(a, b)| (a - b).abs() < 1e-15));
    }
}
