//! The point of a multinomial fit and everything that follows from it.
//!
//! With P the softmax of the predictors and Y the classes as rows of the identity, a dual point is any matrix a of
//! rows of probabilities whose columns sum to those of Y where there are intercepts. The gap is the mean of
//! KL(a_r || P_r) and the penalty's Fenchel-Young terms at q = -A'(a - Y) / n; every term is at least zero.

use rayon::prelude::*;

use crate::coordinate::standing::Standing;
use crate::coordinate::{Error, Measure};
use crate::linalg::factor::DenseCholesky;
use crate::linalg::product::{CHUNK, sum_chunks};
use crate::problem::MultinomialModel;
use crate::problem::loss::relative_entropy;

/// A point (X, b), with predictors, probabilities, gradient, objective and certificate.
pub(in crate::coordinate) struct State<'a> {
    pub model: &'a MultinomialModel,
    measure: Measure,
    /// X, feature by feature.
    pub x: Vec<f64>,
    /// One intercept per class.
    pub b: Vec<f64>,
    /// A X + b, row by row.
    pub z: Vec<f64>,
    /// P.
    pub probabilities: Vec<f64>,
    /// (a - Y) / n at the dual point a.
    residual: Vec<f64>,
    /// A' residual.
    pub gradient: Vec<f64>,
    pub standing: Standing,
}

impl<'a> State<'a> {
    /// Refuses a gap where there is none.
    pub fn check_measure(model: &MultinomialModel, measure: Measure) -> Result<(), Error> {
        if measure == Measure::Gap && !has_dual(model) {
            let why = "a duality gap needs l1 > 0, l2 > 0 or two finite bounds for every coefficient; use the gradient";
            return Err(Error::Option(why.into()));
        }
        Ok(())
    }

    /// X = 0, or the point of the penalty's domain nearest to it.
    pub fn origin(model: &'a MultinomialModel, measure: Measure) -> Self {
        let (n, k, unknowns) = (model.target.len(), model.loss.classes, model.unknowns());
        let gap = measure != Measure::Gradient && has_dual(model);
        let mut state = Self {
            model,
            measure: if gap { Measure::Gap } else { Measure::Gradient },
            x: (0..unknowns).map(|i| model.penalty.prox(i, 0.0, 0.0)).collect(),
            b: vec![0.0; k],
            z: vec![0.0; n * k],
            probabilities: vec![0.0; n * k],
            residual: vec![0.0; n * k],
            gradient: vec![0.0; unknowns],
            standing: Standing::unknown(gap),
        };
        state.refresh();
        let scale = if gap { state.standing.objective.abs() } else { state.standing.certificate.value };
        state.standing.set_scale(scale);
        state
    }

    /// Moves to a given point, its coefficients moved into the penalty's domain.
    pub fn start_from(&mut self, x: &[f64], b: &[f64]) {
        self.x = x.iter().enumerate().map(|(i, &x)| self.model.penalty.prox(i, x, 0.0)).collect();
        if self.model.intercept {
            self.b.copy_from_slice(b);
        }
        self.refresh();
    }

    /// Moves to a given point as it is.
    pub fn move_to(&mut self, x: &[f64], b: &[f64]) {
        self.x.copy_from_slice(x);
        self.b.copy_from_slice(b);
        self.product();
        if self.model.intercept {
            self.shift();
        }
        self.evaluate();
    }

    /// Recomputes everything from X; the intercepts move to their best values first. The predictors are then those of
    /// (X, b) anew: what the search is left with carries the rounding of its steps.
    pub fn refresh(&mut self) {
        self.product();
        if self.model.intercept {
            let product = self.z.clone();
            self.shift();
            self.improve_intercepts();
            self.z.copy_from_slice(&product);
            self.shift();
        }
        self.evaluate();
    }

    /// z <- A X.
    fn product(&mut self) {
        self.model.design.multiply_many(self.b.len(), &self.x, &mut self.z);
    }

