//! The functions of a problem as a solver uses them: checked once, scaled, counted, timed, values that aren't finite caught.

use std::time::Instant;

use super::error::{Error, EvaluationError};
use super::scaling::Scaling;
use crate::control::Counts;
use crate::problem::nonlinear::{NonlinearProgram, Pattern, entries};

/// Bounds at least this large in size are none.
pub const NO_BOUND: f64 = 1e20;

/// Bounds of variables and constraints; infinite where there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// xl, length n.
    pub lower: Vec<f64>,
    /// xu.
    pub upper: Vec<f64>,
    /// cl, length m; equal to cu in equations.
    pub row_lower: Vec<f64>,
    /// cu.
    pub row_upper: Vec<f64>,
}

impl Bounds {
    /// Copies and checks the bounds of a problem.
    ///
    /// # Errors
    /// `Length`; `Bounds` where lower > upper, a bound is NaN, or a lower one is plus infinity.
    pub fn of<P: NonlinearProgram>(problem: &P) -> Result<Self, Error> {
        let (lower, upper) = problem.variable_bounds();
        let (row_lower, row_upper) = problem.constraint_bounds();
        let (n, m) = (problem.variable_count(), problem.constraint_count());
        let (lower, upper) = checked_bounds("variable", n, lower, upper)?;
        let (row_lower, row_upper) = checked_bounds("constraint", m, row_lower, row_upper)?;
        Ok(Self { lower, upper, row_lower, row_upper })
    }

    /// x with the fixed variables at their bounds.
    pub fn with_fixed(&self, x: &[f64]) -> Vec<f64> {
        let sides = self.lower.iter().zip(&self.upper);
        x.iter().zip(sides).map(|(&x, (&lower, &upper))| if lower == upper { lower } else { x }).collect()
    }

    /// Whether constraint i is an equation.
    pub fn is_equation(&self, row: usize) -> bool {
        self.row_lower[row] == self.row_upper[row]
    }

    /// Whether no variable has a bound and every constraint is an equation.
    pub fn equations_only(&self) -> bool {
        self.first_bounded_variable().is_none() && self.first_inequality().is_none()
    }

    /// The first variable with a bound.
    pub fn first_bounded_variable(&self) -> Option<usize> {
        (0..self.lower.len()).find(|&j| self.lower[j].is_finite() || self.upper[j].is_finite())
    }

    /// The first constraint that isn't an equation.
    pub fn first_inequality(&self) -> Option<usize> {
        (0..self.row_lower.len()).find(|&i| !self.is_equation(i))
    }
}

fn checked_bounds(
    what: &'static str,
    expected: usize,
    lower: &[f64],
    upper: &[f64],
) -> Result<(Vec<f64>, Vec<f64>), Error> {
    for actual in [lower.len(), upper.len()] {
        if actual != expected {
            let what = if what == "variable" { "the variables' bounds" } else { "the constraints' bounds" };
            return Err(Error::Length { what, expected, actual });
        }
    }
    let below = |b: &f64| if *b <= -NO_BOUND { f64::NEG_INFINITY } else { *b };
    let above = |b: &f64| if *b >= NO_BOUND { f64::INFINITY } else { *b };
    let (lower, upper): (Vec<f64>, Vec<f64>) =
        (lower.iter().map(below).collect(), upper.iter().map(above).collect());
    let fits = |l: f64, u: f64| l <= u && l < NO_BOUND && u > -NO_BOUND;
    match (0..expected).find(|&i| !fits(lower[i], upper[i])) {
        None => Ok((lower, upper)),
        Some(index) => Err(Error::Bounds { what, index, lower: lower[index], upper: upper[index] }),
    }
}

/// The functions of a problem behind a type that doesn't depend on the problem's, so that solvers are compiled once.
trait Functions {
    fn values(&mut self, x: &[f64], c: &mut [f64]) -> f64;
    fn derivatives(&mut self, x: &[f64], g: &mut [f64], j: &mut [f64]);
    fn hessian(&mut self, x: &[f64], sigma: f64, y: &[f64], w: &mut [f64]);
    fn hessian_product(&mut self, x: &[f64], sigma: f64, y: &[f64], d: &[f64], product: &mut [f64]);
}

