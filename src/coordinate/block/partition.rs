//! Building block 1: how unknowns are partitioned into blocks.

use super::Error;
use super::state::State;
use crate::linalg::forest::{colour_classes, forest_partition};

/// How unknowns are partitioned into blocks.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Partition {
    /// Any unknowns, chosen afresh in each step.
    #[default]
    Variable,
    /// Fixed blocks of consecutive unknowns.
    Order,
    /// Fixed blocks, cut from the unknowns sorted by L_i: the few large constants are together, and every other block
    /// has a small one.
    Sort,
    /// Fixed blocks that take in turn from the small and the large end of the unknowns sorted by L_i.
    Average,
    /// The given fixed blocks, of any sizes; every unknown in exactly one.
    Groups(Vec<Vec<usize>>),
    /// The colour classes of the Hessian's graph (red and black on a lattice), greedily by falling L_i: no two
    /// unknowns of a block are coupled.
    Colours,
    /// Forests of the Hessian's graph, first fit by falling L_i.
    Forests,
}

/// The blocks of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Blocks {
    /// So many unknowns, chosen in each step.
    Variable(usize),
    /// Fixed blocks, each ascending.
    Fixed(Vec<Vec<usize>>),
}

impl Partition {
    /// Cuts the unknowns of a problem into blocks of a size; the last one may be shorter.
    ///
    /// # Errors
    /// Groups that leave an unknown out, name one twice or one that is not there; a graph where there is none.
    pub fn blocks(&self, state: &State, size: usize) -> Result<Blocks, Error> {
        let p = state.unknowns();
        let size = size.clamp(1, p.max(1));
        let by_bound = || {
            let mut order: Vec<usize> = (0..p).collect();
            order.sort_by(|&a, &b| state.bounds()[a].total_cmp(&state.bounds()[b]));
            order
        };
        let cut = |order: Vec<usize>| order.chunks(size).map(<[usize]>::to_vec).collect();
        let falling = || {
            let mut order: Vec<usize> = (0..p).collect();
            order.sort_by(|&a, &b| state.bounds()[b].total_cmp(&state.bounds()[a]));
            order
        };
        let graph = || {
            let missing = "colours and forests need a problem whose Hessian is a sparse matrix";
            state.smooth().hessian_matrix().ok_or_else(|| Error::Option(missing.into()))
        };
        let mut blocks: Vec<Vec<usize>> = match self {
            Partition::Variable => return Ok(Blocks::Variable(size)),
            Partition::Order => cut((0..p).collect()),
            Partition::Sort => cut(by_bound()),
            Partition::Average => cut(alternate(&by_bound())),
            Partition::Groups(groups) => {
                check_groups(groups, p)?;
                groups.iter().filter(|group| !group.is_empty()).cloned().collect()
            }
            Partition::Colours => colour_classes(graph()?, &falling()),
            Partition::Forests => forest_partition(graph()?, &falling()),
        };
        blocks.iter_mut().for_each(|block| block.sort_unstable());
        Ok(Blocks::Fixed(blocks))
    }
}

/// First, last, second, last but one, ...
fn alternate(order: &[usize]) -> Vec<usize> {
    let n = order.len();
    (0..n).map(|k| if k % 2 == 0 { order[k / 2] } else { order[n - 1 - k / 2] }).collect()
}

/// Every unknown in exactly one group.
fn check_groups(groups: &[Vec<usize>], p: usize) -> Result<(), Error> {
    let mut seen = vec![false; p];
    for (g, group) in groups.iter().enumerate() {
        for &i in group {
            match seen.get_mut(i) {
                None => return Err(Error::Option(format!("block {g} names unknown {i}; there are {p}"))),
                Some(true) => return Err(Error::Option(format!("unknown {i} is in two blocks"))),
                Some(seen) => *seen = true,
            }
        }
    }
    match seen.iter().position(|seen| !seen) {
        Some(i) => Err(Error::Option(format!("unknown {i} is in no block"))),
        None => Ok(()),
    }
}
