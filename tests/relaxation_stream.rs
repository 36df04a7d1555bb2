//! Streams of systems: published totals, learners against references, saved states, every outcome of a try.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus::control::Status;
use gradus::relaxation::heat::{Heat, laplacian};
use gradus::relaxation::policy::{
    self, ChebCb, Choice, Fixed, Named, Policy, Situation, Tracking, TsallisInf,
};
use gradus::relaxation::shifted::{Shifted, Shifts};
use gradus::relaxation::{Cost, Error, Method, Operator, Stream, StreamSystem};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn situation(context: f64) -> Situation {
    Situation {
        context,
        dominance: 0.0,
        diagonal: None,
        consistently_ordered: false,
        factored: false,
        method: Method::Sor,
    }
}

fn named(name: &str) -> Named {
    name.parse().unwrap()
}

/// Iterations that a policy needs for the built-in shifted systems.
fn shifted_total(shifts: Shifts, name: &str, seed: u64, systems: usize) -> usize {
    let mut source = Shifted::new(shifts, seed).unwrap();
    let mut stream = Stream::named(Method::Sor, &named(name), Shifted::RANGE, seed + 100);
    for _ in 0..systems {
        let answer = stream.solve(&source.system().unwrap()).unwrap();
        assert!(answer.status == Status::Solved && answer.relative_residual <= 1e-8);
    }
    stream.totals().iterations
}

fn heat_total(cells: usize, steps: usize, name: &str) -> usize {
    let mut heat = Heat::new(cells).unwrap();
    let mut stream = Stream::named(Method::SsorCg, &named(name), Heat::RANGE, 1);
    for _ in 0..steps {
        let answer = stream.solve(&heat.system().unwrap()).unwrap();
        assert!(answer.status == Status::Solved && answer.relative_residual <= 1e-8);
        heat.accept(answer.x).unwrap();
    }
    stream.totals().iterations
}

fn near(total: usize, published: f64, share: f64) -> bool {
    (total as f64 / published - 1.0).abs() <= share
}

#[test]
fn totals_of_the_heat_equation_are_the_published_ones() {
    // deterministic: within 0.2 per cent
    for (name, published) in
        [("fixed:1", 32793.0), ("fixed:1.5", 32318.0), ("fixed:1.4", 29413.0), ("auto", 24307.0)]
    {
        let total = heat_total(25, 5000, name);
        assert!(near(total, published, 0.002), "{name}: {total}");
    }
    // learners: within 5 per cent
    for (name, published) in
        [("tsallis-inf", 31184.0), ("tsallis-inf-rv", 30735.0), ("chebcb", 24920.0), ("hill", 25315.0)]
    {
        let total = heat_total(25, 5000, name);
        assert!(near(total, published, 0.05), "{name}: {total}");
    }
    // the learner of this library that is told nothing but contexts and costs is ahead of the published one
    assert!(heat_total(25, 5000, "zoom") <= 24920);
}

#[test]
#[ignore = "a minute: cargo test --release --test relaxation_stream -- --ignored"]
fn totals_of_the_larger_heat_equations_are_the_published_ones() {
    for (cells, steps, name, published) in [
        (50, 5000, "fixed:1", 60733.0),
        (50, 5000, "fixed:1.6", 42908.0),
        (50, 5000, "auto", 34530.0),
        (100, 1000, "fixed:1", 23474.0),
        (100, 1000, "fixed:1.75", 12687.0),
        (100, 1000, "auto", 9936.0),
    ] {
        let total = heat_total(cells, steps, name);
        assert!(near(total, published, 0.002), "{cells} {name}: {total}");
    }
    assert!(heat_total(50, 5000, "zoom") <= 35786 && heat_total(100, 1000, "zoom") <= 11084);
}

