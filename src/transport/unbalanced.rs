//! Transport between masses that need not agree: the marginals are asked for by a penalty.
//!
//! The problem is min over P >= 0 of <C, P> + eps sum P (log P - 1) + tau_a KL(P1 | a) + tau_b KL(P'1 | b) with
//! KL(x | y) = sum of x log(x/y) - x + y. Its dual, tau_a sum a (1 - e^{-f/tau_a}) + tau_b sum b (1 - e^{-g/tau_b}) less
//! eps sum P, is maximised by alternating updates f = tau_a/(tau_a + eps) eps (log a - LSE((g - C)/eps)), likewise g.
//! Between them comes the best common shift (f + t, g - t), in closed form, which plain updates find only slowly where
//! tau is large.

use super::Error;
use super::kernel::{Potentials, Totals, column_transform};
use super::problem::TransportProblem;
use super::reduced::Reduced;
use super::state::{State, no_counts};
use crate::control::{Certificate, Limits, Monitor, Run, Status, Summary};

/// A solver of unbalanced problems.
#[derive(Clone, Debug)]
pub struct UnbalancedTransport {
    /// When to stop; the tolerance is compared with the duality gap over the larger of both values.
    pub limits: Limits,
    /// tau_a > 0, finite.
    pub source_penalty: f64,
    /// tau_b > 0, finite.
    pub target_penalty: f64,
    /// As in [`Transport`](super::Transport).
    pub matrix_entries: usize,
}

impl Default for UnbalancedTransport {
    fn default() -> Self {
        Self { limits: Limits::default(), source_penalty: 1.0, target_penalty: 1.0, matrix_entries: 1 << 20 }
    }
}

/// The answer; the plan is P_ij = exp((f_i + g_j - C_ij)/eps).
#[derive(Clone, Debug)]
pub struct UnbalancedSolution {
    /// f, one per source; -inf where the mass is 0.
    pub source_potential: Vec<f64>,
    /// g, one per target; -inf where the mass is 0.
    pub target_potential: Vec<f64>,
    /// P1.
    pub row_sums: Vec<f64>,
    /// P'1.
    pub column_sums: Vec<f64>,
    /// <C, P>.
    pub transport_cost: f64,
    /// The dual value.
    pub dual_objective: f64,
    /// The run; its objective is the primal value, its certificate the duality gap.
    pub summary: Summary,
}

impl UnbalancedTransport {
    /// Solves; the sums of the masses need not agree.
    ///
    /// # Errors
    /// A problem or an option that is not allowed.
    pub fn solve(
        &self,
        problem: &TransportProblem,
        monitor: &mut Monitor,
    ) -> Result<UnbalancedSolution, Error> {
        self.limits.check().map_err(Error::Option)?;
        for (name, value) in
            [("source_penalty", self.source_penalty), ("target_penalty", self.target_penalty)]
        {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::Option(format!("{name} is {value}; it must be positive and finite")));
            }
        }
        let reduced = Reduced::with_own_masses(problem, self.matrix_entries)?;
        let mut run = Run::start(&self.limits, monitor, &[]);
        let mut state = State::new(&reduced, self.limits.tolerance, None);
        let taus = if reduced.transposed {
            (self.target_penalty, self.source_penalty)
        } else {
            (self.source_penalty, self.target_penalty)
        };
        let mut best = f64::INFINITY;
        let mut age = 0;
        let (at, status) = loop {
            let at = iterate(&mut state, taus);
            let relative = at.relative_gap();
            if let Some(status) = run.record(at.dual, relative, &[]) {
                break (at, status);
            }
            age = if relative < 0.9 * best { 0 } else { age + 1 };
            best = best.min(relative);
            if !relative.is_finite() || (best < 1e-10 && age > 200) {
                break (at, Status::Stalled);
            }
            next_columns(&mut state, &at, taus.1);
        };
        Ok(close(problem, state, at, status, run))
    }
}

/// A point with its sums and values.
struct Point {
    f: Vec<f64>,
    g: Vec<f64>,
    totals: Totals,
    dual: f64,
    /// The primal value less the dual one.
    gap: f64,
}

impl Point {
    fn primal(&self) -> f64 {
        self.dual + self.gap
    }

    fn relative_gap(&self) -> f64 {
        self.gap / self.primal().abs().max(self.dual.abs()).max(1e-300)
    }
}

/// x log(x/y) - x + y, without cancellation where x is about y.
fn divergence(x: f64, y: f64) -> f64 {
    let d = (x - y) / y;
    if !(x > 0.0) {
        y
    } else if d.abs() > 0.01 {
        x * (x / y).ln() - x + y
    } else {
        // y ((1 + d) log(1 + d) - d), by its series
        let terms = (2..10).rev().fold(0.0, |sum, k| 1.0 / f64::from(k * (k - 1)) - d * sum);
        y * d * d * terms
    }
}

