//! Gated units: f(x) = sum over i of 1\[x'g_i >= 0\] x'w_i with fixed gates g_i.
//!
//! Training is the group lasso min l(sum_i D_i X w_i) + beta sum |w_i|, the convex program without its cones. Its objective
//! is not comparable to a ReLU network's: the model is another one, with more freedom.
//!
//! [`GatedRelu`] solves it by accelerated proximal gradients with backtracking, forward tracking and restarts (the R-FISTA of
//! Mishkin, Sahiner and Pilanci 2022) or by the interior-point method; the gap certifies both.

use rayon::prelude::*;

use super::certificate::{self, Gap};
use super::interior::{self, Group};
use super::network::Network;
use super::solve::{EXTRA, Instance, check_rows, relative};
use super::training::{Program, Training};
use super::{COLUMNS, Error, Patterns};
use crate::control::{Certificate, Counts, Limits, Monitor, Run, Status, Summary};
use crate::linalg::DesignMatrix;
use crate::linalg::panel;
use crate::linalg::product::{dot_serial, norm};

/// How a gated program is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatedMethod {
    /// Accelerated proximal gradients; for smooth losses.
    ProximalGradient,
    /// The interior-point method.
    InteriorPoint,
}

/// Trains gated units over sampled gates.
#[derive(Debug, Clone)]
pub struct GatedRelu {
    /// When to stop; the tolerance is compared with the duality gap over the objective.
    pub limits: Limits,
    /// How.
    pub method: GatedMethod,
}

impl Default for GatedRelu {
    fn default() -> Self {
        Self { limits: Limits::default(), method: GatedMethod::InteriorPoint }
    }
}

/// Trained gated units.
#[derive(Debug, Clone)]
pub struct GatedSolution {
    /// Weights w_i with output weight 1, those that are not zero.
    pub network: Network,
    /// Their gates.
    pub gates: Vec<Vec<f64>>,
    /// The optimum over the gates is at least this.
    pub lower_bound: f64,
    /// Status, objective, certificate, iterations, counts, time and trace.
    pub summary: Summary,
}

impl GatedSolution {
    /// f at every row of the data.
    pub fn predict(&self, design: &DesignMatrix) -> Vec<f64> {
        let (mut gate, mut value) = (vec![0.0; design.rows()], vec![0.0; design.rows()]);
        let mut outputs = vec![0.0; design.rows()];
        for (w, g) in self.network.hidden.iter().zip(&self.gates) {
            design.multiply(g, &mut gate);
            design.multiply(w, &mut value);
            for ((out, g), v) in outputs.iter_mut().zip(&gate).zip(&value) {
                *out += if *g >= 0.0 { v } else { &0.0 };
            }
        }
        outputs
    }
}

impl GatedRelu {
    /// Trains over the gates of some patterns.
    ///
    /// # Errors
    /// No patterns, an option out of range, the hinge with proximal gradients.
    pub fn solve(
        &self,
        training: &Training,
        patterns: &Patterns,
        monitor: &mut Monitor,
    ) -> Result<GatedSolution, Error> {
        self.limits.check().map_err(Error::Option)?;
        if patterns.is_empty() {
            return Err(Error::Option("there are no gates".into()));
        }
        if self.method == GatedMethod::ProximalGradient && training.loss() == super::Loss::Hinge {
            return Err(Error::Option("proximal gradients need a smooth loss; the hinge has a kink".into()));
        }
        let mut run = Run::start(&self.limits, monitor, &COLUMNS);
        let instance = Instance::new(training, patterns)?;
        let (status, v, gap, name, count) = match self.method {
            GatedMethod::ProximalGradient => proximal_gradient(&instance, &mut run),
            GatedMethod::InteriorPoint => interior_point(&instance, self.limits.tolerance, &mut run)?,
        };
        let d = instance.program.d.max(1);
        let mut network = Network { columns: training.columns(), ..Network::default() };
        let mut gates = Vec::new();
        for (i, w) in v.chunks_exact(d).enumerate().filter(|(_, w)| norm(w) > 0.0) {
            network.hidden.push(instance.program.outward(w));
            network.output.push(1.0);
            gates.push(patterns.gate(i).to_vec());
        }
        let certificate = Certificate { kind: "gap_over_gates", value: gap.gap, relative: relative(&gap) };
        let seconds = run.seconds();
        let history = run.into_history();
        let summary = Summary {
            method: name,
            status,
            objective: gap.objective,
            certificate,
            iterations: history.records.len().saturating_sub(1),
            counts: Counts::from([("gradients", count)]),
            seconds,
            history,
            notes: vec![
                "gated units are another model than a ReLU network: objectives do not compare".into(),
            ],
        };
        Ok(GatedSolution { network, gates, lower_bound: gap.bound, summary })
    }
}

