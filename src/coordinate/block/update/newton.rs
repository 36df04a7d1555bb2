//! The minimiser of g_b'd + d'B d / 2 + h(x + d), B the Hessian's block at x, and Armijo's search along it. All trial
//! values come from the kept predictors and the image of d: no product per trial.

use super::{BlockModel, Error, Move, State, Update, gradient_step};
use crate::linalg::line_search::Armijo;

pub(super) struct Newton;

impl Update for Newton {
    fn step(&mut self, state: &State, block: &[usize]) -> Result<Option<Move>, Error> {
        let d = BlockModel::hessian(state, block).minimiser(state, state.gradient());
        Ok(search(state, block, &d).or_else(|| gradient_step(state, block, state.block_bound(block))))
    }
}

/// The step along d that Armijo's rule on F allows.
pub(super) fn search(state: &State, block: &[usize], d: &[f64]) -> Option<Move> {
    if d.iter().any(|d| !d.is_finite()) {
        return None;
    }
    let separable = state.separable();
    let x: Vec<f64> = block.iter().map(|&i| state.x()[i]).collect();
    // g'd + h(x + d) - h(x), unknown by unknown so that it keeps its sign down to rounding
    let slope: f64 = if separable.is_smooth() {
        block.iter().zip(d).map(|(&i, d)| (state.gradient()[i] + state.smooth_part(i).0) * d).sum()
    } else {
        let one = |((&i, &x), d): ((&usize, &f64), &f64)| separable.change(i, x, x + d, state.gradient()[i]);
        block.iter().zip(&x).zip(d).map(one).sum()
    };
    let line = state.smooth().aim(block, d);
    let at = |step: f64| -> Vec<f64> { d.iter().map(|d| step * d).collect() };
    let start = state.smooth().value();
    let armijo = Armijo { rounding: 8.0, max_evaluations: 40, ..Armijo::default() };
    // F relative to h(x): its size is that of f, which is what rounds
    let accepted = armijo
        .search(start, slope, |step| {
            state.smooth().value_along(&line, step) + state.separable_change(block, &at(step))
        })
        .ok()?;
    let goal = x.iter().zip(d).map(|(x, d)| x + accepted.step * d).collect();
    Some(Move { line, step: accepted.step, goal })
}
