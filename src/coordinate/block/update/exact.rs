//! The minimiser over a single unknown: x_i <- argmin of L_i u^2 / 2 + (g_i - L_i x_i) u + h_i(u), in closed form.

use super::{Error, Move, State, Update, gradient_step};

pub(super) struct Exact;

impl Update for Exact {
    fn step(&mut self, state: &State, block: &[usize]) -> Result<Option<Move>, Error> {
        Ok(block.first().and_then(|&i| gradient_step(state, block, state.bounds()[i])))
    }
}
