//! The group lasso: losses of linear models with l1 sum of u_G ||x_G||, whole groups of coefficients zero or not.
//!
//! repeat: gradient and certificate over all columns (`state.rs`); a working set of the groups that are not zero and
//! those that violate optimality most; the problem restricted to it by Newton models, each solved by cyclic passes of
//! group proximal steps and second-order steps on the groups that are not zero (`quadratic.rs`).

mod quadratic;
mod state;

use quadratic::{GroupQuadratic, Workspace};
pub(super) use state::State;

use super::certificate::Measure;
use super::standing::Progress;
use super::state::check_point;
use super::working_set::{CURVATURE_FLOOR, MODELS};
use super::{CoordinateDescent, Error, Fit, Start};
use crate::control::{Monitor, Run, Status, Summary};
use crate::linalg::ColumnBlock;
use crate::linalg::line_search::Armijo;
use crate::problem::LinearModel;
use crate::problem::penalty::Group;

/// No working set has more columns.
const LARGEST_SET: usize = 2000;
/// Groups in the first working set.
const FIRST_GROUPS: usize = 10;

impl CoordinateDescent {
    /// Fits a linear model whose own penalty is replaced by one on groups of columns, from zero or a given start.
    /// Columns outside of all groups are not penalised; the duality gap then gives way to the gradient.
    ///
    /// ```
    /// use gradus::control::{Monitor, Status};
    /// use gradus::coordinate::CoordinateDescent;
    /// use gradus::linalg::DesignMatrix;
    /// use gradus::problem::{LinearModel, penalty::Group};
    ///
    /// let design = DesignMatrix::from_dense(3, 3, vec![1.0, 2.0, 3.0, 1.0, 0.0, 1.0, 0.1, -0.1, 0.1])?;
    /// let model = LinearModel::lasso(design, vec![2.0, 3.0, 6.0], 0.0);
    /// let group = Group { l1: 0.5, groups: vec![vec![0, 1], vec![2]], weights: None };
    /// let fit = CoordinateDescent::default().solve_groups(&model, &group, None, &mut Monitor::none())?;
    /// assert_eq!(fit.status, Status::Solved);
    /// assert!(fit.coefficients[0] != 0.0 && fit.coefficients[1] != 0.0 && fit.coefficients[2] == 0.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A model, a penalty, an option or a start that is not allowed.
    pub fn solve_groups(
        &self,
        model: &LinearModel,
        group: &Group,
        start: Option<Start>,
        monitor: &mut Monitor,
    ) -> Result<Fit, Error> {
        self.check()?;
        let mut run = Run::start(&self.limits, monitor, &super::COLUMNS);
        let mut state = State::origin(model, group, self.measure)?;
        if let Some(start) = start {
            check_point(start.coefficients, start.intercept, model.design.columns())?;
            state.start_from(start.coefficients, start.intercept);
        }
        let status = solve(&mut state, &mut run);
        let (seconds, history) = (run.seconds(), run.into_history());
        let summary = Summary {
            method: "working-set coordinate descent",
            status,
            objective: state.standing.objective,
            certificate: state.standing.certificate,
            iterations: history.records.len().saturating_sub(1),
            counts: state.standing.counts,
            seconds,
            history,
            notes: Vec::new(),
        };
        Ok(Fit { coefficients: state.x, intercept: state.intercept, summary })
    }
}

/// Runs until a limit is met; the state holds the answer.
fn solve(state: &mut State, run: &mut Run) -> Status {
    let curvature = state.model.loss.curvature_bound().unwrap_or(1.0);
    let squares = state.model.column_squares(&state.s);
    // the trace of a group's block bounds its largest eigenvalue
    let bound = |members: &Vec<usize>| members.iter().map(|&j| curvature * squares[j]).sum();
    let bounds: Vec<f64> = state.groups.iter().map(bound).collect();
    let mut workspace = Workspace::default();
    let mut progress = Progress::new(state.standing.objective);
    let mut set: Vec<usize> = Vec::new();
    loop {
        let support = state.x.iter().filter(|&&x| x != 0.0).count();
        if let Some(status) = progress.record(run, &state.standing, support, set.len()) {
            return status;
        }
        set = choose(state, &bounds);
        if set.is_empty() && !state.model.intercept {
            return Status::Stalled;
        }
        solve_on(state, run, &set, &mut workspace);
        state.refresh();
    }
}

/// The groups that are not zero and those that promise the largest decrease, ascending.
fn choose(state: &State, bounds: &[f64]) -> Vec<usize> {
    let is_free = |g: &usize| state.thresholds[*g] == 0.0 || state.norm(*g) > 0.0;
    let (mut set, rest): (Vec<usize>, Vec<usize>) = (0..state.groups.len()).partition(is_free);
    let score = |g: usize| {
        let violation = state.violation(g);
        if bounds[g] > 0.0 { violation * violation / bounds[g] } else { 0.0 }
    };
    let mut candidates: Vec<(f64, usize)> =
        rest.into_iter().map(|g| (score(g), g)).filter(|candidate| candidate.0 > 0.0).collect();
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut columns: usize = set.iter().map(|&g| state.groups[g].len()).sum();
    let wanted = FIRST_GROUPS.max(2 * set.len());
    for (_, g) in candidates {
        columns += state.groups[g].len();
        if set.len() >= wanted || (columns > LARGEST_SET && !set.is_empty()) {
            break;
        }
        set.push(g);
    }
    set.sort_unstable();
    set
}

