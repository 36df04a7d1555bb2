//! The run: sweeps of two half-steps until the gradient, the held-out error or a limit ends it.

use super::checkpoint::{Checkpoint, convert, fingerprint};
use super::phase::{Phase, Progress};
use super::state::{Setup, State};
use super::{Completion, Error, Loss, LowRankModel, Observations, Solution, certificate};
use crate::control::{Counts, Monitor, Run, Status, Summary};
use crate::linalg::tall::Element;

/// The run's own columns in the trace.
const COLUMNS: &[&str] =
    &["rank", "relative_residual", "validation_rmse", "inner_steps_per_row", "factored_share"];

/// Where a run begins.
#[derive(Clone, Debug, Default)]
pub enum Start<'a> {
    /// As the options say.
    #[default]
    Cold,
    /// At the factors of a model of the same size and at most the same rank.
    Model(&'a LowRankModel),
    /// Where another run of the same options and data stood.
    Checkpoint(&'a Checkpoint),
}

/// Called after every sweep with the number of sweeps done and a way to make a checkpoint.
pub type Saver<'a> = dyn FnMut(usize, &dyn Fn() -> Checkpoint) + 'a;

impl Completion {
    /// Completes the matrix.
    ///
    /// # Errors
    /// Options that are not allowed for the problem. Not reaching the tolerance is a status.
    pub fn solve(&self, problem: &Observations) -> Result<Solution, Error> {
        self.solve_with(problem, Start::Cold, &mut Monitor::none())
    }

    /// As [`solve`](Self::solve), from a start of the caller's, watched by a monitor.
    ///
    /// # Errors
    /// As [`solve`](Self::solve); a start that does not fit.
    pub fn solve_with(
        &self,
        problem: &Observations,
        start: Start,
        monitor: &mut Monitor,
    ) -> Result<Solution, Error> {
        self.solve_saving(problem, start, monitor, &mut |_, _| {})
    }

    /// As [`solve_with`](Self::solve_with), and offers a checkpoint after every sweep.
    ///
    /// # Errors
    /// As [`solve_with`](Self::solve_with).
    pub fn solve_saving(
        &self,
        problem: &Observations,
        start: Start,
        monitor: &mut Monitor,
        save: &mut Saver,
    ) -> Result<Solution, Error> {
        self.check(problem)?;
        if self.single_precision {
            self.run::<f32>(problem, start, monitor, save)
        } else {
            self.run::<f64>(problem, start, monitor, save)
        }
    }

    fn run<T: Element>(
        &self,
        problem: &Observations,
        start: Start,
        monitor: &mut Monitor,
        save: &mut Saver,
    ) -> Result<Solution, Error> {
        let mut run = Run::start(&self.limits, monitor, COLUMNS);
        let share = self.validation_share(problem);
        let split = if share > 0.0 {
            Some(problem.split(share, self.seed, |i, j| (u64::from(i), u64::from(j)))?)
        } else {
            None
        };
        let (training, held_out) =
            split.as_ref().map_or((problem, &[][..]), |(training, held_out)| (training, held_out));
        let setup = Setup::new(self, training, held_out);
        let mark = fingerprint(self, problem);
        let mut records = Vec::new();
        let mut progress: Progress<T> = match start {
            Start::Cold => Progress::begin(&setup, None)?,
            Start::Model(model) => Progress::begin(&setup, Some(warm(&setup, model)?))?,
            Start::Checkpoint(checkpoint) => {
                checkpoint.check(mark, &setup, COLUMNS.len())?;
                for (objective, certificate, extra) in &checkpoint.records {
                    let extra: Vec<f64> = extra.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
                    run.record(*objective, *certificate, &extra);
                }
                records.clone_from(&checkpoint.records);
                convert(&checkpoint.progress)
            }
        };
        // a checkpoint's own record is its last one
        let mut recorded = records.len() > progress.sweeps;
        let status = loop {
            if !std::mem::take(&mut recorded)
                && let Some(status) = progress.record(&setup, &mut run, &mut records)?
            {
                break status;
            }
            progress.advance(&setup)?;
            let (state, mut swept) = progress.sweep(&setup)?;
            if self.loss != Loss::Squares {
                // the weights of the half-steps belong to the factors before them
                swept.objective = state.measure(&setup).objective;
            }
            progress.note(&setup, state, &swept)?;
            save(progress.sweeps, &|| Checkpoint::new(mark, &progress, records.clone()));
        };
        finish(&setup, problem, progress, run, status)
    }
}

/// A model as a start in scaled units.
fn warm<T: Element>(setup: &Setup, model: &LowRankModel) -> Result<State<T>, Error> {
    let shape = (setup.problem.rows(), setup.problem.columns());
    if model.shape() != shape {
        return Err(Error::Start(format!("the model is {:?}, the matrix {shape:?}", model.shape())));
    }
    if model.rank() > setup.options.rank {
        let (have, wanted) = (model.rank(), setup.options.rank);
        return Err(Error::Start(format!("the model has rank {have}, above the {wanted} asked for")));
    }
    if model.has_biases() && !setup.options.biases {
        return Err(Error::Start("the model has biases, which the options exclude".into()));
    }
    model.check()?;
    Ok(State::from_model(setup, model))
}

impl<T: Element> Progress<T> {
    /// Records the current factors and says whether to stop there.
    fn record(
        &mut self,
        setup: &Setup,
        run: &mut Run,
        records: &mut Vec<(f64, f64, Vec<Option<f64>>)>,
    ) -> Result<Option<Status>, Error> {
        // the gradient on entering the last sweep bounds today's from experience, not from proof: measure when it counts
        let mut gradient = self.gradient;
        let tolerance = run.limits().tolerance;
        if self.phase != Phase::Full {
            gradient = gradient.max(self.residual);
        }
        if gradient <= tolerance && self.sweeps > 0 {
            let mut state = self.take_state();
            state.update_delta(setup);
            gradient = if setup.orthonormal {
                let (mut balanced, _) = state.balanced()?;
                balanced.update_delta(setup);
                balanced.measure(setup).gradient
            } else {
                state.measure(setup).gradient
            };
            self.put_state(state);
        }
        let (objective, certificate) = certificate::scaled(setup, self.objective, gradient);
        let rows = self.last_rows.max(1) as f64;
        let extra = [
            (self.x.columns() - usize::from(setup.options.biases)) as f64,
            self.residual,
            self.error.unwrap_or(f64::NAN),
            self.last_steps as f64 / rows,
            self.last_factored as f64 / rows,
        ];
        records.push((objective, certificate.relative, extra.map(|v| v.is_finite().then_some(v)).into()));
        let status = run.record(objective, certificate.relative, &extra);
        Ok(status.or_else(|| (self.out_of_patience(setup) || self.is_stalled()).then_some(Status::Stalled)))
    }
}

/// The answer in the values' units, with its certificate from scratch.
fn finish<T: Element>(
    setup: &Setup,
    problem: &Observations,
    mut progress: Progress<T>,
    run: Run,
    status: Status,
) -> Result<Solution, Error> {
    let options = setup.options;
    let mut notes = std::mem::take(&mut progress.notes);
    let mut state = progress.take_state();
    if progress.out_of_patience(setup)
        && let Some(best) = progress.best.take()
    {
        notes.push(format!(
            "the held-out error has not fallen since sweep {}; its factors are returned",
            best.sweep
        ));
        state = State { x: best.x, y: best.y, ..state };
    }
    let (balanced, singular_values) = state.balanced()?;
    if setup.orthonormal {
        state = balanced;
    }
    let largest = singular_values.first().copied().unwrap_or(0.0);
    let effective_rank = singular_values.iter().filter(|&&s| s > 1e-10 * largest).count();
    let rank = state.rank(setup);
    state.update_delta(setup);
    let measured = state.measure(setup);
    let (objective, certificate) = certificate::scaled(setup, measured.objective, measured.gradient);
    let components = setup.problem.components();
    if components > 1 {
        let how = if options.ridge > 0.0 { "by the ridge alone" } else { "not at all" };
        notes.push(format!(
            "the observed positions fall into {components} components; values between them are determined {how}"
        ));
    }
    if progress.deficient > 0 {
        notes.push(format!(
            "{} rows or columns have fewer entries than unknowns; they took the least step from the start",
            progress.deficient
        ));
    }
    if effective_rank.min(rank) < options.rank && !options.automatic_rank && largest > 0.0 {
        notes.push(format!(
            "the factors have rank {effective_rank} to working precision; rank {} is not needed",
            options.rank
        ));
    }
    let residuals = state.residuals(setup, false);
    let (squares, weights) = weighted_squares(setup, &residuals);
    let counts = Counts::from([
        ("sweeps", progress.sweeps as u64),
        ("inner_steps", progress.steps),
        ("rows_solved", progress.rows),
        ("factorizations", progress.factored),
    ]);
    let summary = Summary {
        method: options.method_name(),
        status,
        objective,
        certificate,
        iterations: progress.sweeps,
        counts,
        seconds: run.seconds(),
        history: run.into_history(),
        notes,
    };
    debug_assert_eq!(problem.rows(), setup.problem.rows());
    Ok(Solution {
        validation_rmse: state.validation_error(setup),
        train_rmse: setup.scale * (squares / weights).sqrt(),
        relative_residual: squares.sqrt() / setup.norm,
        effective_rank,
        components,
        global_gap: certificate::gap_of_state(setup, &state)?,
        model: state.model(setup),
        summary,
    })
}

/// Sum of w e^2, and of w.
fn weighted_squares(setup: &Setup, residuals: &[f64]) -> (f64, f64) {
    match setup.rows.side.weights {
        None => (residuals.iter().map(|e| e * e).sum(), residuals.len() as f64),
        Some(weights) => (residuals.iter().zip(weights).map(|(e, w)| w * e * e).sum(), weights.iter().sum()),
    }
}
