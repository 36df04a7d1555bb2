//! Building block 3: how the chosen block is updated. One file per update, each an `impl Update`.

mod accumulated;
mod exact;
mod forest;
mod gradient;
mod matrix;
mod model;
mod newton;
mod two_metric;

pub(super) use model::BlockModel;

use super::Error;
use super::partition::Blocks;
use super::separable::Separable;
use super::state::{Move, State};

/// An update in progress.
pub trait Update {
    /// The step for a block whose gradient is current; none where no step lowers F.
    ///
    /// # Errors
    /// What the problem turns out not to be: positive definite, a forest.
    fn step(&mut self, state: &State, block: &[usize]) -> Result<Option<Move>, Error>;
}

/// How the chosen block is updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpdateRule {
    /// Matrix for smooth quadratics, Newton for other smooth objectives, two-metric projection with kinks or bounds,
    /// exact for single unknowns of a quadratic, gradient for groups.
    #[default]
    Auto,
    /// The proximal gradient step of curvature L_b.
    Gradient,
    /// The proximal gradient step with curvatures found by trial, kept for each unknown.
    Accumulated,
    /// The minimiser of the upper bound g'd + d'H_b d / 2 + h(x + d).
    Matrix,
    /// The minimiser of the second-order model, with a line search.
    Newton,
    /// Matrix for quadratics, Newton for others: the exact minimiser of the model together with h.
    ProxNewton,
    /// Newton's step on the unknowns off their kinks and bounds, a gradient step on the others, projected, with a
    /// search along the projected path.
    TwoMetric,
    /// The exact minimiser of a quadratic in a single unknown.
    Exact,
    /// Newton's step on a block whose graph is a forest, by message passing in linear time.
    Forest,
}

impl UpdateRule {
    /// All updates and their names on the command line.
    pub const NAMES: [(&'static str, UpdateRule); 9] = [
        ("auto", UpdateRule::Auto),
        ("gradient", UpdateRule::Gradient),
        ("accumulate", UpdateRule::Accumulated),
        ("matrix", UpdateRule::Matrix),
        ("newton", UpdateRule::Newton),
        ("prox-newton", UpdateRule::ProxNewton),
        ("two-metric", UpdateRule::TwoMetric),
        ("exact", UpdateRule::Exact),
        ("forest", UpdateRule::Forest),
    ];

    /// The update that [`UpdateRule::Auto`] stands for.
    fn resolve(self, state: &State, blocks: &Blocks) -> Self {
        let quadratic = state.smooth().is_quadratic();
        let single = match blocks {
            Blocks::Variable(size) => *size == 1,
            Blocks::Fixed(blocks) => blocks.iter().all(|block| block.len() == 1),
        };
        match self {
            UpdateRule::ProxNewton if quadratic => UpdateRule::Matrix,
            UpdateRule::ProxNewton => UpdateRule::Newton,
            UpdateRule::Auto if matches!(state.separable(), Separable::Groups(_)) => UpdateRule::Gradient,
            UpdateRule::Auto if single && quadratic => UpdateRule::Exact,
            UpdateRule::Auto if !state.separable().is_smooth() => UpdateRule::TwoMetric,
            UpdateRule::Auto if quadratic => UpdateRule::Matrix,
            UpdateRule::Auto => UpdateRule::Newton,
            other => other,
        }
    }

    /// The update, ready to run.
    ///
    /// # Errors
    /// An update that does not go with the blocks or the problem.
    pub fn start(self, state: &State, blocks: &Blocks) -> Result<Box<dyn Update>, Error> {
        let update = self.resolve(state, blocks);
        let refuse = |why: &str| Err(Error::Option(why.into()));
        let needs_bound = [UpdateRule::Gradient, UpdateRule::Matrix, UpdateRule::Exact].contains(&update);
        if needs_bound && !state.smooth().is_bounded() {
            return refuse(
                "this loss has no bounded curvature: use the update newton, two-metric or accumulate",
            );
        }
        let first_order = [UpdateRule::Gradient, UpdateRule::Accumulated].contains(&update);
        if let (Separable::Groups(group), Blocks::Fixed(blocks)) = (state.separable(), blocks) {
            let splits = |block: &Vec<usize>| {
                let inside = |j: &usize| block.binary_search(j).is_ok();
                group.groups.iter().any(|g| g.iter().any(inside) && !g.iter().all(inside))
            };
            if blocks.iter().any(splits) {
                return refuse("a block splits a group of the penalty");
            }
        }
        if matches!(state.separable(), Separable::Groups(_))
            && (!first_order || matches!(blocks, Blocks::Variable(_)))
        {
            return refuse("group penalties need fixed blocks and the update gradient or accumulate");
        }
        let single = match blocks {
            Blocks::Variable(size) => *size == 1,
            Blocks::Fixed(blocks) => blocks.iter().all(|block| block.len() == 1),
        };
        if update == UpdateRule::Exact && !single {
            return refuse("the update exact is for blocks of one unknown");
        }
        if update == UpdateRule::Forest
            && (state.smooth().hessian_matrix().is_none() || !matches!(state.separable(), Separable::Free))
        {
            return refuse("the update forest needs a Hessian that is a sparse matrix, and no bounds");
        }
        let fixed = matches!(blocks, Blocks::Fixed(_));
        Ok(match update {
            UpdateRule::Gradient => Box::new(gradient::Gradient::default()),
            UpdateRule::Accumulated => Box::new(accumulated::Accumulated::new(state)),
            UpdateRule::Newton => Box::new(newton::Newton),
            UpdateRule::TwoMetric => Box::new(two_metric::TwoMetric),
            UpdateRule::Exact => Box::new(exact::Exact),
            UpdateRule::Forest => Box::new(forest::Forest::default()),
            _ => Box::new(matrix::Matrix::new(fixed)),
        })
    }
}

/// Rounding errors of F that a step may hide in.
pub(super) fn slack(state: &State) -> f64 {
    8.0 * f64::EPSILON * state.objective().abs()
}

/// The whole step d, if it is one and does not raise F.
pub(super) fn accept(state: &State, block: &[usize], d: &[f64]) -> Option<Move> {
    if d.iter().all(|&d| d == 0.0) || d.iter().any(|d| !d.is_finite()) {
        return None;
    }
    let (change, line) = state.try_step(block, d);
    // written so that a NaN is refused too
    if !(change <= slack(state)) {
        return None;
    }
    let goal = block.iter().zip(d).map(|(&i, d)| state.x()[i] + d).collect();
    Some(Move { line, step: 1.0, goal })
}

/// The proximal gradient step with the block's curvature bound, doubled until it does not raise F.
pub(super) fn gradient_step(state: &State, block: &[usize], curvature: f64) -> Option<Move> {
    let mut curvature = curvature;
    for _ in 0..60 {
        let d = state.prox_step(block, curvature);
        if d.iter().all(|&d| d == 0.0) {
            return None;
        }
        if let Some(chosen) = accept(state, block, &d) {
            return Some(chosen);
        }
        curvature = if curvature > 0.0 { 2.0 * curvature } else { f64::MIN_POSITIVE };
    }
    None
}
