//! The lower triangle of the Hessian of the Lagrangian: its pattern, worked out when first asked for, and its values.
//!
//! Each entry is a sum over second derivatives of elements (already multiplied by their factors), entries of the
//! products q q' of narrow groups, and terms of QUADRATIC; wide groups add q q' row by row, without stored positions.

use std::collections::HashSet;

use super::Elements;
use super::rows::{RowState, Rows};
use crate::problem::nonlinear::Pattern;

/// Groups with more variables than this are wide.
const NARROW: usize = 24;

/// Larger patterns are not stored.
const MAX_ENTRIES: usize = 1 << 27;

/// Marks an entry that a wide group puts into the pattern.
const NOTHING: u32 = u32::MAX;

/// A curved group: objective (0) or constraint (1) rows, and the row.
#[derive(Clone, Copy)]
struct Curved {
    side: usize,
    row: u32,
}

pub(super) struct Hessian {
    pub pattern: Pattern,
    /// What adds up to each entry: positions in the second derivatives of elements, then in the products.
    offsets: Vec<usize>,
    terms: Vec<u32>,
    /// Position of each QUADRATIC term.
    quadratic: Vec<(usize, f64)>,
    narrow: Vec<Curved>,
    wide: Vec<Curved>,
    element_terms: u32,
    /// Length of the products of narrow groups.
    products: usize,
}

/// Entries by row: column and term.
struct Entries {
    rows: Vec<Vec<(u32, u32)>>,
    count: usize,
}

impl Entries {
    /// False once there are too many.
    fn push(&mut self, a: u32, b: u32, term: u32) -> bool {
        self.count += 1;
        if self.count > MAX_ENTRIES {
            return false;
        }
        self.rows[a.max(b) as usize].push((a.min(b), term));
        true
    }
}

impl Hessian {
    /// None where the pattern would be too large.
    pub fn new(build: &Parts, rows: [&Rows; 2], elements: &Elements, second_length: usize) -> Option<Self> {
        let n = build.variables;
        let mut entries = Entries { rows: vec![Vec::new(); n], count: 0 };
        for batch in &elements.batches {
            let pairs = &batch.function.second;
            for p in 0..batch.count {
                for (k, &(j, l)) in pairs.iter().enumerate() {
                    let (a, b) = (batch.source(p, j as usize), batch.source(p, l as usize));
                    let term = batch.second_index(p, k) as u32;
                    // An off-diagonal pair of slots that hold one variable counts both ways.
                    let twice = a == b && j != l;
                    for _ in 0..=usize::from(twice) {
                        if !entries.push(a, b, term) {
                            return None;
                        }
                    }
                }
            }
        }
        let element_terms = u32::try_from(second_length).ok()?;
        let (mut narrow, mut wide, mut products) = (Vec::new(), Vec::new(), 0usize);
        for (side, rows) in rows.iter().enumerate() {
            for &row in &rows.curved {
                let columns = rows.columns_of(row as usize);
                if columns.len() > NARROW {
                    wide.push(Curved { side, row });
                    continue;
                }
                narrow.push(Curved { side, row });
                for (k, &a) in columns.iter().enumerate() {
                    for &b in &columns[..=k] {
                        let term = u32::try_from(element_terms as usize + products).ok()?;
                        products += 1;
                        if !entries.push(a, b, term) {
                            return None;
                        }
                    }
                }
            }
        }
        for &(j, k, _) in build.quadratic {
            entries.push(j, k, NOTHING);
        }
        add_wide(&wide, rows, &mut entries)?;
        let mut hessian = Self {
            pattern: Pattern::zero((0, 0)),
            offsets: vec![0],
            terms: Vec::with_capacity(entries.count),
            quadratic: Vec::new(),
            narrow,
            wide,
            element_terms,
            products,
        };
        hessian.compress(entries, n)?;
        for &(j, k, h) in build.quadratic {
            let position = hessian.position(j, k)?;
            hessian.quadratic.push((position, h));
        }
        Some(hessian)
    }

    /// Sorts the rows and joins the terms of equal positions.
    fn compress(&mut self, entries: Entries, n: usize) -> Option<()> {
        let (mut starts, mut columns) = (vec![0], Vec::new());
        for mut row in entries.rows {
            row.sort_unstable();
            for same in row.chunk_by(|a, b| a.0 == b.0) {
                columns.push(same[0].0);
                self.terms.extend(same.iter().map(|(_, term)| *term).filter(|&term| term != NOTHING));
                self.offsets.push(self.terms.len());
            }
            starts.push(columns.len());
        }
        let values = vec![(); columns.len()];
        self.pattern = Pattern::try_new((n, n), starts, columns, values).ok()?;
        Some(())
    }

