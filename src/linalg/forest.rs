//! Systems whose graph has no cycle, solved in linear time, and ways to cut a graph into such pieces.
//!
//! The graph of a symmetric matrix H has an edge (i, j) where H_ij is stored, i != j. If the nodes b induce a forest,
//! H_bb d = r is solved by one pass from the leaves to the roots and one back: Gaussian elimination without fill,
//! which is Gaussian belief propagation with an inward and an outward pass.

use std::fmt::Write;

use sprs::CsMatViewI;

/// No node.
const NONE: u32 = u32::MAX;

/// Why a system could not be solved as a forest.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ForestError {
    /// The nodes hold a cycle.
    #[error("the block is not a forest: it holds the cycle {}", chain(cycle))]
    Cycle {
        /// The nodes of one cycle in order.
        cycle: Vec<usize>,
    },
    /// A pivot is not positive.
    #[error("the block is not positive definite: the pivot of unknown {node} is {pivot:e}")]
    NotPositiveDefinite {
        /// The unknown, from 0.
        node: usize,
        /// Its pivot.
        pivot: f64,
    },
}

/// A few nodes joined by dashes.
fn chain(nodes: &[usize]) -> String {
    let mut text = String::new();
    for node in nodes.iter().take(20) {
        // writing to a string cannot fail
        let _ = write!(text, "{node} - ");
    }
    text + &if nodes.len() > 20 {
        "...".to_string()
    } else {
        nodes.first().map_or_else(String::new, |n| n.to_string())
    }
}

/// Solver of forest systems; its memory is kept between calls.
#[derive(Debug, Clone, Default)]
pub struct ForestSolver {
    /// Position in the block of each unknown, or `NONE`.
    position: Vec<u32>,
    /// Positions in breadth-first order, roots first.
    order: Vec<u32>,
    /// Parent position, or `NONE` for a root.
    parent: Vec<u32>,
    /// H between a node and its parent.
    link: Vec<f64>,
    pivot: Vec<f64>,
}

impl ForestSolver {
    /// An empty solver.
    pub fn new() -> Self {
        Self::default()
    }

    /// rhs <- H_bb^{-1} rhs, where H is symmetric, stored whole, and the distinct unknowns b = `block` induce a forest
    /// in its graph. Each tree is rooted at its first unknown in b. O(|b| + entries of the rows b).
    ///
    /// # Errors
    /// A cycle in the block; a pivot that is not positive. `rhs` is then undefined.
    pub fn solve(
        &mut self,
        matrix: CsMatViewI<f64, u32>,
        block: &[usize],
        rhs: &mut [f64],
    ) -> Result<(), ForestError> {
        assert_eq!(block.len(), rhs.len(), "forest solve: one right-hand side entry per unknown");
        self.position.resize(matrix.rows(), NONE);
        block.iter().enumerate().for_each(|(k, &i)| self.position[i] = k as u32);
        let outcome = self.root(matrix, block).and_then(|()| self.eliminate(block, rhs));
        block.iter().for_each(|&i| self.position[i] = NONE);
        outcome
    }

    /// Breadth-first orders and parents of all trees.
    fn root(&mut self, matrix: CsMatViewI<f64, u32>, block: &[usize]) -> Result<(), ForestError> {
        let k = block.len();
        self.parent.clear();
        self.link.clear();
        self.pivot.clear();
        self.order.clear();
        self.parent.resize(k, NONE);
        self.link.resize(k, 0.0);
        self.pivot.resize(k, 0.0);
        let (offsets, indices, values) = (matrix.indptr(), matrix.indices(), matrix.data());
        let offsets = offsets.raw_storage();
        // a node that has been reached has a link; roots get one that is not used
        let mut reached = vec![false; k];
        let mut head = 0;
        for root in 0..k {
            if reached[root] {
                continue;
            }
            reached[root] = true;
            self.order.push(root as u32);
            while head < self.order.len() {
                let here = self.order[head] as usize;
                head += 1;
                let i = block[here];
                for entry in offsets[i] as usize..offsets[i + 1] as usize {
                    let j = indices[entry] as usize;
                    if j == i {
                        self.pivot[here] += values[entry];
                        continue;
                    }
                    let there = self.position[j];
                    if there == NONE || there == self.parent[here] {
                        continue;
                    }
                    if reached[there as usize] {
                        return Err(ForestError::Cycle { cycle: self.cycle(block, here, there as usize) });
                    }
                    reached[there as usize] = true;
                    self.parent[there as usize] = here as u32;
                    self.link[there as usize] = values[entry];
                    self.order.push(there);
                }
            }
        }
        Ok(())
    }

    /// The cycle that an edge between two nodes of one tree closes.
    fn cycle(&self, block: &[usize], a: usize, b: usize) -> Vec<usize> {
        let ancestors = |mut k: usize| {
            let mut path = vec![k];
            while self.parent[k] != NONE {
                k = self.parent[k] as usize;
                path.push(k);
            }
            path
        };
        let (mut left, mut right) = (ancestors(a), ancestors(b));
        let mut meet = None;
        while left.last() == right.last() && left.last().is_some() {
            meet = left.pop();
            right.pop();
        }
        left.extend(meet);
        left.extend(right.into_iter().rev());
        left.into_iter().map(|k| block[k]).collect()
    }

