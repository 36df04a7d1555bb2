//! What the methods on the semi-dual share: the current point, the moves, the counts.

use super::kernel::{Evaluation, Gather, column_transform};
use super::reduced::Reduced;
use super::sparse_plan::{Broken, Laplacian, Solvers};
use crate::control::{Counts, Run, Status};

/// The point g of the semi-dual with everything known there.
pub(crate) struct State<'r, 'a> {
    pub reduced: &'r Reduced<'a>,
    pub current: Evaluation,
    pub trial: Evaluation,
    pub solvers: Solvers,
    pub counts: Counts,
    /// Rows and columns of a cluster of the sparse plan; 1 unless the points are too many.
    pub cluster: usize,
    /// Mass that skipped tiles may lose.
    pub loss: f64,
    /// Stage, from 0, and the last step size, for the trace.
    pub stage: usize,
    pub step_size: f64,
    pub cg_steps: u64,
    /// The eps at which f and c of the current point were computed; None where g has moved since.
    pub evaluated: Option<f64>,
}

/// Columns of the trace behind the common four.
pub(crate) const COLUMNS: [&str; 5] = ["stage_eps", "stage", "step_size", "kept_entries", "cg_steps"];

/// The names of all counts.
pub(crate) fn no_counts() -> Counts {
    ["evaluations", "newton", "cg", "sinkhorn", "factorizations"].into_iter().map(|name| (name, 0)).collect()
}

impl<'r, 'a> State<'r, 'a> {
    pub fn new(reduced: &'r Reduced<'a>, tolerance: f64, g: Option<Vec<f64>>) -> Self {
        let current = Evaluation::at(g.unwrap_or_else(|| vec![0.0; reduced.b.len()]));
        Self {
            reduced,
            current,
            trial: Evaluation::default(),
            solvers: Solvers::default(),
            counts: no_counts(),
            cluster: 1,
            loss: (1e-3 * tolerance).clamp(1e-15, 1e-9),
            stage: 0,
            step_size: 0.0,
            cg_steps: 0,
            evaluated: None,
        }
    }

    pub fn count(&mut self, name: &'static str, by: u64) {
        *self.counts.entry(name).or_default() += by;
    }

    /// Evaluates at `current.g`.
    pub fn evaluate(&mut self, eps: f64, gather: Option<Gather>) {
        let masses = self.reduced.masses(eps, self.loss);
        self.reduced.kernel.evaluate(&mut self.current, &masses, gather);
        self.count("evaluations", 1);
        self.evaluated = Some(eps);
    }

    /// Evaluates at the problem's own eps unless that is what the current point already knows.
    pub fn settle(&mut self) {
        if self.evaluated != Some(self.reduced.eps) {
            self.evaluate(self.reduced.eps, None);
        }
    }

    /// Records the current point, and says whether the run ends here for another reason than being solved.
    pub fn record(&mut self, run: &mut Run, eps: f64) -> Option<Status> {
        let kept = if self.current.plan.gathered { self.current.plan.entries() } else { 0 };
        let own = [eps, self.stage as f64, self.step_size, kept as f64, self.cg_steps as f64];
        self.cg_steps = 0;
        let value = self.reduced.total * (self.current.value + self.reduced.offset);
        match run.record(value, self.current.error, &own) {
            Some(Status::Solved) => run.should_stop(),
            verdict => verdict,
        }
    }

    /// The Sinkhorn step g_j += w eps log(b_j / c_j), from the sums that are there; columns without mass by the
    /// transform itself. w = 1 makes the column sums exact.
    pub fn sinkhorn_step(&mut self, eps: f64, relaxation: f64) {
        let Evaluation { g, f, c, .. } = &mut self.current;
        let reduced = self.reduced;
        let starved: Vec<usize> = (0..c.len()).filter(|&j| !(c[j] > 1e-280)).collect();
        for ((g, c), log_b) in g.iter_mut().zip(&*c).zip(&reduced.log_b) {
            if *c > 1e-280 {
                *g += relaxation * eps * (log_b - c.ln());
            }
        }
        if !starved.is_empty() {
            let fed = column_transform(reduced.kernel.costs(), f, &reduced.b, eps, &starved);
            for (&j, value) in starved.iter().zip(fed) {
                g[j] = value;
            }
        }
        self.step_size = relaxation;
        self.evaluated = None;
        self.count("sinkhorn", 1);
    }