struct WithWorkspace<'p, P: NonlinearProgram> {
    problem: &'p P,
    workspace: P::Workspace,
}

impl<P: NonlinearProgram> Functions for WithWorkspace<'_, P> {
    fn values(&mut self, x: &[f64], c: &mut [f64]) -> f64 {
        self.problem.objective_and_constraints(x, c, &mut self.workspace)
    }

    fn derivatives(&mut self, x: &[f64], g: &mut [f64], j: &mut [f64]) {
        self.problem.gradient_and_jacobian(x, g, j, &mut self.workspace);
    }

    fn hessian(&mut self, x: &[f64], sigma: f64, y: &[f64], w: &mut [f64]) {
        self.problem.hessian(x, sigma, y, w, &mut self.workspace);
    }

    fn hessian_product(&mut self, x: &[f64], sigma: f64, y: &[f64], d: &[f64], product: &mut [f64]) {
        self.problem.hessian_product(x, sigma, y, d, product, &mut self.workspace);
    }
}

/// How often functions were evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvaluationCounts {
    /// f.
    pub objective: u64,
    /// c.
    pub constraints: u64,
    /// Gradient of f.
    pub gradient: u64,
    /// Jacobian of c.
    pub jacobian: u64,
    /// Hessian of the Lagrangian, products with it included.
    pub hessian: u64,
}

impl EvaluationCounts {
    /// Adds them to a run's counts.
    pub fn add_to(&self, counts: &mut Counts) {
        for (name, count) in [
            ("objective", self.objective),
            ("constraints", self.constraints),
            ("gradient", self.gradient),
            ("jacobian", self.jacobian),
            ("hessian", self.hessian),
        ] {
            *counts.entry(name).or_default() += count;
        }
    }
}

/// The functions of one problem with their scratch memory: scaled by a [`Scaling`] (none at first), counted and timed.
///
/// Every method returns an error where a value isn't finite; its outputs are unspecified then.
pub struct Evaluator<'p> {
    functions: Box<dyn Functions + 'p>,
    bounds: Bounds,
    scaling: Scaling,
    jacobian_pattern: &'p Pattern,
    hessian_pattern: Option<&'p Pattern>,
    start: &'p [f64],
    start_multipliers: &'p [f64],
    counts: EvaluationCounts,
    seconds: f64,
    /// s_c y.
    weights: Vec<f64>,
}

impl<'p> Evaluator<'p> {
    /// Checks the problem's sizes, bounds, patterns and start.
    ///
    /// # Errors
    /// `Length`, `Shape`, `UpperTriangle`, `Bounds`, `NotFinite`.
    pub fn new<P: NonlinearProgram>(problem: &'p P) -> Result<Self, Error> {
        let (n, m) = (problem.variable_count(), problem.constraint_count());
        let bounds = Bounds::of(problem)?;
        check_vector("the start", n, problem.start())?;
        check_vector("the starting multipliers", m, problem.start_multipliers())?;
        check_shape("Jacobian", (m, n), problem.jacobian_pattern())?;
        let hessian_pattern = problem.hessian_pattern();
        if let Some(pattern) = hessian_pattern {
            check_shape("Hessian", (n, n), pattern)?;
            if let Some((row, column)) = entries(pattern).find(|(row, column)| column > row) {
                return Err(Error::UpperTriangle { row, column });
            }
        }
        Ok(Self {
            functions: Box::new(WithWorkspace { problem, workspace: problem.workspace() }),
            bounds,
            scaling: Scaling::none(m),
            jacobian_pattern: problem.jacobian_pattern(),
            hessian_pattern,
            start: problem.start(),
            start_multipliers: problem.start_multipliers(),
            counts: EvaluationCounts::default(),
            seconds: 0.0,
            weights: vec![0.0; m],
        })
    }

