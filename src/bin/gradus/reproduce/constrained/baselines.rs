//! The published comparison's other methods, for problems with equations alone, at the published constants: an augmented
//! Lagrangian method, and two sequential quadratic programming methods on the l1 merit function whose systems are solved
//! by GMRES as far as each asks.
//!
//! A test of the published program compares one entry of the residual where the text means its tail; here it is the tail.

use anyhow::Result;
use faer::{Mat, Side};
use gradus::constrained::evaluator::{Evaluator, add_transpose_product, row_product, symmetric_product};
use gradus::constrained::kkt::{KktMatrix, frobenius_norm};
use gradus::linalg::factor::Inertia;
use gradus::linalg::krylov::{FromFn, Identity, Stopping, Workspace, gmres};
use gradus::linalg::product::{dot, norm};
use gradus::problem::NonlinearProgram;
use gradus::problem::nonlinear::{Pattern, entries};

/// Which method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// Augmented Lagrangian with a modified Newton method inside.
    AugmentedLagrangian,
    /// l1 merit function, model reduction tests on inexact steps.
    L1,
    /// l1 merit function, accuracy and penalty adapted together.
    L1Adaptive,
}

/// What a run gave: |(grad L; c)|_2 at the end, iterations, gradient evaluations.
pub struct Ran {
    pub residual: f64,
    pub iterations: usize,
    pub gradients: u64,
}

const MOST_ITERATIONS: usize = 1000;
/// Products with the matrix within one step.
const MOST_PRODUCTS: usize = 20_000;

/// Runs a method from the problem's start, multipliers one of the problem's own, to |(grad L; c)|_2 <= `tolerance`.
pub fn run<P: NonlinearProgram>(baseline: Baseline, problem: &P, tolerance: f64) -> Result<Ran> {
    let mut point = Point::new(problem)?;
    let iterations = match baseline {
        Baseline::AugmentedLagrangian => point.augmented_lagrangian(tolerance)?,
        Baseline::L1 => point.l1(tolerance, false)?,
        Baseline::L1Adaptive => point.l1(tolerance, true)?,
    };
    Ok(Ran { residual: point.residual(), iterations, gradients: point.evaluator.counts().gradient })
}

/// The iterate with its derivatives.
struct Point<'p> {
    evaluator: Evaluator<'p>,
    x: Vec<f64>,
    y: Vec<f64>,
    right: Vec<f64>,
    f: f64,
    c: Vec<f64>,
    g: Vec<f64>,
    j: Vec<f64>,
    w: Vec<f64>,
}

impl<'p> Point<'p> {
    fn new<P: NonlinearProgram>(problem: &'p P) -> Result<Self> {
        let evaluator = Evaluator::new(problem)?;
        let (n, m) = (evaluator.variables(), evaluator.rows());
        let nonzeros = evaluator.hessian_pattern().map_or(0, |pattern| pattern.nnz());
        let mut point = Self {
            x: evaluator.start().to_vec(),
            y: evaluator.start_multipliers().to_vec(),
            right: evaluator.bounds().row_lower.clone(),
            f: 0.0,
            c: vec![0.0; m],
            g: vec![0.0; n],
            j: vec![0.0; evaluator.jacobian_pattern().nnz()],
            w: vec![0.0; nonzeros],
            evaluator,
        };
        point.evaluate()?;
        Ok(point)
    }

    fn evaluate(&mut self) -> Result<()> {
        self.f = self.evaluator.values(&self.x, &mut self.c)?;
        self.c.iter_mut().zip(&self.right).for_each(|(c, right)| *c -= right);
        self.evaluator.derivatives(&self.x, &mut self.g, &mut self.j)?;
        Ok(())
    }

    /// f and c at another point; None outside the domain.
    fn values_at(&mut self, x: &[f64]) -> Option<(f64, Vec<f64>)> {
        let mut c = vec![0.0; self.y.len()];
        let f = self.evaluator.values(x, &mut c).ok()?;
        c.iter_mut().zip(&self.right).for_each(|(c, right)| *c -= right);
        Some((f, c))
    }

