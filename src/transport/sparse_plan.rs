//! The large entries of a plan, and the Laplacian that they make.
//!
//! With row masses a and column masses c of the whole plan and S its kept entries, S_L = diag(c) - S' diag(1/a) S is
//! diagonally dominant whatever was dropped: its row sums are c - S'(S 1)/a >= 0. Where S are sums over clusters of
//! rows and columns, S_L is the Laplacian of the clusters.

use std::cell::RefCell;

use rayon::prelude::*;
use sprs::CsMatI;

use crate::linalg::exponential::{Wide, widest};
use crate::linalg::factor::SparseCholesky;
use crate::linalg::krylov::{FromFn, Jacobi, Stopping, Workspace, conjugate_gradient};
use crate::linalg::product::{sparse_axpy, sparse_dot};

/// Kept entries of some consecutive rows, columns ascending.
#[derive(Default, Debug)]
pub(crate) struct Part {
    /// Where each row ends.
    pub ends: Vec<usize>,
    pub indices: Vec<u32>,
    pub values: Vec<f64>,
}

impl Part {
    fn clear(&mut self) {
        self.ends.clear();
        self.indices.clear();
        self.values.clear();
    }

    /// Appends the entries that are at least `row` or at least their `column`; the first one stands in column `first`.
    pub fn keep(&mut self, values: &[f64], first: usize, row: f64, column: &[f64]) {
        widest(Keep { part: self, values, first, row, column });
    }

    pub fn end_row(&mut self) {
        self.ends.push(self.indices.len());
    }

    /// Indices and values of each row.
    pub fn rows(&self) -> impl Iterator<Item = (&[u32], &[f64])> {
        self.ends.iter().scan(0, |start, &end| {
            let range = std::mem::replace(start, end)..end;
            Some((&self.indices[range.clone()], &self.values[range]))
        })
    }
}

/// The entries of a row that [`Part::keep`] appends.
struct Keep<'a> {
    part: &'a mut Part,
    values: &'a [f64],
    first: usize,
    row: f64,
    column: &'a [f64],
}

impl Wide for Keep<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, _: bool) {
        const GROUP: usize = 16;
        let Keep { part, values, first, row, column } = self;
        let mut each = |values: &[f64], first: usize, column: &[f64]| {
            for (q, (&value, &threshold)) in values.iter().zip(column).enumerate() {
                if (value >= row || value >= threshold) && value > 0.0 {
                    part.indices.push((first + q) as u32);
                    part.values.push(value);
                }
            }
        };
        let tail = values.len() / GROUP * GROUP;
        for (k, (group, thresholds)) in values.chunks_exact(GROUP).zip(column.chunks_exact(GROUP)).enumerate()
        {
            let mut any = false;
            for q in 0..GROUP {
                any |= (group[q] >= row) | (group[q] >= thresholds[q]);
            }
            if any {
                each(group, first + k * GROUP, thresholds);
            }
        }
        each(&values[tail..], first + tail, &column[tail..]);
    }
}

/// Kept entries of a plan, or of its sums over clusters.
#[derive(Default, Debug)]
pub(crate) struct SparsePlan {
    /// Consecutive rows.
    pub parts: Vec<Part>,
    pub rows: usize,
    pub columns: usize,
    /// Rows and columns of a cluster.
    pub cluster: usize,
    /// Whether the last pass filled it.
    pub gathered: bool,
}

impl SparsePlan {
    /// Empties it for another pass.
    pub fn start(&mut self, parts: usize, rows: usize, columns: usize, cluster: usize) {
        self.parts.resize_with(parts, Part::default);
        self.parts.iter_mut().for_each(Part::clear);
        (self.rows, self.columns, self.cluster, self.gathered) = (rows, columns, cluster, false);
    }

    /// Kept entries.
    pub fn entries(&self) -> usize {
        self.parts.iter().map(|part| part.indices.len()).sum()
    }

    fn each_row(&self) -> impl Iterator<Item = (&[u32], &[f64])> {
        self.parts.iter().flat_map(Part::rows)
    }

    /// y <- S x.
    pub fn multiply_rows(&self, x: &[f64], y: &mut [f64]) {
        for ((indices, values), y) in self.each_row().zip(y) {
            *y = sparse_dot(indices, values, x);
        }
    }

    /// y <- S'w.
    pub fn transpose_multiply(&self, w: &[f64], y: &mut [f64]) {
        y.fill(0.0);
        for ((indices, values), w) in self.each_row().zip(w) {
            sparse_axpy(*w, indices, values, y);
        }
    }

    /// y <- S' diag(1/a) S x, rows in order; parts in parallel where there is much to do.
    pub fn multiply(&self, a: &[f64], x: &[f64], y: &mut [f64], partial: &mut Vec<Vec<f64>>) {
        let run = |part: &Part, first: usize, y: &mut [f64]| {
            y.fill(0.0);
            for ((indices, values), a) in part.rows().zip(&a[first..]) {
                let t = sparse_dot(indices, values, x) / a;
                sparse_axpy(t, indices, values, y);
            }
        };
        if self.parts.len() == 1 {
            run(&self.parts[0], 0, y);
            return;
        }
        partial.resize_with(self.parts.len(), Vec::new);
        partial.iter_mut().for_each(|p| p.resize(y.len(), 0.0));
        let mut firsts = Vec::with_capacity(self.parts.len());
        let mut first = 0;
        for part in &self.parts {
            firsts.push(first);
            first += part.ends.len();
        }
        if self.entries() >= 60_000 {
            partial.par_iter_mut().zip(&self.parts).zip(&firsts).for_each(|((y, part), &f)| run(part, f, y));
        } else {
            partial.iter_mut().zip(&self.parts).zip(&firsts).for_each(|((y, part), &f)| run(part, f, y));
        }
        y.fill(0.0);
        for part in partial.iter() {
            y.iter_mut().zip(part).for_each(|(y, p)| *y += p);
        }
    }
}