    /// Scales the functions from here on by their gradients at the problem's start; evaluates those once.
    pub fn scale_by_start(&mut self) {
        let mut gradient = vec![0.0; self.variables()];
        let mut jacobian = vec![0.0; self.jacobian_pattern.nnz()];
        self.scaling = Scaling::none(self.rows());
        // values that aren't finite leave their factor at one
        let _ = self.derivatives(self.start, &mut gradient, &mut jacobian);
        self.scaling = Scaling::from_gradients(&gradient, self.jacobian_pattern, &jacobian);
    }

    /// The scaling that [`scale_by_start`](Self::scale_by_start) would set.
    pub fn scaling_of_start(&mut self) -> Scaling {
        let kept = std::mem::replace(&mut self.scaling, Scaling::none(0));
        self.scale_by_start();
        std::mem::replace(&mut self.scaling, kept)
    }

    /// Scales the functions by other factors from here on; returns those that they had.
    pub fn set_scaling(&mut self, scaling: Scaling) -> Scaling {
        std::mem::replace(&mut self.scaling, scaling)
    }

    /// Runs `work` with the problem's own, unscaled functions.
    pub fn unscaled<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let none = Scaling::none(self.rows());
        let kept = std::mem::replace(&mut self.scaling, none);
        let result = work(self);
        self.scaling = kept;
        result
    }

    /// n.
    pub fn variables(&self) -> usize {
        self.bounds.lower.len()
    }

    /// m.
    pub fn rows(&self) -> usize {
        self.bounds.row_lower.len()
    }

    /// The problem's own bounds, unscaled.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The factors that functions are scaled by.
    pub fn scaling(&self) -> &Scaling {
        &self.scaling
    }

    /// Pattern of the m x n Jacobian.
    pub fn jacobian_pattern(&self) -> &'p Pattern {
        self.jacobian_pattern
    }

    /// Pattern of the lower triangle of the Hessian, where it can be stored.
    pub fn hessian_pattern(&self) -> Option<&'p Pattern> {
        self.hessian_pattern
    }

    /// The problem's start.
    pub fn start(&self) -> &'p [f64] {
        self.start
    }

    /// The problem's starting multipliers, unscaled.
    pub fn start_multipliers(&self) -> &'p [f64] {
        self.start_multipliers
    }

    /// Evaluations so far.
    pub fn counts(&self) -> EvaluationCounts {
        self.counts
    }

    /// Wall-clock time inside the problem's functions so far.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// s_f f(x); s_c c(x) into `c`.
    ///
    /// # Errors
    /// The first value that isn't finite.
    pub fn values(&mut self, x: &[f64], c: &mut [f64]) -> Result<f64, EvaluationError> {
        let started = Instant::now();
        let f = self.functions.values(x, c);
        self.seconds += started.elapsed().as_secs_f64();
        self.counts.objective += 1;
        self.counts.constraints += u64::from(!c.is_empty());
        check("objective", &[f])?;
        check("constraints", c)?;
        c.iter_mut().zip(&self.scaling.constraints).for_each(|(c, factor)| *c *= factor);
        Ok(self.scaling.objective * f)
    }

    /// Gradient of s_f f into `g`; Jacobian of s_c c into `j`, in the order of its pattern.
    ///
    /// # Errors
    /// The first value that isn't finite.
    pub fn derivatives(&mut self, x: &[f64], g: &mut [f64], j: &mut [f64]) -> Result<(), EvaluationError> {
        let started = Instant::now();
        self.functions.derivatives(x, g, j);
        self.seconds += started.elapsed().as_secs_f64();
        self.counts.gradient += 1;
        self.counts.jacobian += u64::from(self.rows() > 0);
        check("gradient", g)?;
        check("Jacobian", j)?;
        g.iter_mut().for_each(|g| *g *= self.scaling.objective);
        let offsets = self.jacobian_pattern.proper_indptr();
        for (pair, &factor) in offsets.windows(2).zip(&self.scaling.constraints) {
            if factor != 1.0 {
                j[pair[0]..pair[1]].iter_mut().for_each(|j| *j *= factor);
            }
        }
        Ok(())
    }

    /// Hessian of sigma s_f f + sum of y_i s_c,i c_i into `w`, in the order of its pattern.
    ///
    /// # Errors
    /// The first value that isn't finite.
    pub fn hessian(
        &mut self,
        x: &[f64],
        sigma: f64,
        y: &[f64],
        w: &mut [f64],
    ) -> Result<(), EvaluationError> {
        let started = Instant::now();
        self.set_weights(y);
        self.functions.hessian(x, sigma * self.scaling.objective, &self.weights, w);
        self.seconds += started.elapsed().as_secs_f64();
        self.counts.hessian += 1;
        check("Hessian", w)
    }

    /// (Hessian of sigma s_f f + sum of y_i s_c,i c_i) d into `product`; needs no pattern.
    ///
    /// # Errors
    /// The first value that isn't finite.
    pub fn hessian_product(
        &mut self,
        x: &[f64],
        sigma: f64,
        y: &[f64],
        d: &[f64],
        product: &mut [f64],
    ) -> Result<(), EvaluationError> {
        let started = Instant::now();
        self.set_weights(y);
        self.functions.hessian_product(x, sigma * self.scaling.objective, &self.weights, d, product);
        self.seconds += started.elapsed().as_secs_f64();
        self.counts.hessian += 1;
        check("Hessian", product)
    }

    fn set_weights(&mut self, y: &[f64]) {
        for ((weight, y), factor) in self.weights.iter_mut().zip(y).zip(&self.scaling.constraints) {
            *weight = y * factor;
        }
    }
}