    /// The Newton direction of the sparse plan: (S_L + sigma diag(b)) d = eps (b - c), and where the plan is clustered
    /// d = eps (b - c) / c + Z y with the same system for y on the clusters, right side the part that the first term
    /// leaves (exact if P_ij / (a_i c_j) is constant on pairs of clusters).
    pub fn newton_direction(&mut self, eps: f64) -> Result<Vec<f64>, Broken> {
        let at = &self.current;
        let size = at.plan.cluster;
        let add = |x: &[f64]| -> Vec<f64> { x.chunks(size).map(|run| run.iter().sum()).collect() };
        let (a, b, c) = (add(&self.reduced.a), add(&self.reduced.b), add(&at.c));
        let residual: Vec<f64> = self.reduced.b.iter().zip(&at.c).map(|(b, c)| eps * (b - c)).collect();
        let sigma = (0.1 * at.error).min(0.01);
        let diagonal: Vec<f64> = c.iter().zip(&b).map(|(c, b)| c + sigma * b).collect();
        let laplacian = Laplacian { plan: &at.plan, a: &a, diagonal: &diagonal };
        let mut rhs = add(&residual);
        if size > 1 {
            // W C^{-1} r, W = S' diag(1/a) S
            let scaled: Vec<f64> = rhs.iter().zip(&c).map(|(r, c)| r / c).collect();
            laplacian.plan.multiply(&a, &scaled, &mut rhs, &mut self.solvers.partial);
        }
        let mut y = vec![0.0; rhs.len()];
        let mut steps = 0;
        let mut factored = false;
        if at.plan.entries() <= 4 * (a.len() + b.len()) {
            factored = laplacian.solve_by_cholesky(&rhs, &mut y, &mut self.solvers).is_ok();
        }
        if !factored {
            let tolerance = at.error.clamp(1e-3, 0.1);
            steps = laplacian.solve_by_cg(&rhs, &mut y, tolerance, 2000, &mut self.solvers)?;
        }
        let mut direction: Vec<f64> = if size == 1 {
            y
        } else {
            residual.iter().zip(&at.c).enumerate().map(|(j, (r, c))| r / c + y[j / size]).collect()
        };
        // the value does not change along constants, and at rounding the system does not determine them
        let drift: f64 = self.reduced.b.iter().zip(&direction).map(|(b, d)| b * d).sum();
        direction.iter_mut().for_each(|d| *d -= drift);
        self.cg_steps += steps as u64;
        self.count("cg", steps as u64);
        self.count("factorizations", u64::from(factored));
        self.count("newton", 1);
        Ok(direction)
    }

    /// Moves along d by the first of 1, 1/2, 1/4, ... that raises F enough or lowers the error; false if none down to
    /// 1e-4 does.
    pub fn line_search(&mut self, d: &[f64], eps: f64, gather: Option<Gather>) -> bool {
        let slope: f64 =
            self.reduced.b.iter().zip(&self.current.c).zip(d).map(|((b, c), d)| (b - c) * d).sum();
        let masses = self.reduced.masses(eps, self.loss);
        let mut t = 1.0;
        while t >= 1e-4 {
            self.trial.g.clear();
            self.trial.g.extend(self.current.g.iter().zip(d).map(|(g, d)| g + t * d));
            self.reduced.kernel.evaluate(&mut self.trial, &masses, gather);
            self.count("evaluations", 1);
            let (old, new) = (&self.current, &self.trial);
            let enough = old.value + 1e-4 * t * slope - 1e-15 * old.value.abs();
            if new.is_finite() && (new.value >= enough || new.error < 0.9 * old.error) {
                std::mem::swap(&mut self.current, &mut self.trial);
                self.step_size = t;
                self.evaluated = Some(eps);
                return true;
            }
            t *= 0.5;
        }
        false
    }
}