    /// z <- z + b.
    fn shift(&mut self) {
        self.z.chunks_exact_mut(self.b.len()).for_each(|row| add(row, &self.b));
    }

    /// Mean loss at the predictors; the probabilities follow.
    pub fn loss(&mut self) -> f64 {
        self.model.mean_loss(&self.z, &mut self.probabilities)
    }

    /// Newton's method for the k intercepts: their Hessian is the mean of diag(P_r) - P_r P_r'.
    fn improve_intercepts(&mut self) {
        let (n, k) = (self.model.target.len() as f64, self.b.len());
        let mut share = vec![0.0; k];
        self.model.target.iter().for_each(|&class| share[class] += 1.0);
        let mut value = self.loss();
        for _ in 0..50 {
            // adding 1 1'/k makes it regular and leaves directions that sum to zero alone
            let mut hessian = vec![1.0 / k as f64; k * k];
            let mut sums = vec![0.0; k];
            for p in self.probabilities.chunks_exact(k) {
                for c in 0..k {
                    sums[c] += p[c];
                    hessian[c * k + c] += p[c] / n;
                    p.iter().zip(&mut hessian[c * k..]).for_each(|(other, h)| *h -= p[c] * other / n);
                }
            }
            let mut d: Vec<f64> = share.iter().zip(&sums).map(|(y, p)| (y - p) / n).collect();
            // what is left of the imbalance enters the gap as its square
            if d.iter().all(|d| d.abs() <= 1e-14) {
                break;
            }
            let mut cholesky = DenseCholesky::new();
            if cholesky.factor_shifted(k, &mut hessian).is_err() || cholesky.solve_in_place(&mut d).is_err() {
                break;
            }
            let longest = d.iter().fold(0.0f64, |m, d| m.max(d.abs()));
            let mut step = (5.0 / longest).min(1.0);
            let lowered = (0..20).find_map(|_| {
                let moved: Vec<f64> = d.iter().map(|d| step * d).collect();
                self.z.chunks_exact_mut(k).for_each(|row| add(row, &moved));
                let next = self.loss();
                if next <= value + 1e-15 * value.abs() {
                    add(&mut self.b, &moved);
                    return Some(next);
                }
                let back: Vec<f64> = moved.iter().map(|d| -d).collect();
                self.z.chunks_exact_mut(k).for_each(|row| add(row, &back));
                step *= 0.3;
                None
            });
            match lowered {
                // convergence is quadratic: after so short a step the rest is rounding
                Some(next) if longest > 1e-8 => value = next,
                _ => break,
            }
        }
    }

    /// Probabilities, gradient, objective and certificate from the predictors.
    fn evaluate(&mut self) {
        let (n, k) = (self.model.target.len(), self.b.len());
        let loss = self.loss();
        let mut dual = self.probabilities.clone();
        let moved = self.model.intercept && self.measure == Measure::Gap;
        if moved {
            balance(&mut dual, &self.model.target, k);
        }
        let rows =
            dual.par_chunks_exact(k).zip(self.residual.par_chunks_exact_mut(k)).zip(&self.model.target);
        rows.with_min_len(1024).for_each(|((row, out), &class)| {
            out.iter_mut().zip(row).for_each(|(out, a)| *out = a / n as f64);
            out[class] = (row[class] - 1.0) / n as f64;
        });
        self.model.design.multiply_transpose_many(k, &self.residual, &mut self.gradient);
        self.standing.count("gradients", 1);
        let penalty = &self.model.penalty;
        self.standing.objective =
            loss + sum_chunks(self.x.len(), 4, |range| range.map(|i| penalty.value(i, self.x[i])).sum());
        let value = if self.measure == Measure::Gap { self.gap(&dual, moved) } else { self.violation() };
        self.standing.set_certificate(value);
    }

