//! Training against perturbations, beside adversarial training.

use gradus::control::{Limits, Status};
use gradus::relu::local::Adam;
use gradus::relu::robust::{Attack, Budget, Norm, attack, train_adversarially};
use gradus::relu::{Loss, RobustRelu};
use gradus::report::html::Section;
use gradus::report::{Scale, Series};
use serde_json::json;

use super::{Chapter, Context, TUMOURS, accuracy, columns, figure, note, plot, problem, solver};
use crate::output::Failure;

/// Accuracy under attack against the budget.
pub fn experiment(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("ReLU networks: robust training")?;
    let beta = 1.0;
    let (training, test) = problem(TUMOURS, None, Loss::Hinge, beta)?;
    let features = training.columns() - 1;
    let budgets: &[f64] = if context.full { &[0.0, 0.1, 0.2, 0.3, 0.5, 0.8] } else { &[0.0, 0.2, 0.5] };
    let steps = if context.full { 600 } else { 100 };
    let adam = Adam { rate: 0.03, steps };
    let mut section = Section {
        title: "ReLU networks: training against perturbations".into(),
        text: "546 tumours, ten standardised features, each perturbed by at most eps at test time (projected gradient attack, \
               40 steps). Convex training alone is not robust; the robust program bounds the worst case, and its training \
               loss is exact. Adversarial training is the usual remedy, without any bound."
            .into(),
        columns: columns(&["eps", "method", "clean", "FGSM", "PGD", "certified (training)"]),
        commands: vec!["gradus relu data/breast-cancer --beta 1 --loss hinge --standardize --bias --test-every 5 --robust 0.2".into()],
        ..Section::default()
    };
    let names = ["Adam", "Adam on FGSM", "Adam on PGD", "convex", "convex, robust"];
    let mut curves: Vec<Vec<(f64, f64)>> = vec![Vec::new(); names.len()];
    let plain_budget = Budget { norm: Norm::Infinity, epsilon: 0.0, perturbed: features };
    let plain_adam =
        train_adversarially(&training, &plain_budget, 20, &adam, &Attack::fast_gradient_sign(), 1);
    let plain = solver(1e-4, 20).solve(&training)?;
    note(context, chapter, &plain, "hinge, 20 patterns")?;
    for &epsilon in budgets {
        let budget = Budget { epsilon, ..plain_budget };
        let mut robust = RobustRelu::new(budget);
        (robust.patterns, robust.seed) = (20, 1);
        robust.limits = Limits { tolerance: 1e-3, max_iterations: 400, time_limit: None };
        let certified = robust.solve(&training, &mut context.monitor())?;
        if certified.status == Status::Interrupted {
            chapter.status = Status::Interrupted;
            return Ok(());
        }
        context.say(&format!(
            "  eps {epsilon:<4} worst-case objective {:.4e}  gap {:.1e}  {} neurons  {:.0} ms",
            certified.robust_objective,
            certified.certificate.relative,
            certified.network.neurons(),
            1e3 * certified.seconds
        ))?;
        chapter.runs.push(json!({
            "experiment": format!("robust, eps {epsilon}"), "status": certified.status.name(),
            "objective": certified.robust_objective, "certificate": certified.certificate, "seconds": certified.seconds,
        }));
        let safe =
            certified.worst_losses.iter().filter(|loss| **loss < 1.0).count() as f64 / training.rows() as f64;
        let pgd = Attack::projected_gradient(if context.full { 10 } else { 4 }, 1);
        let networks = [
            plain_adam.clone(),
            train_adversarially(&training, &budget, 20, &adam, &Attack::fast_gradient_sign(), 1),
            train_adversarially(&training, &budget, 20, &adam, &pgd, 1),
            plain.network.clone(),
            certified.network.clone(),
        ];
        for (k, (name, network)) in names.iter().zip(&networks).enumerate() {
            let under = |method: &Attack| attack(network, &test, &budget, method).accuracy(test.target());
            let (fgsm, pgd) =
                (under(&Attack::fast_gradient_sign()), under(&Attack::projected_gradient(40, 1)));
            curves[k].push((epsilon, pgd));
            section.rows.push(vec![
                epsilon.to_string(),
                name.to_string(),
                format!("{:.3}", accuracy(network, &test)),
                format!("{fgsm:.3}"),
                format!("{pgd:.3}"),
                if k == 4 { format!("{safe:.3}") } else { "-".into() },
            ]);
        }
    }
    let series =
        names.iter().zip(curves).map(|(name, points)| Series { name: name.to_string(), points }).collect();
    let plot = plot("eps", "test accuracy under attack", (Scale::Linear, Scale::Linear), series);
    figure(
        context,
        &mut section,
        "robust",
        &plot,
        "Accuracy on test rows under the projected gradient attack",
    )?;
    chapter.sections.push(section);
    Ok(())
}
