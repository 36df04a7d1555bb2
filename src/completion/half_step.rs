//! A half-step: every row of one factor is solved with the other factor fixed.
//!
//! Rows are cut into chunks of about equal numbers of entries, which depend on the problem alone; each row writes only
//! itself, and sums are added in the order of the chunks, so that the bits do not depend on the number of threads. A
//! row with very many entries is cut into segments whose Gram matrices are summed in order.

use rayon::prelude::*;

use super::Error;
use super::observations::Side;
use super::row::RowSolver;
use super::row_problem::{Entries, Fixed, Inner, Objective, Preconditioner, Report};
use crate::linalg::factor::dense_symmetric_eigen;
use crate::linalg::product::{balanced_ranges, split_by_ranges};
use crate::linalg::tall::{Element, TallMatrix};

/// Entries of a chunk, about.
const CHUNK_ENTRIES: usize = 8192;
/// A row with more entries is cut into segments of [`SEGMENT`].
const HEAVY: usize = 1 << 16;
const SEGMENT: usize = 1 << 14;

/// How accurately, and by what, a half-step solves its rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Accuracy {
    /// Normal equations.
    Exact,
    /// Non-negative normal equations.
    Nonnegative,
    /// Conjugate gradients with one preconditioner for all rows.
    Shared { tolerance: f64, steps: usize },
    /// Conjugate gradients with a sketch of each row's own matrix.
    Sketched { tolerance: f64, steps: usize, rows: usize, seed: u64, tries: usize },
}

/// One side of the problem, with the ranges of rows that are worked on together.
pub(super) struct Work<'a> {
    pub side: Side<'a>,
    ranges: Vec<std::ops::Range<usize>>,
}

impl<'a> Work<'a> {
    pub fn new(side: Side<'a>) -> Self {
        let pieces = (side.values.len() / CHUNK_ENTRIES).clamp(1, 4096);
        Self { ranges: balanced_ranges(side.offsets, pieces), side }
    }

    pub fn ranges(&self) -> &[std::ops::Range<usize>] {
        &self.ranges
    }
}

/// What a half-step is to know of its factors, and to tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    /// The last column of both factors is a bias.
    pub biases: bool,
    /// The fixed factor's columns are orthonormal.
    pub orthonormal: bool,
    /// The loss at the end is wanted.
    pub evaluate: bool,
}

/// Replaces every row of `solved` by the minimiser, or an approximation of it, given the rows of `other`.
///
/// With `biases` the last column of both is the bias: the other's is known, this one's is solved for with coefficient
/// one.
pub(super) fn half_step<T: Element>(
    work: &Work,
    solved: &mut TallMatrix<T>,
    other: &TallMatrix<T>,
    objective: &Objective,
    accuracy: Accuracy,
    mode: Mode,
) -> Result<Report, Error> {
    let Mode { biases, orthonormal, evaluate } = mode;
    let (rows, offsets) = if biases { split_bias(other) } else { (None, None) };
    let fixed = Fixed { rows: rows.as_ref().unwrap_or(other), offsets: offsets.as_deref() };
    let n = other.rows().max(1) as f64;
    match accuracy {
        Accuracy::Shared { tolerance, steps } if !orthonormal => {
            let basis = Basis::new(fixed.rows, objective)?;
            let rotated = basis.rotate(fixed.rows);
            let fixed = Fixed { rows: &rotated, offsets: fixed.offsets };
            let ridge = vec![basis.ridge; objective.ridge.len()];
            let common = objective.common.map(|_| basis.diagonal_matrix(n));
            let objective = Objective { ridge: &ridge, common: common.as_ref(), ..*objective };
            // for implicit feedback all cells count: most of a row's matrix is common to all rows
            let scale = if common.is_some() { n } else { 1.0 };
            let diagonal: Vec<f64> = basis.eigenvalues.iter().map(|value| value * scale).collect();
            let preconditioner = Preconditioner::Shared { diagonal: &diagonal, by_count: common.is_none() };
            let inner = Inner::Conjugate { tolerance, steps, preconditioner };
            let mut inside = basis.enter(solved);
            let report = all_rows(work, &mut inside, fixed, &objective, &inner, evaluate);
            *solved = inside.times(&basis.outward);
            Ok(report)
        }
        Accuracy::Shared { tolerance, steps } => {
            let diagonal = vec![1.0 / n; objective.ridge.len()];
            let preconditioner = Preconditioner::Shared { diagonal: &diagonal, by_count: true };
            let inner = Inner::Conjugate { tolerance, steps, preconditioner };
            Ok(all_rows(work, solved, fixed, objective, &inner, evaluate))
        }
        Accuracy::Sketched { tolerance, steps, rows, seed, tries } => {
            let preconditioner = Preconditioner::Sketch { rows, seed, tries };
            let inner = Inner::Conjugate { tolerance, steps, preconditioner };
            Ok(all_rows(work, solved, fixed, objective, &inner, evaluate))
        }
        Accuracy::Exact => Ok(all_rows(work, solved, fixed, objective, &Inner::Exact, evaluate)),
        Accuracy::Nonnegative => Ok(all_rows(work, solved, fixed, objective, &Inner::Nonnegative, evaluate)),
    }
}

