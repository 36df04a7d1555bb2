//! ChebCB: Chebyshev fits of each arm's cost against the context, arms drawn by inverse gap weighting.

use serde::{Deserialize, Serialize};

use super::{Choice, Dice, Policy, Saved, Situation, check_range, check_state, check_values, to_json};
use crate::relaxation::Error;

/// Terms of the fits.
const TERMS: usize = 6;
type Terms = [f64; TERMS];

/// Contextual bandit by Chebyshev regression (Khodak, Chow, Balcan, Talwalkar 2024): SquareCB (Foster and Rakhlin 2020) on polynomials
/// of degree 5 in the context, whose coefficients are bounded by the Lipschitz constant of the costs seen so far.
///
/// Each fit keeps its moments, sums of f f', (c - 1) f and (c - 1)^2 over the features f and costs c of its rounds: fitting again, at
/// any scale, takes work that doesn't depend on the number of rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChebCb {
    values: Vec<f64>,
    low: f64,
    high: f64,
    fits: Vec<Fit>,
    /// Rounds so far, plus one.
    t: u64,
    eta: f64,
    most: f64,
    least: f64,
    scale: f64,
    /// Sums of prediction^2, prediction * cost, cost^2 over all rounds: the regret of the fits at any scale.
    squares: [f64; 3],
    /// Contexts outside [low, high], which count as the nearer end.
    clamped: u64,
    dice: Dice,
    arm: usize,
    features: Terms,
    prediction: f64,
}

/// One arm's polynomial and moments.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Fit {
    coefficients: Terms,
    rounds: u64,
    gram: [Terms; TERMS],
    moment: Terms,
    square: f64,
}

impl ChebCb {
    /// With one arm for each value, for contexts between low and high.
    ///
    /// # Errors
    /// `Option` for no values or an empty range.
    pub fn new(values: Vec<f64>, low: f64, high: f64, seed: u64) -> Result<Self, Error> {
        check_values(&values)?;
        check_range(low, high)?;
        let fits = vec![Fit::default(); values.len()];
        Ok(Self {
            values,
            low,
            high,
            fits,
            t: 1,
            eta: 0.0,
            most: 0.0,
            least: f64::MAX,
            scale: 0.0,
            squares: [0.0; 3],
            clamped: 0,
            dice: Dice::new(seed, 0),
            arm: 0,
            features: [0.0; TERMS],
            prediction: 0.0,
        })
    }

    pub(super) fn checked(self) -> Result<Self, Error> {
        check_values(&self.values)?;
        check_range(self.low, self.high)?;
        check_state(self.fits.len() == self.values.len() && self.arm < self.fits.len() && self.t > 0)?;
        Ok(self)
    }

    /// How often a context lay outside the range.
    pub fn clamped(&self) -> u64 {
        self.clamped
    }

    /// The coefficients of an arm's fit, in units of the scale.
    pub fn coefficients(&self, arm: usize) -> &[f64] {
        &self.fits[arm].coefficients
    }

    /// The unit in which the fits measure costs.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The bounds of the coefficients at present: 1 / N for the first, 2 W L / (scale j) for the j-th.
    pub fn bounds(&self) -> [f64; TERMS] {
        let lipschitz = self.lipschitz_width();
        let factor = self.scale / self.most.max(f64::MIN_POSITIVE);
        std::array::from_fn(|j| {
            1e-15 + if j == 0 { 1.0 / factor } else { 2.0 * lipschitz / (self.scale * j as f64) }
        })
    }

    /// The Lipschitz constant of the costs seen times the width of the range.
    fn lipschitz_width(&self) -> f64 {
        (self.most - self.least).max(0.0)
    }

    /// T_0 to T_5 of the context, moved to [-1, 1].
    fn features_of(&mut self, context: f64) -> Terms {
        let x = 2.0 * (context - self.low) / (self.high - self.low) - 1.0;
        if !(-1.0..=1.0).contains(&x) {
            self.clamped += 1;
        }
        let x = if x.is_nan() { 0.0 } else { x.clamp(-1.0, 1.0) };
        let mut features = [1.0; TERMS];
        features[1] = x;
        for j in 2..TERMS {
            features[j] = 2.0 * x * features[j - 1] - features[j - 2];
        }
        features
    }

