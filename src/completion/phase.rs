//! What a run has reached: factors, phase, and what the held-out entries say.

use serde::{Deserialize, Serialize};

use super::half_step::Accuracy;
use super::row_problem::Report;
use super::start;
use super::state::{Setup, State, Swept};
use super::{Error, HalfStep, Loss, StartRule};
use crate::linalg::tall::{Element, TallMatrix};

/// How the rank develops.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// All columns are there.
    Full,
    /// Columns are added whenever `left` sweeps are done, until the rank is reached.
    Staged { left: u32 },
    /// Columns are added once the held-out error has settled, until it no longer falls. `since`: sweeps at this rank;
    /// `before`: the error at the last rank; `last`: that of the last sweep.
    Growing { since: u32, before: Option<f64>, last: Option<f64> },
}

/// Sweeps of a stage.
const STAGE_SWEEPS: u32 = 2;
/// Sweeps at one rank at most while the rank is sought.
const LONGEST_STAGE: u32 = 40;
/// The relative fall of the held-out error that one more column must bring.
const WORTHWHILE: f64 = 1e-3;
/// A residual that falls to this share in a sweep is on its way to zero.
const CONVERGING: f64 = 0.25;
/// The relative fall of the held-out error that a patience counts.
const PROGRESS: f64 = 1e-4;
/// Unknowns up to which a factorisation costs no more than two steps of conjugate gradients.
const SMALL: usize = 16;
/// Sweeps at the start that are solved accurately: later ones don't revisit weak directions.
const CAREFUL_SWEEPS: usize = 3;

/// Factors at some earlier point, and their held-out error.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Kept<T: Element> {
    pub x: TallMatrix<T>,
    pub y: TallMatrix<T>,
    pub error: f64,
    pub sweep: usize,
}

/// All that the next sweep depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Progress<T: Element> {
    pub x: TallMatrix<T>,
    pub y: TallMatrix<T>,
    pub condition: f64,
    pub phase: Phase,
    pub sweeps: usize,
    /// Sweeps to be solved exactly because the held-out error rose.
    pub exact_left: usize,
    /// Factor of the inner tolerance.
    pub caution: f64,
    /// How often the held-out error walked away, and for how many sweeps it has risen.
    pub alarms: u32,
    pub rises: u32,
    pub error: Option<f64>,
    /// The least held-out error so far.
    pub least_error: f64,
    /// The residual before the last sweep.
    pub residual_before: f64,
    pub objective: f64,
    pub gradient: f64,
    pub residual: f64,
    /// The least gradient and the sweeps since.
    pub least_gradient: f64,
    pub idle: u32,
    /// The factors of the least held-out error, for a patience.
    pub best: Option<Kept<T>>,
    /// Those of the last rank, while it is sought.
    pub fallback: Option<Kept<T>>,
    /// Y before the last sweep, and the sweeps since extrapolation began anew.
    pub previous: Option<TallMatrix<T>>,
    pub momentum: u32,
    /// Steps, rows, factorisations, deficient rows of the last sweep.
    pub steps: u64,
    pub rows: u64,
    pub factored: u64,
    pub deficient: u64,
    pub last_rows: u64,
    pub last_steps: u64,
    pub last_factored: u64,
    pub notes: Vec<String>,
}

