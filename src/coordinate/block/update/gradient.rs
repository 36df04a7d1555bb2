//! x_b <- prox_{h / L_b}(x_b - g_b / L_b).

use std::collections::HashMap;

use super::{Error, Move, State, Update, gradient_step};

/// L_b is kept for so many blocks.
const KEPT: usize = 100_000;

#[derive(Default)]
pub(super) struct Gradient {
    bounds: HashMap<Vec<usize>, f64>,
}

impl Update for Gradient {
    fn step(&mut self, state: &State, block: &[usize]) -> Result<Option<Move>, Error> {
        let known = self.bounds.get(block).copied();
        let bound = known.unwrap_or_else(|| state.block_bound(block));
        if known.is_none() && self.bounds.len() * block.len() < KEPT {
            self.bounds.insert(block.to_vec(), bound);
        }
        Ok(gradient_step(state, block, bound))
    }
}