    fn jacobian(&self) -> &'p Pattern {
        self.evaluator.jacobian_pattern()
    }

    fn lagrangian_gradient(&self, y: &[f64]) -> Vec<f64> {
        let mut gradient = self.g.clone();
        add_transpose_product(self.jacobian(), &self.j, y, &mut gradient);
        gradient
    }

    fn residual(&self) -> f64 {
        norm(&self.lagrangian_gradient(&self.y)).hypot(norm(&self.c))
    }

    fn hessian(&mut self, y: &[f64]) -> Result<&'p Pattern> {
        self.evaluator.hessian(&self.x, 1.0, y, &mut self.w)?;
        self.evaluator.hessian_pattern().ok_or_else(|| anyhow::anyhow!("the problem stores no Hessian"))
    }

    /// mu = 1, 1.5, 1.5^2, ... and inner tolerances 0.1, 0.01, ...: minimise f + y'c + mu |c|^2 / 2, then y <- y + mu c.
    fn augmented_lagrangian(&mut self, tolerance: f64) -> Result<usize> {
        let (mut mu, mut tau) = (1.0, 0.1);
        for outer in 0..100 {
            if self.residual() <= tolerance {
                return Ok(outer);
            }
            for _ in 0..100 {
                let y: Vec<f64> = self.y.iter().zip(&self.c).map(|(y, c)| y + mu * c).collect();
                let gradient = self.lagrangian_gradient(&y);
                if norm(&gradient) <= tau {
                    break;
                }
                let step = self.newton_step(&y, mu, &gradient)?;
                if !self.descend(&step, dot(&gradient, &step), mu)? {
                    break;
                }
            }
            self.y.iter_mut().zip(&self.c).for_each(|(y, c)| *y += mu * c);
            (mu, tau) = (1.5 * mu, 0.1 * tau);
        }
        Ok(100)
    }

    /// The step of H + (1 - lambda_min(H)) I, H the Hessian of the augmented Lagrangian, by GMRES.
    fn newton_step(&mut self, y: &[f64], mu: f64, gradient: &[f64]) -> Result<Vec<f64>> {
        let pattern = self.hessian(y)?;
        let (n, m) = (self.x.len(), self.y.len());
        let mut rows = Mat::<f64>::zeros(m, n);
        for ((i, k), value) in entries(self.jacobian()).zip(&self.j) {
            rows[(i, k)] += *value;
        }
        let mut h = rows.transpose() * &rows * faer::Scale(mu);
        for ((i, k), value) in entries(pattern).zip(&self.w) {
            h[(i, k)] += *value;
            if i != k {
                h[(k, i)] += *value;
            }
        }
        let eigenvalues = h
            .self_adjoint_eigenvalues(Side::Lower)
            .map_err(|error| anyhow::anyhow!("eigenvalues: {error:?}"))?;
        let shift = 1.0 - eigenvalues.first().copied().unwrap_or(0.0);
        let apply = FromFn::new(n, |v: &[f64], out: &mut [f64]| {
            for (i, out) in out.iter_mut().enumerate() {
                *out = (0..n).map(|k| h[(i, k)] * v[k]).sum::<f64>() + shift * v[i];
            }
        });
        let b: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut step = vec![0.0; n];
        let stopping = Stopping { tolerance: 1e-4, absolute: 0.0, max_iterations: MOST_PRODUCTS };
        gmres(&apply, &Identity(n), &b, &mut step, n.min(50), &stopping, &mut Workspace::new(), None)?;
        Ok(step)
    }

    /// Armijo on the augmented Lagrangian; false where no step will do.
    fn descend(&mut self, step: &[f64], slope: f64, mu: f64) -> Result<bool> {
        let y = self.y.clone();
        let merit = |f: f64, c: &[f64]| f + dot(&y, c) + 0.5 * mu * dot(c, c);
        let start = merit(self.f, &self.c);
        let mut alpha = 1.0;
        while alpha > 1e-12 {
            let x: Vec<f64> = self.x.iter().zip(step).map(|(x, d)| x + alpha * d).collect();
            let enough = |(f, c): &(f64, Vec<f64>)| merit(*f, c) <= start + 0.1 * alpha * slope;
            if self.values_at(&x).as_ref().is_some_and(enough) {
                self.x = x;
                self.evaluate()?;
                return Ok(true);
            }
            alpha *= 0.5;
        }
        Ok(false)
    }

    /// Sequential quadratic programming on f + mu |c|_1, in either variant.
    fn l1(&mut self, tolerance: f64, adaptive: bool) -> Result<usize> {
        let n = self.x.len();
        let mut test = StepTest::new(self, adaptive);
        for iteration in 0..MOST_ITERATIONS {
            if self.residual() <= tolerance {
                return Ok(iteration);
            }
            let y = self.y.clone();
            let pattern = self.hessian(&y)?;
            let shift = self.convexification(pattern)?;
            let b: Vec<f64> =
                self.lagrangian_gradient(&y).iter().chain(&self.c).map(|value| -value).collect();
            let mut d = vec![0.0; b.len()];
            let apply = FromFn::new(b.len(), |v: &[f64], out: &mut [f64]| {
                let (upper, lower) = out.split_at_mut(n);
                symmetric_product(pattern, &self.w, &v[..n], upper);
                upper.iter_mut().zip(v).for_each(|(out, v)| *out += shift * v);
                add_transpose_product(self.jacobian(), &self.j, &v[n..], upper);
                row_product(self.jacobian(), &self.j, &v[..n], lower);
            });
            let mut workspace = Workspace::new();
            let mut products = 0;
            let reduction = loop {
                // the published program restarts GMRES after two products, from the step so far
                let stopping = Stopping { tolerance: 0.0, absolute: 1e-300, max_iterations: 2 };
                products +=
                    gmres(&apply, &Identity(b.len()), &b, &mut d, 2, &stopping, &mut workspace, None)?
                        .iterations
                        + 1;
                if let Some(reduction) = test.accepts(self, shift, &b, &d) {
                    break reduction;
                }
                if products >= MOST_PRODUCTS {
                    return Ok(iteration);
                }
            };
            if !self.descend_l1(&d, reduction, test.mu)? {
                return Ok(iteration);
            }
        }
        Ok(MOST_ITERATIONS)
    }

    /// t = 0.1 + |W|_F where the Hessian isn't convex enough along the constraints, else 0.
    fn convexification(&self, pattern: &Pattern) -> Result<f64> {
        let (n, m) = (self.x.len(), self.y.len());
        let mut kkt = KktMatrix::new(pattern, self.jacobian())?;
        kkt.set(&self.w, &self.j, &[], &[]);
        let convex = kkt.factor(-1e-6, 0.0)? == Inertia { positive: n, negative: m, zero: 0 };
        Ok(if convex { 0.0 } else { 0.1 + frobenius_norm(pattern, &self.w) })
    }

    /// Armijo on f + mu |c|_1 with the model's reduction as slope.
    fn descend_l1(&mut self, d: &[f64], reduction: f64, mu: f64) -> Result<bool> {
        let n = self.x.len();
        let merit = |f: f64, c: &[f64]| f + mu * one_norm(c);
        let start = merit(self.f, &self.c);
        let mut alpha = 1.0;
        while alpha > 1e-12 {
            let x: Vec<f64> = self.x.iter().zip(d).map(|(x, d)| x + alpha * d).collect();
            let slack = 10.0 * f64::EPSILON * start.abs();
            let enough = |(f, c): &(f64, Vec<f64>)| merit(*f, c) <= start - 1e-8 * alpha * reduction + slack;
            if self.values_at(&x).as_ref().is_some_and(enough) {
                self.x = x;
                self.y.iter_mut().zip(&d[n..]).for_each(|(y, d)| *y += alpha * d);
                self.evaluate()?;
                return Ok(true);
            }
            alpha *= 0.5;
        }
        Ok(false)
    }
}

