//! Maximum improvement: the block whose model step lowers F itself the most. Variable blocks grow one unknown at a time.

use rand_chacha::ChaCha8Rng;

use super::super::update::BlockModel;
use super::{Blocks, Select, State, argmax};

pub(super) struct MaximumImprovement;

/// F(x) - F(x + d) for the step d that minimises the block's model.
fn improvement(state: &State, block: &[usize]) -> f64 {
    let d = BlockModel::bound(state, block).minimiser(state, state.gradient());
    -state.try_step(block, &d).0
}

impl Select for MaximumImprovement {
    fn select(&mut self, state: &State, blocks: &Blocks, _: &mut ChaCha8Rng) -> Vec<usize> {
        match blocks {
            Blocks::Fixed(blocks) => {
                let best = argmax(blocks.iter().map(|block| improvement(state, block)));
                best.map_or_else(Vec::new, |k| blocks[k].clone())
            }
            Blocks::Variable(size) => {
                let mut block: Vec<usize> = Vec::new();
                for _ in 0..(*size).min(state.unknowns()) {
                    let with = |i: usize| {
                        let mut longer = block.clone();
                        longer.insert(longer.partition_point(|&j| j < i), i);
                        longer
                    };
                    let rest: Vec<usize> =
                        (0..state.unknowns()).filter(|i| block.binary_search(i).is_err()).collect();
                    let best = argmax(rest.iter().map(|&i| improvement(state, &with(i))));
                    if let Some(k) = best {
                        block = with(rest[k]);
                    }
                }
                block
            }
        }
    }
}
