//! Sinkhorn's divergence: a distance between weighted point sets that is 0 for equal ones.
//!
//! S(a, b) = W(a, b) - W(a, a)/2 - W(b, b)/2, W with the entropy relative to a x b (Feydy et al. 2019):
//! W = value + eps (1 - sum a log a - sum b log b) for masses of sum 1, value as this module states it.

use super::problem::{Cost, ProblemError, TransportProblem};
use super::{Error, Transport};
use crate::control::{Monitor, Status};

/// The divergence and its parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Divergence {
    /// S(a, b), at least 0 up to the errors of the parts.
    pub value: f64,
    /// W(a, b), W(a, a), W(b, b).
    pub parts: [f64; 3],
    /// Sum of the duality gaps of the three, halves where the parts are halved.
    pub gap: f64,
    /// Solved if all three are, else the status of the first that is not.
    pub status: Status,
}

/// The divergence of a problem between points or pixels, whose masses must sum to 1.
///
/// # Errors
/// Those of [`Transport::solve`]; a cost given as a matrix (the costs within each side are missing); masses of another sum.
pub fn divergence(
    solver: &Transport,
    problem: &TransportProblem,
    monitor: &mut Monitor,
) -> Result<Divergence, Error> {
    problem.check()?;
    let within = |is_source: bool| match &problem.cost {
        Cost::Dense { .. } => None,
        Cost::Points { dimension, source, target, metric } => {
            let side = if is_source { source } else { target };
            let (source, target) = (side.clone(), side.clone());
            Some(Cost::Points { dimension: *dimension, source, target, metric: *metric })
        }
        Cost::Grid { source, target, metric } => {
            let shape = if is_source { *source } else { *target };
            Some(Cost::Grid { source: shape, target: shape, metric: *metric })
        }
    };
    let (Some(first), Some(second)) = (within(true), within(false)) else {
        let why = "a divergence needs points or images: a matrix lacks the costs within each side";
        return Err(Error::Option(why.into()));
    };
    let sum: f64 = problem.source.iter().sum();
    if (sum - 1.0).abs() > 1e-9 {
        return Err(Error::Problem(ProblemError::Sums { source_sum: sum, target_sum: 1.0 }));
    }
    let eps = problem.regularization;
    let own = |cost: Cost, masses: &[f64]| TransportProblem {
        cost,
        source: masses.to_vec(),
        target: masses.to_vec(),
        regularization: eps,
    };
    let problems = [problem.clone(), own(first, &problem.source), own(second, &problem.target)];
    let mut outcome = Divergence { value: 0.0, parts: [0.0; 3], gap: 0.0, status: Status::Solved };
    for (k, (problem, weight)) in problems.iter().zip([1.0, -0.5, -0.5]).enumerate() {
        let solution = solver.solve_with(problem, None, monitor)?;
        let entropy = |w: &[f64]| -> f64 { w.iter().filter(|w| **w > 0.0).map(|w| w * w.ln()).sum() };
        outcome.parts[k] =
            solution.dual_objective + eps * (1.0 - entropy(&problem.source) - entropy(&problem.target));
        outcome.value += weight * outcome.parts[k];
        outcome.gap += weight.abs() * solution.certificate.value.abs();
        if outcome.status == Status::Solved {
            outcome.status = solution.status;
        }
    }
    Ok(outcome)
}