fn one_norm(v: &[f64]) -> f64 {
    v.iter().map(|v| v.abs()).sum()
}

/// The tests that decide when a step is good enough, and the penalty they adapt.
struct StepTest {
    adaptive: bool,
    mu: f64,
    /// Accuracy of the adaptive variant.
    kappa: f64,
    /// Bound on the constraints' residual of the other one.
    kappa2: f64,
}

/// sigma of the model reduction tests.
const SIGMA: f64 = 0.09;

impl StepTest {
    fn new(point: &Point, adaptive: bool) -> Self {
        let dual = one_norm(&point.lagrangian_gradient(&point.y));
        Self { adaptive, mu: 1.0, kappa: 0.1, kappa2: (dual / (one_norm(&point.c) + 1.0)).max(1.0) }
    }

    /// The reduction of the model that the step d promises, once it is accurate enough.
    fn accepts(&mut self, point: &Point, shift: f64, b: &[f64], d: &[f64]) -> Option<f64> {
        let n = point.x.len();
        let (dx, dy) = d.split_at(n);
        let pattern = point.evaluator.hessian_pattern()?;
        let mut bd = vec![0.0; n];
        symmetric_product(pattern, &point.w, dx, &mut bd);
        bd.iter_mut().zip(dx).for_each(|(out, v)| *out += shift * v);
        let curvature = (0.5 * dot(dx, &bd)).max(0.0);
        add_transpose_product(point.jacobian(), &point.j, dy, &mut bd);
        let mut linear = vec![0.0; point.y.len()];
        row_product(point.jacobian(), &point.j, dx, &mut linear);
        let dual: f64 = bd.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
        let primal: f64 = linear.iter().zip(&b[n..]).map(|(a, b)| (a - b).abs()).sum();
        let after: f64 = linear.iter().zip(&point.c).map(|(a, c)| (a + c).abs()).sum();
        let before = one_norm(&point.c);
        let slope = dot(&point.g, dx) + curvature;
        let reduction = |mu: f64| -slope + mu * (before - after);
        let wanted = |mu: f64| SIGMA * mu * before.max(after - before);
        if self.adaptive {
            if dual + primal > self.kappa * one_norm(b) {
                return None;
            }
            while reduction(self.mu) < wanted(self.mu) && self.mu < 1e12 {
                self.mu *= 1.5;
                self.kappa /= 1.5 * 1.5;
            }
            return (dual + primal <= self.kappa * one_norm(b)).then(|| reduction(self.mu));
        }
        let gradient = one_norm(&b[..n]);
        let first = dual + primal <= one_norm(b)
            && primal <= (0.1 * gradient).max(self.kappa2 * before)
            && reduction(self.mu) >= wanted(self.mu);
        if first {
            return Some(reduction(self.mu));
        }
        if dual <= 0.1 * before && primal <= self.kappa2 * before && before > after {
            if reduction(self.mu) < wanted(self.mu) {
                self.mu = self.mu.max(slope / (0.9 * (before - after))) + 1e-4;
            }
            return Some(reduction(self.mu));
        }
        None
    }
}