/// The factor with ones in the place of its biases, and the biases.
fn split_bias<T: Element>(factor: &TallMatrix<T>) -> (Option<TallMatrix<T>>, Option<Vec<f64>>) {
    let mut rows = factor.clone();
    let bias = factor.columns() - 1;
    let offsets = (0..factor.rows())
        .map(|j| std::mem::replace(&mut rows.row_mut(j)[bias], T::narrow(1.0)).widen())
        .collect();
    (Some(rows), Some(offsets))
}

/// Gradient and loss at the given factors: nothing is solved.
pub(super) fn measure<T: Element>(
    work: &Work,
    factor: &TallMatrix<T>,
    other: &TallMatrix<T>,
    biases: bool,
    objective: &Objective,
) -> Report {
    let (rows, offsets) = if biases { split_bias(other) } else { (None, None) };
    let fixed = Fixed { rows: rows.as_ref().unwrap_or(other), offsets: offsets.as_deref() };
    all_rows(work, &mut factor.clone(), fixed, objective, &Inner::Measure, true)
}

fn all_rows<T: Element>(
    work: &Work,
    solved: &mut TallMatrix<T>,
    fixed: Fixed<T>,
    objective: &Objective,
    inner: &Inner,
    evaluate: bool,
) -> Report {
    let (side, unknowns, stride) = (work.side, solved.columns(), solved.stride());
    if stride == 0 {
        return Report::default();
    }
    let scaled: Vec<_> = work.ranges.iter().map(|range| range.start * stride..range.end * stride).collect();
    let parts = split_by_ranges(solved.as_mut_slice(), &scaled);
    let is_heavy = |i: usize| side.length(i) > HEAVY && !matches!(inner, Inner::Measure);
    let chunk = |(solver, x): &mut (RowSolver, Vec<f64>), range: std::ops::Range<usize>, out: &mut [T]| {
        let mut report = Report::default();
        for (row, out) in range.zip(out.chunks_exact_mut(stride)) {
            let out = &mut out[..unknowns];
            if side.length(row) == 0 {
                // nothing is known of this row: with ridge or without, zero
                out.fill(T::default());
                continue;
            }
            if is_heavy(row) {
                continue;
            }
            x.clear();
            x.extend(out.iter().map(|value| value.widen()));
            let entries = Entries { side, row, fixed, objective: *objective };
            report.add(&solver.solve(&entries, inner, evaluate, x));
            out.iter_mut().zip(&*x).for_each(|(to, &from)| *to = T::narrow(from));
        }
        report
    };
    let make = || (RowSolver::new(unknowns), Vec::with_capacity(unknowns));
    let reports: Vec<Report> = if work.ranges.len() > 1 {
        let pieces: Vec<_> = work.ranges.iter().cloned().zip(parts).collect();
        pieces.into_par_iter().map_init(make, |memory, (range, out)| chunk(memory, range, out)).collect()
    } else {
        let mut memory = make();
        work.ranges.iter().cloned().zip(parts).map(|(range, out)| chunk(&mut memory, range, out)).collect()
    };
    let mut total = Report::default();
    reports.iter().for_each(|report| total.add(report));
    for row in (0..side.count()).filter(|&i| is_heavy(i)) {
        let entries = Entries { side, row, fixed, objective: *objective };
        total.add(&heavy_row(&entries, inner, evaluate, solved.row_mut(row)));
    }
    total
}

