//! Minimising the surrogate of one batch:
//!
//! q(D) = (1/b) [ eta g'J D + 1/2 ||J D||_W^2 ] + (eta/2) sum of r_j (theta_j + D_j)^2
//!
//! where J D stands for f_B(theta + D) - f_B(theta) if f is not linear. This is eta times the surrogate, so that its
//! steps do not change with eta. Nothing here can call the oracle: g is all that is left of it.

mod exact;
mod gauss_newton;
mod gradient;
mod lbfgs;

pub(crate) use exact::by_output;
pub use exact::{Form, exact_step};
pub use gradient::InnerSearch;

use serde::{Deserialize, Serialize};

use super::TargetModel;
use super::oracle::Work;
use crate::linalg::RowBlock;
use crate::linalg::product::dot_serial;

/// How the surrogate of a batch is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Inner {
    /// m gradient steps with backtracking: the published method.
    Gradient {
        /// m, at least 1.
        steps: usize,
        /// The backtracking.
        search: InnerSearch,
    },
    /// m gradient steps of a given length, in units of the surrogate: parameters move by `length` eta v at the first.
    Fixed {
        /// m, at least 1.
        steps: usize,
        /// The length.
        length: f64,
    },
    /// m gradient steps, each of the length that minimises the quadratic of a linear map; backtracking for others.
    Steepest {
        /// m, at least 1.
        steps: usize,
    },
    /// At most m conjugate-gradient steps on the quadratic of a linear map, ended at a residual a tenth of the first.
    /// For other maps: one Gauss-Newton step, its system solved so.
    ConjugateGradient {
        /// m, at least 1.
        steps: usize,
    },
    /// The minimiser itself, by Cholesky on the columns or the rows, whichever are fewer. Linear maps only.
    Exact {
        /// Added to the diagonal, relative to the mean diagonal entry.
        damping: f64,
    },
    /// m steps of L-BFGS.
    Lbfgs {
        /// m, at least 1.
        steps: usize,
    },
    /// m Gauss-Newton steps, each by at most `products` conjugate-gradient steps, with backtracking.
    GaussNewton {
        /// m, at least 1.
        steps: usize,
        /// Conjugate-gradient steps in each, at least 1.
        products: usize,
    },
}

impl Inner {
    /// Whether only a linear map will do.
    pub(crate) fn needs_linear(&self) -> bool {
        matches!(self, Inner::Exact { .. })
    }

    /// Checks the numbers.
    pub(crate) fn check(&self) -> Result<(), String> {
        let steps = match *self {
            Inner::Gradient { steps, search } => {
                search.check()?;
                steps
            }
            Inner::Fixed { steps, length } => {
                if !(length > 0.0 && length.is_finite()) {
                    return Err(format!("the inner step is {length}; it must be positive and finite"));
                }
                steps
            }
            Inner::Steepest { steps } | Inner::ConjugateGradient { steps } | Inner::Lbfgs { steps } => steps,
            Inner::GaussNewton { steps, products } => steps.min(products),
            Inner::Exact { damping } => {
                if !(damping >= 0.0 && damping.is_finite()) {
                    return Err(format!("the damping is {damping}; it must be finite and not negative"));
                }
                1
            }
        };
        if steps == 0 {
            return Err("the surrogate needs at least 1 inner step, not 0".into());
        }
        Ok(())
    }

    /// Moves `theta` from the surrogate's point toward its minimiser.
    pub(crate) fn minimize(
        &self,
        q: &Surrogate,
        theta: &mut [f64],
        scratch: &mut Scratch,
        work: &mut Work,
    ) -> Result<(), String> {
        match (*self, q.model.as_linear()) {
            (Inner::Gradient { steps, search }, Some(_)) => {
                gradient::linear(q, steps, gradient::Length::Search(search), theta, scratch, work)
            }
            (Inner::Fixed { steps, length }, Some(_)) => {
                gradient::linear(q, steps, gradient::Length::Fixed(length), theta, scratch, work)
            }
            (Inner::Steepest { steps }, Some(_)) => {
                gradient::linear(q, steps, gradient::Length::Exact, theta, scratch, work)
            }
            (Inner::Exact { damping }, Some(linear)) => {
                exact::step(q, linear, damping, theta, scratch, work)?
            }
            (Inner::Exact { .. }, None) => return Err("exact inner solves are for linear maps".into()),
            (Inner::ConjugateGradient { steps }, _) => {
                gauss_newton::minimize(q, 1, steps, theta, scratch, work)?
            }
            (Inner::GaussNewton { steps, products }, _) => {
                gauss_newton::minimize(q, steps, products, theta, scratch, work)?
            }
            (Inner::Gradient { steps, search }, None) => {
                gradient::general(q, steps, Some(search), 0.0, theta, work)
            }
            (Inner::Steepest { steps }, None) => {
                gradient::general(q, steps, Some(InnerSearch::default()), 0.0, theta, work)
            }
            (Inner::Fixed { steps, length }, None) => gradient::general(q, steps, None, length, theta, work),
            (Inner::Lbfgs { steps }, _) => lbfgs::minimize(q, steps, theta, work)?,
        }
        Ok(())
    }
}

