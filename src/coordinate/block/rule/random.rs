//! Uniformly at random; variable blocks without replacement.

use rand::Rng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::{Blocks, Select, State};

pub(super) struct Random;

impl Select for Random {
    fn needs_gradient(&self) -> bool {
        false
    }

    fn select(&mut self, state: &State, blocks: &Blocks, random: &mut ChaCha8Rng) -> Vec<usize> {
        match blocks {
            Blocks::Variable(size) => {
                let count = (*size).min(state.unknowns());
                let mut block = index::sample(random, state.unknowns(), count).into_vec();
                block.sort_unstable();
                block
            }
            Blocks::Fixed(blocks) if blocks.is_empty() => Vec::new(),
            Blocks::Fixed(blocks) => blocks[random.random_range(0..blocks.len())].clone(),
        }
    }
}