/// A row with very many entries, solved exactly: the Gram matrices of its segments are made in parallel.
fn heavy_row<T: Element>(entries: &Entries<T>, inner: &Inner, evaluate: bool, out: &mut [T]) -> Report {
    let unknowns = out.len();
    let mut x: Vec<f64> = out.iter().map(|value| value.widen()).collect();
    let range = entries.side.entries(entries.row);
    let starts: Vec<usize> = range.clone().step_by(SEGMENT).collect();
    let segment = |start: usize| start..(start + SEGMENT).min(range.end);
    let make = || RowSolver::new(unknowns);
    let grams: Vec<Vec<f64>> = starts
        .par_iter()
        .map_init(make, |solver, &start| {
            solver.begin(entries, &x);
            solver.clear_gram();
            solver.add_gram(entries, segment(start));
            solver.gram_mut().to_vec()
        })
        .collect();
    let mut solver = make();
    let mut report = Report { rows: 1, ..Report::default() };
    solver.begin(entries, &x);
    solver.clear_gram();
    for gram in &grams {
        solver.gram_mut().iter_mut().zip(gram).for_each(|(to, from)| *to += from);
    }
    let start = x.clone();
    if matches!(inner, Inner::Nonnegative) {
        solver.project_gram(entries, &mut x, &mut report);
    } else {
        solver.solve_gram(&entries.objective, &mut x, &mut report);
    }
    if evaluate {
        let losses: Vec<f64> = starts
            .par_iter()
            .map_init(make, |solver, &first| {
                solver.begin(entries, &start);
                solver.loss(entries, segment(first), &x)
            })
            .collect();
        report.loss = losses.iter().sum();
    }
    out.iter_mut().zip(&x).for_each(|(to, &from)| *to = T::narrow(from));
    report
}

/// The basis in which the fixed factor's Gram matrix and the ridge are both diagonal: x = T z with T = D^(-1/2) W,
/// D the ridge relative to its first entry and D^(-1/2) (F'F / n) D^(-1/2) = W diag(eigenvalues) W'.
struct Basis {
    eigenvalues: Vec<f64>,
    /// The ridge of every z.
    ridge: f64,
    /// T, for F T.
    inward: TallMatrix,
    /// T', for z' T' = x'.
    outward: TallMatrix,
    /// T^(-T), for x' T^(-T) = z'.
    back: TallMatrix,
}

impl Basis {
    fn new<T: Element>(fixed: &TallMatrix<T>, objective: &Objective) -> Result<Self, Error> {
        let d = fixed.columns();
        let first = objective.ridge.first().copied().unwrap_or(0.0);
        let roots: Vec<f64> = objective
            .ridge
            .iter()
            .map(|&ridge| if first > 0.0 && ridge > 0.0 { (ridge / first).sqrt() } else { 1.0 })
            .collect();
        let gram = fixed.gram();
        let n = fixed.rows().max(1) as f64;
        let scaled = faer::Mat::from_fn(d, d, |i, j| gram.row(i)[j] / (n * roots[i] * roots[j]));
        let (values, w) = dense_symmetric_eigen(scaled.as_ref())?;
        let inward = TallMatrix::from_fn(d, d, |i, j| w[(i, j)] / roots[i]);
        let outward = TallMatrix::from_fn(d, d, |i, j| w[(j, i)] / roots[j]);
        let back = TallMatrix::from_fn(d, d, |i, j| w[(i, j)] * roots[i]);
        let floor = values.last().copied().unwrap_or(0.0).max(0.0) * 1e-14;
        let eigenvalues = values.into_iter().map(|value| value.max(floor)).collect();
        Ok(Self { eigenvalues, ridge: first, inward, outward, back })
    }

    fn rotate<T: Element>(&self, fixed: &TallMatrix<T>) -> TallMatrix<T> {
        fixed.times(&self.inward)
    }

    fn enter<T: Element>(&self, solved: &TallMatrix<T>) -> TallMatrix<T> {
        solved.times(&self.back)
    }

    /// The Gram matrix of n rows in this basis.
    fn diagonal_matrix(&self, n: f64) -> TallMatrix {
        let d = self.eigenvalues.len();
        TallMatrix::from_fn(d, d, |i, j| if i == j { n * self.eigenvalues[i] } else { 0.0 })
    }
}