#[test]
fn totals_of_shifted_systems_are_the_published_ones() {
    // random systems: the mean of three draws varies by two per cent about its own mean
    let mean = |shifts, name| (1..4).map(|seed| shifted_total(shifts, name, seed, 5000)).sum::<usize>() / 3;
    for (shifts, name, published) in [
        (Shifts::High, "auto", 282_139.0),
        (Shifts::High, "fixed:1.8", 519_883.0),
        (Shifts::Low, "auto", 207_674.0),
        (Shifts::Low, "fixed:1.65", 292_515.0),
    ] {
        let total = mean(shifts, name);
        assert!(near(total, published, 0.025), "{name}: {total}");
    }
    // told nothing but contexts and costs, ahead of the published learner on every draw
    for seed in 1..5 {
        let total = shifted_total(Shifts::High, "zoom", seed, 5000);
        assert!(total <= 335_722, "zoom, {seed}: {total}");
    }
    for (name, published) in
        [("tsallis-inf", 603_855.0), ("tsallis-inf-rv", 596_206.0), ("chebcb", 335_722.0)]
    {
        let total = mean(Shifts::High, name);
        assert!(near(total, published, 0.05), "{name}: {total}");
    }
}

#[test]
fn tsallis_inf_keeps_its_regret_bound_on_bernoulli_costs() {
    let (arms, rounds) = (20, 10_000);
    for seed in 0..5 {
        // other random numbers than the learner's own
        let mut rng = ChaCha8Rng::seed_from_u64(1000 + seed);
        let chances: Vec<f64> = (0..arms).map(|arm| 0.3 + 0.02 * arm as f64).collect();
        for reduced_variance in [false, true] {
            let mut policy = TsallisInf::new(vec![0.0; arms], reduced_variance, seed).unwrap();
            let mut regret = 0.0;
            for _ in 0..rounds {
                let arm = policy.choose(&situation(0.0)).arm.unwrap();
                regret += chances[arm] - chances[0];
                policy.update(1.0 + f64::from(rng.random::<f64>() < chances[arm]));
            }
            let bound = 2.0 * (2.0 * arms as f64 * f64::from(rounds)).sqrt();
            assert!(regret > 0.0 && regret <= bound, "{regret} {bound}");
        }
    }
}

#[test]
fn fits_from_moments_are_the_constrained_least_squares_of_the_whole_history() {
    let grid = policy::omega_grid(5);
    let mut policy = ChebCb::new(grid, -1.0, 2.0, 3).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut history: Vec<Vec<([f64; 6], f64)>> = vec![Vec::new(); 5];
    for round in 0..5000 {
        let context = rng.random_range(-1.0..2.0);
        let choice = policy.choose(&situation(context));
        assert!(choice.probability >= 0.0 && choice.probability <= 1.0 + 1e-12);
        let arm = choice.arm.unwrap();
        let cost =
            10.0 + (3.0 + arm as f64) * (context - 0.3 * arm as f64).abs() + rng.random_range(0.0..2.0);
        let x = (2.0 * (context + 1.0) / 3.0 - 1.0).clamp(-1.0, 1.0);
        let angle = x.acos();
        history[arm].push((std::array::from_fn(|j| (j as f64 * angle).cos()), cost - 1.0));
        policy.update(cost);
        if round % 500 != 499 {
            continue;
        }
        // the conditions of a minimum of sum (f'c - target / scale)^2 within the bounds, from all rounds
        let (bounds, scale) = (policy.bounds(), policy.scale());
        for (arm, rounds) in history.iter().enumerate().filter(|(_, rounds)| rounds.len() >= 20) {
            let c = policy.coefficients(arm);
            for j in 0..6 {
                let gradient: f64 = rounds
                    .iter()
                    .map(|(f, target)| {
                        let fit: f64 = f.iter().zip(c).map(|(f, c)| f * c).sum();
                        (fit - target / scale) * f[j]
                    })
                    .sum();
                let size: f64 = rounds.iter().map(|(_, target)| target / scale).sum();
                let free = c[j].abs() < bounds[j] * (1.0 - 1e-9);
                assert!(c[j].abs() <= bounds[j] * (1.0 + 1e-12));
                let violation = if free { gradient.abs() } else { (gradient * c[j].signum()).max(0.0) };
                assert!(violation <= 1e-9 * size, "arm {arm}, coefficient {j}: {violation:e} of {size:e}");
            }
        }
    }
}

