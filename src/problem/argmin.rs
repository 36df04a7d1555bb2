//! Problems from and for the crate argmin (feature `argmin`).
//!
//! [`ForArgmin`] hands the objective of a [`NonlinearProgram`] to argmin's solvers; [`from_argmin`] takes a problem written for
//! argmin to the solvers here, where bounds and constraints may be added.

use std::sync::{Mutex, PoisonError};

use ::argmin::core::{CostFunction, Error, Gradient, Hessian};

use super::closures::Closures;
use super::nonlinear::{NonlinearProgram, entries};

/// The objective of a nonlinear program as a problem of argmin, with parameters, gradients and dense Hessians in `Vec`s. Bounds
/// and constraints don't show. A value that isn't finite is passed on as it is.
pub struct ForArgmin<'p, P: NonlinearProgram> {
    problem: &'p P,
    workspace: Mutex<P::Workspace>,
}

impl<'p, P: NonlinearProgram> ForArgmin<'p, P> {
    /// Wraps a problem.
    pub fn new(problem: &'p P) -> Self {
        Self { problem, workspace: Mutex::new(problem.workspace()) }
    }

    fn with<R>(&self, x: &[f64], evaluate: impl FnOnce(&mut P::Workspace) -> R) -> Result<R, Error> {
        if x.len() != self.problem.variable_count() {
            return Err(Error::msg(format!(
                "the point has {} entries, the problem {} variables",
                x.len(),
                self.problem.variable_count()
            )));
        }
        // scratch memory is valid whatever a panic left in it
        Ok(evaluate(&mut self.workspace.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<P: NonlinearProgram> CostFunction for ForArgmin<'_, P> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, x: &Vec<f64>) -> Result<f64, Error> {
        self.with(x, |workspace| self.problem.objective(x, workspace))
    }
}

impl<P: NonlinearProgram> Gradient for ForArgmin<'_, P> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, x: &Vec<f64>) -> Result<Vec<f64>, Error> {
        self.with(x, |workspace| {
            let mut gradient = vec![0.0; x.len()];
            self.problem.gradient(x, &mut gradient, workspace);
            gradient
        })
    }
}

impl<P: NonlinearProgram> Hessian for ForArgmin<'_, P> {
    type Param = Vec<f64>;
    type Hessian = Vec<Vec<f64>>;

    fn hessian(&self, x: &Vec<f64>) -> Result<Vec<Vec<f64>>, Error> {
        let pattern =
            self.problem.hessian_pattern().ok_or_else(|| Error::msg("the problem stores no Hessian"))?;
        self.with(x, |workspace| {
            let mut values = vec![0.0; pattern.nnz()];
            let zeros = vec![0.0; self.problem.constraint_count()];
            self.problem.hessian(x, 1.0, &zeros, &mut values, workspace);
            let mut rows = vec![vec![0.0; x.len()]; x.len()];
            for ((row, column), value) in entries(pattern).zip(values) {
                rows[row][column] += value;
                if row != column {
                    rows[column][row] += value;
                }
            }
            rows
        })
    }
}

/// A problem of argmin as a nonlinear program in the making: add bounds and constraints, then
/// [`build`](Closures::build) it. Second derivatives come from differences; an error of argmin's functions counts as a point
/// outside their domain.
pub fn from_argmin<O>(problem: &O, start: Vec<f64>) -> Closures<'_>
where
    O: CostFunction<Param = Vec<f64>, Output = f64> + Gradient<Param = Vec<f64>, Gradient = Vec<f64>> + Sync,
{
    Closures::new(start).objective(
        |x| problem.cost(&x.to_vec()).unwrap_or(f64::NAN),
        |x, out| match problem.gradient(&x.to_vec()) {
            Ok(gradient) if gradient.len() == out.len() => out.copy_from_slice(&gradient),
            _ => out.fill(f64::NAN),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constrained::SketchNewton;
    use crate::control::Status;

    /// Rosenbrock's function, as a user of argmin writes it.
    struct Rosenbrock;

    impl CostFunction for Rosenbrock {
        type Param = Vec<f64>;
        type Output = f64;
        fn cost(&self, x: &Vec<f64>) -> Result<f64, Error> {
            Ok((1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2))
        }
    }

    impl Gradient for Rosenbrock {
        type Param = Vec<f64>;
        type Gradient = Vec<f64>;
        fn gradient(&self, x: &Vec<f64>) -> Result<Vec<f64>, Error> {
            let inner = x[1] - x[0] * x[0];
            Ok(vec![-2.0 * (1.0 - x[0]) - 400.0 * x[0] * inner, 200.0 * inner])
        }
    }

    #[test]
    fn there_and_back() {
        // free, and on the line x + y = 1
        let free = from_argmin(&Rosenbrock, vec![-1.2, 1.0]).build().unwrap();
        let solution = SketchNewton::default().solve(&free).unwrap();
        assert_eq!(solution.status, Status::Solved);
        assert!(solution.x.iter().all(|x| (x - 1.0).abs() < 1e-6));
        let line = from_argmin(&Rosenbrock, vec![-1.2, 1.0])
            .equations(1, &[(0, 0), (0, 1)], |x, c| c[0] = x[0] + x[1] - 1.0, |_, j| j.fill(1.0))
            .build()
            .unwrap();
        let solution = SketchNewton::default().solve(&line).unwrap();
        assert_eq!(solution.status, Status::Solved);
        assert!((solution.x[0] + solution.x[1] - 1.0).abs() < 1e-10);
        // and handed back to argmin
        let back = ForArgmin::new(&free);
        let x = vec![0.3, -0.4];
        assert_eq!(back.cost(&x).unwrap(), Rosenbrock.cost(&x).unwrap());
        assert_eq!(back.gradient(&x).unwrap(), Rosenbrock.gradient(&x).unwrap());
        let hessian = back.hessian(&x).unwrap();
        assert!((hessian[0][1] + 400.0 * 0.3).abs() < 1e-4 && hessian[0][1] == hessian[1][0]);
        assert!(back.cost(&vec![1.0]).is_err());
    }
}
