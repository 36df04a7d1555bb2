//! Gauss-Southwell: the largest ||g_b||^2, that is one curvature for all unknowns, the largest L_i.

use rand_chacha::ChaCha8Rng;

use super::{Blocks, Select, State, greedy};

pub(super) struct GaussSouthwell {
    curvature: f64,
}

impl GaussSouthwell {
    pub fn new(state: &State) -> Self {
        let curvature = (0..state.unknowns()).map(|i| state.bounds()[i] + state.smooth_part(i).1);
        Self { curvature: curvature.fold(0.0, f64::max) }
    }
}

impl Select for GaussSouthwell {
    fn select(&mut self, state: &State, blocks: &Blocks, _: &mut ChaCha8Rng) -> Vec<usize> {
        greedy(
            state,
            blocks,
            |i| self.curvature - state.smooth_part(i).1,
            |_, i| self.curvature - state.smooth_part(i).1,
        )
    }
}
