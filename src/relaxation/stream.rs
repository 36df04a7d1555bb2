//! One system after the other, omega or the whole method chosen by a policy.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, End, Stop, System as Inner};
use super::engine::Engine;
use super::policy::{self, Choice, Policy, Situation};
use super::solution::status_of;
use super::{Error, Method, Operator, check_vector, formula_for};
use crate::control::{Monitor, Status};
use crate::linalg::product::norm;

/// What a learner is told a system cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cost {
    /// Sweeps or CG steps, probe and fallback included.
    #[default]
    Iterations,
    /// Floating-point operations over two per stored entry: products with A.
    Flops,
    /// Microseconds.
    Seconds,
}

/// A method with everything it needs, as an arm: omega by formula or probe.
pub type Configuration = Method;

/// One system of a sequence.
#[derive(Clone, Copy, Debug)]
pub struct System<'a> {
    /// The matrix, with its shift.
    pub operator: &'a Operator,
    /// b.
    pub rhs: &'a [f64],
    /// Where to start; from zero where None.
    pub start: Option<&'a [f64]>,
    /// A number that tells something of the system, for the policies that use one.
    pub context: f64,
}

/// What solving one system of a sequence gave.
#[derive(Clone, Debug)]
pub struct Answer {
    /// x.
    pub x: Vec<f64>,
    /// Solved, unless a time limit, an interruption or rounding came before.
    pub status: Status,
    /// |b - A x| / |b|, recomputed from x.
    pub relative_residual: f64,
    /// Which method was tried.
    pub method: Method,
    /// With which omega; None for methods without one.
    pub omega: Option<f64>,
    /// What the policy drew.
    pub choice: Choice,
    /// Sweeps or CG steps, probe and fallback included.
    pub iterations: usize,
    /// Steps of the probe among them.
    pub probe_steps: usize,
    /// Floating-point operations.
    pub flops: f64,
    /// Wall-clock time.
    pub seconds: f64,
    /// Which method finished the system after the policy's had given up.
    pub fallback: Option<Method>,
}

/// Makes the policy of a new learner.
type Factory = Box<dyn Fn() -> Result<Box<dyn Policy>, Error> + Send>;

/// Solves one system after the other; learns from what each cost.
///
/// Each size and pattern of the matrix has a learner of its own. Whatever a learner tries, every system is finished: a method that meets
/// its cap, diverges or stagnates is followed by Jacobi-CG and then by a factorisation, and costs what all that cost.
pub struct Stream {
    /// Solved at |b - A x| <= tolerance |b|.
    pub tolerance: f64,
    /// Solved at |b - A x| <= this, too.
    pub absolute_tolerance: f64,
    /// Iterations after which a try is given up.
    pub cap: usize,
    /// The method whose omega the policy chooses. Not used where the arms are configurations.
    pub method: Method,
    /// What the policy is told.
    pub cost: Cost,
    configurations: Option<Vec<Configuration>>,
    factory: Factory,
    learners: BTreeMap<Key, Learner>,
    engine: Engine,
    summary: Totals,
}

/// Tells learners apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    n: usize,
    pattern: u64,
}

/// A policy and what its arms cost.
struct Learner {
    policy: Box<dyn Policy>,
    /// Of each arm: sums of cost / probability and of its square.
    weighted: Vec<[f64; 2]>,
    rounds: u64,
}

impl Learner {
    fn new(policy: Box<dyn Policy>) -> Self {
        let weighted = vec![[0.0; 2]; policy.values().len()];
        Self { policy, weighted, rounds: 0 }
    }

    fn update(&mut self, choice: &Choice, cost: f64) {
        self.policy.update(cost);
        self.rounds += 1;
        if let Some(sums) = choice.arm.and_then(|arm| self.weighted.get_mut(arm)) {
            let estimate = cost / choice.probability.max(1e-12);
            sums[0] += estimate;
            sums[1] += estimate * estimate;
        }
    }
}

