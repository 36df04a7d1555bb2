//! One block after the other, in a new random order in each pass; variable blocks are slices of a permutation.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Blocks, Select, State};

#[derive(Default)]
pub(super) struct Permuted {
    order: Vec<usize>,
    next: usize,
}

impl Select for Permuted {
    fn needs_gradient(&self) -> bool {
        false
    }

    fn select(&mut self, state: &State, blocks: &Blocks, random: &mut ChaCha8Rng) -> Vec<usize> {
        let items = match blocks {
            Blocks::Variable(_) => state.unknowns(),
            Blocks::Fixed(blocks) => blocks.len(),
        };
        if self.next >= self.order.len() {
            self.order = (0..items).collect();
            self.order.shuffle(random);
            self.next = 0;
        }
        let start = self.next;
        let mut block = match blocks {
            Blocks::Variable(size) => {
                self.next = items.min(start + size);
                self.order[start..self.next].to_vec()
            }
            Blocks::Fixed(blocks) => {
                self.next = start + 1;
                self.order.get(start).map_or_else(Vec::new, |&k| blocks[k].clone())
            }
        };
        block.sort_unstable();
        block
    }
}