    /// Elimination from the leaves to the roots, substitution back.
    fn eliminate(&mut self, block: &[usize], rhs: &mut [f64]) -> Result<(), ForestError> {
        for &k in self.order.iter().rev() {
            let k = k as usize;
            let pivot = self.pivot[k];
            if !(pivot > 0.0 && pivot.is_finite()) {
                return Err(ForestError::NotPositiveDefinite { node: block[k], pivot });
            }
            if self.parent[k] != NONE {
                let up = self.parent[k] as usize;
                let factor = self.link[k] / pivot;
                self.pivot[up] -= factor * self.link[k];
                rhs[up] -= factor * rhs[k];
            }
        }
        for &k in &self.order {
            let k = k as usize;
            let above =
                if self.parent[k] == NONE { 0.0 } else { self.link[k] * rhs[self.parent[k] as usize] };
            rhs[k] = (rhs[k] - above) / self.pivot[k];
        }
        Ok(())
    }
}

/// Disjoint sets with path halving and union by size.
struct Trees {
    parent: Vec<u32>,
    size: Vec<u32>,
}

impl Trees {
    fn new(n: usize) -> Self {
        Self { parent: (0..n as u32).collect(), size: vec![1; n] }
    }

    fn root(&mut self, mut i: u32) -> u32 {
        while self.parent[i as usize] != i {
            let up = self.parent[self.parent[i as usize] as usize];
            self.parent[i as usize] = up;
            i = up;
        }
        i
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return;
        }
        let (large, small) = if self.size[a as usize] >= self.size[b as usize] { (a, b) } else { (b, a) };
        self.parent[small as usize] = large;
        self.size[large as usize] += self.size[small as usize];
    }
}

/// A maximal induced forest, grown greedily: each node of `order` joins unless it would close a cycle, that is unless
/// two of its neighbours in the forest lie in one tree. Returns the nodes, ascending. O(|E| alpha).
pub fn greedy_forest(graph: CsMatViewI<f64, u32>, order: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut trees = Trees::new(graph.rows());
    let mut inside = vec![false; graph.rows()];
    let mut roots = Vec::new();
    for node in order {
        if joins(graph, node, &mut trees, |j| inside[j], &mut roots) {
            inside[node] = true;
        }
    }
    (0..graph.rows()).filter(|&i| inside[i]).collect()
}

/// Unites the trees around a node if it closes no cycle; says whether it did.
fn joins(
    graph: CsMatViewI<f64, u32>,
    node: usize,
    trees: &mut Trees,
    inside: impl Fn(usize) -> bool,
    roots: &mut Vec<u32>,
) -> bool {
    roots.clear();
    let offsets = graph.indptr();
    let offsets = offsets.raw_storage();
    for &j in &graph.indices()[offsets[node] as usize..offsets[node + 1] as usize] {
        if j as usize != node && inside(j as usize) {
            let root = trees.root(j);
            if roots.contains(&root) {
                return false;
            }
            roots.push(root);
        }
    }
    roots.iter().for_each(|&root| trees.join(node as u32, root));
    true
}

/// Cuts all nodes into forests: each node of `order` goes into the first forest where it closes no cycle, else opens a
/// new one. Returns the forests, their nodes ascending. O(forests (|E| alpha + n)).
pub fn forest_partition(graph: CsMatViewI<f64, u32>, order: &[usize]) -> Vec<Vec<usize>> {
    let n = graph.rows();
    let mut forests: Vec<Vec<usize>> = Vec::new();
    let mut waiting = order.to_vec();
    // first fit, one forest after the other: whether a node fits depends only on earlier nodes of the same forest
    while !waiting.is_empty() {
        let mut trees = Trees::new(n);
        let mut inside = vec![false; n];
        let mut roots = Vec::new();
        let mut left = Vec::new();
        for node in waiting {
            if joins(graph, node, &mut trees, |j| inside[j], &mut roots) {
                inside[node] = true;
            } else {
                left.push(node);
            }
        }
        forests.push((0..n).filter(|&i| inside[i]).collect());
        waiting = left;
    }
    forests
}

/// Greedy colouring: each node of `order` takes, of the colours that no neighbour has, the one with the fewest nodes
/// (the first of these), or a new one. Returns the classes, their nodes ascending. O(|E| + n colours).
pub fn colour_classes(graph: CsMatViewI<f64, u32>, order: &[usize]) -> Vec<Vec<usize>> {
    let mut colour = vec![NONE; graph.rows()];
    let mut sizes: Vec<usize> = Vec::new();
    let mut taken: Vec<usize> = Vec::new();
    let offsets = graph.indptr();
    let offsets = offsets.raw_storage();
    for (step, &node) in order.iter().enumerate() {
        for &j in &graph.indices()[offsets[node] as usize..offsets[node + 1] as usize] {
            let used = colour[j as usize];
            if used != NONE {
                taken[used as usize] = step + 1;
            }
        }
        let free = (0..sizes.len()).filter(|&c| taken[c] != step + 1).min_by_key(|&c| sizes[c]);
        let c = free.unwrap_or_else(|| {
            sizes.push(0);
            taken.push(0);
            sizes.len() - 1
        });
        sizes[c] += 1;
        colour[node] = c as u32;
    }
    let mut classes = vec![Vec::new(); sizes.len()];
    for (node, &c) in colour.iter().enumerate() {
        if c != NONE {
            classes[c as usize].push(node);
        }
    }
    classes
}
