//! The dual in both potentials, its plan held as a matrix: what the published Newton methods work on.
//!
//! D(f, g) = <a, f> + <b, g> - eps sum of P, its gradient (a - P1, b - P'1), its negated Hessian
//! (1/eps) [diag(P1), P; P', diag(P'1)].

use rayon::prelude::*;

use super::kernel::chunk_rows;
use super::reduced::Reduced;
use super::sparse_plan::{Broken, Laplacian, Part, Solvers, SparsePlan};
use super::state::State;
use crate::control::{Run, Status};
use crate::linalg::exponential::{axpy, exp_in_place};

/// The dual at (f, g).
pub(crate) struct FullDual<'r, 'a> {
    pub reduced: &'r Reduced<'a>,
    pub f: Vec<f64>,
    pub g: Vec<f64>,
    /// P, row by row.
    pub plan: Vec<f64>,
    /// P1 and P'1.
    pub rows: Vec<f64>,
    pub columns: Vec<f64>,
    /// D(f, g).
    pub value: f64,
    /// L1 error of both sides.
    pub error: f64,
    sums: Vec<Vec<f64>>,
}

impl<'r, 'a> FullDual<'r, 'a> {
    pub fn new(reduced: &'r Reduced<'a>, f: Vec<f64>, g: Vec<f64>) -> Self {
        let (n, m) = (f.len(), g.len());
        let mut dual = Self {
            reduced,
            f,
            g,
            plan: vec![0.0; n * m],
            rows: vec![0.0; n],
            columns: vec![0.0; m],
            value: 0.0,
            error: 0.0,
            sums: vec![vec![0.0; m]; n.div_ceil(chunk_rows(n))],
        };
        dual.evaluate();
        dual
    }

    /// Computes the plan at (f, g) and everything of it.
    pub fn evaluate(&mut self) {
        let (n, m) = (self.f.len(), self.g.len());
        let (reduced, eps, size, g) = (self.reduced, self.reduced.eps, chunk_rows(n), &self.g);
        let costs = reduced.kernel.costs();
        #[allow(clippy::type_complexity)]
        let work = |(first, (((plan, f), rows), sum)): (
            usize,
            (((&mut [f64], &[f64]), &mut [f64]), &mut Vec<f64>),
        )| {
            sum.fill(0.0);
            for (k, ((row, f), total)) in plan.chunks_exact_mut(m).zip(f).zip(rows).enumerate() {
                costs.fill(first * size + k, 0..m, g, row);
                *total = exp_in_place(row, 1.0 / eps, -f);
                axpy(1.0, row, sum);
            }
        };
        let parts = self.plan.par_chunks_mut(size * m).zip(self.f.par_chunks(size));
        parts.zip(self.rows.par_chunks_mut(size)).zip(&mut self.sums).enumerate().for_each(work);
        self.columns.fill(0.0);
        for sum in &self.sums {
            axpy(1.0, sum, &mut self.columns);
        }
        let weigh = |w: &[f64], f: &[f64]| -> f64 { w.iter().zip(f).map(|(w, f)| w * f).sum() };
        let distance = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| (x - y).abs()).sum() };
        self.value = weigh(&reduced.a, &self.f) + weigh(&reduced.b, &self.g);
        self.value -= eps * self.rows.iter().sum::<f64>();
        self.error = distance(&reduced.a, &self.rows) + distance(&reduced.b, &self.columns);
    }

    /// (a - P1, b - P'1).
    pub fn gradient(&self) -> (Vec<f64>, Vec<f64>) {
        let less = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x - y).collect();
        (less(&self.reduced.a, &self.rows), less(&self.reduced.b, &self.columns))
    }

    /// Moves to start + t d and evaluates there.
    pub fn move_to(&mut self, start: &(Vec<f64>, Vec<f64>), t: f64, d: &(Vec<f64>, Vec<f64>)) {
        let step = |out: &mut [f64], x: &[f64], d: &[f64]| {
            out.iter_mut().zip(x).zip(d).for_each(|((out, x), d)| *out = x + t * d);
        };
        step(&mut self.f, &start.0, &d.0);
        step(&mut self.g, &start.1, &d.1);
        self.evaluate();
    }

    /// f and g.
    pub fn point(&self) -> (Vec<f64>, Vec<f64>) {
        (self.f.clone(), self.g.clone())
    }

    /// A Sinkhorn iteration from the sums that are there: exact columns, then exact rows.
    pub fn sinkhorn_step(&mut self) {
        let (reduced, eps) = (self.reduced, self.reduced.eps);
        for ((g, b), c) in self.g.iter_mut().zip(&reduced.b).zip(&self.columns) {
            *g += eps * (b / c.max(1e-300)).ln();
        }
        self.evaluate();
        for ((f, a), r) in self.f.iter_mut().zip(&reduced.a).zip(&self.rows) {
            *f += eps * (a / r.max(1e-300)).ln();
        }
        self.evaluate();
    }

    /// Records the point, with the number of kept entries, and says whether the run ends.
    pub fn record(&self, state: &mut State, run: &mut Run, kept: usize) -> Option<Status> {
        let own = [self.reduced.eps, 0.0, state.step_size, kept as f64, state.cg_steps as f64];
        state.cg_steps = 0;
        run.record(self.reduced.total * (self.value + self.reduced.offset), self.error, &own)
    }
}