/// Solves the model restricted to the groups of the set.
fn solve_on(state: &mut State, run: &Run, set: &[usize], workspace: &mut Workspace) {
    let model = state.model.clone();
    let columns: Vec<usize> = set.iter().flat_map(|&g| state.groups[g].iter().copied()).collect();
    let mut block = model.design.select(&columns);
    if model.intercept {
        block = block.with_ones();
    }
    let quadratic_loss = model.loss.name() == "squared";
    let largest = state.gradient.iter().fold(0.0f64, |m, g| m.max(g.abs()));
    let target = largest * (1e-5 * state.standing.certificate.relative.min(1.0)).max(1e-15);
    let mut parts = Vec::with_capacity(set.len() + 1);
    let mut position = 0;
    for &g in set {
        parts.push((position..position + state.groups[g].len(), state.thresholds[g]));
        position += state.groups[g].len();
    }
    let mut x: Vec<f64> = columns.iter().map(|&j| state.x[j]).collect();
    if model.intercept {
        parts.push((position..position + 1, 0.0));
        x.push(state.intercept);
    }
    let (mut weights, mut gram) = (state.s.clone(), Vec::new());
    let mut gradient = vec![0.0; x.len()];
    for _ in 0..MODELS {
        model.loss_derivatives(&state.z, &state.s, &mut state.v);
        block.multiply_transpose(&state.v, &mut gradient);
        if !quadratic_loss {
            model.loss_curvatures(&state.z, &state.s, &mut weights);
            let bound = model.loss.curvature_bound().unwrap_or(0.0);
            weights.iter_mut().zip(&state.s).for_each(|(w, s)| *w = w.max(CURVATURE_FLOOR * bound * s));
        }
        block.gram(&weights, &mut gram);
        let mut inner =
            GroupQuadratic { parts: &parts, hessian: &gram, gradient: gradient.clone(), x: x.clone() };
        let violation = inner.violation();
        if violation <= target {
            break;
        }
        let goal = if quadratic_loss { target } else { target.max(1e-3 * violation) };
        let work = inner.solve(goal, 1000, workspace, &|| run.should_stop().is_some());
        state.standing.count("newton_models", 1);
        state.standing.count("coordinate_updates", work.updates);
        state.standing.count("factorizations", work.factorizations);
        let slope = inner.predicted_change(&x, &gradient);
        if !(slope < 0.0) || !step(state, &block, &inner, &mut x, slope) {
            break;
        }
        if run.should_stop().is_some() {
            break;
        }
    }
    columns.iter().zip(&x).for_each(|(&j, &value)| state.x[j] = value);
    if model.intercept {
        state.intercept = x[columns.len()];
    }
}

/// Moves x towards the model's minimiser as far as Armijo's rule on F allows; z follows. Says whether it moved.
fn step(
    state: &mut State,
    block: &ColumnBlock,
    inner: &GroupQuadratic,
    x: &mut Vec<f64>,
    slope: f64,
) -> bool {
    let d: Vec<f64> = inner.x.iter().zip(x.iter()).map(|(new, old)| new - old).collect();
    let mut dz = vec![0.0; state.z.len()];
    block.add_product(&d, &mut dz);
    let mut moved = state.z.clone();
    let at = |length: f64| -> Vec<f64> {
        if length == 1.0 {
            return inner.x.clone();
        }
        x.iter().zip(&d).map(|(x, d)| x + length * d).collect()
    };
    let mut value = |length: f64| {
        moved.iter_mut().zip(&state.z).zip(&dz).for_each(|((moved, z), dz)| *moved = z + length * dz);
        state.model.loss_value(&moved, &state.s) + inner.penalty_value(&at(length))
    };
    let start = value(0.0);
    let armijo = Armijo { rounding: 8.0, max_evaluations: 40, ..Armijo::default() };
    let Ok(accepted) = armijo.search(start, slope, value) else { return false };
    // the last evaluation is the accepted one
    state.z = moved;
    *x = at(accepted.step);
    true
}

/// Whether groups give a duality gap: a positive threshold for every column.
fn has_dual(model: &LinearModel, group: &Group) -> bool {
    let covered: usize = group.groups.iter().map(Vec::len).sum();
    covered == model.design.columns() && (0..group.groups.len()).all(|g| group.threshold(g) > 0.0)
}

/// The measure that is meant, or a refusal.
fn resolve(model: &LinearModel, group: &Group, measure: Measure) -> Result<Measure, Error> {
    match measure {
        Measure::Gap if !has_dual(model, group) => {
            Err(Error::Option("a duality gap needs a penalty on every column; use the gradient".into()))
        }
        Measure::Auto if has_dual(model, group) => Ok(Measure::Gap),
        Measure::Auto => Ok(Measure::Gradient),
        other => Ok(other),
    }
}
