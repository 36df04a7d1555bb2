//! One omega for all systems.

use serde::{Deserialize, Serialize};

use super::{Choice, Policy, Saved, Situation, to_json};
use crate::relaxation::{Error, check_omega};

/// One omega for all systems.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fixed {
    omega: f64,
}

impl Fixed {
    /// # Errors
    /// `Option` for an omega outside (0, 2).
    pub fn new(omega: f64) -> Result<Self, Error> {
        Self { omega }.checked()
    }

    pub(super) fn checked(self) -> Result<Self, Error> {
        check_omega(self.omega)?;
        Ok(self)
    }
}

impl Policy for Fixed {
    fn name(&self) -> String {
        format!("fixed:{}", self.omega)
    }

    fn choose(&mut self, _: &Situation) -> Choice {
        Choice::certain(self.omega)
    }

    fn update(&mut self, _: f64) {}

    fn save(&self) -> Result<serde_json::Value, Error> {
        to_json(&Saved::Fixed(self))
    }
}
