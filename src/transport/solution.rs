//! What a solve returns.

use std::fmt;
use std::ops::Deref;

use super::certificate::{Rounding, certify};
use super::problem::TransportProblem;
use super::reduced::Reduced;
use super::state::State;
use super::{Method, Transport};
use crate::control::{Certificate, Run, Status, Summary};

/// The answer: potentials, the plan that they stand for, and what is proven of it.
///
/// The plan is P_ij = exp((f_i + g_j - C_ij)/eps), rounded to a feasible one by [`Rounding`]; [`Summary`], which this
/// dereferences to, holds status, objective (of the rounded plan), duality gap, counts, time and trace.
#[derive(Clone, Debug)]
pub struct Solution {
    /// f, one per source, in the units of the cost. Where the mass is 0: min over the targets with mass of (C_ij - g_j),
    /// which is +inf where all those arcs are forbidden.
    pub source_potential: Vec<f64>,
    /// g, one per target; where the mass is 0 likewise.
    pub target_potential: Vec<f64>,
    /// <C, P^> of the rounded plan.
    pub transport_cost: f64,
    /// D(f, g) = <a, f> + <b, g> - eps sum of P.
    pub dual_objective: f64,
    /// |P1 - a|_1 + |P'1 - b|_1 of the plan before rounding.
    pub marginal_error: f64,
    /// Lower and upper bound of the least cost without entropy.
    pub exact_cost: (f64, f64),
    /// What makes the plan feasible.
    pub rounding: Rounding,
    /// The run.
    pub summary: Summary,
}

impl Deref for Solution {
    type Target = Summary;

    fn deref(&self) -> &Summary {
        &self.summary
    }
}

impl fmt::Display for Solution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.summary)?;
        writeln!(
            f,
            "transport    cost {:.12e}, marginal error {:.2e}",
            self.transport_cost, self.marginal_error
        )?;
        write!(f, "unregularised cost between {:.12e} and {:.12e}", self.exact_cost.0, self.exact_cost.1)
    }
}

/// Certifies the state's point and puts everything back into the problem's order and units.
pub(crate) fn close(
    solver: &Transport,
    problem: &TransportProblem,
    mut state: State,
    status: Status,
    run: Run,
) -> Solution {
    state.settle();
    let State { reduced, current, counts, loss, .. } = state;
    let verdict = certify(reduced, &current.f, &current.g, loss);
    let (total, eps) = (reduced.total, reduced.eps);
    let shift = total * (reduced.offset + eps * total.ln());
    let tolerance = run.limits().tolerance;
    let status = match status {
        // the certificate has the last word
        Status::Solved if !(verdict.error <= tolerance) => Status::Stalled,
        Status::Stalled | Status::IterationLimit if verdict.error <= tolerance => Status::Solved,
        other => other,
    };
    let (value, kind) = match verdict.gap.is_finite() {
        true => (total * verdict.gap, "duality_gap"),
        false => (total * verdict.error, "marginal_error"),
    };
    let transport_cost = total * (verdict.transport_cost + reduced.offset);
    let scale = if verdict.gap.is_finite() { transport_cost.abs().max(1e-300) } else { total };
    let method = match solver.method {
        Method::Auto => "path-following sparse Newton",
        Method::Sinkhorn => "Sinkhorn",
        Method::NewtonSparse => "Sinkhorn-Newton-Sparse",
        Method::SafeNewton => "safe sparse Newton",
        Method::LowRank => "sparse-plus-low-rank quasi-Newton",
    };
    let mut notes = Vec::new();
    if eps < 1e-6 * reduced.range {
        notes.push(
            "the regularization is below 1e-6 of the range of the costs: rounding limits the accuracy".into(),
        );
    }
    if !verdict.gap.is_finite() {
        notes.push("the missing masses could only take forbidden arcs: no rounded plan, no gap".into());
    }
    let seconds = run.seconds();
    let history = run.into_history();
    let iterations = history.records.len().saturating_sub(1);
    let summary = Summary {
        method,
        status,
        objective: total * verdict.primal + shift,
        certificate: Certificate { kind, value, relative: value / scale },
        iterations,
        counts,
        seconds,
        history,
        notes,
    };
    let mut potentials = reduced.unfold_potentials(problem, &current.f, &current.g);
    potentials.0.iter_mut().for_each(|f| *f += reduced.offset + eps * total.ln());
    Solution {
        source_potential: potentials.0,
        target_potential: potentials.1,
        transport_cost,
        dual_objective: total * verdict.dual + shift,
        marginal_error: total * verdict.error,
        exact_cost: (total * (verdict.lower + reduced.offset), transport_cost),
        rounding: reduced.unfold_rounding(&verdict.rounding),
        summary,
    }
}

impl Reduced<'_> {
    /// The entries of a vector over the problem's targets that are columns here (None if targets are rows here).
    pub fn columns_of(&self, g: &[f64]) -> Option<Vec<f64>> {
        (!self.transposed).then(|| self.columns.iter().map(|&j| g[j as usize]).collect())
    }

    /// Source and target potentials of the problem; those of points without mass by the hard c-transform.
    fn unfold_potentials(&self, problem: &TransportProblem, f: &[f64], g: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (n, m) = problem.cost.shape();
        let (rows, columns) = if self.transposed { (m, n) } else { (n, m) };
        let (mut full_f, mut full_g) = (vec![f64::NAN; rows], vec![f64::NAN; columns]);
        self.rows.iter().zip(f).for_each(|(&i, f)| full_f[i as usize] = *f);
        self.columns.iter().zip(g).for_each(|(&j, g)| full_g[j as usize] = *g);
        if self.transposed {
            std::mem::swap(&mut full_f, &mut full_g);
        }
        let (kept_f, kept_g) = (full_f.clone(), full_g.clone());
        let cost = |i: usize, j: usize| problem.cost.at(i, j) - self.offset;
        for i in (0..n).filter(|&i| kept_f[i].is_nan()) {
            let kept = (0..m).filter(|&j| !kept_g[j].is_nan());
            full_f[i] = kept.map(|j| cost(i, j) - kept_g[j]).fold(f64::INFINITY, f64::min);
        }
        for j in (0..m).filter(|&j| kept_g[j].is_nan()) {
            let kept = (0..n).filter(|&i| !kept_f[i].is_nan());
            full_g[j] = kept.map(|i| cost(i, j) - kept_f[i]).fold(f64::INFINITY, f64::min);
        }
        (full_f, full_g)
    }

    /// The rounding in the problem's order and units.
    fn unfold_rounding(&self, rounding: &Rounding) -> Rounding {
        let sizes = self.sizes;
        let place = |kept: &[u32], values: &[f64], size: usize, scale: f64, rest: f64| {
            let mut full = vec![rest; size];
            kept.iter().zip(values).for_each(|(&i, v)| full[i as usize] = scale * v);
            full
        };
        let Rounding { row_scale, column_scale, row_missing, column_missing } = rounding;
        let mut full = Rounding {
            row_scale: place(&self.rows, row_scale, sizes.0, 1.0, 0.0),
            column_scale: place(&self.columns, column_scale, sizes.1, 1.0, 0.0),
            row_missing: place(&self.rows, row_missing, sizes.0, self.total, 0.0),
            column_missing: place(&self.columns, column_missing, sizes.1, self.total, 0.0),
        };
        if self.transposed {
            std::mem::swap(&mut full.row_scale, &mut full.column_scale);
            std::mem::swap(&mut full.row_missing, &mut full.column_missing);
        }
        full
    }
}