/// The system (S_L + diag(shift)) d = r.
pub(crate) struct Laplacian<'a> {
    pub plan: &'a SparsePlan,
    /// Row masses (of clusters), all positive.
    pub a: &'a [f64],
    /// diag(c) + diag(shift), all positive.
    pub diagonal: &'a [f64],
}

/// Why no direction came out.
#[derive(Debug)]
pub(crate) struct Broken;

/// Memory of the solvers, kept between systems.
#[derive(Default)]
pub(crate) struct Solvers {
    pub cholesky: SparseCholesky,
    pub krylov: Workspace,
    pub partial: Vec<Vec<f64>>,
}

impl Laplacian<'_> {
    /// Solves by conjugate gradients with the diagonal as preconditioner; returns the number of steps.
    pub fn solve_by_cg(
        &self,
        r: &[f64],
        d: &mut [f64],
        tolerance: f64,
        steps: usize,
        solvers: &mut Solvers,
    ) -> Result<usize, Broken> {
        let mut diagonal = self.diagonal.to_vec();
        for ((indices, values), a) in self.plan.each_row().zip(self.a) {
            for (&j, &s) in indices.iter().zip(values) {
                diagonal[j as usize] -= s * s / a;
            }
        }
        for (d, full) in diagonal.iter_mut().zip(self.diagonal) {
            *d = d.max(1e-3 * full);
        }
        let jacobi = Jacobi::new(&diagonal).map_err(|_| Broken)?;
        let partial = RefCell::new(std::mem::take(&mut solvers.partial));
        let operator = FromFn::new(d.len(), |x: &[f64], y: &mut [f64]| {
            self.plan.multiply(self.a, x, y, &mut partial.borrow_mut());
            for ((y, x), d) in y.iter_mut().zip(x).zip(self.diagonal) {
                *y = d * x - *y;
            }
        });
        d.fill(0.0);
        let stopping = Stopping { tolerance, max_iterations: steps, ..Stopping::default() };
        let outcome = conjugate_gradient(&operator, &jacobi, r, d, &stopping, &mut solvers.krylov, None);
        solvers.partial = partial.into_inner();
        match outcome {
            Ok(outcome) if d.iter().all(|d| d.is_finite()) => Ok(outcome.iterations),
            _ => Err(Broken),
        }
    }

    /// Solves by sparse Cholesky of [diag(a), S; S', diag(c) + diag(shift)], positive definite for positive shifts.
    pub fn solve_by_cholesky(&self, r: &[f64], d: &mut [f64], solvers: &mut Solvers) -> Result<(), Broken> {
        let (n, m) = (self.a.len(), d.len());
        let size = n + m;
        let (mut starts, mut indices, mut values) = (vec![0u32], Vec::new(), Vec::new());
        for (i, (columns, entries)) in self.plan.each_row().enumerate() {
            indices.push(i as u32);
            values.push(self.a[i]);
            indices.extend(columns.iter().map(|j| n as u32 + j));
            values.extend_from_slice(entries);
            starts.push(indices.len() as u32);
        }
        for (j, diagonal) in self.diagonal.iter().enumerate() {
            indices.push((n + j) as u32);
            values.push(*diagonal);
            starts.push(indices.len() as u32);
        }
        let matrix = CsMatI::try_new_csc((size, size), starts, indices, values).map_err(|_| Broken)?;
        solvers.cholesky.factor(matrix.view()).map_err(|_| Broken)?;
        let mut x = vec![0.0; size];
        x[n..].copy_from_slice(r);
        solvers.cholesky.solve_in_place(&mut x).map_err(|_| Broken)?;
        d.copy_from_slice(&x[n..]);
        if d.iter().all(|d| d.is_finite()) { Ok(()) } else { Err(Broken) }
    }
}

/// [diag(r), S; S', diag(c)] on both potentials, singular where nothing was dropped.
pub(crate) struct BlockOperator<'a> {
    pub plan: &'a SparsePlan,
    pub rows: &'a [f64],
    pub columns: &'a [f64],
}

impl BlockOperator<'_> {
    /// Solves by conjugate gradients from zero, which stays in the range; returns the solution and the steps.
    pub fn solve(
        &self,
        rhs: &[f64],
        tolerance: f64,
        steps: usize,
        solvers: &mut Solvers,
    ) -> Result<(Vec<f64>, usize), Broken> {
        let n = self.rows.len();
        let diagonal: Vec<f64> =
            self.rows.iter().chain(self.columns).map(|d| d.max(f64::MIN_POSITIVE)).collect();
        let jacobi = Jacobi::new(&diagonal).map_err(|_| Broken)?;
        let operator = FromFn::new(rhs.len(), |x: &[f64], y: &mut [f64]| {
            let ((above, below), (f, g)) = (y.split_at_mut(n), x.split_at(n));
            self.plan.multiply_rows(g, above);
            self.plan.transpose_multiply(f, below);
            above.iter_mut().zip(self.rows).zip(f).for_each(|((y, r), f)| *y += r * f);
            below.iter_mut().zip(self.columns).zip(g).for_each(|((y, c), g)| *y += c * g);
        });
        let mut d = vec![0.0; rhs.len()];
        let stopping = Stopping { tolerance, max_iterations: steps, ..Stopping::default() };
        let outcome =
            conjugate_gradient(&operator, &jacobi, rhs, &mut d, &stopping, &mut solvers.krylov, None);
        match outcome {
            Ok(outcome) if d.iter().all(|d| d.is_finite()) => Ok((d, outcome.iterations)),
            _ => Err(Broken),
        }
    }
}
