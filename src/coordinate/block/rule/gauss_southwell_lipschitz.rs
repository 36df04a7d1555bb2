//! Gauss-Southwell-Lipschitz: the largest ||g_b||^2 / L_b. Variable blocks: g_i^2 / sum of |H_ij|, a stand-in.

use rand_chacha::ChaCha8Rng;

use super::{Blocks, Select, State, greedy};

pub(super) struct GaussSouthwellLipschitz {
    /// L_b of fixed blocks.
    bounds: Vec<f64>,
}

impl GaussSouthwellLipschitz {
    pub fn new(state: &State, blocks: &Blocks) -> Self {
        match blocks {
            Blocks::Variable(_) => Self { bounds: Vec::new() },
            Blocks::Fixed(blocks) => {
                Self { bounds: blocks.iter().map(|block| state.block_bound(block)).collect() }
            }
        }
    }
}

impl Select for GaussSouthwellLipschitz {
    fn select(&mut self, state: &State, blocks: &Blocks, _: &mut ChaCha8Rng) -> Vec<usize> {
        let sums: &[f64] = if matches!(blocks, Blocks::Variable(_)) { state.row_sums() } else { &[] };
        greedy(state, blocks, |i| sums[i], |k, _| self.bounds[k])
    }
}
