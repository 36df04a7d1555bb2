//! A network learns to balance a pole from an expert: one question an observed state, one step a round.
//!
//! `cargo run --release --example imitation`

use gradus::surrogate::{
    Baseline, BatchSurrogate, Imitation, Inner, InnerSearch, Method, Schedule, StepSize, TargetMetric,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let surrogate = |steps| {
        Method::Surrogate(BatchSurrogate {
            step: StepSize::Fixed { eta: Some(0.3), schedule: Schedule::Constant },
            inner: Inner::Gradient { steps, search: InnerSearch::default() },
            metric: TargetMetric::Identity,
        })
    };
    let methods = [
        (
            "gradient descent, 0.01",
            Method::Baseline(Baseline::Sgd { rate: 0.01, schedule: Schedule::Constant }),
        ),
        ("Adam, 0.01", Method::Baseline(Baseline::Adam { rate: 0.01 })),
        ("surrogate, 1 step", surrogate(1)),
        ("surrogate, 10 steps", surrogate(10)),
        ("surrogate, 100 steps", surrogate(100)),
    ];
    let imitation = Imitation::default();
    println!("{} rounds of {} questions to the expert", imitation.rounds, imitation.samples);
    for (name, method) in methods {
        let learned = imitation.learn(method)?;
        let loss = learned.losses.last().copied().unwrap_or(f64::NAN);
        println!("{name:24} loss {loss:.2e}, balances the pole for {:5.1} of 200 steps", learned.balanced);
    }
    Ok(())
}
