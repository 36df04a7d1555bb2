//! Gradient steps on the surrogate: with the published backtracking, of fixed length, or of the exact length.

use serde::{Deserialize, Serialize};

use super::{Scratch, Surrogate};
use crate::linalg::product::{axpy, dot_serial};
use crate::surrogate::oracle::Work;

/// Backtracking of the published inner loop: accept q(theta - a G) <= q(theta) - c a ||G||^2, else a <- shrink a.
///
/// The first trial of a surrogate is `first`; each later inner step starts from the last accepted length times `expand`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InnerSearch {
    /// First trial step.
    pub first: f64,
    /// c, in (0, 1).
    pub sufficient_decrease: f64,
    /// Factor after a refusal, in (0, 1).
    pub shrink: f64,
    /// Growth from one inner step to the next, at least 1.
    pub expand: f64,
}

impl Default for InnerSearch {
    fn default() -> Self {
        Self { first: 10.0, sufficient_decrease: 0.5, shrink: 0.9, expand: 1.0 }
    }
}

/// Refusals after which a trial is taken as it is, and the shortest trial.
const TRIALS: usize = 100;
/// The loop ends where ||G|| is at most this.
const FLAT: f64 = 1e-6;

impl InnerSearch {
    pub(crate) fn check(&self) -> Result<(), String> {
        let inside = |v: f64| v > 0.0 && v < 1.0;
        if !(inside(self.sufficient_decrease) && inside(self.shrink)) {
            return Err("the inner search's decrease and shrink must lie between 0 and 1".into());
        }
        if !(self.first > 0.0 && self.first.is_finite() && self.expand >= 1.0 && self.expand.is_finite()) {
            return Err("the inner search's first step must be positive, its growth at least 1".into());
        }
        Ok(())
    }
}

/// How long a step is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    Search(InnerSearch),
    Fixed(f64),
    Exact,
}

/// m steps for a linear map. Along a line q is a known parabola, so that trials cost nothing.
pub(super) fn linear(
    q: &Surrogate,
    steps: usize,
    length: Length,
    theta: &mut [f64],
    scratch: &mut Scratch,
    work: &mut Work,
) {
    let Some(model) = q.model.as_linear() else { return };
    let b = q.batch.len() as f64;
    // rows pay for their copy from the second product on
    let copied = steps > 1 && q.batch.len() < q.model.samples();
    if copied {
        model.gather(q.batch, &mut scratch.rows);
    }
    scratch.prepare(theta.len(), q.g.len());
    let Scratch { rows, w, u, image, gradient, .. } = scratch;
    let mut trial = if let Length::Search(search) = length { search.first } else { 0.0 };
    for step in 0..steps {
        // G = J'(W w + eta g) / b + eta r theta
        q.residual(w, u);
        work.products += 2;
        if copied {
            rows.multiply_transpose(u, model.outputs, gradient)
        } else {
            q.model.pull_back(theta, q.batch, u, gradient)
        }
        q.finish_gradient(theta, gradient);
        let square = dot_serial(gradient, gradient);
        if !(square > FLAT * FLAT) && !matches!(length, Length::Fixed(_)) {
            work.products -= 1;
            break;
        }
        if copied {
            rows.multiply(gradient, model.outputs, image)
        } else {
            let _ = q.model.push_forward(theta, q.batch, gradient, image);
        }
        // q(theta - a G) - q(theta) = -a slope + a^2 bend / 2
        let slope = if q.ridge.is_empty() { dot_serial(u, image) / b } else { square };
        let ridge: f64 = q.ridge.iter().zip(gradient.iter()).map(|(r, v)| q.eta * r * v * v).sum();
        let bend = q.square(image) + ridge;
        let a = match length {
            Length::Fixed(length) => length,
            Length::Exact => {
                if bend > 0.0 {
                    slope / bend
                } else {
                    break;
                }
            }
            Length::Search(search) => {
                if step > 0 {
                    trial *= search.expand;
                }
                let mut refused = 0;
                while refused < TRIALS
                    && !(-trial * slope + 0.5 * trial * trial * bend
                        <= -search.sufficient_decrease * trial * square)
                {
                    trial *= search.shrink;
                    refused += 1;
                }
                work.failed_searches += u64::from(refused == TRIALS);
                trial
            }
        };
        work.inner_steps += 1;
        axpy(-a, gradient, theta);
        axpy(-a, image, w);
    }
}

/// m steps for any map; `search` absent means a fixed length.
pub(super) fn general(
    q: &Surrogate,
    steps: usize,
    search: Option<InnerSearch>,
    length: f64,
    theta: &mut [f64],
    work: &mut Work,
) {
    let (d, m) = (theta.len(), q.g.len());
    let (mut w, mut u, mut gradient, mut moved) = (vec![0.0; m], vec![0.0; m], vec![0.0; d], vec![0.0; d]);
    let mut value = q.value(theta, &mut w, work);
    let mut trial = search.map_or(length, |search| search.first);
    for step in 0..steps {
        q.gradient(theta, &w, &mut u, &mut gradient, work);
        let square = dot_serial(&gradient, &gradient);
        if search.is_some() && !(square > FLAT * FLAT) {
            break;
        }
        let mut attempt = |a: f64, w: &mut Vec<f64>, moved: &mut Vec<f64>| {
            moved.copy_from_slice(theta);
            axpy(-a, &gradient, moved);
            q.value(moved, w, work)
        };
        let mut next = f64::NAN;
        match search {
            None => next = attempt(length, &mut w, &mut moved),
            Some(search) => {
                if step > 0 {
                    trial *= search.expand;
                }
                let mut refused = 0;
                while refused < TRIALS {
                    next = attempt(trial, &mut w, &mut moved);
                    if next <= value - search.sufficient_decrease * trial * square {
                        break;
                    }
                    trial *= search.shrink;
                    refused += 1;
                }
                if refused == TRIALS {
                    // nothing is gained here any more: keep the point
                    work.failed_searches += 1;
                    break;
                }
            }
        }
        work.inner_steps += 1;
        value = next;
        theta.copy_from_slice(&moved);
    }
}