impl<T: Element> Progress<T> {
    /// The start that the options ask for.
    pub fn begin(setup: &Setup, warm: Option<State<T>>) -> Result<Self, Error> {
        let options = setup.options;
        let rank = options.rank;
        let mut phase = Phase::Full;
        let state = match warm {
            Some(mut state) => {
                let missing = rank.saturating_sub(state.rank(setup));
                if options.automatic_rank {
                    phase = Phase::Growing { since: 0, before: None, last: None };
                } else if missing > 0 {
                    start::grow(setup, &mut state, missing, 1)?;
                }
                state
            }
            None => {
                let mut state = start::empty(setup);
                match options.start {
                    _ if options.automatic_rank => {
                        start::grow(setup, &mut state, 1, 1)?;
                        phase = Phase::Growing { since: 0, before: None, last: None };
                    }
                    StartRule::Random => start::append_random(setup, &mut state, rank),
                    StartRule::Staged => phase = Self::stage(setup, &mut state, 1)?,
                    StartRule::Spectral => {
                        start::grow(setup, &mut state, rank, 1)?;
                    }
                    StartRule::Auto => {
                        let svd = start::residual_svd(setup, &state, rank, 1)?;
                        if setup.orthonormal && looks_ill_conditioned(&svd.s, rank) {
                            let first = stage_columns(rank).min(rank);
                            start::append(setup, &mut state, &svd, first);
                            phase = after_stage(first, rank);
                        } else {
                            start::append(setup, &mut state, &svd, rank);
                        }
                    }
                }
                state
            }
        };
        let mut progress = Self {
            x: state.x,
            y: state.y,
            condition: 1.0,
            phase,
            sweeps: 0,
            exact_left: 0,
            caution: 1.0,
            alarms: 0,
            rises: 0,
            error: None,
            least_error: f64::MAX,
            residual_before: 0.0,
            objective: 0.0,
            gradient: 0.0,
            residual: 0.0,
            least_gradient: f64::MAX,
            idle: 0,
            best: None,
            fallback: None,
            previous: None,
            momentum: 0,
            steps: 0,
            rows: 0,
            factored: 0,
            deficient: 0,
            last_rows: 0,
            last_steps: 0,
            last_factored: 0,
            notes: Vec::new(),
        };
        let mut state = progress.take_state();
        state.update_delta(setup);
        let measured = state.measure(setup);
        progress.error = state.validation_error(setup);
        progress.put_state(state);
        progress.objective = measured.objective;
        progress.gradient = measured.gradient;
        progress.residual = measured.residual;
        Ok(progress)
    }

    /// The first stage, or the next one.
    fn stage(setup: &Setup, state: &mut State<T>, purpose: u64) -> Result<Phase, Error> {
        let (rank, have) = (setup.options.rank, state.rank(setup));
        let count = stage_columns(rank).min(rank.saturating_sub(have));
        start::grow(setup, state, count, purpose)?;
        Ok(after_stage(have + count, rank))
    }

    pub fn take_state(&mut self) -> State<T> {
        State {
            x: std::mem::take(&mut self.x),
            y: std::mem::take(&mut self.y),
            delta: None,
            condition: self.condition,
        }
    }

    pub fn put_state(&mut self, state: State<T>) {
        (self.x, self.y) = (state.x, state.y);
        // the stored form knows no infinity
        self.condition = state.condition.min(1e300);
    }

    /// Before a sweep: adds columns where the phase says so.
    pub fn advance(&mut self, setup: &Setup) -> Result<(), Error> {
        let purpose = 16 + self.sweeps as u64;
        match self.phase {
            Phase::Full => Ok(()),
            // nothing is left to take directions from
            Phase::Staged { left: 0 } if self.residual < 1e-12 => {
                self.phase = Phase::Full;
                Ok(())
            }
            // these columns alone are on the way to the matrix: more would only fit rounding errors
            Phase::Staged { left: 0 } if self.residual < CONVERGING * self.residual_before => Ok(()),
            Phase::Staged { left: 0 } => {
                let mut state = self.take_state();
                self.phase = Self::stage(setup, &mut state, purpose)?;
                self.put_state(state);
                Ok(())
            }
            Phase::Staged { .. } => Ok(()),
            Phase::Growing { since, before, last } => {
                let error = self.error.unwrap_or(f64::INFINITY);
                let settled = last.is_some_and(|last| error > 0.9 * last);
                if since < LONGEST_STAGE && !(since >= STAGE_SWEEPS && settled) {
                    return Ok(());
                }
                self.next_rank(setup, error, before, purpose)
            }
        }
    }

    /// The held-out error at this rank has settled: go on, or back.
    fn next_rank(
        &mut self,
        setup: &Setup,
        error: f64,
        before: Option<f64>,
        purpose: u64,
    ) -> Result<(), Error> {
        let mut state = self.take_state();
        let rank = state.rank(setup);
        if let Some(kept) = self.fallback.take_if(|_| before.is_some_and(|b| error > b * (1.0 - WORTHWHILE)))
        {
            state = State { x: kept.x, y: kept.y, ..state };
            self.error = Some(kept.error);
            self.notes.push(format!(
                "rank {} chosen: rank {rank} did not lower the held-out error by {} %",
                state.rank(setup),
                100.0 * WORTHWHILE
            ));
            self.phase = Phase::Full;
        } else if rank >= setup.options.rank {
            self.phase = Phase::Full;
        } else {
            self.fallback = Some(Kept { x: state.x.clone(), y: state.y.clone(), error, sweep: self.sweeps });
            let count = (rank / 8).max(1).min(setup.options.rank - rank);
            start::grow(setup, &mut state, count, purpose)?;
            self.phase = Phase::Growing { since: 0, before: Some(error), last: None };
        }
        self.put_state(state);
        Ok(())
    }