    fn gap(&self, dual: &[f64], moved: bool) -> f64 {
        let (n, k, penalty) = (self.model.target.len(), self.b.len(), &*self.model.penalty);
        let gradients = self.gradient.par_iter().enumerate().with_min_len(CHUNK);
        let scale = gradients.map(|(i, &g)| penalty.dual_scale(i, -g)).reduce(|| 1.0, f64::min);
        // a hair inside, so that rounding cannot leave the domain
        let scale = if scale < 1.0 { scale * (1.0 - 4.0 * f64::EPSILON) } else { scale };
        let coefficients = sum_chunks(self.x.len(), 8, |range| {
            range.map(|i| penalty.fenchel_young(i, self.x[i], -scale * self.gradient[i])).sum()
        });
        if scale == 1.0 && !moved {
            return coefficients;
        }
        let rows = sum_chunks(n, 8 * k, |rows| {
            let entropy = |r: usize| -> f64 {
                let (z, p) = (&self.z[r * k..(r + 1) * k], &self.probabilities[r * k..(r + 1) * k]);
                // the largest probability and its predictor give the logarithms of those that underflow
                let top = (0..k).fold(0, |top, c| if p[c] > p[top] { c } else { top });
                let one = |c: usize| {
                    let own = if self.model.target[r] == c { 1.0 - scale } else { 0.0 };
                    let a = scale * dual[r * k + c] + own;
                    if p[c] > 0.0 || a == 0.0 {
                        return relative_entropy(a, p[c]);
                    }
                    a * (a.ln() - (z[c] - z[top] + p[top].ln())) - a
                };
                (0..k).map(one).sum()
            };
            rows.map(entropy).sum()
        });
        coefficients + rows / n as f64
    }

    /// Largest violation of the optimality conditions, the intercepts' included.
    fn violation(&self) -> f64 {
        let pairs = self.x.iter().zip(&self.gradient).enumerate();
        let largest = pairs.fold(0.0f64, |m, (i, (&x, &g))| m.max(self.model.penalty.violation(i, x, g)));
        if !self.model.intercept {
            return largest;
        }
        self.intercept_gradient().iter().fold(largest, |m, g| m.max(g.abs()))
    }

    /// The gradient in the intercepts.
    pub fn intercept_gradient(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.b.len()];
        self.residual.chunks_exact(sums.len()).for_each(|row| add(&mut sums, row));
        sums
    }

    /// Number of coefficients that are not zero.
    pub fn support_size(&self) -> usize {
        self.x.iter().filter(|&&x| x != 0.0).count()
    }
}

/// Whether scaling makes every dual point feasible.
fn has_dual(model: &MultinomialModel) -> bool {
    (0..model.unknowns()).all(|i| model.penalty.has_dual(i))
}

fn add(out: &mut [f64], values: &[f64]) {
    out.iter_mut().zip(values).for_each(|(out, value)| *out += value);
}

/// Moves rows of probabilities to ones whose columns sum to the classes' counts: columns that are too heavy are scaled
/// down, then the rows' deficits are shared out in proportion to the columns' (Altschuler, Weed and Rigollet 2017).
fn balance(dual: &mut [f64], target: &[usize], k: usize) {
    let mut missing = vec![0.0; k];
    target.iter().for_each(|&class| missing[class] += 1.0);
    let mut sums = vec![0.0; k];
    dual.chunks_exact(k).for_each(|row| add(&mut sums, row));
    let factor: Vec<f64> =
        missing.iter().zip(&sums).map(|(want, sum)| if sum > want { want / sum } else { 1.0 }).collect();
    missing
        .iter_mut()
        .zip(&sums)
        .zip(&factor)
        .for_each(|((want, sum), f)| *want = (*want - sum * f).max(0.0));
    let total: f64 = missing.iter().sum();
    for row in dual.chunks_exact_mut(k) {
        row.iter_mut().zip(&factor).for_each(|(a, f)| *a *= f);
        if total > 0.0 {
            let deficit = (1.0 - row.iter().sum::<f64>()).max(0.0);
            row.iter_mut().zip(&missing).for_each(|(a, share)| *a += deficit * share / total);
        }
    }
}
