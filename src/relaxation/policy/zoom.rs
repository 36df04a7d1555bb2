//! Neighbour search in ranges of the context that split where there is much to learn.

use serde::{Deserialize, Serialize};

use super::{Choice, Dice, Policy, Saved, Situation, check_range, check_state, check_values, to_json};
use crate::relaxation::Error;

/// Ranges at first, visits after which one splits in two, and how often that may happen to it and its halves.
const FIRST_RANGES: usize = 6;
const VISITS: u64 = 24;
const DEEPEST: u32 = 4;
/// Exploration: with probability HASTE / sqrt(visits), a neighbour that is not DOUBT sqrt(1/n + 1/n') behind in the mean logarithm.
const HASTE: f64 = 0.7;
const DOUBT: f64 = 0.3;

/// Plays, in the range in which the context lies, the arm with the least mean logarithm of its costs; sometimes a neighbour that may yet
/// turn out better, unplayed neighbours first. A range splits in halves after 24 visits; the halves forget the costs, which
/// belong to other contexts as well, and start from the leader.
///
/// For arms in an order in which costs fall to one minimum and rise after it, such as omegas, and costs that change with the
/// context faster than between arms: the finer the ranges, the less contexts blur the comparison of arms. A step costs a pass
/// over the arms.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Zoom {
    values: Vec<f64>,
    first: usize,
    ranges: Vec<Range>,
    clamped: u64,
    dice: Dice,
    current: usize,
    arm: usize,
}

/// What is known of the contexts from `low` to the next range's.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Range {
    low: f64,
    high: f64,
    depth: u32,
    /// Where to begin; None: at the leader of the nearest range that has one.
    start: Option<usize>,
    visits: u64,
    /// Sums of logarithms of costs, and numbers of plays.
    sums: Vec<f64>,
    plays: Vec<u64>,
}

impl Range {
    fn new(low: f64, high: f64, depth: u32, start: Option<usize>, arms: usize) -> Self {
        Self { low, high, depth, start, visits: 0, sums: vec![0.0; arms], plays: vec![0; arms] }
    }

    fn mean(&self, arm: usize) -> f64 {
        if self.plays[arm] == 0 { f64::INFINITY } else { self.sums[arm] / self.plays[arm] as f64 }
    }

    fn leader(&self) -> usize {
        let arms = 0..self.plays.len();
        arms.min_by(|&a, &b| self.mean(a).total_cmp(&self.mean(b))).unwrap_or(0)
    }
}

impl Zoom {
    /// With one arm for each value, for contexts between low and high, first at the middle arm.
    ///
    /// # Errors
    /// `Option` for no values or an empty range.
    pub fn new(values: Vec<f64>, low: f64, high: f64, seed: u64) -> Result<Self, Error> {
        check_values(&values)?;
        check_range(low, high)?;
        let bound = |i: usize| low + (high - low) * i as f64 / FIRST_RANGES as f64;
        let range = |i| Range::new(bound(i), bound(i + 1), 0, None, values.len());
        let ranges = (0..FIRST_RANGES).map(range).collect();
        let first = values.len() / 2;
        Ok(Self { values, first, ranges, clamped: 0, dice: Dice::new(seed, 0), current: 0, arm: 0 })
    }

    pub(super) fn checked(self) -> Result<Self, Error> {
        check_values(&self.values)?;
        let d = self.values.len();
        let whole = |range: &Range| {
            range.sums.len() == d && range.plays.len() == d && range.start.is_none_or(|arm| arm < d)
        };
        check_state(self.current < self.ranges.len() && self.arm < d && self.first < d)?;
        check_state(self.ranges.iter().all(whole) && self.ranges.is_sorted_by(|a, b| a.low < b.low))?;
        Ok(self)
    }

    /// Number of ranges by now.
    pub fn ranges(&self) -> usize {
        self.ranges.len()
    }

    /// How often a context lay outside the range; it counts as the nearer end.
    pub fn clamped(&self) -> u64 {
        self.clamped
    }

    /// The leader of the nearest range that was visited.
    fn nearest_leader(&self) -> usize {
        let at = self.current;
        let around = (1..self.ranges.len()).flat_map(|away| [at.checked_sub(away), Some(at + away)]);
        let visited = around.flatten().filter_map(|i| self.ranges.get(i)).find(|range| range.visits > 0);
        visited.map_or(self.first, Range::leader)
    }

    fn next(&mut self) -> (usize, f64, bool) {
        let range = &self.ranges[self.current];
        if range.visits == 0 {
            return (range.start.unwrap_or_else(|| self.nearest_leader()), 1.0, false);
        }
        let leader = range.leader();
        let neighbours = [leader.checked_sub(1), Some(leader + 1).filter(|&arm| arm < self.values.len())];
        let neighbours = neighbours.into_iter().flatten();
        // the larger one first: costs rise steeply below the best omega, gently above it
        if let Some(unplayed) = neighbours.clone().rev().find(|&arm| range.plays[arm] == 0) {
            return (unplayed, 1.0, true);
        }
        let doubt = |arm: usize| {
            let spread = 1.0 / range.plays[arm] as f64 + 1.0 / range.plays[leader] as f64;
            range.plays[arm] < 3 || range.mean(arm) - range.mean(leader) < DOUBT * spread.sqrt()
        };
        let mut open = neighbours.filter(|&arm| doubt(arm));
        let count = open.clone().count();
        let chance = if count > 0 { HASTE / (range.visits as f64).sqrt() } else { 0.0 };
        if count > 0 && self.dice.uniform() < chance {
            let which = (self.dice.uniform() * count as f64) as usize;
            return (open.nth(which).unwrap_or(leader), chance / count as f64, true);
        }
        (leader, 1.0 - chance, false)
    }
}

impl Policy for Zoom {
    fn name(&self) -> String {
        "zoom".into()
    }

    fn choose(&mut self, situation: &Situation) -> Choice {
        let context = situation.context;
        let inside = self.ranges.first().is_some_and(|range| context >= range.low)
            && self.ranges.last().is_some_and(|range| context <= range.high);
        self.clamped += u64::from(!inside);
        self.current = self.ranges.partition_point(|range| range.low <= context).saturating_sub(1);
        let (arm, p, explored) = self.next();
        self.arm = arm;
        Choice::drawn(&self.values, arm, p, explored)
    }

    fn update(&mut self, cost: f64) {
        let arms = self.values.len();
        let range = &mut self.ranges[self.current];
        range.sums[self.arm] += cost.max(0.5).ln();
        range.plays[self.arm] += 1;
        range.visits += 1;
        if range.visits >= VISITS && range.depth < DEEPEST {
            let (leader, depth) = (Some(range.leader()), range.depth + 1);
            let middle = 0.5 * (range.low + range.high);
            let halves = [
                Range::new(range.low, middle, depth, leader, arms),
                Range::new(middle, range.high, depth, leader, arms),
            ];
            self.ranges.splice(self.current..=self.current, halves);
        }
    }

    fn values(&self) -> &[f64] {
        &self.values
    }

    fn save(&self) -> Result<serde_json::Value, Error> {
        to_json(&Saved::Zoom(self))
    }
}