/// What a stream has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Systems.
    pub systems: usize,
    /// Sweeps and CG steps.
    pub iterations: usize,
    /// Floating-point operations.
    pub flops: f64,
    /// Wall-clock time.
    pub seconds: f64,
    /// Systems for which the policy tried something else than what it thought best.
    pub explored: usize,
    /// Systems that another method had to finish.
    pub fallbacks: usize,
    /// Systems that are not solved to the tolerance.
    pub unsolved: usize,
    /// The largest |b - A x| / |b|.
    pub relative_residual: f64,
}

/// The best single arm in hindsight, judged from the systems on which it was drawn, weighted by their probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BestArm {
    /// The arm's value: an omega, or the number of a configuration.
    pub value: f64,
    /// What it would have cost on all systems, estimated.
    pub cost: f64,
    /// The standard error of that.
    pub standard_error: f64,
}

impl Stream {
    /// With an omega for each system from the policies that `factory` makes, one for each size and pattern of the matrix.
    pub fn new<P: Policy + 'static>(
        method: Method,
        factory: impl Fn() -> Result<P, Error> + Send + 'static,
    ) -> Self {
        Self::with_factory(method, None, Box::new(move || Ok(Box::new(factory()?))))
    }

    /// The same by the name of the policy: see [`policy::Named`].
    pub fn named(method: Method, name: &policy::Named, range: (f64, f64), seed: u64) -> Self {
        let name = *name;
        Self::with_factory(method, None, Box::new(move || name.make(range, seed)))
    }

    /// With a method for each system, from the policies that `factory` makes for arms of values 0, 1, ... in the order of the
    /// configurations.
    pub fn of_configurations<P: Policy + 'static>(
        configurations: Vec<Configuration>,
        factory: impl Fn(Vec<f64>) -> Result<P, Error> + Send + 'static,
    ) -> Self {
        let values: Vec<f64> = (0..configurations.len()).map(|arm| arm as f64).collect();
        let factory: Factory = Box::new(move || Ok(Box::new(factory(values.clone())?)));
        Self::with_factory(Method::SsorCg, Some(configurations), factory)
    }

    fn with_factory(method: Method, configurations: Option<Vec<Configuration>>, factory: Factory) -> Self {
        Self {
            tolerance: 1e-8,
            absolute_tolerance: 0.0,
            cap: 10_000,
            method,
            cost: Cost::Iterations,
            configurations,
            factory,
            learners: BTreeMap::new(),
            engine: Engine::default(),
            summary: Totals::default(),
        }
    }

    /// Solves the next system and learns from it.
    ///
    /// # Errors
    /// Vectors of the wrong length or with entries that aren't finite, a matrix that is not positive definite, options out of range.
    pub fn solve(&mut self, system: &System) -> Result<Answer, Error> {
        self.solve_with(system, &mut Monitor::none())
    }

    /// The same, interruptible: the monitor is looked at before every system, its flag every iteration.
    ///
    /// # Errors
    /// See [`solve`](Self::solve).
    pub fn solve_with(&mut self, system: &System, monitor: &mut Monitor) -> Result<Answer, Error> {
        let started = Instant::now();
        let operator = system.operator;
        check_vector("the right-hand side", system.rhs, operator.dimension())?;
        if let Some(start) = system.start {
            check_vector("the starting point", start, operator.dimension())?;
        }
        let inner_b = operator.enter(system.rhs);
        let inner = Inner { operator, b: inner_b.as_deref().unwrap_or(system.rhs) };
        let b_norm = norm(inner.b);
        let mut x = match system.start {
            Some(start) if b_norm > 0.0 => operator.enter(start).unwrap_or_else(|| start.to_vec()),
            _ => vec![0.0; system.rhs.len()],
        };
        let target = (self.tolerance * b_norm).max(self.absolute_tolerance);
        let key = Key { n: operator.dimension(), pattern: operator.pattern() };
        let mut learner = match self.learners.remove(&key) {
            Some(learner) => learner,
            None => Learner::new((self.factory)()?),
        };
        let tried = self.attempt(inner, system.context, &mut learner, &mut x, target, monitor);
        self.learners.insert(key, learner);
        let mut answer = tried?;
        if inner_b.is_some() {
            answer.x = vec![0.0; x.len()];
            operator.leave(&x, &mut answer.x);
        } else {
            answer.x = x;
        }
        if answer.relative_residual > 0.0 {
            answer.relative_residual /= b_norm;
        }
        answer.seconds = started.elapsed().as_secs_f64();
        self.summary.add(&answer);
        Ok(answer)
    }

    /// Choice, probe, method, fallback, update. Leaves |b - A x| in the answer's residual, and x with the caller.
    fn attempt(
        &mut self,
        system: Inner,
        context: f64,
        learner: &mut Learner,
        x: &mut [f64],
        target: f64,
        monitor: &mut Monitor,
    ) -> Result<Answer, Error> {
        let started = Instant::now();
        let operator = system.operator;
        let situation = Situation {
            context,
            dominance: operator.dominance(),
            diagonal: operator.constant_diagonal(),
            consistently_ordered: self.method == Method::Sor && operator.is_consistently_ordered(),
            factored: self.configurations.is_some() && self.engine.is_factored(system),
            method: self.method,
        };
        let choice = learner.policy.choose(&situation);
        let method = self.method_of(&choice)?;
        let mut watch = |_: usize, _: f64| monitor.interrupted().then_some(Status::Interrupted);
        let mut answer = Answer {
            x: Vec::new(),
            status: Status::Solved,
            relative_residual: 0.0,
            method,
            omega: None,
            choice,
            iterations: 0,
            probe_steps: 0,
            flops: 0.0,
            seconds: 0.0,
            fallback: None,
        };
        let stop = Stop { target, cap: self.cap };
        let (mut omega, mut last) = (choice.value, End::Capped);
        let asks = if self.configurations.is_some() {
            omega = formula_for(method, operator, situation.dominance);
            method.has_omega() && situation.dominance < super::CLEAR_DOMINANCE
        } else {
            choice.probe
        };
        if asks {
            let (done, gap) = self.engine.probe(method, system, x, stop, &mut watch)?;
            answer.add(&done);
            answer.probe_steps = done.iterations;
            last = done.end;
            if let Some(gap) = gap {
                omega = learner.policy.after_probe(&Situation { method, ..situation }, gap);
            }
        }
        if last == End::Capped {
            if method.has_omega() {
                super::check_omega(omega)?;
            }
            let done = self.engine.attempt(method, omega, system, x, stop, None, &mut watch)?;
            answer.omega = method.has_omega().then_some(omega);
            answer.add(&done);
            last = done.end;
        }
        if matches!(last, End::Capped | End::Diverged | End::Stagnated) {
            let rest = Stop { cap: stop.cap.max(10 * x.len()), ..stop };
            let (done, method) = self.engine.finish(system, x, rest, &mut watch)?;
            answer.add(&done);
            answer.fallback = Some(method);
            last = done.end;
        }
        if let End::Indefinite(rayleigh) = last {
            return Err(Error::NotPositiveDefinite { rayleigh });
        }
        if answer.status != Status::Interrupted && (answer.iterations > 1 || self.cost != Cost::Iterations) {
            let cost = match self.cost {
                Cost::Iterations => answer.iterations as f64,
                Cost::Flops => 1.0 + answer.flops / (2.0 * operator.nonzeros().max(1) as f64),
                Cost::Seconds => 1.0 + 1e6 * started.elapsed().as_secs_f64(),
            };
            learner.update(&choice, cost);
        }
        Ok(answer)
    }

    fn method_of(&self, choice: &Choice) -> Result<Method, Error> {
        match &self.configurations {
            None => Ok(self.method),
            Some(configurations) => {
                configurations.get(choice.arm.unwrap_or(choice.value as usize)).copied().ok_or_else(|| {
                    Error::Option("the policy chose an arm that stands for no configuration".into())
                })
            }
        }
    }

    /// What has been done so far.
    pub fn totals(&self) -> Totals {
        self.summary
    }

    /// The best single arm in hindsight, of the learner with the most systems; None for policies without arms. Meaningful for
    /// policies that draw every arm with some probability.
    pub fn best_arm(&self) -> Option<BestArm> {
        let learner = self.learners.values().max_by_key(|learner| learner.rounds)?;
        let rounds = learner.rounds as f64;
        let arms = learner.weighted.iter().zip(learner.policy.values());
        let drawn = arms.filter(|([sum, _], _)| *sum > 0.0);
        let best = drawn.min_by(|([a, _], _), ([b, _], _)| a.total_cmp(b));
        best.map(|([sum, squares], value)| BestArm {
            value: *value,
            cost: *sum,
            standard_error: (squares - sum * sum / rounds).max(0.0).sqrt(),
        })
    }

    /// The learners' states as JSON, for [`restore`](Self::restore): they then go on bit for bit.
    ///
    /// # Errors
    /// `State` for a policy that can't be saved.
    pub fn save(&self) -> Result<String, Error> {
        let learner = |(key, learner): (&Key, &Learner)| -> Result<SavedLearner, Error> {
            Ok(SavedLearner {
                name: learner.policy.name(),
                key: *key,
                rounds: learner.rounds,
                weighted: learner.weighted.clone(),
                state: learner.policy.save()?,
            })
        };
        let learners = self.learners.iter().map(learner).collect::<Result<_, _>>()?;
        let saved = SavedStream { version: VERSION, method: self.method, cost: self.cost, learners };
        serde_json::to_string_pretty(&saved).map_err(|error| Error::State(error.to_string()))
    }

    /// Takes up the learners that [`save`](Self::save) wrote, in place of those at hand.
    ///
    /// # Errors
    /// `State` for text that isn't such a state, one of another version, method or cost, or with learners under another name than
    /// `expected` (where given).
    pub fn restore(&mut self, text: &str, expected: Option<&str>) -> Result<(), Error> {
        let saved: SavedStream = serde_json::from_str(text)
            .map_err(|error| Error::State(format!("not the state of a stream: {error}")))?;
        if saved.version != VERSION {
            return Err(Error::State(format!(
                "the state has version {}; {VERSION} is expected",
                saved.version
            )));
        }
        if (saved.method, saved.cost) != (self.method, self.cost) {
            return Err(Error::State(format!(
                "the state was learned with {} and cost {:?}, not with {} and {:?}",
                saved.method.name(),
                saved.cost,
                self.method.name(),
                self.cost
            )));
        }
        let mut learners = BTreeMap::new();
        for one in saved.learners {
            if let Some(expected) = expected.filter(|expected| *expected != one.name) {
                return Err(Error::State(format!(
                    "the state holds a learner '{}', not '{expected}'",
                    one.name
                )));
            }
            let policy = policy::restore(one.state)?;
            if policy.values().len() != one.weighted.len() {
                return Err(Error::State("a saved learner's parts don't fit together".into()));
            }
            learners.insert(one.key, Learner { policy, weighted: one.weighted, rounds: one.rounds });
        }
        self.learners = learners;
        Ok(())
    }
}

/// The version of the saved states.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct SavedStream {
    version: u32,
    method: Method,
    cost: Cost,
    learners: Vec<SavedLearner>,
}

#[derive(Serialize, Deserialize)]
struct SavedLearner {
    name: String,
    #[serde(flatten)]
    key: Key,
    rounds: u64,
    weighted: Vec<[f64; 2]>,
    state: serde_json::Value,
}

impl Answer {
    /// Adds a run; its end and residual are now the answer's.
    fn add(&mut self, done: &Attempt) {
        self.iterations += done.iterations;
        self.flops += done.flops;
        self.relative_residual = done.residual;
        self.status = status_of(done.end);
    }
}

impl Totals {
    fn add(&mut self, answer: &Answer) {
        self.systems += 1;
        self.iterations += answer.iterations;
        self.flops += answer.flops;
        self.seconds += answer.seconds;
        self.explored += usize::from(answer.choice.explored);
        self.fallbacks += usize::from(answer.fallback.is_some());
        self.unsolved += usize::from(answer.status != Status::Solved);
        self.relative_residual = self.relative_residual.max(answer.relative_residual);
    }
}
