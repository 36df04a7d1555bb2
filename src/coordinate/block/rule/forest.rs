//! A maximal induced forest of the Hessian's graph, grown by falling g_i^2 / L_i, or in random order.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Blocks, Select, State};
use crate::linalg::forest::greedy_forest;

pub(super) struct Forest {
    pub greedy: bool,
}

impl Select for Forest {
    fn needs_gradient(&self) -> bool {
        self.greedy
    }

    fn select(&mut self, state: &State, _: &Blocks, random: &mut ChaCha8Rng) -> Vec<usize> {
        let Some(graph) = state.smooth().hessian_matrix() else { return Vec::new() };
        let mut order: Vec<u32> = (0..state.unknowns() as u32).collect();
        if self.greedy {
            // one key per unknown: the order of positive numbers is that of their bits
            let key = |i: u32| {
                let i = i as usize;
                !state.decrease(i, state.gradient()[i], state.bounds()[i]).to_bits()
            };
            let mut keyed: Vec<(u64, u32)> = order.par_iter().map(|&i| (key(i), i)).collect();
            keyed.par_sort_unstable();
            order = keyed.into_iter().map(|(_, i)| i).collect();
        } else {
            order.shuffle(random);
        }
        greedy_forest(graph, order.into_iter().map(|i| i as usize))
    }
}
