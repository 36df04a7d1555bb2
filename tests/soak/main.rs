//! Every solver on random problems, many of them damaged: NaN and infinities, nothing at all, repeated and constant
//! columns, scales near the ends of the doubles; stopped at random iterations; on 1, 2 and 4 threads.
//!
//! What must hold: no panic; data that are no numbers are refused; an error or a status that is true; an answer without
//! NaN; what it says of itself, worked out anew; the same bits for every number of threads and every repetition; bounds on
//! the optimum that agree with those of a longer run, so that no certificate is below the true error; and problems that
//! are known to be harmless are solved.
//!
//! Few problems of each family are run by `cargo test`. A longer run, and one problem alone, by the number that its
//! failure tells:
//!
//! ```text
//! GRADUS_SOAK_CASES=1000 GRADUS_SOAK_SEED=7 cargo test --release --test soak
//! GRADUS_SOAK_SEED=7 GRADUS_SOAK_ONLY=12 cargo test --release --test soak linear_models -- --nocapture
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod completions;
mod models;
mod networks;
mod plans;
mod programs;
mod random;
mod surrogates;
mod systems;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use gradus::control::{Limits, Monitor, Status, Summary};
use random::Random;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// What a run says, as far as the soak looks at it.
pub struct Answer {
    /// The numbers of the answer.
    pub values: Vec<f64>,
    /// Why the run ended.
    pub status: Status,
    /// 0 where there is none.
    pub objective: f64,
    /// What is compared with the tolerance.
    pub measure: f64,
    /// As many as there were, or `usize::MAX` where another limit than the common one ended the run.
    pub iterations: usize,
    /// The optimum of the problem lies between these, if the answer claims to know.
    pub bounds: Option<(f64, f64)>,
    /// Something that the answer says wrongly of itself.
    pub flaw: Option<String>,
}

impl Answer {
    /// An answer without bounds whose relative certificate is compared with the tolerance.
    pub fn new(values: Vec<f64>, summary: &Summary) -> Self {
        Self {
            values,
            status: summary.status,
            objective: summary.objective,
            measure: summary.certificate.relative,
            iterations: summary.iterations,
            bounds: None,
            flaw: None,
        }
    }

    /// With the bounds of a duality gap.
    pub fn with_gap(mut self, summary: &Summary) -> Self {
        if summary.certificate.kind.contains("gap") {
            self.bounds = Some((summary.objective - summary.certificate.value, summary.objective));
        }
        self
    }

    /// Notes a flaw unless two numbers agree to 1e-8 of a scale.
    pub fn expect(self, what: &str, said: f64, found: f64, scale: f64) -> Self {
        let agree = !scale.is_finite() || (said - found).abs() <= 1e-8 * scale.max(found.abs());
        self.require(agree, || format!("{what} is said to be {said:e}, and is {found:e}"))
    }

    /// Notes a flaw unless something is true.
    pub fn require(mut self, fact: bool, flaw: impl Fn() -> String) -> Self {
        if !fact {
            self.flaw = Some(flaw());
        }
        self
    }

    /// Notes a flaw if an answer counts as solved and a certificate worked out anew is above the tolerance.
    pub fn certified(self, certificate: f64, tolerance: f64) -> Self {
        let honest = self.status != Status::Solved || certificate <= tolerance * (1.0 + 1e-6) + 1e-14;
        self.require(honest, || format!("solved, and the certificate is {certificate:e}"))
    }

    fn bits(&self) -> Vec<u64> {
        let numbers = [self.objective, self.measure, self.iterations as f64, self.status as u8 as f64];
        self.values.iter().chain(&numbers).map(|value| value.to_bits()).collect()
    }
}

/// A problem and a solver with all options but the limits.
pub struct Trial {
    /// For the reader of a failure.
    pub name: String,
    /// Iterations after which a run of this solver is long enough for a comparison.
    long: usize,
    /// Data that are no numbers.
    bad: bool,
    /// Tolerance and iterations that are known to suffice.
    easy: Option<(f64, usize)>,
    solve: Box<Solve>,
}

type Solve = dyn Fn(&Limits, &mut Monitor) -> Result<Answer, String> + Sync;

