//! Gauss-Southwell-quadratic on fixed blocks: the largest decrease of the block's model, 1/2 g_b' H_b^{-1} g_b.

use rand_chacha::ChaCha8Rng;

use super::super::update::BlockModel;
use super::{Blocks, Select, State, argmax};

#[derive(Default)]
pub(super) struct Quadratic {
    /// One model per block, its bound worked out once.
    models: Vec<BlockModel>,
}

impl Select for Quadratic {
    fn select(&mut self, state: &State, blocks: &Blocks, _: &mut ChaCha8Rng) -> Vec<usize> {
        let Blocks::Fixed(blocks) = blocks else { return Vec::new() };
        if self.models.is_empty() || !state.smooth().is_bounded() {
            self.models = blocks.iter().map(|block| BlockModel::bound(state, block)).collect();
        }
        let scores = self.models.iter_mut().map(|model| {
            let d = model.minimiser(state, state.gradient());
            model.decrease(state, &d)
        });
        argmax(scores).map_or_else(Vec::new, |k| blocks[k].clone())
    }
}
