//! Why a run ended, how good its answer is, and what it cost.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::History;

/// Why a run ended. The answer is returned in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The certificate is at most the tolerance.
    Solved,
    /// The iteration limit was reached first.
    IterationLimit,
    /// The time limit was reached first.
    TimeLimit,
    /// No further progress is possible in floating point.
    Stalled,
    /// The problem has no feasible point, as far as the solver can tell.
    Infeasible,
    /// The objective decreases without bound.
    Unbounded,
    /// The observer or the interrupt flag asked to stop.
    Interrupted,
}

impl Status {
    /// The name used in JSON output: `solved`, `iteration_limit`, ...
    pub fn name(self) -> &'static str {
        match self {
            Status::Solved => "solved",
            Status::IterationLimit => "iteration_limit",
            Status::TimeLimit => "time_limit",
            Status::Stalled => "stalled",
            Status::Infeasible => "infeasible",
            Status::Unbounded => "unbounded",
            Status::Interrupted => "interrupted",
        }
    }

    /// One sentence for a reader.
    pub fn sentence(self) -> &'static str {
        match self {
            Status::Solved => "solved to the tolerance",
            Status::IterationLimit => "stopped at the iteration limit before the tolerance",
            Status::TimeLimit => "stopped at the time limit before the tolerance",
            Status::Stalled => "stopped at rounding: no further progress in floating point",
            Status::Infeasible => "the problem appears to have no feasible point",
            Status::Unbounded => "the objective appears to be unbounded below",
            Status::Interrupted => "interrupted; this is the best answer so far",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// A bound on how far an answer is from a solution, recomputed from the answer alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Certificate {
    /// What is measured: `duality_gap`, `gradient`, `kkt_error`, `relative_residual`, ...
    pub kind: &'static str,
    /// The measure itself, in its own units.
    pub value: f64,
    /// The measure over its scale: the number that is compared with the tolerance.
    pub relative: f64,
}

impl Certificate {
    /// A measure over its scale: nothing over nothing is 0, and over a scale beyond the range of doubles nothing is certified.
    pub fn over(kind: &'static str, value: f64, scale: f64) -> Self {
        let relative = match value {
            _ if scale.is_infinite() => f64::INFINITY,
            0.0 => 0.0,
            _ => value / scale,
        };
        Self { kind, value, relative }
    }
}

/// Named counts of the work a run did (`coordinate_updates`, `hessian`, ...), in alphabetical order.
pub type Counts = BTreeMap<&'static str, u64>;

/// What every solution says of its run, whatever the method.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Which algorithm ran.
    pub method: &'static str,
    /// Why the run ended.
    pub status: Status,
    /// Objective at the answer.
    pub objective: f64,
    /// How good the answer is, recomputed from scratch at the end.
    pub certificate: Certificate,
    /// Iterations taken, in the solver's own unit.
    pub iterations: usize,
    /// Work done.
    pub counts: Counts,
    /// Wall-clock time of the solve.
    pub seconds: f64,
    /// The trace.
    pub history: History,
    /// What the user should know besides: coefficients that grow without bound, a penalty that zeroes all, ...
    pub notes: Vec<String>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "method       {}", self.method)?;
        writeln!(f, "status       {}", self.status)?;
        writeln!(f, "objective    {:.14e}", self.objective)?;
        let c = &self.certificate;
        writeln!(
            f,
            "certificate  {} {:.3e}, relative {:.3e}",
            c.kind.replace('_', " "),
            c.value,
            c.relative
        )?;
        let counts: Vec<String> =
            self.counts.iter().map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect();
        writeln!(
            f,
            "work         {} iterations{}{}",
            self.iterations,
            if counts.is_empty() { "" } else { ", " },
            counts.join(", ")
        )?;
        write!(f, "time         {:.4} s", self.seconds)?;
        for note in &self.notes {
            write!(f, "\nnote         {note}")?;
        }
        Ok(())
    }
}
