//! What is printed of a training.

use gradus::control::Summary;
use gradus::problem::Classes;
use serde_json::json;

use super::Arguments;
use super::outcome::{Answer, Attacks, Path};
use crate::dataset::Score;
use crate::output::{self, Failure};

pub struct Report<'a> {
    pub answer: &'a Answer,
    pub arguments: &'a Arguments,
    pub classes: Option<Classes>,
    pub beta: f64,
    /// Rows and features.
    pub shape: (usize, usize),
    /// On training and test rows.
    pub scores: (Score, Option<Score>),
    pub attacked: Option<Attacks>,
    pub path: Path,
}

impl Report<'_> {
    pub fn print(&self, read_seconds: f64) -> Result<(), Failure> {
        // a mean of the losses is the sum over the rows divided by their number
        let scale = if self.arguments.average { self.shape.0.max(1) as f64 } else { 1.0 };
        let mut summary = self.answer.summary.clone();
        summary.objective /= scale;
        summary.certificate.value /= scale;
        if self.arguments.common.json {
            self.json(&summary, scale, read_seconds)
        } else {
            self.text(&summary, scale)
        }
    }

    fn json(&self, summary: &Summary, scale: f64, read_seconds: f64) -> Result<(), Failure> {
        let answer = self.answer;
        let (train, test) = &self.scores;
        let per = |value: f64| value / scale;
        let own = json!({
            "rows": self.shape.0, "columns": self.shape.1, "patterns": answer.patterns,
            "neurons": answer.network.neurons(), "beta": self.beta, "loss": self.arguments.loss.loss().name(),
            "network_objective": per(answer.network_objective),
            "convex_objective": answer.convex_objective.map(per), "lower_bound": answer.lower_bound.map(per),
            "cone_violation": answer.cone_violation, "largest_activation": answer.largest_activation,
            "level": answer.level, "pricing_ratio": answer.pricing_ratio, "classes": self.classes,
            "train_accuracy": train.accuracy, "train_rmse": train.rmse,
            "test_accuracy": test.and_then(|s| s.accuracy), "test_rmse": test.and_then(|s| s.rmse),
            "robust": self.attacked, "path": if self.path.points.is_empty() { None } else { Some(&self.path.points) },
        });
        let method = match (self.arguments.refine, self.arguments.robust) {
            (true, _) => "refine".into(),
            (_, Some(_)) => "robust".into(),
            _ => self.arguments.method.name(),
        };
        let common = &self.arguments.common;
        let object = output::json_object("relu", &method, common, read_seconds, summary, own);
        output::print(&object.to_string())
    }

    fn text(&self, summary: &Summary, scale: f64) -> Result<(), Failure> {
        let answer = self.answer;
        let bias = if self.arguments.bias { " and a bias" } else { "" };
        let mut lines = vec![
            format!("data         {} rows, {} features{bias}", self.shape.0, self.shape.1),
            summary.to_string(),
        ];
        if let Some(level) = answer.level {
            lines.push(format!("level        {}", level.sentence()));
        }
        lines.push(format!(
            "network      {} neurons over {} patterns, beta {}",
            answer.network.neurons(),
            answer.patterns,
            self.beta
        ));
        if let (Some(low), Some(_)) = (answer.lower_bound, answer.level) {
            let high = answer.convex_objective.unwrap_or(f64::NAN) / scale;
            lines.push(format!(
                "optimum      over these patterns between {:.10e} and {high:.10e}",
                low / scale
            ));
        }
        if let (Some(violation), Some(largest)) = (answer.cone_violation, answer.largest_activation) {
            lines.push(format!(
                "cones        worst violation {violation:.1e}, largest activation {largest:.1e}"
            ));
        }
        if let Some(ratio) = answer.pricing_ratio {
            lines.push(format!("pricing      largest ratio found {ratio:.4} (no bound)"));
        }
        if let Some(classes) = self.classes {
            lines.push(format!("labels       {} -> -1, {} -> +1", classes.negative, classes.positive));
        }
        for (name, score) in [("training", Some(self.scores.0)), ("test", self.scores.1)] {
            let Some(score) = score else { continue };
            let parts = [
                score.accuracy.map(|a| format!("accuracy {a:.4}")),
                score.rmse.map(|r| format!("rmse {r:.6e}")),
            ];
            lines.push(format!("{name:12} {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", ")));
        }
        if let Some(a) = &self.attacked {
            let test = match (a.test_fgsm, a.test_pgd) {
                (Some(fgsm), Some(pgd)) => format!("; test FGSM {fgsm:.4}, PGD-40 {pgd:.4}"),
                _ => String::new(),
            };
            lines.push(format!(
                "attacked     training FGSM {:.4}, PGD-40 {:.4}, certified {:.4}{test}",
                a.fgsm, a.pgd, a.certified
            ));
        }
        if !self.path.points.is_empty() {
            lines.push(format!(
                "{:>14} {:>20} {:>12} {:>8} {:>11}",
                "beta", "objective", "certificate", "neurons", "validation"
            ));
            for p in &self.path.points {
                let held = p.validation_accuracy.or(p.validation_rmse);
                let held = held.map_or_else(|| "-".into(), |value| format!("{value:.4}"));
                lines.push(format!(
                    "{:14.6e} {:20.12e} {:12.2e} {:8} {held:>11}",
                    p.beta, p.objective, p.certificate, p.neurons
                ));
            }
        }
        output::print(&lines.join("\n"))
    }
}