fn check(what: &'static str, values: &[f64]) -> Result<(), EvaluationError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(EvaluationError { what, index, value: values[index] }),
    }
}

/// Refuses a vector of the wrong length or with an entry that isn't finite.
pub(super) fn check_vector(what: &'static str, expected: usize, values: &[f64]) -> Result<(), Error> {
    if values.len() != expected {
        return Err(Error::Length { what, expected, actual: values.len() });
    }
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::NotFinite { what, index, value: values[index] }),
    }
}

fn check_shape(what: &'static str, expected: (usize, usize), pattern: &Pattern) -> Result<(), Error> {
    let actual = pattern.shape();
    if actual == expected { Ok(()) } else { Err(Error::Shape { what, expected, actual }) }
}

/// out <- out + J'v.
pub fn add_transpose_product(pattern: &Pattern, jacobian: &[f64], v: &[f64], out: &mut [f64]) {
    let (offsets, columns) = (pattern.proper_indptr(), pattern.indices());
    for (pair, &v) in offsets.windows(2).zip(v) {
        for k in pair[0]..pair[1] {
            out[columns[k] as usize] += jacobian[k] * v;
        }
    }
}

/// out <- J d.
pub fn row_product(pattern: &Pattern, jacobian: &[f64], d: &[f64], out: &mut [f64]) {
    let (offsets, columns) = (pattern.proper_indptr(), pattern.indices());
    for (pair, out) in offsets.windows(2).zip(out) {
        *out = (pair[0]..pair[1]).map(|k| jacobian[k] * d[columns[k] as usize]).sum();
    }
}

/// out <- W d, W given by its lower triangle.
pub fn symmetric_product(pattern: &Pattern, lower: &[f64], d: &[f64], out: &mut [f64]) {
    out.fill(0.0);
    let (offsets, columns) = (pattern.proper_indptr(), pattern.indices());
    for (row, pair) in offsets.windows(2).enumerate() {
        let mut sum = 0.0;
        for k in pair[0]..pair[1] {
            let column = columns[k] as usize;
            sum += lower[k] * d[column];
            if column != row {
                out[column] += lower[k] * d[row];
            }
        }
        out[row] += sum;
    }
}
