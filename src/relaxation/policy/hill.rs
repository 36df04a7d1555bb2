//! Neighbour search: the best mean so far, sometimes a neighbour.

use serde::{Deserialize, Serialize};

use super::binned::bin_of;
use super::{Choice, Dice, Policy, Saved, Situation, check_range, check_state, check_values, to_json};
use crate::relaxation::Error;

/// Ranges of the context.
const BINS: usize = 24;

/// In each of 24 ranges of the context, plays the arm with the least mean cost so far; with probability 1 / sqrt(visits), one of its
/// two neighbours, unplayed ones first. An empty range starts from the leader of the nearest visited one.
///
/// For arms in an order in which costs fall to one minimum and rise after it, such as omegas. A step costs a pass over the
/// arms.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hill {
    values: Vec<f64>,
    low: f64,
    high: f64,
    start: usize,
    /// Sums of costs and numbers of plays, range after range.
    sums: Vec<f64>,
    plays: Vec<u64>,
    dice: Dice,
    bin: usize,
    arm: usize,
}

impl Hill {
    /// With one arm for each value, for contexts between low and high, first at the middle arm.
    ///
    /// # Errors
    /// `Option` for no values or an empty range.
    pub fn new(values: Vec<f64>, low: f64, high: f64, seed: u64) -> Result<Self, Error> {
        check_values(&values)?;
        check_range(low, high)?;
        let d = values.len();
        let dice = Dice::new(seed, 0);
        let (sums, plays) = (vec![0.0; BINS * d], vec![0; BINS * d]);
        Ok(Self { values, low, high, start: d / 2, sums, plays, dice, bin: 0, arm: 0 })
    }

    pub(super) fn checked(self) -> Result<Self, Error> {
        check_values(&self.values)?;
        check_range(self.low, self.high)?;
        let d = self.values.len();
        let sizes = self.sums.len() == BINS * d && self.plays.len() == BINS * d;
        check_state(sizes && self.bin < BINS && self.arm < d && self.start < d)?;
        Ok(self)
    }

    /// The value of the arm that was chosen last.
    pub(super) fn value(&self) -> f64 {
        self.values[self.arm]
    }

    /// The arm of least mean in a range, and the visits there.
    fn leader(&self, bin: usize) -> Option<(usize, u64)> {
        let d = self.values.len();
        let range = bin * d..(bin + 1) * d;
        let visits = self.plays[range.clone()].iter().sum();
        let means = self.sums[range.clone()].iter().zip(&self.plays[range]).enumerate();
        let played = means.filter(|(_, (_, plays))| **plays > 0);
        let mean = played.map(|(arm, (sum, plays))| (arm, sum / *plays as f64));
        mean.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(arm, _)| (arm, visits))
    }

    fn next(&mut self) -> (usize, f64, bool) {
        let Some((leader, visits)) = self.leader(self.bin) else {
            let nearest = (1..BINS).flat_map(|away| [self.bin.checked_sub(away), Some(self.bin + away)]);
            let found = nearest.flatten().filter(|&bin| bin < BINS).find_map(|bin| self.leader(bin));
            return (found.map_or(self.start, |(arm, _)| arm), 1.0, false);
        };
        let d = self.values.len();
        let neighbours = [leader.checked_sub(1), Some(leader + 1).filter(|&arm| arm < d)];
        let mut neighbours = neighbours.into_iter().flatten();
        if let Some(unplayed) = neighbours.clone().find(|&arm| self.plays[self.bin * d + arm] == 0) {
            return (unplayed, 1.0, true);
        }
        let (count, chance) = (neighbours.clone().count(), 1.0 / (visits as f64).sqrt());
        if count > 0 && self.dice.uniform() < chance {
            let which = (self.dice.uniform() * count as f64) as usize;
            return (neighbours.nth(which).unwrap_or(leader), chance / count as f64, true);
        }
        (leader, 1.0 - chance, false)
    }
}

impl Policy for Hill {
    fn name(&self) -> String {
        "hill".into()
    }

    fn choose(&mut self, situation: &Situation) -> Choice {
        self.bin = bin_of(situation.context, self.low, self.high, BINS);
        let (arm, p, explored) = self.next();
        self.arm = arm;
        Choice::drawn(&self.values, arm, p, explored)
    }

    fn update(&mut self, cost: f64) {
        let place = self.bin * self.values.len() + self.arm;
        self.sums[place] += cost;
        self.plays[place] += 1;
    }

    fn values(&self) -> &[f64] {
        &self.values
    }

    fn save(&self) -> Result<serde_json::Value, Error> {
        to_json(&Saved::Hill(self))
    }
}
