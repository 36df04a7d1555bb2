//! What a solve returns.

use std::fmt;
use std::ops::Deref;

use super::attempt::{End, System};
use super::{Course, Error, Method, Relaxation};
use crate::control::{Certificate, Counts, History, Status, Summary};
use crate::linalg::product::{dot, norm};

/// An approximate solution of A x = b. Everything about the run is in [`Summary`], which this dereferences to: the certificate is
/// |b - A x| and the same relative to |b|, the objective x'A x / 2 - b'x.
#[derive(Clone, Debug)]
pub struct Solution {
    /// x.
    pub x: Vec<f64>,
    /// |b - A x| / |b|, recomputed from x; 0 where b is 0.
    pub relative_residual: f64,
    /// |b - A x| over its size at the start.
    pub reduction: f64,
    /// |b - A x| / (|A|_inf |x| + |b|).
    pub backward_error: f64,
    /// The omega that was used; None for methods without one, or where none was needed.
    pub omega: Option<f64>,
    /// Steps of the probe among the iterations.
    pub probe_steps: usize,
    /// Which method finished the system after the asked one had given up.
    pub fallback: Option<Method>,
    /// An estimate (no bound) of the error in the energy norm, sqrt(r'M^{-1} r / lambda_min), if it was asked for.
    pub error_estimate: Option<f64>,
    /// Status, certificate, iterations, counts, time and trace.
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
        write!(f, "{}", self.summary)?;
        if let Some(omega) = self.omega {
            write!(f, "\nomega        {omega:.6}")?;
        }
        write!(f, "\nbackward     error {:.3e}", self.backward_error)
    }
}

/// The status that an end stands for.
pub(super) fn status_of(end: End) -> Status {
    match end {
        End::Solved => Status::Solved,
        End::Capped => Status::IterationLimit,
        End::Diverged | End::Stagnated | End::Indefinite(_) => Status::Stalled,
        End::Stopped(status) => status,
    }
}

/// Judges x from scratch and reports.
pub(super) fn finish(
    solver: &Relaxation,
    system: System,
    x: Vec<f64>,
    b: &[f64],
    course: Course,
    history: History,
    seconds: f64,
) -> Result<Solution, Error> {
    let operator = system.operator;
    let mut r = vec![0.0; x.len()];
    let residual = operator.residual(system.b, &x, &mut r);
    let b_norm = norm(b);
    let target = (solver.limits.tolerance * b_norm).max(solver.absolute_tolerance);
    let relative_residual = if residual == 0.0 { 0.0 } else { residual / b_norm };
    let first = history.records.first().map_or(f64::NAN, |record| record.certificate) * b_norm;
    let error_estimate = error_estimate(solver, system, &course, &r);
    let mut notes = Vec::new();
    if let Some(method) = course.fallback {
        notes.push(format!("{} gave up; finished by {}", solver.method.name(), method.name()));
    }
    match course.attempt.end {
        End::Diverged => notes.push("the iteration diverged: is the matrix positive definite?".into()),
        End::Stagnated => notes.push("the residual no longer falls".into()),
        _ => {}
    }
    let mut counts = Counts::new();
    counts.insert("flops", course.attempt.flops as u64);
    if course.probe_steps > 0 {
        counts.insert("probe_steps", course.probe_steps as u64);
    }
    let summary = Summary {
        method: solver.method.name(),
        status: match status_of(course.attempt.end) {
            // norms beyond the range of doubles compare with nothing
            Status::Solved if !relative_residual.is_finite() => Status::Stalled,
            // the true residual has the last word
            Status::IterationLimit | Status::Stalled if residual <= target => Status::Solved,
            status => status,
        },
        // A x = b - r
        objective: -0.5 * (dot(system.b, &x) + dot(&r, &x)),
        certificate: Certificate { kind: "relative_residual", value: residual, relative: relative_residual },
        iterations: course.attempt.iterations,
        counts,
        seconds,
        history,
        notes,
    };
    let scale = operator.norm_inf() * norm(&x) + b_norm;
    let mut outer = x.clone();
    operator.leave(&x, &mut outer);
    Ok(Solution {
        x: outer,
        relative_residual,
        reduction: if residual == 0.0 { 0.0 } else { residual / first },
        backward_error: if residual == 0.0 { 0.0 } else { residual / scale },
        omega: course.omega,
        probe_steps: course.probe_steps,
        fallback: course.fallback,
        error_estimate,
        summary,
    })
}

/// sqrt(r'M^{-1} r / lambda_min(M^{-1} A)) >= |x - x*|_A, were the eigenvalue exact; Lanczos approaches it from above.
fn error_estimate(solver: &Relaxation, system: System, course: &Course, r: &[f64]) -> Option<f64> {
    let omega = course.omega.filter(|_| solver.method == Method::SsorCg && solver.estimate_error)?;
    let smallest = course.lanczos.smallest().filter(|smallest| *smallest > 0.0)?;
    let mut g = vec![0.0; r.len()];
    let energy = system.operator.sweeps().solve_lower(omega, r, &mut g);
    Some((energy / smallest).sqrt())
}
