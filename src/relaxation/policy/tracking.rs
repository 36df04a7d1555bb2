//! The best recent mean, exploration within a budget: for arms whose costs drift.

use serde::{Deserialize, Serialize};

use super::{Choice, Policy, Saved, Situation, check_state, check_values, to_json};
use crate::relaxation::Error;

/// A new cost's least part in the mean of its arm.
const MEMORY: f64 = 0.3;
/// What exploring may cost beyond the leader's mean, as a part of all costs.
const BUDGET: f64 = 0.04;

/// Plays the arm whose recent costs are least. Each arm is tried once; after that, the arm that was left alone longest in proportion to
/// its cost is tried again whenever what exploring has cost beyond the leader stays within 4 per cent of all costs.
///
/// For choosing between solver configurations: arms in no order, costs that differ by factors and may change at any time. Systems
/// whose factorisation is at hand are counted apart. A step costs a pass over the arms.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tracking {
    values: Vec<f64>,
    /// For systems without and with a factorisation at hand.
    records: [Vec<Record>; 2],
    rounds: u64,
    total: f64,
    spent: f64,
    side: usize,
    arm: usize,
    /// The leader's mean when the arm was chosen, if that was to explore.
    compared: Option<f64>,
}

/// What is known of an arm.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Record {
    plays: u64,
    last: u64,
    mean: f64,
}

impl Tracking {
    /// With one arm for each value.
    ///
    /// # Errors
    /// `Option` for no values, or some that aren't finite.
    pub fn new(values: Vec<f64>) -> Result<Self, Error> {
        check_values(&values)?;
        let records = vec![Record::default(); values.len()];
        let records = [records.clone(), records];
        Ok(Self { values, records, rounds: 0, total: 0.0, spent: 0.0, side: 0, arm: 0, compared: None })
    }

    pub(super) fn checked(self) -> Result<Self, Error> {
        check_values(&self.values)?;
        let d = self.values.len();
        check_state(self.records.iter().all(|records| records.len() == d) && self.side < 2 && self.arm < d)?;
        Ok(self)
    }

    fn next(&self) -> (usize, Option<f64>) {
        let records = &self.records[self.side];
        if let Some(untried) = records.iter().position(|record| record.plays == 0) {
            return (untried, None);
        }
        let arms = 0..records.len();
        let leader = arms.clone().min_by(|&a, &b| records[a].mean.total_cmp(&records[b].mean)).unwrap_or(0);
        let least = records[leader].mean;
        // how long an arm was left alone, over what it costs
        let urge = |arm: usize| {
            (self.rounds - records[arm].last) as f64 * least.max(f64::MIN_POSITIVE)
                / records[arm].mean.max(f64::MIN_POSITIVE)
        };
        let others = arms.filter(|&arm| arm != leader);
        match others.max_by(|&a, &b| urge(a).total_cmp(&urge(b))) {
            Some(arm) if self.spent + (records[arm].mean - least) <= BUDGET * self.total => {
                (arm, Some(least))
            }
            _ => (leader, None),
        }
    }
}

impl Policy for Tracking {
    fn name(&self) -> String {
        "tracking".into()
    }

    fn choose(&mut self, situation: &Situation) -> Choice {
        self.side = usize::from(situation.factored);
        (self.arm, self.compared) = self.next();
        Choice::drawn(&self.values, self.arm, 1.0, self.compared.is_some())
    }

    fn update(&mut self, cost: f64) {
        self.rounds += 1;
        self.total += cost;
        if let Some(least) = self.compared {
            self.spent += (cost - least).max(0.0);
        }
        let record = &mut self.records[self.side][self.arm];
        record.plays += 1;
        record.last = self.rounds;
        record.mean += (cost - record.mean) * (1.0 / record.plays as f64).max(MEMORY);
    }

    fn values(&self) -> &[f64] {
        &self.values
    }

    fn save(&self) -> Result<serde_json::Value, Error> {
        to_json(&Saved::Tracking(self))
    }
}