#[test]
fn a_saved_learner_goes_on_bit_for_bit() {
    for name in [
        "auto",
        "fixed:1.5",
        "tsallis-inf",
        "tsallis-inf-rv",
        "tsallis-inf-cb",
        "chebcb",
        "hill",
        "zoom",
        "seeded",
    ] {
        let mut source = Shifted::new(Shifts::Low, 7).unwrap();
        let make = || Stream::named(Method::Sor, &named(name), Shifted::RANGE, 11);
        let mut whole = make();
        for _ in 0..500 {
            whole.solve(&source.system().unwrap()).unwrap();
        }
        let state = whole.save().unwrap();
        let mut resumed = make();
        let expected = named(name).make(Shifted::RANGE, 11).unwrap().name();
        resumed.restore(&state, Some(&expected)).unwrap();
        assert_eq!(resumed.save().unwrap(), state, "{name}");
        for _ in 0..500 {
            let system = source.system().unwrap();
            let (one, other) = (whole.solve(&system).unwrap(), resumed.solve(&system).unwrap());
            assert_eq!(one.choice, other.choice, "{name}");
            assert!(one.x.iter().zip(&other.x).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
        assert_eq!(whole.save().unwrap(), resumed.save().unwrap(), "{name}");
        assert!(resumed.restore(&state, Some("another")).is_err());
    }
}

#[test]
fn states_that_are_none_are_refused() {
    let mut stream = Stream::named(Method::Sor, &Named::Hill, (0.0, 1.0), 0);
    stream.solve(&Shifted::new(Shifts::High, 0).unwrap().system().unwrap()).unwrap();
    let state = stream.save().unwrap();
    for wrong in [
        "",
        "{}",
        "[1, 2]",
        &state[..state.len() / 2],
        &state.replace("\"version\": 1", "\"version\": 2"),
        &state.replace("\"method\": \"sor\"", "\"method\": \"ssor-cg\""),
        &state.replacen("\"plays\": [", "\"plays\": [7,", 1),
        &state.replace("\"arm\": ", "\"arm\": 4"),
        &state.replace("\"policy\": \"hill\"", "\"policy\": \"dale\""),
    ] {
        assert!(matches!(stream.restore(wrong, None), Err(Error::State(_))), "{wrong}");
    }
    stream.restore(&state, None).unwrap();
    for wrong in ["fixed:2", "fixed:x", "tsallis-inf-cb:0", "dale", "auto:1"] {
        assert!(wrong.parse::<Named>().is_err());
    }
    assert!(ChebCb::new(vec![1.0], 1.0, 1.0, 0).is_err() && TsallisInf::new(vec![], false, 0).is_err());
}

#[test]
fn whatever_a_policy_tries_the_system_is_solved() {
    let a = laplacian(30, 30);
    let operator = Operator::new(a.view()).unwrap();
    let b: Vec<f64> = (0..900).map(|i| (i as f64).sin()).collect();
    let system = StreamSystem { operator: &operator, rhs: &b, start: None, context: 0.0 };
    let mut stream = Stream::new(Method::Sor, || Fixed::new(0.01));
    stream.cap = 20;
    let answer = stream.solve(&system).unwrap();
    assert_eq!((answer.status, answer.fallback), (Status::Solved, Some(Method::Cg)));
    assert!(answer.relative_residual <= 1e-8 && answer.iterations > 20);
    assert_eq!(stream.totals().fallbacks, 1);

    // nothing to solve teaches nothing
    let mut stream =
        Stream::named(Method::Sor, &Named::TsallisInf { reduced_variance: false }, (0.0, 1.0), 0);
    let zero = vec![0.0; 900];
    let answer = stream.solve(&StreamSystem { rhs: &zero, ..system }).unwrap();
    assert_eq!((answer.status, answer.iterations), (Status::Solved, 0));
    assert!(answer.x.iter().all(|x| *x == 0.0) && stream.best_arm().is_none());
    let solved = stream.solve(&system).unwrap();
    let again = stream.solve(&StreamSystem { start: Some(&solved.x), ..system }).unwrap();
    assert_eq!((again.status, again.iterations), (Status::Solved, 0));

    let short = stream.solve(&StreamSystem { rhs: &b[1..], ..system });
    assert!(matches!(short, Err(Error::Length { given: 899, .. })));
    let mut indefinite = Operator::new(a.view()).unwrap();
    indefinite.set_shift(-2.0).unwrap();
    for method in [Method::Sor, Method::SsorCg] {
        let mut stream = Stream::named(method, &Named::Auto, (0.0, 1.0), 0);
        let solved = stream.solve(&StreamSystem { operator: &indefinite, ..system });
        assert!(matches!(solved, Err(Error::NotPositiveDefinite { .. })), "{method:?}");
    }
}

#[test]
fn contexts_outside_their_range_are_clamped_and_counted() {
    let mut policy = ChebCb::new(policy::omega_grid(20), 0.0, 1.0, 0).unwrap();
    let mut zoom = policy::Zoom::new(policy::omega_grid(20), 0.0, 1.0, 0).unwrap();
    for context in [-5.0, 0.0, 0.5, 1.0, 1e300, f64::NAN] {
        for policy in [&mut policy as &mut dyn Policy, &mut zoom] {
            assert!(policy.choose(&situation(context)).value >= 1.0);
            policy.update(10.0);
        }
    }
    assert_eq!((policy.clamped(), zoom.clamped()), (3, 3));
    // equal costs, one arm: nothing to learn, nothing to fail at
    let mut single = TsallisInf::new(vec![1.5], false, 0).unwrap();
    for _ in 0..100 {
        assert_eq!(
            single.choose(&situation(0.0)),
            Choice { probability: 1.0, explored: false, ..single.choose(&situation(0.0)) }
        );
        single.update(1.0);
    }
}

#[test]
fn learners_are_kept_apart_by_size_and_pattern() {
    let mut stream =
        Stream::named(Method::SsorCg, &Named::TsallisInf { reduced_variance: false }, (0.0, 1.0), 5);
    let mut arms = [Vec::new(), Vec::new()];
    for _ in 0..20 {
        for (k, size) in [12, 15].into_iter().enumerate() {
            let operator = Operator::new(laplacian(size, size).view()).unwrap();
            let b = vec![1.0; size * size];
            let system = StreamSystem { operator: &operator, rhs: &b, start: None, context: 0.0 };
            arms[k].push(stream.solve(&system).unwrap().choice.arm);
        }
    }
    assert_eq!(stream.save().unwrap().matches("\"rounds\": 20").count(), 2);
    // the same random numbers at first, then costs of their own
    assert_eq!(arms[0][0], arms[1][0]);
}

/// 500 systems whose best configuration changes half-way: matrices that change every time and are easy for CG, then one hard
/// matrix with many right-hand sides, for which a factorisation pays.
fn changing(mut solve: impl FnMut(&StreamSystem) -> f64) -> f64 {
    let easy = laplacian(40, 40);
    let mut operator = Operator::new(easy.view()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut b = vec![0.0; 1600];
    let mut total = 0.0;
    for k in 0..500 {
        operator.set_shift(if k < 250 { 1.0 + rng.random::<f64>() } else { 0.0 }).unwrap();
        b.iter_mut().for_each(|b| *b = rng.random_range(-1.0..1.0));
        total += solve(&StreamSystem { operator: &operator, rhs: &b, start: None, context: 0.0 });
    }
    total
}

#[test]
fn the_choice_of_configurations_is_within_a_tenth_of_the_best_single_one() {
    let arms = vec![Method::Cg, Method::SsorCg, Method::IncompleteCholeskyCg, Method::Direct];
    let run = |arms: Vec<Method>| {
        let mut stream = Stream::of_configurations(arms, Tracking::new);
        stream.cost = Cost::Flops;
        changing(|system| {
            let answer = stream.solve(system).unwrap();
            assert!(answer.status == Status::Solved && answer.relative_residual <= 1e-8);
            answer.flops
        })
    };
    let best = arms.iter().map(|arm| run(vec![*arm])).fold(f64::INFINITY, f64::min);
    let learned = run(arms);
    assert!(learned <= 1.1 * best, "{:.3} of the best single configuration", learned / best);
}