/// The best point of a run.
pub(crate) struct Best {
    point: Vec<f64>,
    pub error: f64,
    pub age: usize,
}

impl Best {
    pub fn none() -> Self {
        Self { point: Vec::new(), error: f64::INFINITY, age: 0 }
    }

    /// Notes a point: g says it all, f follows from it.
    pub fn note(&mut self, dual: &FullDual) {
        self.age += 1;
        if dual.error < self.error {
            if dual.error < 0.9 * self.error {
                self.age = 0;
            }
            self.error = dual.error;
            self.point.clone_from(&dual.g);
        }
    }

    /// Leaves the best point in the state.
    pub fn leave(self, state: &mut State) {
        if !self.point.is_empty() {
            state.current.g = self.point;
            state.evaluated = None;
        }
    }
}

/// The system ([diag(r), S; S', diag(c)] + shift I) d = rhs, by elimination of the rows: a Laplacian of the columns.
pub(crate) struct BlockSystem<'p> {
    pub plan: &'p SparsePlan,
    /// r + shift.
    pub rows: Vec<f64>,
    /// c + shift.
    pub columns: Vec<f64>,
}

impl BlockSystem<'_> {
    /// Entries per unknown up to which the factorisation is tried before conjugate gradients.
    const SPARSE: usize = 6;

    /// Solves; counts go to the state. `tolerance` is that of conjugate gradients.
    pub fn solve(
        &self,
        rhs: (&[f64], &[f64]),
        tolerance: f64,
        counts: &mut (u64, u64),
        solvers: &mut Solvers,
    ) -> Result<(Vec<f64>, Vec<f64>), Broken> {
        let (n, m) = (self.rows.len(), self.columns.len());
        let scaled: Vec<f64> = rhs.0.iter().zip(&self.rows).map(|(r, d)| r / d).collect();
        let mut reduced_rhs = vec![0.0; m];
        self.plan.transpose_multiply(&scaled, &mut reduced_rhs);
        reduced_rhs.iter_mut().zip(rhs.1).for_each(|(s, r)| *s = r - *s);
        let laplacian = Laplacian { plan: self.plan, a: &self.rows, diagonal: &self.columns };
        let mut d = vec![0.0; m];
        let mut solved = false;
        if self.plan.entries() <= Self::SPARSE * (n + m) {
            solved = laplacian.solve_by_cholesky(&reduced_rhs, &mut d, solvers).is_ok();
            counts.1 += u64::from(solved);
        }
        if !solved {
            counts.0 += laplacian.solve_by_cg(&reduced_rhs, &mut d, tolerance, 2 * (n + m), solvers)? as u64;
        }
        let mut rows = vec![0.0; n];
        self.plan.multiply_rows(&d, &mut rows);
        for ((row, r), scale) in rows.iter_mut().zip(rhs.0).zip(&self.rows) {
            *row = (r - *row) / scale;
        }
        Ok((rows, d))
    }
}

/// A plan of one part from its rows.
pub(crate) fn collect_rows<'p>(rows: impl Iterator<Item = &'p [(u32, f64)]>, columns: usize) -> SparsePlan {
    let mut part = Part::default();
    for row in rows {
        for &(j, p) in row {
            part.indices.push(j);
            part.values.push(p);
        }
        part.end_row();
    }
    let count = part.ends.len();
    SparsePlan { parts: vec![part], rows: count, columns, cluster: 1, gathered: true }
}
