//! Gauss-Southwell-diagonal: the largest sum of g_i^2 / L_i; exact for variable blocks, and needs no factorisation.

use rand_chacha::ChaCha8Rng;

use super::{Blocks, Select, State, greedy};

pub(super) struct GaussSouthwellDiagonal;

impl Select for GaussSouthwellDiagonal {
    fn select(&mut self, state: &State, blocks: &Blocks, _: &mut ChaCha8Rng) -> Vec<usize> {
        greedy(state, blocks, |i| state.bounds()[i], |_, i| state.bounds()[i])
    }
}
