//! Methods in parameter space, for comparison on the same batches: SGD, SGD with Armijo's rule (SLS), Adagrad, Adam, SVRG.

use serde::{Deserialize, Serialize};

use super::Error;
use super::oracle::Problem;
use super::population::take_snapshot;
use super::state::Checkpoint;
use super::step_size::Schedule;
use super::stepper::{At, Scratch};
use crate::linalg::product::{axpy, dot_serial};

/// A method in parameter space. v stands for J'g / b + r theta of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Baseline {
    /// theta <- theta - rate v.
    Sgd {
        /// Step.
        rate: f64,
        /// How it shrinks.
        schedule: Schedule,
    },
    /// The longest step s = s_last 2^(b/n) 0.9^k with h_B(theta - s v) <= h_B(theta) - c s ||v||^2 (Vaswani et al. 2019).
    LineSearch {
        /// c, in (0, 1).
        sufficient_decrease: f64,
    },
    /// theta_j <- theta_j - rate v_j / (sqrt(sum of v_j^2) + 1e-10).
    Adagrad {
        /// Step.
        rate: f64,
    },
    /// Moments 0.9 and 0.999, bias corrected.
    Adam {
        /// Step.
        rate: f64,
    },
    /// v less the same at a snapshot plus the full gradient there; a snapshot every epoch. Two calls a step and one for
    /// each batch of a snapshot.
    Svrg {
        /// Step.
        rate: f64,
    },
}

impl Baseline {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Baseline::Sgd { .. } => "sgd",
            Baseline::LineSearch { .. } => "sls",
            Baseline::Adagrad { .. } => "adagrad",
            Baseline::Adam { .. } => "adam",
            Baseline::Svrg { .. } => "svrg",
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let (name, value, most) = match *self {
            Baseline::LineSearch { sufficient_decrease } => ("sufficient decrease", sufficient_decrease, 1.0),
            Baseline::Sgd { rate, .. }
            | Baseline::Adagrad { rate }
            | Baseline::Adam { rate }
            | Baseline::Svrg { rate } => ("rate", rate, f64::INFINITY),
        };
        if value > 0.0 && value < most {
            Ok(())
        } else {
            Err(format!("the {name} is {value}; it must be positive and below {most}"))
        }
    }

    /// One step on one batch.
    pub(super) fn step(
        &self,
        problem: &mut Problem,
        state: &mut Checkpoint,
        at: At,
        batch: &[u32],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        if at.first_of_epoch && matches!(self, Baseline::Svrg { .. }) {
            take_snapshot(problem, state, batch.len(), scratch)?;
        }
        problem.forward(&state.theta, batch, &mut scratch.z);
        let value = problem.call(batch, &scratch.z, &mut scratch.g)?;
        problem.pull_back(&state.theta, batch, &scratch.g, &mut scratch.gradient);
        match *self {
            Baseline::Sgd { rate, schedule } => {
                axpy(-rate * schedule.factor(state.step, at.total), &scratch.gradient, &mut state.theta);
            }
            Baseline::LineSearch { sufficient_decrease } => {
                line_search(problem, state, batch, scratch, value, sufficient_decrease)?
            }
            Baseline::Adagrad { rate } => {
                state.second.resize(scratch.gradient.len(), 0.0);
                for ((theta, sum), v) in state.theta.iter_mut().zip(&mut state.second).zip(&scratch.gradient)
                {
                    *sum += v * v;
                    *theta -= rate * v / (sum.sqrt() + 1e-10);
                }
            }
            Baseline::Adam { rate } => {
                state.first.resize(scratch.gradient.len(), 0.0);
                state.second.resize(scratch.gradient.len(), 0.0);
                let t = state.step as i32;
                let (first, second) = (1.0 - 0.9f64.powi(t), 1.0 - 0.999f64.powi(t));
                let moments = state.first.iter_mut().zip(&mut state.second);
                for ((theta, (m, s)), v) in state.theta.iter_mut().zip(moments).zip(&scratch.gradient) {
                    *m = 0.9 * *m + 0.1 * v;
                    *s = 0.999 * *s + 0.001 * v * v;
                    *theta -= rate * (*m / first) / ((*s / second).sqrt() + 1e-8);
                }
            }
            Baseline::Svrg { rate } => {
                problem.forward(&state.snapshot, batch, &mut scratch.z);
                problem.call(batch, &scratch.z, &mut scratch.g)?;
                let ridge = std::mem::take(&mut problem.ridge);
                problem.pull_back(&state.snapshot, batch, &scratch.g, &mut scratch.old);
                problem.ridge = ridge;
                axpy(-1.0, &scratch.old, &mut scratch.gradient);
                axpy(1.0, &state.mean, &mut scratch.gradient);
                axpy(-rate, &scratch.gradient, &mut state.theta);
            }
        }
        Ok(())
    }
}

/// Armijo's rule along -v on the batch.
fn line_search(
    problem: &mut Problem,
    state: &mut Checkpoint,
    batch: &[u32],
    scratch: &mut Scratch,
    value: Option<f64>,
    c: f64,
) -> Result<(), Error> {
    let none = || Error::Option("this oracle has no values, so that no step can be searched for".into());
    let value = match value {
        Some(value) => value,
        None => problem.value(batch, &scratch.z).ok_or_else(none)?,
    } + problem.ridge_value(&state.theta);
    let v = &scratch.gradient;
    let square = dot_serial(v, v);
    let share = batch.len() as f64 / problem.model.samples() as f64;
    let last = if state.searched > 0.0 { state.searched } else { 1.0 };
    let mut s = (last * 2f64.powf(share)).min(1e6);
    let linear = problem.model.as_linear().is_some();
    let mut image = vec![0.0; scratch.z.len()];
    if linear {
        problem.work.products += 1;
        problem.model.push_forward(&state.theta, batch, v, &mut image);
    }
    let (mut moved, mut z) = (state.theta.clone(), scratch.z.clone());
    let mut refused = 0;
    while refused < 100 {
        moved.iter_mut().zip(&state.theta).zip(v).for_each(|((moved, theta), v)| *moved = theta - s * v);
        if linear {
            z.iter_mut().zip(&scratch.z).zip(&image).for_each(|((z, old), x)| *z = old - s * x);
        } else {
            problem.forward(&moved, batch, &mut z);
        }
        let trial = problem.value(batch, &z).ok_or_else(none)? + problem.ridge_value(&moved);
        if trial <= value - c * s * square {
            break;
        }
        s *= 0.9;
        refused += 1;
    }
    if refused == 100 {
        problem.work.failed_searches += 1;
        moved.iter_mut().zip(&state.theta).zip(v).for_each(|((moved, theta), v)| *moved = theta - s * v);
    }
    state.searched = s;
    state.theta = moved;
    Ok(())
}
