//! The proximal gradient step with no constants known. Each unknown keeps an estimate of its curvature; the block
//! takes the largest and doubles it until f(x + d) <= f(x) + g'd + L ||d||^2 / 2, and all its unknowns keep that L.
//! A first estimate is halved while this holds; later ones are halved once in ten visits.

use super::{Error, Move, State, Update, slack};

/// Visits after which an estimate is halved.
const VISITS: u32 = 10;

pub(super) struct Accumulated {
    estimates: Vec<f64>,
    visits: Vec<u32>,
}

impl Accumulated {
    pub fn new(state: &State) -> Self {
        Self { estimates: vec![1.0; state.unknowns()], visits: vec![0; state.unknowns()] }
    }

    /// The step at curvature L, if f stays below its bound.
    fn attempt(state: &State, block: &[usize], curvature: f64) -> Option<Move> {
        let d = state.prox_step(block, curvature);
        if d.iter().any(|d| !d.is_finite()) {
            return None;
        }
        let (change, line) = state.try_step(block, &d);
        let smooth_change = change - state.separable_change(block, &d);
        let model: f64 =
            block.iter().zip(&d).map(|(&i, d)| (state.gradient()[i] + 0.5 * curvature * d) * d).sum();
        if !(smooth_change <= model + slack(state)) || !(change <= slack(state)) {
            return None;
        }
        let goal = block.iter().zip(&d).map(|(&i, d)| state.x()[i] + d).collect();
        Some(Move { line, step: 1.0, goal })
    }
}

impl Update for Accumulated {
    fn step(&mut self, state: &State, block: &[usize]) -> Result<Option<Move>, Error> {
        let fresh = block.iter().all(|&i| self.visits[i] == 0);
        for &i in block {
            self.visits[i] += 1;
            if self.visits[i].is_multiple_of(VISITS) {
                self.estimates[i] *= 0.5;
            }
        }
        let mut curvature = block.iter().map(|&i| self.estimates[i]).fold(0.0, f64::max);
        let mut chosen = Self::attempt(state, block, curvature);
        if fresh && chosen.is_some() {
            for _ in 0..200 {
                let Some(longer) = Self::attempt(state, block, 0.5 * curvature) else { break };
                let still = longer.line.direction.iter().all(|&d| d == 0.0);
                (chosen, curvature) = (Some(longer), 0.5 * curvature);
                if still {
                    break;
                }
            }
        }
        for _ in 0..200 {
            if chosen.is_some() {
                break;
            }
            curvature *= 2.0;
            chosen = Self::attempt(state, block, curvature);
        }
        block.iter().for_each(|&i| self.estimates[i] = curvature);
        Ok(chosen.filter(|chosen| chosen.line.direction.iter().any(|&d| d != 0.0)))
    }
}