impl Trial {
    /// A trial that nothing is known about.
    pub fn new(
        name: impl Into<String>,
        long: usize,
        solve: impl Fn(&Limits, &mut Monitor) -> Result<Answer, String> + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), long, bad: false, easy: None, solve: Box::new(solve) }
    }

    /// With data of which at least one number may be none: the problem must then be refused, whatever the limits.
    pub fn on(mut self, data: &[&[f64]]) -> Self {
        self.bad |= !data.iter().all(|data| all_finite(data));
        self
    }

    /// A problem that a run with this tolerance and so many iterations must solve, if the condition holds.
    pub fn easy_if(mut self, easy: bool, tolerance: f64, iterations: usize) -> Self {
        self.easy = easy.then_some((tolerance, iterations));
        self
    }
}

/// Whether all of these are numbers.
pub fn all_finite(data: &[f64]) -> bool {
    data.iter().all(|value| value.is_finite())
}

/// What ends a run besides its own limits.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stop {
    Never,
    /// The observer breaks at this record.
    Record(usize),
    /// The flag is set before the start.
    Flag,
}

const PANIC: &str = "a panic";

fn run(trial: &Trial, limits: &Limits, stop: Stop, pool: &ThreadPool) -> Result<Answer, String> {
    let work = || {
        pool.install(|| {
            let mut monitor = match stop {
                Stop::Never => Monitor::none(),
                Stop::Record(last) => Monitor::none().with_observer(move |record| {
                    if record.iteration >= last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                }),
                Stop::Flag => Monitor::none().with_interrupt(Arc::new(AtomicBool::new(true))),
            };
            (trial.solve)(limits, &mut monitor)
        })
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(PANIC.into()))
}

/// What is wrong with one answer.
fn check(answer: &Answer, limits: &Limits, stop: Stop) -> Result<(), String> {
    if let Some(flaw) = &answer.flaw {
        return Err(flaw.clone());
    }
    if let Some(k) = answer.values.iter().position(|value| !value.is_finite()) {
        return Err(format!("entry {k} of the answer is {} ({:?})", answer.values[k], answer.status));
    }
    let honest = match answer.status {
        Status::Solved => answer.measure <= limits.tolerance && answer.objective.is_finite(),
        Status::Interrupted => stop != Stop::Never,
        Status::TimeLimit => limits.time_limit.is_some(),
        Status::IterationLimit => answer.iterations >= limits.max_iterations.min(1 << 20),
        Status::Stalled | Status::Infeasible | Status::Unbounded => true,
    };
    if !honest {
        return Err(format!(
            "status {:?} with measure {:e}, objective {:e}, {} iterations; {limits:?}, {stop:?}",
            answer.status, answer.measure, answer.objective, answer.iterations
        ));
    }
    match answer.bounds {
        Some((low, high)) if low > high + 1e-12 * high.abs() => {
            Err(format!("the certificate is negative: {low:e} to {high:e}"))
        }
        _ => Ok(()),
    }
}

/// The optimum must lie in both intervals.
fn compare(short: &Answer, long: &Answer) -> Result<(), String> {
    let (Some((low, high)), Some((low2, high2))) = (short.bounds, long.bounds) else { return Ok(()) };
    let slack = 1e-9
        * [low, high, low2, high2]
            .into_iter()
            .filter(|v| v.is_finite())
            .fold(0.0, |m: f64, v| m.max(v.abs()));
    if low > high2 + slack || low2 > high + slack {
        return Err(format!(
            "the optimum is said to lie in [{low:e}, {high:e}] and, after a longer run, in [{low2:e}, {high2:e}]"
        ));
    }
    Ok(())
}