/// f from g, the best common shift, and everything of the plan there.
fn iterate(state: &mut State, (tau_a, tau_b): (f64, f64)) -> Point {
    let reduced = state.reduced;
    let eps = reduced.eps;
    state.evaluate(eps, None);
    let mut f: Vec<f64> = state.current.f.iter().map(|f| f * (tau_a / (tau_a + eps))).collect();
    let mut g = state.current.g.clone();
    let grown =
        |w: &[f64], f: &[f64], tau: f64| -> f64 { w.iter().zip(f).map(|(w, f)| w * (-f / tau).exp()).sum() };
    let t =
        (grown(&reduced.a, &f, tau_a) / grown(&reduced.b, &g, tau_b)).ln() * tau_a * tau_b / (tau_a + tau_b);
    if t.is_finite() {
        f.iter_mut().for_each(|f| *f += t);
        g.iter_mut().for_each(|g| *g -= t);
    }
    let reach = -eps * (state.loss / g.len() as f64).ln();
    let at = Potentials { f: &f, g: &g, eps, reach };
    let totals = Totals::of(reduced.kernel.costs(), &at, &reduced.a, None);
    let (rows, columns) = (&totals.rows, &totals.columns);
    // <f, P1> + tau KL(P1 | a) - tau sum a (1 - e^{-f/tau}) = tau KL(P1 | a e^{-f/tau}): the gap, nowhere negative
    let gap_of = |sums: &[f64], w: &[f64], f: &[f64], tau: f64| -> f64 {
        let term = |((x, w), f): ((&f64, &f64), &f64)| divergence(*x, w * (-f / tau).exp());
        tau * sums.iter().zip(w).zip(f).map(term).sum::<f64>()
    };
    let penalty = |w: &[f64], f: &[f64], tau: f64| -> f64 {
        w.iter().zip(f).map(|(w, f)| -tau * w * (-f / tau).exp_m1()).sum()
    };
    let mass: f64 = rows.iter().sum();
    let dual = penalty(&reduced.a, &f, tau_a) + penalty(&reduced.b, &g, tau_b) - eps * mass;
    // for this plan <C, P> + eps sum P (log P - 1) = <f, P1> + <g, P'1> - eps sum P
    let gap = gap_of(rows, &reduced.a, &f, tau_a) + gap_of(columns, &reduced.b, &g, tau_b);
    Point { f, g, totals, dual, gap }
}

/// g from the column sums at (f, g).
fn next_columns(state: &mut State, at: &Point, tau: f64) {
    let reduced = state.reduced;
    let eps = reduced.eps;
    let columns = &at.totals.columns;
    let starved: Vec<usize> = (0..columns.len()).filter(|&j| !(columns[j] > 1e-280)).collect();
    let share = tau / (tau + eps);
    for (j, g) in state.current.g.iter_mut().enumerate() {
        *g = share * (at.g[j] + eps * (reduced.log_b[j] - columns[j].max(1e-280).ln()));
    }
    if !starved.is_empty() {
        let fed = column_transform(reduced.kernel.costs(), &at.f, &reduced.b, eps, &starved);
        starved.iter().zip(fed).for_each(|(&j, g)| state.current.g[j] = share * g);
    }
    state.count("sinkhorn", 1);
}

fn close(
    problem: &TransportProblem,
    state: State,
    at: Point,
    status: Status,
    run: Run,
) -> UnbalancedSolution {
    let reduced = state.reduced;
    let (n, m) = problem.cost.shape();
    let (rows, columns) = if reduced.transposed { (m, n) } else { (n, m) };
    let place = |kept: &[u32], values: &[f64], size: usize, rest: f64| {
        let mut full = vec![rest; size];
        kept.iter().zip(values).for_each(|(&i, v)| full[i as usize] = *v);
        full
    };
    let mut f = place(&reduced.rows, &at.f, rows, f64::NEG_INFINITY);
    let mut g = place(&reduced.columns, &at.g, columns, f64::NEG_INFINITY);
    let mut row_sums = place(&reduced.rows, &at.totals.rows, rows, 0.0);
    let mut column_sums = place(&reduced.columns, &at.totals.columns, columns, 0.0);
    if reduced.transposed {
        std::mem::swap(&mut f, &mut g);
        std::mem::swap(&mut row_sums, &mut column_sums);
    }
    let seconds = run.seconds();
    let history = run.into_history();
    let mut counts = no_counts();
    counts.extend(state.counts);
    let summary = Summary {
        method: "unbalanced Sinkhorn",
        status,
        objective: at.primal(),
        certificate: Certificate { kind: "duality_gap", value: at.gap, relative: at.relative_gap() },
        iterations: history.records.len().saturating_sub(1),
        counts,
        seconds,
        history,
        notes: Vec::new(),
    };
    UnbalancedSolution {
        source_potential: f,
        target_potential: g,
        row_sums,
        column_sums,
        transport_cost: at.totals.costs.iter().sum(),
        dual_objective: at.dual,
        summary,
    }
}
