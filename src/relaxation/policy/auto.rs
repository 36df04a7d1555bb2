//! Formulas: omega from the diagonal dominance, or from one probe and the shift rule.

use serde::{Deserialize, Serialize};

use super::{Choice, Policy, Saved, Situation, to_json};
use crate::relaxation::formula;
use crate::relaxation::{CLEAR_DOMINANCE, Error, Method};

/// omega by formula. For SSOR-CG from the diagonal dominance where that exceeds 1e-3. Else from 1 - beta, which a probe of the first
/// system estimates; the systems after it follow by the shift rule beta d = const. as long as their diagonal d is
/// constant, and are probed again where it isn't.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Auto {
    /// beta d: the largest eigenvalue of D - A, which a shift doesn't change.
    radius: Option<f64>,
    /// Numbers near 1 - beta and d from the probe, to undo the rounding of beta near 1.
    probes: u64,
}

/// The formula that belongs to a method, at 1 - beta = `gap`.
pub(super) fn formula_for(situation: &Situation, gap: f64) -> f64 {
    if situation.method == Method::Sor && situation.consistently_ordered {
        formula::young(gap)
    } else {
        formula::ssor(gap)
    }
}

impl Auto {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How often a probe was asked for.
    pub fn probes(&self) -> u64 {
        self.probes
    }
}

impl Policy for Auto {
    fn name(&self) -> String {
        "auto".into()
    }

    fn choose(&mut self, situation: &Situation) -> Choice {
        if situation.method != Method::Sor && situation.dominance >= CLEAR_DOMINANCE {
            return Choice::certain(formula::ssor(situation.dominance));
        }
        if let (Some(radius), Some(diagonal)) = (self.radius, situation.diagonal) {
            // 1 - beta d / d', no less than the dominance proves
            let gap = (1.0 - radius / diagonal).max(situation.dominance);
            if gap > 0.0 {
                return Choice::certain(formula_for(situation, gap));
            }
        }
        self.probes += 1;
        Choice { probe: true, ..Choice::certain(1.0) }
    }

    fn after_probe(&mut self, situation: &Situation, gap: f64) -> f64 {
        self.radius = situation.diagonal.map(|diagonal| (1.0 - gap) * diagonal);
        formula_for(situation, gap)
    }

    fn update(&mut self, _: f64) {}

    fn save(&self) -> Result<serde_json::Value, Error> {
        to_json(&Saved::Auto(self))
    }
}
