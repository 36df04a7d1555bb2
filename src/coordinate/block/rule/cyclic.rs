//! One block after the other; variable blocks are consecutive unknowns.

use rand_chacha::ChaCha8Rng;

use super::{Blocks, Select, State};

#[derive(Default)]
pub(super) struct Cyclic {
    next: usize,
}

impl Select for Cyclic {
    fn needs_gradient(&self) -> bool {
        false
    }

    fn select(&mut self, state: &State, blocks: &Blocks, _: &mut ChaCha8Rng) -> Vec<usize> {
        match blocks {
            Blocks::Variable(size) => {
                let p = state.unknowns();
                let start = if self.next >= p { 0 } else { self.next };
                self.next = p.min(start + size);
                (start..self.next).collect()
            }
            Blocks::Fixed(blocks) => {
                let k = if self.next >= blocks.len() { 0 } else { self.next };
                self.next = k + 1;
                blocks.get(k).cloned().unwrap_or_default()
            }
        }
    }
}
