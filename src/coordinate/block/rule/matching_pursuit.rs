//! Gauss-Southwell-quadratic for variable blocks by orthogonal matching pursuit: the block grows in five parts. Each
//! time the unknowns that promise the largest decrease given the gradient r of the model join, the model is minimised
//! over the block, and r = g + H d.

use rand_chacha::ChaCha8Rng;

use super::super::update::BlockModel;
use super::{Blocks, Select, State, largest};

/// Parts in which the block grows.
const PARTS: usize = 5;

pub(super) struct MatchingPursuit;

impl Select for MatchingPursuit {
    fn select(&mut self, state: &State, blocks: &Blocks, _: &mut ChaCha8Rng) -> Vec<usize> {
        let Blocks::Variable(size) = *blocks else { return Vec::new() };
        let p = state.unknowns();
        let size = size.min(p);
        let mut block: Vec<usize> = Vec::new();
        let mut gradient = state.gradient().to_vec();
        while block.len() < size {
            let part = size.div_ceil(PARTS).min(size - block.len());
            let mut scores: Vec<f64> =
                (0..p).map(|i| state.decrease(i, gradient[i], state.bounds()[i])).collect();
            block.iter().for_each(|&i| scores[i] = f64::NEG_INFINITY);
            block.extend(largest(&scores, part));
            block.sort_unstable();
            if block.len() < size {
                let mut model = BlockModel::bound(state, &block);
                let d = model.minimiser(state, state.gradient());
                let product = state.smooth().bound_product(&block, &d);
                gradient.iter_mut().zip(state.gradient()).zip(product).for_each(|((r, g), h)| *r = g + h);
            }
        }
        block
    }
}