    /// The scale that belongs to the costs seen: most (2 + 4 W L / most (1 + ln m)).
    fn new_scale(&self) -> f64 {
        let factor = 2.0 + 4.0 * self.lipschitz_width() / self.most * (1.0 + (TERMS as f64).ln());
        self.most * factor
    }

    /// How strongly larger predictions are avoided from now on, from the squared error of all predictions so far.
    fn new_eta(&self, excess: f64) -> f64 {
        let (t, d, m) = (self.t as f64, self.values.len() as f64, TERMS as f64);
        let pi = std::f64::consts::PI;
        let alpha =
            (pi + 2.0 / pi * (2.0 * m + 1.0).ln()) / (2.0 * self.scale * (m + 1.0)) * self.lipschitz_width();
        let [pp, pk, kk] = self.squares;
        let regret = pp - 2.0 * pk / self.scale + kk / (self.scale * self.scale);
        2.0 * t * (d * t / (regret - excess + 2.0 * alpha * alpha * t).max(1e-300)).sqrt()
    }
}

impl Policy for ChebCb {
    fn name(&self) -> String {
        "chebcb".into()
    }

    fn choose(&mut self, situation: &Situation) -> Choice {
        self.features = self.features_of(situation.context);
        let features = self.features;
        let prediction = |fit: &Fit| dot(&fit.coefficients, &features);
        let (mut best, mut least) = (0, f64::INFINITY);
        for (i, fit) in self.fits.iter().enumerate() {
            let value = prediction(fit);
            if value < least {
                (best, least) = (i, value);
            }
        }
        let d = self.fits.len() as f64;
        let weight = |fit: &Fit| 1.0 / (d + self.eta * (prediction(fit) - least));
        let others: f64 =
            self.fits.iter().enumerate().filter(|&(i, _)| i != best).map(|(_, fit)| weight(fit)).sum();
        let mut left = self.dice.uniform();
        let (mut arm, mut p) = (best, 1.0 - others);
        for (i, fit) in self.fits.iter().enumerate() {
            if i != best {
                let weight = weight(fit);
                left -= weight;
                if left < 0.0 {
                    (arm, p) = (i, weight);
                    break;
                }
            }
        }
        self.arm = arm;
        self.prediction = prediction(&self.fits[arm]);
        Choice::drawn(&self.values, arm, p, arm != best)
    }

    fn update(&mut self, cost: f64) {
        self.fits[self.arm].add(&self.features, cost - 1.0);
        self.most = self.most.max(cost).max(1e-9);
        self.least = self.least.min(cost);
        for (sum, term) in self.squares.iter_mut().zip([
            self.prediction * self.prediction,
            self.prediction * cost,
            cost * cost,
        ]) {
            *sum += term;
        }
        let scale = self.new_scale();
        let all = scale != self.scale;
        self.scale = scale;
        let bounds = self.bounds();
        let mut excess = 0.0;
        for (i, fit) in self.fits.iter_mut().enumerate() {
            if (all || i == self.arm)
                && fit.rounds > 0
                && let Some(residual) = fit.refit(scale, &bounds)
            {
                excess = residual;
            }
        }
        self.eta = self.new_eta(excess);
        self.t += 1;
    }

    fn values(&self) -> &[f64] {
        &self.values
    }

    fn save(&self) -> Result<serde_json::Value, Error> {
        to_json(&Saved::ChebCb(self))
    }
}

impl Fit {
    fn add(&mut self, features: &Terms, target: f64) {
        for (row, f) in self.gram.iter_mut().zip(features) {
            row.iter_mut().zip(features).for_each(|(sum, other)| *sum += f * other);
        }
        self.moment.iter_mut().zip(features).for_each(|(sum, f)| *sum += target * f);
        self.square += target * target;
        self.rounds += 1;
    }

    /// Least squares of target / scale on the features; where that breaks the bounds, least squares within them, whose sum of squared
    /// residuals is then returned.
    fn refit(&mut self, scale: f64, bounds: &Terms) -> Option<f64> {
        let right = self.moment.map(|moment| moment / scale);
        let free = solve(&self.gram, &right, &[true; TERMS], &[0.0; TERMS]);
        if free.iter().zip(bounds).all(|(c, bound)| c.abs() <= *bound) {
            self.coefficients = free;
            return None;
        }
        self.coefficients = within_bounds(&self.gram, &right, bounds);
        let c = &self.coefficients;
        let quadratic: f64 = self.gram.iter().zip(c).map(|(row, c_i)| c_i * dot(row, c)).sum();
        Some((quadratic - 2.0 * dot(&right, c) + self.square / (scale * scale)).max(0.0))
    }
}