    /// One sweep: with a ridge from Y extrapolated along its last change, by Nesterov's factors t / (t + 3), which begin anew
    /// whenever the objective would rise; that sweep is done again from Y itself.
    pub fn sweep(&mut self, setup: &Setup) -> Result<(State<T>, Swept), Error> {
        let accuracy = self.accuracy(setup);
        let mut state = self.take_state();
        state.update_delta(setup);
        let options = setup.options;
        let smooth = !setup.orthonormal && !options.nonnegative && options.loss == Loss::Squares;
        if !smooth || self.phase != Phase::Full {
            let swept = state.sweep(setup, accuracy)?;
            return Ok((state, swept));
        }
        let previous = self.previous.replace(state.y.clone());
        let t = f64::from(self.momentum);
        self.momentum += 1;
        if t > 0.0
            && let Some(previous) = previous.filter(|previous| previous.shape() == state.y.shape())
        {
            let kept = state.clone();
            state.y.extrapolate(t / (t + 3.0), &previous);
            let swept = state.sweep(setup, accuracy)?;
            if swept.objective <= self.objective {
                return Ok((state, swept));
            }
            self.add(&swept.report);
            self.momentum = 1;
            state = kept;
        }
        let swept = state.sweep(setup, accuracy)?;
        Ok((state, swept))
    }

    /// How accurately the next sweep is to be solved.
    fn accuracy(&self, setup: &Setup) -> Accuracy {
        let options = setup.options;
        let unknowns = self.x.columns();
        if options.nonnegative {
            return Accuracy::Nonnegative;
        }
        let base = options.inner_tolerance.unwrap_or(if setup.orthonormal {
            (0.3 / self.condition).min(0.1)
        } else {
            0.1
        });
        let careful = if self.phase != Phase::Full { 0.01 } else { 1.0 };
        let tolerance = (base * self.caution).min(careful).max(1e-13);
        let steps = 30.max(unknowns);
        match options.half_step {
            HalfStep::Exact => Accuracy::Exact,
            _ if self.exact_left > 0 => Accuracy::Exact,
            HalfStep::Auto if unknowns <= SMALL => Accuracy::Exact,
            HalfStep::Auto if self.sweeps < CAREFUL_SWEEPS => {
                Accuracy::Shared { tolerance: tolerance.min(1e-3), steps }
            }
            HalfStep::Auto | HalfStep::Preconditioned => Accuracy::Shared { tolerance, steps },
            HalfStep::Sketched { ratio } => Accuracy::Sketched {
                tolerance,
                steps,
                rows: ratio * unknowns,
                seed: super::observations::hash(options.seed, 1000 + self.sweeps as u64),
                tries: 3,
            },
        }
    }

    /// After a sweep: what it found, and what the held-out entries say to it.
    pub fn note(&mut self, setup: &Setup, state: State<T>, swept: &Swept) -> Result<(), Error> {
        self.sweeps += 1;
        self.exact_left = self.exact_left.saturating_sub(1);
        self.add(&swept.report);
        let fell = swept.objective < self.objective;
        self.idle = if swept.gradient < 0.999 * self.least_gradient { 0 } else { self.idle + 1 };
        self.least_gradient = self.least_gradient.min(swept.gradient);
        if !fell || (self.objective - swept.objective) > 1e-14 * self.objective.abs() {
            self.idle = if fell { 0 } else { self.idle };
        }
        self.residual_before = self.residual;
        (self.objective, self.gradient, self.residual) = (swept.objective, swept.gradient, swept.residual);
        let error = state.validation_error(setup);
        let before = std::mem::replace(&mut self.error, error);
        self.put_state(state);
        match &mut self.phase {
            Phase::Full => self.watch(setup, before, error, fell)?,
            Phase::Staged { left: 0 } => self.watch(setup, before, error, fell)?,
            Phase::Staged { left } => *left -= 1,
            Phase::Growing { since, last, .. } => {
                *since += 1;
                *last = before.filter(|_| *since > 1);
            }
        }
        Ok(())
    }

