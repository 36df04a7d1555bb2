//! Tsallis-INF: close to the best fixed arm, for costs of any kind.

use serde::{Deserialize, Serialize};

use super::{Choice, Dice, Policy, Saved, Situation, check_state, check_values, to_json};
use crate::relaxation::Error;

/// Follow the regularised leader with Tsallis entropy of power 1/2 (Zimmert and Seldin 2021).
///
/// With K_i the importance-weighted costs of arm i over the mean cost and eta = 2 / sqrt(t), arms are drawn with p_i = 4 / (eta (K_i -
/// x))^2, x < min K such that they sum to one. A cost c > 0 counts as c - 1, so that the least cost of a solve counts 0.
/// With reduced variance eta is doubled and costs are measured from half their mean wherever t p_i >= 16.
///
/// Regret against the best of d arms after t systems: about 2 K sqrt(2 d t) for costs up to K. A step costs about ten passes over the
/// arms.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TsallisInf {
    values: Vec<f64>,
    reduced_variance: bool,
    /// Sums of importance-weighted costs.
    sums: Vec<f64>,
    /// Corrections of the reduced-variance estimator, in units of the mean cost.
    shifts: Vec<f64>,
    /// Rounds so far, plus one.
    t: u64,
    /// Sum of the costs as they were.
    total: f64,
    dice: Dice,
    probabilities: Vec<f64>,
    arm: usize,
}

impl TsallisInf {
    /// With one arm for each value.
    ///
    /// # Errors
    /// `Option` for no values, or some that aren't finite.
    pub fn new(values: Vec<f64>, reduced_variance: bool, seed: u64) -> Result<Self, Error> {
        Self::with_stream(values, reduced_variance, seed, 0)
    }

    /// The same with random numbers of their own.
    pub(super) fn with_stream(
        values: Vec<f64>,
        reduced_variance: bool,
        seed: u64,
        stream: u64,
    ) -> Result<Self, Error> {
        check_values(&values)?;
        let d = values.len();
        Ok(Self {
            values,
            reduced_variance,
            sums: vec![0.0; d],
            shifts: vec![0.0; d],
            t: 1,
            total: 0.0,
            dice: Dice::new(seed, stream),
            probabilities: vec![0.0; d],
            arm: 0,
        })
    }

    pub(super) fn checked(self) -> Result<Self, Error> {
        check_values(&self.values)?;
        let d = self.values.len();
        let lengths = [self.sums.len(), self.shifts.len(), self.probabilities.len()];
        check_state(lengths.iter().all(|length| *length == d) && self.arm < d && self.t > 0)?;
        Ok(self)
    }

    /// The probabilities with which the next arm is drawn.
    pub fn probabilities(&mut self) -> &[f64] {
        let scale = if self.t > 1 { (self.total / (self.t - 1) as f64).max(1e-9) } else { 1.0 };
        let eta = if self.reduced_variance { 4.0 } else { 2.0 } / (self.t as f64).sqrt();
        for ((p, sum), shift) in self.probabilities.iter_mut().zip(&self.sums).zip(&self.shifts) {
            *p = sum / scale + shift;
        }
        tsallis_probabilities(eta, &mut self.probabilities);
        &self.probabilities
    }

    /// Importance-weighted estimates of each arm's total cost over all rounds.
    pub fn estimates(&self) -> &[f64] {
        &self.sums
    }
}

/// Overwrites losses by p_i = 4 / (eta (loss_i - x))^2 with x such that they sum to one.
///
/// The sum is convex and increases with x; at x = min - 2 / eta the least loss alone gives 1, at x = min - 2 sqrt(d) / eta all
/// together give at most 1. Newton's method from the right end falls to the root without passing it; a step that leaves
/// the bracket is replaced by its middle. Losses that aren't finite never come here: costs are checked before.
fn tsallis_probabilities(eta: f64, losses: &mut [f64]) {
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    losses.iter_mut().for_each(|loss| *loss -= least);
    let (mut low, mut high) = (-2.0 * (losses.len() as f64).sqrt() / eta, -2.0 / eta);
    let mut x = high;
    for _ in 0..100 {
        let (mut sum, mut slope) = (0.0, 0.0);
        for loss in losses.iter() {
            let root = 2.0 / (eta * (loss - x));
            sum += root * root;
            slope += root * root * root;
        }
        let excess = sum - 1.0;
        if excess.abs() <= 1e-14 {
            break;
        }
        if excess > 0.0 {
            high = x;
        } else {
            low = x;
        }
        let next = x - excess / (eta * slope);
        let next = if next > low && next < high { next } else { 0.5 * (low + high) };
        if next == x {
            break;
        }
        x = next;
    }
    for loss in losses.iter_mut() {
        let root = 2.0 / (eta * (*loss - x));
        *loss = root * root;
    }
    let sum: f64 = losses.iter().sum();
    losses.iter_mut().for_each(|p| *p /= sum);
}

impl Policy for TsallisInf {
    fn name(&self) -> String {
        if self.reduced_variance { "tsallis-inf-rv".into() } else { "tsallis-inf".into() }
    }

    fn choose(&mut self, _: &Situation) -> Choice {
        self.probabilities();
        self.arm = self.dice.index(&self.probabilities);
        let p = self.probabilities[self.arm];
        let explored = self.probabilities.iter().any(|other| *other > p);
        Choice::drawn(&self.values, self.arm, p, explored)
    }

    fn update(&mut self, cost: f64) {
        let loss = (cost - 1.0).max(0.0);
        let weight = 1.0 / self.probabilities[self.arm].max(1e-12);
        self.total += loss;
        self.t += 1;
        self.sums[self.arm] += loss * weight;
        if self.reduced_variance {
            let t = self.t as f64;
            for (shift, p) in self.shifts.iter_mut().zip(&self.probabilities) {
                if t * p >= 16.0 {
                    *shift += 0.5;
                }
            }
            if t * self.probabilities[self.arm] >= 16.0 {
                self.shifts[self.arm] -= 0.5 * weight;
            }
        }
    }

    fn values(&self) -> &[f64] {
        &self.values
    }

    fn save(&self) -> Result<serde_json::Value, Error> {
        to_json(&Saved::TsallisInf(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    #[test]
    fn probabilities_sum_to_one_and_favour_small_losses_for_a_million_random_losses() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut p = vec![0.0; 20];
        tsallis_probabilities(2.0, &mut p);
        assert!(p.iter().all(|p| (p - 0.05).abs() < 1e-15), "equal losses, equal probabilities");
        for round in 0..1_000_000 {
            let scale = 10f64.powi(round % 13 - 3);
            let d = 1 + round as usize % 20;
            let losses: Vec<f64> = (0..d).map(|_| scale * rng.random::<f64>()).collect();
            p.clear();
            p.extend(&losses);
            tsallis_probabilities(2.0 / f64::from(1 + round).sqrt(), &mut p);
            assert!((p.iter().sum::<f64>() - 1.0).abs() <= 1e-13);
            assert!(p.iter().all(|p| *p > 0.0 && *p <= 1.0));
            let best = (0..d).min_by(|&i, &j| losses[i].total_cmp(&losses[j])).unwrap();
            assert!(p.iter().all(|other| *other <= p[best]));
        }
    }
}