/// The surrogate of one batch at one point. See the module's formula.
pub struct Surrogate<'a> {
    /// f.
    pub model: &'a dyn TargetModel,
    /// B.
    pub batch: &'a [u32],
    /// theta, where the targets z and their gradient were taken.
    pub theta: &'a [f64],
    /// z = f_B(theta).
    pub z: &'a [f64],
    /// g.
    pub g: &'a [f64],
    /// eta.
    pub eta: f64,
    /// The diagonal of W, laid out as z; the identity where absent.
    pub weights: Option<&'a [f64]>,
    /// r, one weight per parameter; those beyond its end, such as an intercept, have none.
    pub ridge: &'a [f64],
}

impl Surrogate<'_> {
    /// r_j.
    fn ridge_of(&self, j: usize) -> f64 {
        self.ridge.get(j).copied().unwrap_or(0.0)
    }

    /// u <- W w + eta g, for w = f_B - z.
    fn residual(&self, w: &[f64], u: &mut [f64]) {
        match self.weights {
            None => u.iter_mut().zip(w).zip(self.g).for_each(|((u, w), g)| *u = w + self.eta * g),
            Some(weights) => {
                for (((u, w), g), weight) in u.iter_mut().zip(w).zip(self.g).zip(weights) {
                    *u = weight * w + self.eta * g;
                }
            }
        }
    }

    /// ||w||_W^2 / b.
    fn square(&self, w: &[f64]) -> f64 {
        let sum = match self.weights {
            None => dot_serial(w, w),
            Some(weights) => w.iter().zip(weights).map(|(w, weight)| weight * w * w).sum(),
        };
        sum / self.batch.len() as f64
    }

    /// out <- J'u / b + eta r theta from an unscaled J'u in out.
    fn finish_gradient(&self, theta: &[f64], out: &mut [f64]) {
        let scale = 1.0 / self.batch.len() as f64;
        out.iter_mut().for_each(|value| *value *= scale);
        for ((out, r), theta) in out.iter_mut().zip(self.ridge).zip(theta) {
            *out += self.eta * r * theta;
        }
    }

    /// q(theta) - its ridge part's constant is kept; by one evaluation of f. `w` receives f_B(theta) - z.
    pub(crate) fn value(&self, theta: &[f64], w: &mut [f64], work: &mut Work) -> f64 {
        work.products += 1;
        self.model.forward(theta, self.batch, w);
        w.iter_mut().zip(self.z).for_each(|(w, z)| *w -= z);
        let linear = self.eta * dot_serial(self.g, w) / self.batch.len() as f64;
        let ridge: f64 =
            self.ridge.iter().zip(theta).map(|(r, theta)| 0.5 * self.eta * r * theta * theta).sum();
        linear + 0.5 * self.square(w) + ridge
    }

    /// Gradient of q at theta, where w = f_B(theta) - z is known. O(one pull-back).
    pub(crate) fn gradient(&self, theta: &[f64], w: &[f64], u: &mut [f64], out: &mut [f64], work: &mut Work) {
        self.residual(w, u);
        work.products += 1;
        self.model.pull_back(theta, self.batch, u, out);
        self.finish_gradient(theta, out);
    }
}

/// Memory of the inner solvers, kept between batches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch {
    pub rows: RowBlock,
    pub w: Vec<f64>,
    pub u: Vec<f64>,
    pub image: Vec<f64>,
    pub gradient: Vec<f64>,
    pub step: Vec<f64>,
    pub gram: Vec<f64>,
    pub cholesky: crate::linalg::factor::DenseCholesky,
    pub krylov: crate::linalg::krylov::Workspace,
}

impl Scratch {
    /// Sizes the vectors: d parameters, m targets.
    fn prepare(&mut self, d: usize, m: usize) {
        for vector in [&mut self.w, &mut self.u, &mut self.image] {
            vector.clear();
            vector.resize(m, 0.0);
        }
        for vector in [&mut self.gradient, &mut self.step] {
            vector.clear();
            vector.resize(d, 0.0);
        }
    }
}