    fn add(&mut self, report: &Report) {
        self.steps += report.steps;
        self.rows += report.rows;
        self.factored += report.factored;
        self.deficient = report.deficient;
        (self.last_rows, self.last_steps, self.last_factored) = (report.rows, report.steps, report.factored);
    }

    /// A held-out error that rises while the objective falls: the sweeps walk away from the matrix that is sought.
    fn watch(
        &mut self,
        setup: &Setup,
        before: Option<f64>,
        error: Option<f64>,
        fell: bool,
    ) -> Result<(), Error> {
        let (Some(before), Some(error)) = (before, error) else { return Ok(()) };
        let better = self.best.as_ref().is_none_or(|best| error < best.error * (1.0 - PROGRESS));
        if setup.options.patience > 0 && better {
            self.best = Some(Kept { x: self.x.clone(), y: self.y.clone(), error, sweep: self.sweeps });
        }
        self.least_error = self.least_error.min(error);
        // at the floor of rounding the objective cannot fall any more
        let fitted = fell || self.residual < 0.1 * error / setup.scale;
        self.rises = if fitted && error > before * (1.0 + 1e-3) { self.rises + 1 } else { 0 };
        if self.rises < 2 || setup.options.patience > 0 {
            return Ok(());
        }
        self.rises = 0;
        self.alarms += 1;
        let place = format!("sweep {}: the held-out error rose twice while the objective fell", self.sweeps);
        match self.alarms {
            1 => {
                (self.exact_left, self.caution) = (2, 0.1 * self.caution);
                self.notes.push(format!("{place}; two exact sweeps and a tighter inner tolerance"));
            }
            2 | 3 if setup.orthonormal && setup.options.loss == Loss::Squares => {
                let kept = self.drop_unreliable(setup)?;
                self.exact_left = usize::MAX;
                self.notes.push(format!(
                    "{place} again; went back to the {kept} directions above the held-out error, and on in stages with \
                     exact half-steps"
                ));
            }
            2..=4 => {
                self.notes.push(format!("{place} still: the answer need not be the matrix that is sought"))
            }
            _ => {}
        }
        Ok(())
    }

    /// Keeps the directions whose share of the matrix exceeds the least held-out error, at least one; the others come again in
    /// stages, if the residual asks for them. Returns their number.
    fn drop_unreliable(&mut self, setup: &Setup) -> Result<usize, Error> {
        let (mut state, s) = self.take_state().balanced()?;
        let total = s.iter().map(|value| value * value).sum::<f64>().sqrt();
        let threshold = total * self.least_error / setup.scale;
        let kept = s.iter().filter(|&&value| value > threshold).count().max(1);
        (state.x, state.y) = (state.x.leading_columns(kept), state.y.leading_columns(kept));
        self.phase = after_stage(kept, setup.options.rank);
        self.put_state(state);
        Ok(kept)
    }

    /// Whether the held-out error has not fallen for as many sweeps as the patience allows.
    pub fn out_of_patience(&self, setup: &Setup) -> bool {
        let patience = setup.options.patience;
        patience > 0
            && self.phase == Phase::Full
            && self.best.as_ref().is_some_and(|best| self.sweeps >= best.sweep + patience)
    }

    /// Neither gradient nor objective have moved for long.
    pub fn is_stalled(&self) -> bool {
        self.phase == Phase::Full && self.idle >= 20
    }
}

fn stage_columns(rank: usize) -> usize {
    (rank / 8).max(if rank > 4 { 2 } else { 1 })
}

fn after_stage(have: usize, rank: usize) -> Phase {
    if have >= rank { Phase::Full } else { Phase::Staged { left: STAGE_SWEEPS } }
}

/// Whether the singular values of the zero-filled entries fall within the wanted ones, or don't fall behind them: either
/// way weak directions of the matrix are hidden.
fn looks_ill_conditioned(s: &[f64], rank: usize) -> bool {
    match (s.first(), s.get(rank - 1), s.get(rank)) {
        (Some(&first), Some(&last), next) => {
            first > 3.0 * last || next.is_some_and(|&next| last < 1.1 * next)
        }
        _ => false,
    }
}