/// Status, weights, gap, method and gradients.
type Solved = (Status, Vec<f64>, Gap, &'static str, u64);

fn interior_point(instance: &Instance, tolerance: f64, run: &mut Run) -> Result<Solved, Error> {
    check_rows(&instance.program)?;
    let groups: Vec<Group> =
        (0..instance.signs.len()).map(|pattern| Group { pattern, positive: true }).collect();
    let blocks = interior::Blocks {
        program: &instance.program,
        signs: &instance.signs,
        groups: &groups,
        cones: false,
    };
    let mut note = |run: &mut Run, objective: f64, relative: f64| {
        run.record(objective, relative, &EXTRA).filter(|status| *status != Status::Solved)
    };
    let point = interior::solve(&blocks, 0.5 * tolerance, run, &mut note)?;
    let d = instance.program.d.max(1);
    let largest = point.v.chunks_exact(d).map(norm).fold(0.0, f64::max);
    let mut v = point.v;
    v.chunks_exact_mut(d).filter(|w| norm(w) <= 1e-8 * largest).for_each(|w| w.fill(0.0));
    let gap = gap_at(instance, &v, Some(&point.slope));
    let solved = relative(&gap) <= tolerance;
    let status = match point.status {
        _ if solved => Status::Solved,
        // small blocks have been left out, and the gap has the last word
        Status::Solved => Status::Stalled,
        other => other,
    };
    Ok((status, v, gap, "interior point on gated units", point.iterations))
}

/// Outputs of gated weights, one block a pattern.
fn outputs(instance: &Instance, v: &[f64], rows: &mut [f64]) -> Vec<f64> {
    let Program { n, .. } = instance.program;
    panel::multiply(instance.program.x(), v, rows);
    let mut outputs = vec![0.0; n];
    for (rows, signs) in rows.chunks_exact(n.max(1)).zip(&instance.signs) {
        for ((out, z), e) in outputs.iter_mut().zip(rows).zip(signs) {
            *out += if *e > 0.0 { *z } else { 0.0 };
        }
    }
    outputs
}

/// X'D_i slope for every pattern.
fn gradient(instance: &Instance, slope: &[f64], rows: &mut [f64], out: &mut [f64]) {
    let n = instance.program.n;
    rows.par_chunks_exact_mut(n.max(1)).zip(&instance.signs).for_each(|(rows, signs)| {
        rows.iter_mut().zip(signs).zip(slope).for_each(|((r, e), g)| *r = if *e > 0.0 { *g } else { 0.0 });
    });
    panel::multiply(instance.program.x().transpose(), rows, out);
}

/// The gap, without cones: the norms are those of the plain correlations.
fn gap_at(instance: &Instance, v: &[f64], slope: Option<&[f64]>) -> Gap {
    let program = &instance.program;
    let d = program.d.max(1);
    let mut rows = vec![0.0; program.n * instance.signs.len()];
    let z = outputs(instance, v, &mut rows);
    let own: Vec<f64> = z.iter().zip(&program.y).map(|(&z, &y)| program.loss.derivative(z, y)).collect();
    let slope = slope.unwrap_or(&own);
    let mut correlations = vec![0.0; v.len()];
    gradient(instance, slope, &mut rows, &mut correlations);
    let rounding = certificate::rounding(program, slope);
    let norms = correlations.chunks_exact(d).map(|c| norm(c) + rounding).collect();
    certificate::from_norms(program, norms, &z, v.chunks_exact(d).map(norm).sum(), slope)
}

/// FISTA with a step that shrinks by 0.8 where the quadratic bound fails, grows by 1.25 where it is slack by a factor of
/// five, and with momentum restarted where the last move points against the gradient mapping.
fn proximal_gradient(instance: &Instance, run: &mut Run) -> Solved {
    let program = &instance.program;
    let d = program.d.max(1);
    let size = program.d * instance.signs.len();
    let mut rows = vec![0.0; program.n * instance.signs.len()];
    let (mut x, mut y, mut momentum, mut step) = (vec![0.0; size], vec![0.0; size], 1.0f64, 1.0);
    let mut slope_of = vec![0.0; size];
    let mut gradients = 0;
    let loss = |z: &[f64]| program.loss_value(z);
    loop {
        let gap = gap_at(instance, &x, None);
        if let Some(status) = run.record(gap.objective, relative(&gap), &EXTRA) {
            return (status, x, gap, "accelerated proximal gradients on gated units", gradients);
        }
        // ten steps between certificates
        for _ in 0..10 {
            let z = outputs(instance, &y, &mut rows);
            let value = loss(&z);
            let slope: Vec<f64> =
                z.iter().zip(&program.y).map(|(&z, &y)| program.loss.derivative(z, y)).collect();
            gradient(instance, &slope, &mut rows, &mut slope_of);
            gradients += 1;
            let (next, bound) = loop {
                let mut next: Vec<f64> = y.iter().zip(&slope_of).map(|(y, g)| y - step * g).collect();
                for w in next.chunks_exact_mut(d) {
                    let keep = (1.0 - step * program.beta / norm(w).max(1e-300)).max(0.0);
                    w.iter_mut().for_each(|w| *w *= keep);
                }
                let moved: Vec<f64> = next.iter().zip(&y).map(|(a, b)| a - b).collect();
                let square = dot_serial(&moved, &moved);
                let actual =
                    loss(&outputs(instance, &next, &mut rows)) - value - dot_serial(&slope_of, &moved);
                let allowed = square / (2.0 * step);
                if actual <= allowed + 1e-14 * value.abs() || step < 1e-18 {
                    break (next, actual * 5.0 <= allowed);
                }
                step *= 0.8;
            };
            let against: f64 =
                y.iter().zip(&next).zip(&x).map(|((y, new), old)| (y - new) * (new - old)).sum();
            if against > 0.0 {
                momentum = 1.0;
            }
            let grown = (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt()) / 2.0;
            let factor = if against > 0.0 { 0.0 } else { (momentum - 1.0) / grown };
            y = next.iter().zip(&x).map(|(new, old)| new + factor * (new - old)).collect();
            x = next;
            momentum = grown;
            if bound {
                step *= 1.25;
            }
        }
    }
}
