//! What a row's problem is made of, and how it may be solved.

use super::observations::Side;
use crate::linalg::tall::{Element, TallMatrix};

/// How the rows of a half-step are solved.
#[derive(Clone, Debug)]
pub(super) enum Inner<'a> {
    /// Nothing is solved: gradient and loss at the last x.
    Measure,
    /// Normal equations by Cholesky.
    Exact,
    /// Normal equations with x >= 0 but for the bias, by cyclic coordinate descent.
    Nonnegative,
    /// Conjugate gradients from the last x until the preconditioned gradient has fallen by `tolerance`.
    Conjugate { tolerance: f64, steps: usize, preconditioner: Preconditioner<'a> },
}

/// An approximation of the row's normal matrix.
#[derive(Clone, Copy, Debug)]
pub(super) enum Preconditioner<'a> {
    /// This diagonal, `by_count` times n_r, plus the ridge: the Gram matrix of the whole fixed factor in its eigenbasis.
    Shared { diagonal: &'a [f64], by_count: bool },
    /// The Cholesky factor of the row's own sketched Gram matrix: a CountSketch of this many rows, redrawn up to
    /// `tries` times while it is not positive definite.
    Sketch { rows: usize, seed: u64, tries: usize },
}

/// The fixed factor of a half-step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed<'a, T> {
    /// One row for each index; all its columns are unknowns' coefficients.
    pub rows: &'a TallMatrix<T>,
    /// What is known of each index's values besides: its bias.
    pub offsets: Option<&'a [f64]>,
}

/// What a half-step minimises, apart from the entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Objective<'a> {
    /// Values are (v - mean) * inverse_scale.
    pub mean: f64,
    pub inverse_scale: f64,
    /// Where a robust loss turns linear.
    pub robust: Option<f64>,
    /// Implicit feedback: confidence 1 + alpha v.
    pub alpha: Option<f64>,
    /// C, for implicit feedback.
    pub common: Option<&'a TallMatrix>,
    /// Ridge of each unknown, and whether it counts once for each entry.
    pub ridge: &'a [f64],
    pub by_count: bool,
}

/// What one row, or many, took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report {
    /// Squared gradient at the start.
    pub gradient: f64,
    /// Loss at the end (without ridge), if it was asked for.
    pub loss: f64,
    /// Conjugate gradient steps.
    pub steps: u64,
    /// Rows solved.
    pub rows: u64,
    /// Rows solved by a factorisation.
    pub factored: u64,
    /// Rows with fewer entries than unknowns and no ridge.
    pub deficient: u64,
}

impl Report {
    pub fn add(&mut self, other: &Report) {
        self.gradient += other.gradient;
        self.loss += other.loss;
        self.steps += other.steps;
        self.rows += other.rows;
        self.factored += other.factored;
        self.deficient += other.deficient;
    }
}

/// A row's entries, and how they are to be read.
#[derive(Clone, Copy)]
pub(super) struct Entries<'a, T> {
    pub side: Side<'a>,
    pub row: usize,
    pub fixed: Fixed<'a, T>,
    pub objective: Objective<'a>,
}

impl<T: Element> Entries<'_, T> {
    pub fn count(&self) -> usize {
        self.side.length(self.row)
    }
}