fn examine(trial: &Trial, random: &mut Random, pools: &[ThreadPool; 3]) -> Result<Option<Status>, String> {
    let limits = Limits {
        tolerance: random.choose(&[1e-3, 1e-6, 1e-9, 0.0]),
        max_iterations: random.choose(&[0, 1, 3, 20, 100, 100, 400]),
        time_limit: random.choose(&[None, None, None, None, None, None, None, Some(Duration::ZERO)]),
    };
    let record = random.below(12);
    let stop = random.choose(&[Stop::Never, Stop::Never, Stop::Record(record), Stop::Flag]);
    let first = run(trial, &limits, stop, &pools[0]);
    for pool in pools {
        let again = run(trial, &limits, stop, pool);
        let same = match (&first, &again) {
            (Ok(a), Ok(b)) => a.bits() == b.bits(),
            (Err(a), Err(b)) => a == b,
            _ => false,
        };
        if !same {
            let word = |answer: &Result<Answer, String>| match answer {
                Ok(answer) => format!("{:?} {:e} {}", answer.status, answer.objective, answer.iterations),
                Err(error) => error.clone(),
            };
            let threads = pool.current_num_threads();
            return Err(format!("other bits on {threads} threads: {} and {}", word(&first), word(&again)));
        }
    }
    let answer = match first {
        Ok(_) if trial.bad => return Err("data that are no numbers are taken".into()),
        Ok(answer) => answer,
        Err(error) if error == PANIC || error.trim().is_empty() => return Err(error),
        Err(error) if trial.easy.is_some() => return Err(format!("refused: {error}")),
        Err(_) => return Ok(None),
    };
    check(&answer, &limits, stop)?;
    if answer.bounds.is_some() {
        let limits = Limits { tolerance: 1e-11, max_iterations: trial.long, time_limit: None };
        // a run that was stopped at once may not have met what a longer one is refused for
        match run(trial, &limits, Stop::Never, &pools[1]) {
            Ok(long) => {
                check(&long, &limits, Stop::Never)?;
                compare(&answer, &long)?;
            }
            Err(error) if error == PANIC => return Err(error),
            Err(_) => {}
        }
    }
    if let Some((tolerance, max_iterations)) = trial.easy {
        let limits = Limits { tolerance, max_iterations, time_limit: None };
        let answer = run(trial, &limits, Stop::Never, &pools[1])?;
        check(&answer, &limits, Stop::Never)?;
        if answer.status != Status::Solved {
            return Err(format!(
                "an easy problem is left at {:?}, {:e} after {} iterations",
                answer.status, answer.measure, answer.iterations
            ));
        }
    }
    Ok(Some(answer.status))
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Runs problems of a family, each from a seed of its own.
fn soak(cases: u64, family: fn(&mut Random) -> Trial) {
    let cases = setting("GRADUS_SOAK_CASES").unwrap_or(cases);
    let seed = setting("GRADUS_SOAK_SEED").unwrap_or(0);
    let only = setting("GRADUS_SOAK_ONLY");
    let pools = [1, 2, 4].map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    let (mut flaws, mut answered) = (0, 0);
    let numbers = only.map_or(0..cases, |only| only..only + 1);
    for number in numbers.clone() {
        let mut random = Random::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let trial = family(&mut random);
        match examine(&trial, &mut random, &pools) {
            Ok(status) => {
                answered += u64::from(status.is_some());
                if only.is_some() {
                    println!("{number}: {}: {}", trial.name, status.map_or("refused", Status::name));
                }
            }
            Err(flaw) => {
                println!("{number}: {}: {flaw}", trial.name);
                flaws += 1;
            }
        }
    }
    assert_eq!(flaws, 0, "flaws; they are named above");
    println!("{answered} of {} answered, the others refused", numbers.end - numbers.start);
    // the soak would be no test if nothing got through
    assert!(only.is_some() || answered >= cases / 3, "only {answered} of {cases} are problems");
}

#[test]
fn linear_models() {
    soak(40, models::linear);
}

#[test]
fn groups_classes_and_hinges() {
    soak(40, models::other);
}

#[test]
fn blocks() {
    soak(40, models::blocks);
}

#[test]
fn graphs() {
    soak(40, models::graph);
}

#[test]
fn surrogates() {
    soak(40, surrogates::surrogate);
}

#[test]
fn interior_point() {
    soak(40, programs::interior_point);
}

#[test]
fn sketch_newton() {
    soak(40, programs::sketch_newton);
}

#[test]
fn transport() {
    soak(40, plans::balanced);
}

#[test]
fn unbalanced_transport() {
    soak(40, plans::unbalanced);
}

#[test]
fn completions() {
    soak(40, completions::completion);
}

#[test]
fn linear_systems() {
    soak(40, systems::relaxation);
}

#[test]
fn streams() {
    soak(40, systems::stream);
}

#[test]
fn networks() {
    soak(40, networks::convex);
}

#[test]
fn other_networks() {
    soak(40, networks::other);
}