fn dot(a: &Terms, b: &Terms) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Solves G_FF c_F = r_F - G_FB c_B over the free coefficients F by Cholesky, the others as they are in `held`. Where G_FF is singular to
/// working precision, a trace of the identity is added: nearly the solution of least norm.
fn solve(gram: &[Terms; TERMS], right: &Terms, free: &[bool; TERMS], held: &Terms) -> Terms {
    let largest = (0..TERMS).map(|i| gram[i][i]).fold(0.0, f64::max);
    let mut solution = *held;
    for ridge in [0.0, 1e-11, 1e-8] {
        if cholesky(gram, right, free, &mut solution, ridge * largest, 1e-11 * largest) {
            return solution;
        }
    }
    solution
}

fn cholesky(
    gram: &[Terms; TERMS],
    right: &Terms,
    free: &[bool; TERMS],
    solution: &mut Terms,
    ridge: f64,
    smallest: f64,
) -> bool {
    let mut l = [[0.0; TERMS]; TERMS];
    let mut y = [0.0; TERMS];
    for i in (0..TERMS).filter(|&i| free[i]) {
        let mut value = right[i];
        for j in 0..TERMS {
            if !free[j] {
                value -= gram[i][j] * solution[j];
            }
        }
        for j in (0..=i).filter(|&j| free[j]) {
            let mut sum = gram[i][j] + if i == j { ridge } else { 0.0 };
            sum -= l[i][..j].iter().zip(&l[j][..j]).map(|(p, q)| p * q).sum::<f64>();
            if i == j {
                if !(sum > smallest.max(f64::MIN_POSITIVE)) && ridge == 0.0 || !(sum > 0.0) {
                    return false;
                }
                l[i][i] = sum.sqrt();
            } else {
                l[i][j] = sum / l[j][j];
                value -= l[i][j] * y[j];
            }
        }
        y[i] = value / l[i][i];
    }
    for i in (0..TERMS).rev().filter(|&i| free[i]) {
        let mut value = y[i];
        for j in (i + 1..TERMS).filter(|&j| free[j]) {
            value -= l[j][i] * solution[j];
        }
        solution[i] = value / l[i][i];
    }
    true
}

/// Minimises c'G c / 2 - r'c over |c_j| <= bound_j by an active set (Stark and Parker 1995): free coefficients move towards their
/// minimiser until one meets its bound; held ones whose gradient points inwards are freed, the steepest first.
fn within_bounds(gram: &[Terms; TERMS], right: &Terms, bounds: &Terms) -> Terms {
    let mut c = [0.0; TERMS];
    let mut free = [true; TERMS];
    for _ in 0..4 * TERMS {
        loop {
            let target = solve(gram, right, &free, &c);
            let mut share = 1.0;
            let mut hit = None;
            for j in (0..TERMS).filter(|&j| free[j]) {
                if target[j].abs() > bounds[j] {
                    let bound = bounds[j].copysign(target[j]);
                    let step = (bound - c[j]) / (target[j] - c[j]);
                    if step < share || hit.is_none() {
                        (share, hit) = (step.clamp(0.0, 1.0), Some((j, bound)));
                    }
                }
            }
            for j in (0..TERMS).filter(|&j| free[j]) {
                c[j] += share * (target[j] - c[j]);
            }
            let Some((j, bound)) = hit else { break };
            c[j] = bound;
            free[j] = false;
        }
        // the gradient G c - r at a held coefficient must push outwards
        let mut worst = (None, 1e-12 * right.iter().fold(0.0f64, |largest, r| largest.max(r.abs())));
        for j in (0..TERMS).filter(|&j| !free[j]) {
            let inwards = (dot(&gram[j], &c) - right[j]) * c[j].signum();
            if inwards > worst.1 {
                worst = (Some(j), inwards);
            }
        }
        let Some(j) = worst.0 else { break };
        free[j] = true;
    }
    c
}