    fn position(&self, row: u32, column: u32) -> Option<usize> {
        self.pattern.nnz_index(row as usize, column as usize).map(|index| index.0)
    }

    /// Adds sigma H with the H of QUADRATIC.
    pub fn add_quadratic(&self, sigma: f64, values: &mut [f64]) {
        for &(position, h) in &self.quadratic {
            values[position] += sigma * h;
        }
    }

    /// Values of the entries but for QUADRATIC. `second` are the weighted second derivatives of the elements; `curvature(side, row)` is
    /// the factor of q q'.
    pub fn values(
        &self,
        second: &[f64],
        rows: [&Rows; 2],
        states: [&RowState; 2],
        curvature: impl Fn(usize, usize) -> f64,
        values: &mut [f64],
        scratch: &mut Scratch,
    ) {
        let products = &mut scratch.products;
        products.clear();
        products.reserve(self.products);
        for &Curved { side, row } in &self.narrow {
            let (_, q) = rows[side].row(states[side], row as usize);
            let factor = curvature(side, row as usize);
            for (k, &a) in q.iter().enumerate() {
                let scaled = factor * a;
                products.extend(q[..=k].iter().map(|&b| scaled * b));
            }
        }
        let split = self.element_terms;
        for (value, range) in values.iter_mut().zip(self.offsets.windows(2)) {
            *value = self.terms[range[0]..range[1]].iter().fold(0.0, |sum, &term| {
                sum + if term < split { second[term as usize] } else { products[(term - split) as usize] }
            });
        }
        let dense = &mut scratch.dense;
        dense.resize(self.pattern.rows(), 0.0);
        let starts = self.pattern.indptr();
        let starts = starts.raw_storage();
        for &Curved { side, row } in &self.wide {
            let (columns, q) = rows[side].row(states[side], row as usize);
            let factor = curvature(side, row as usize);
            if factor == 0.0 {
                continue;
            }
            for (&column, &q) in columns.iter().zip(q) {
                dense[column as usize] = q;
            }
            for (&column, &q) in columns.iter().zip(q) {
                let range = starts[column as usize]..starts[column as usize + 1];
                let scaled = factor * q;
                let positions = &self.pattern.indices()[range.clone()];
                for (value, &position) in values[range].iter_mut().zip(positions) {
                    *value += scaled * dense[position as usize];
                }
            }
            for &column in columns {
                dense[column as usize] = 0.0;
            }
        }
    }
}

/// What of a decoded problem the pattern needs.
pub(super) struct Parts<'a> {
    pub variables: usize,
    pub quadratic: &'a [(u32, u32, f64)],
}

/// Memory that evaluations reuse.
#[derive(Clone, Default)]
pub(super) struct Scratch {
    products: Vec<f64>,
    dense: Vec<f64>,
}

/// The pairs of wide groups; groups with the same variables count once.
fn add_wide(wide: &[Curved], rows: [&Rows; 2], entries: &mut Entries) -> Option<()> {
    let mut seen: HashSet<&[u32]> = HashSet::new();
    let distinct: Vec<&[u32]> = wide
        .iter()
        .map(|&Curved { side, row }| rows[side].columns_of(row as usize))
        .filter(|columns| seen.insert(columns))
        .collect();
    let mut containing = vec![Vec::new(); entries.rows.len()];
    for (group, columns) in distinct.iter().enumerate() {
        for (k, &column) in columns.iter().enumerate() {
            containing[column as usize].push((group, k));
        }
    }
    let mut stamp = vec![usize::MAX; entries.rows.len()];
    let mut work = 0usize;
    for (row, groups) in containing.iter().enumerate() {
        for &(group, k) in groups {
            work += k;
            if work > 8 * MAX_ENTRIES {
                return None;
            }
            for &column in &distinct[group][..=k] {
                if stamp[column as usize] != row {
                    stamp[column as usize] = row;
                    if !entries.push(row as u32, column, NOTHING) {
                        return None;
                    }
                }
            }
        }
    }
    Some(())
}
