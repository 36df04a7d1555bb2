//! Matrices with holes.

use gradus::completion::{
    Checkpoint, Completion, Duplicates, HalfStep, Loss, LowRankModel, Observations, RidgeKind, Start,
    StartRule,
};
use gradus::control::{Monitor, Status};

use super::random::Random;
use super::{Answer, Trial};

pub fn completion(random: &mut Random) -> Trial {
    let (m, n) = (random.size(20, 150), random.size(15, 120));
    let (a, b) = (random.numbers(2 * m), random.numbers(2 * n));
    let noise = random.choose(&[0.0, 0.01, 1.0]);
    let density = 1 + random.below(4);
    let mut entries = Vec::new();
    for i in 0..m {
        for j in 0..n {
            if random.below(4) < density {
                let value = a[2 * i] * b[2 * j] + a[2 * i + 1] * b[2 * j + 1] + noise * random.uniform();
                entries.push((i as u32, j as u32, value));
            }
        }
    }
    if random.chance(6) {
        entries.extend(entries.first().copied());
    }
    let rank = random.choose(&[1, 2, 2, 3, 7]);
    let implicit = random.chance(8).then(|| random.option(&[1.0, 10.0]));
    let options = Completion {
        rank,
        automatic_rank: random.chance(6),
        ridge: random.option(&[0.0, 0.1, 1.0, 1e-9]),
        ridge_kind: random.choose(&[RidgeKind::ByCount, RidgeKind::Uniform]),
        biases: random.chance(4),
        loss: random.choose(&[Loss::Squares, Loss::Squares, Loss::Huber, Loss::Absolute]),
        implicit,
        nonnegative: random.chance(8),
        half_step: random.choose(&[
            HalfStep::Auto,
            HalfStep::Exact,
            HalfStep::Preconditioned,
            HalfStep::Sketched { ratio: 3 },
        ]),
        start: random.choose(&[StartRule::Auto, StartRule::Spectral, StartRule::Staged, StartRule::Random]),
        trim: random.chance(4),
        validation: random.choose(&[None, None, Some(0.1)]),
        single_precision: random.chance(6),
        seed: random.seed(),
        ..Default::default()
    };
    let name = format!(
        "completion {m} x {n} rank {rank} {:?} {:?} {:?}",
        random.damage, options.loss, options.half_step
    );
    let data: Vec<f64> = entries.iter().map(|entry| entry.2).collect();
    let resumed = random.chance(3);
    let trial = Trial::new(name, 0, move |limits, monitor| {
        let problem =
            Observations::new(m, n, &entries, Duplicates::Mean).map_err(|error| error.to_string())?;
        let solver = Completion { limits: limits.clone(), ..options.clone() };
        let mut kept = None;
        let mut save = |sweeps: usize, checkpoint: &dyn Fn() -> Checkpoint| {
            if resumed && sweeps <= 3 {
                kept = Some(serde_json::to_string(&checkpoint()).unwrap());
            }
        };
        let solution = solver
            .solve_saving(&problem, Start::Cold, monitor, &mut save)
            .map_err(|error| error.to_string())?;
        let cells = || (0..m).flat_map(|i| (0..n).map(move |j| (i, j)));
        let predict = |model: &LowRankModel| cells().map(|(i, j)| model.predict(i, j)).collect::<Vec<f64>>();
        let mut answer = Answer::new(predict(&solution.model), &solution.summary);
        let told = solution.objective.is_finite() && solution.train_rmse.is_finite();
        answer = answer.require(told, || "an objective or an error that is no number".into());
        // what runs to its own end, from its start or from a checkpoint, ends with the same bits
        let own_end = !matches!(answer.status, Status::Interrupted | Status::TimeLimit);
        if let Some(kept) = kept.filter(|_| own_end) {
            let checkpoint: Checkpoint = serde_json::from_str(&kept).map_err(|error| error.to_string())?;
            let again = solver
                .solve_with(&problem, Start::Checkpoint(&checkpoint), &mut Monitor::none())
                .map_err(|error| format!("a checkpoint of this run: {error}"))?;
            let resumed = Answer::new(predict(&again.model), &again.summary);
            let same = resumed.bits() == answer.bits();
            answer = answer.require(same, || "a resumed run ends elsewhere".into());
        }
        // without held-out entries the error over all of them is known
        let plain = solution.validation_rmse.is_none()
            && !options.trim
            && options.loss == Loss::Squares
            && options.implicit.is_none();
        if plain && !options.single_precision {
            let (mut sum, mut largest, mut count) = (0.0, 0.0f64, 0.0);
            for (i, j, value) in problem.entries() {
                sum += (solution.model.predict(i as usize, j as usize) - value).powi(2);
                largest = largest.max(value.abs());
                count += 1.0;
            }
            let found: f64 = (sum / count).sqrt();
            if found.is_finite() && found > 1e-150 {
                answer = answer.expect("the error", solution.train_rmse, found, largest);
            }
        }
        Ok(answer)
    });
    trial.on(&[&data])
}
