//! The minimiser of g_b'd + d'H_b d / 2 + h(x + d), H_b above the Hessian's block at every x: no line search. The
//! factor of a fixed block is kept.

use std::collections::HashMap;

use super::{BlockModel, Error, Move, State, Update, accept, gradient_step};

/// Entries of all kept factors together: 400 MB.
const LARGEST_CACHE: usize = 50_000_000;

pub(super) struct Matrix {
    /// Models of fixed blocks by their first unknown.
    kept: Option<HashMap<usize, BlockModel>>,
    entries: usize,
}

impl Matrix {
    pub fn new(fixed: bool) -> Self {
        Self { kept: fixed.then(HashMap::new), entries: 0 }
    }
}

impl Update for Matrix {
    fn step(&mut self, state: &State, block: &[usize]) -> Result<Option<Move>, Error> {
        let Some(&first) = block.first() else { return Ok(None) };
        let d = match &mut self.kept {
            Some(kept) if kept.contains_key(&first) || self.entries < LARGEST_CACHE => {
                let model = kept.entry(first).or_insert_with(|| {
                    self.entries += block.len() * block.len();
                    BlockModel::bound(state, block)
                });
                model.minimiser(state, state.gradient())
            }
            _ => BlockModel::bound(state, block).minimiser(state, state.gradient()),
        };
        Ok(accept(state, block, &d).or_else(|| gradient_step(state, block, state.block_bound(block))))
    }
}
