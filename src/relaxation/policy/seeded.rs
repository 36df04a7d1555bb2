//! A formula, corrected by what is learned beside it.

use serde::{Deserialize, Serialize};

use super::{Auto, Choice, Hill, Policy, Saved, Situation, to_json};
use crate::relaxation::Error;

/// Factors of 2 - omega about the formula's, the formula itself in the middle.
const FACTORS: [f64; 7] = [0.5, 0.63, 0.79, 1.0, 1.26, 1.59, 2.0];

/// Learns a factor on the formula's 2 - omega: omega = 2 - q (2 - formula). The context leaves the problem, and what remains to be
/// learned is by how much the formula is wrong: where beta is misjudged, or rows are in no consistent order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seeded {
    formula: Auto,
    factor: Hill,
}

impl Seeded {
    /// Knows nothing yet.
    ///
    /// # Errors
    /// None in practice: the factors are valid arms.
    pub fn new(seed: u64) -> Result<Self, Error> {
        Ok(Self { formula: Auto::new(), factor: Hill::new(FACTORS.to_vec(), 0.0, 1.0, seed)? })
    }

    pub(super) fn checked(self) -> Result<Self, Error> {
        Ok(Self { factor: self.factor.checked()?, ..self })
    }

    fn corrected(&self, omega: f64, factor: f64) -> f64 {
        (2.0 - factor * (2.0 - omega)).clamp(1.0, 2.0 - 1e-6)
    }
}

impl Policy for Seeded {
    fn name(&self) -> String {
        "seeded".into()
    }

    fn choose(&mut self, situation: &Situation) -> Choice {
        let formula = self.formula.choose(situation);
        let factor = self.factor.choose(&Situation { context: 0.0, ..*situation });
        let value = self.corrected(formula.value, factor.value);
        Choice { value, probe: formula.probe, ..factor }
    }

    fn after_probe(&mut self, situation: &Situation, gap: f64) -> f64 {
        let omega = self.formula.after_probe(situation, gap);
        self.corrected(omega, self.factor.value())
    }

    fn update(&mut self, cost: f64) {
        self.factor.update(cost);
    }

    fn values(&self) -> &[f64] {
        self.factor.values()
    }

    fn save(&self) -> Result<serde_json::Value, Error> {
        to_json(&Saved::Seeded(self))
    }
}
