//! Policies: what to try on the next system, from what the systems before cost.
//!
//! | policy | chooses | by |
//! | --- | --- | --- |
//! | [`Fixed`] | omega | one value for all systems |
//! | [`Auto`] | omega | formula from diagonal dominance, or from one probe and the shift rule |
//! | [`TsallisInf`] | an arm | a bandit that comes close to the best fixed arm, whatever the costs |
//! | [`Binned`] | an arm | one such bandit for each range of the context |
//! | [`ChebCb`] | an arm | Chebyshev fits of the cost against the context, inverse gap weighting |
//! | [`Hill`] | an arm | the best mean so far in each range of the context, sometimes a neighbour |
//! | [`Zoom`] | an arm | the same in ranges that split where there is much to learn |
//! | [`Seeded`] | omega | a formula, corrected by a factor that is learned |
//! | [`Tracking`] | an arm | the best recent mean, exploration within a budget |
//!
//! Arms carry a value: an omega, or the number of a solver configuration. A learner is given costs alone, in iterations,
//! operations or seconds. Its state, random numbers included, can be saved and read back; it then goes on bit for bit.

mod auto;
mod binned;
mod chebyshev;
mod dice;
mod fixed;
mod hill;
mod named;
mod seeded;
mod tracking;
mod tsallis;
mod zoom;

use serde::{Deserialize, Serialize};

pub use auto::Auto;
pub use binned::Binned;
pub use chebyshev::ChebCb;
pub use dice::Dice;
pub use fixed::Fixed;
pub use hill::Hill;
pub use named::Named;
pub use seeded::Seeded;
pub use tracking::Tracking;
pub use tsallis::TsallisInf;
pub use zoom::Zoom;

use super::{Error, Method};

/// What a policy may know of a system before it is solved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Situation {
    /// A number that the caller knows of the system: a shift, a coefficient; 0 where there is none.
    pub context: f64,
    /// The system's diagonal dominance, a lower bound of 1 - beta: see [`Operator::dominance`](super::Operator::dominance).
    pub dominance: f64,
    /// The diagonal entry, if all are the same.
    pub diagonal: Option<f64>,
    /// Whether Young's formulas hold.
    pub consistently_ordered: bool,
    /// Whether a factorisation of this very matrix is at hand.
    pub factored: bool,
    /// The method that will use the omega.
    pub method: Method,
}

/// What to try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The arm's value: omega, or the number of a configuration.
    pub value: f64,
    /// The arm; None for policies without any.
    pub arm: Option<usize>,
    /// With which probability it was drawn.
    pub probability: f64,
    /// Whether another arm is thought to be better at present.
    pub explored: bool,
    /// Whether to probe first and ask [`Policy::after_probe`] for the value.
    pub probe: bool,
}

impl Choice {
    /// A value that was not drawn.
    pub fn certain(value: f64) -> Self {
        Self { value, arm: None, probability: 1.0, explored: false, probe: false }
    }

    fn drawn(values: &[f64], arm: usize, probability: f64, explored: bool) -> Self {
        Self { value: values[arm], arm: Some(arm), probability, explored, probe: false }
    }
}

/// Chooses what to try on each system of a sequence. `choose` and `update` take turns; a system that taught nothing is left out by
/// calling `choose` again.
pub trait Policy: Send {
    /// Its name on the command line.
    fn name(&self) -> String;

    /// What to try on this system.
    fn choose(&mut self, situation: &Situation) -> Choice;

    /// The value after a probe that estimated 1 - beta, for a choice that asked for one.
    fn after_probe(&mut self, situation: &Situation, gap: f64) -> f64 {
        auto::formula_for(situation, gap)
    }

    /// What the last choice cost; smaller is better, at least 0.
    fn update(&mut self, cost: f64);

    /// The values of the arms; empty for policies without any.
    fn values(&self) -> &[f64] {
        &[]
    }

    /// The state as JSON, for [`restore`].
    ///
    /// # Errors
    /// `State` for a policy that can't be saved.
    fn save(&self) -> Result<serde_json::Value, Error>;
}

/// Every policy of this module, by the name that its saved state carries.
#[derive(Serialize)]
#[serde(tag = "policy", rename_all = "kebab-case")]
enum Saved<'a> {
    Fixed(&'a Fixed),
    Auto(&'a Auto),
    TsallisInf(&'a TsallisInf),
    Binned(&'a Binned),
    ChebCb(&'a ChebCb),
    Hill(&'a Hill),
    Zoom(&'a Zoom),
    Seeded(&'a Seeded),
    Tracking(&'a Tracking),
}

/// The same, read back.
#[derive(Deserialize)]
#[serde(tag = "policy", rename_all = "kebab-case")]
enum Restored {
    Fixed(Fixed),
    Auto(Auto),
    TsallisInf(TsallisInf),
    Binned(Binned),
    ChebCb(ChebCb),
    Hill(Hill),
    Zoom(Zoom),
    Seeded(Seeded),
    Tracking(Tracking),
}

fn to_json(saved: &Saved) -> Result<serde_json::Value, Error> {
    serde_json::to_value(saved).map_err(|error| Error::State(error.to_string()))
}

/// A policy from its saved state.
///
/// # Errors
/// `State` for anything that [`Policy::save`] doesn't write: missing fields, lengths that don't fit, numbers out of range.
pub fn restore(state: serde_json::Value) -> Result<Box<dyn Policy>, Error> {
    let restored: Restored = serde_json::from_value(state)
        .map_err(|error| Error::State(format!("not a learner's state: {error}")))?;
    Ok(match restored {
        Restored::Fixed(policy) => Box::new(policy.checked()?),
        Restored::Auto(policy) => Box::new(policy),
        Restored::TsallisInf(policy) => Box::new(policy.checked()?),
        Restored::Binned(policy) => Box::new(policy.checked()?),
        Restored::ChebCb(policy) => Box::new(policy.checked()?),
        Restored::Hill(policy) => Box::new(policy.checked()?),
        Restored::Zoom(policy) => Box::new(policy.checked()?),
        Restored::Seeded(policy) => Box::new(policy.checked()?),
        Restored::Tracking(policy) => Box::new(policy.checked()?),
    })
}

/// The grid of the published experiments: `count` omegas from 1 to 1.95.
pub fn omega_grid(count: usize) -> Vec<f64> {
    let last = count.saturating_sub(1).max(1) as f64;
    (0..count).map(|i| 1.0 + 0.95 * i as f64 / last).collect()
}

/// A grid whose 2 - omega falls by equal factors from 1 to `smallest`: for large systems, whose omega is near 2.
pub fn geometric_grid(count: usize, smallest: f64) -> Vec<f64> {
    let last = count.saturating_sub(1).max(1) as f64;
    (0..count).map(|i| 2.0 - smallest.powf(i as f64 / last)).collect()
}

/// Refuses a range that is none.
fn check_range(low: f64, high: f64) -> Result<(), Error> {
    if low.is_finite() && high.is_finite() && low < high {
        return Ok(());
    }
    Err(Error::Option(format!(
        "the range of the context is {low} to {high}; two numbers, the smaller first, are expected"
    )))
}

/// Refuses an empty list of arms, and values that aren't finite.
fn check_values(values: &[f64]) -> Result<(), Error> {
    if !values.is_empty() && values.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Error::Option("at least one arm is needed, each with a finite value".into()))
}

/// Refuses a saved state of which a part doesn't fit.
fn check_state(fits: bool) -> Result<(), Error> {
    if fits { Ok(()) } else { Err(Error::State("a saved learner's parts don't fit together".into())) }
}
