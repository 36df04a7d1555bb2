//! The result of a fit as text or as one JSON object.

use serde_json::json;

use super::Arguments;
use super::path::Solved;
use crate::dataset::{Labels, Score};
use crate::output::{self, Failure};

/// What there is to say of a fit.
pub struct Report<'a> {
    pub solved: &'a Solved,
    pub loss: &'static str,
    pub l2: f64,
    /// Rows, features and stored entries.
    pub shape: (usize, usize, usize),
    /// Constant terms for features as they stand in the file, one per class.
    pub intercepts: &'a [f64],
    pub labels: &'a Labels,
    pub train: Score,
    pub test: Option<Score>,
    pub read_seconds: f64,
}

impl Report<'_> {
    pub fn print(&self, arguments: &Arguments) -> Result<(), Failure> {
        if arguments.common.json { self.print_json(arguments) } else { self.print_text(arguments) }
    }

    fn print_json(&self, arguments: &Arguments) -> Result<(), Failure> {
        let (rows, columns, stored) = self.shape;
        let Solved { fit, path, .. } = self.solved;
        let several = self.intercepts.len() > 1;
        let intercept = if several { json!(self.intercepts) } else { json!(fit.intercepts[0]) };
        let own = json!({
            "rows": rows, "columns": columns, "stored": stored, "nonzeros": fit.nonzeros(),
            "l1": self.solved.l1, "l1_max": self.solved.l1_max, "l2": self.l2,
            "accuracy": self.train.accuracy, "rmse": self.train.rmse,
            "test_accuracy": self.test.and_then(|t| t.accuracy), "test_rmse": self.test.and_then(|t| t.rmse),
            "loss": self.loss, "intercept": intercept, "classes": self.labels,
            "path": if path.is_empty() { None } else { Some(path) },
            "l1_one_error": self.solved.l1_one_error,
        });
        let common = &arguments.common;
        let object = output::json_object("fit", "coordinate", common, self.read_seconds, &fit.summary, own);
        output::print(&object.to_string())
    }

    fn print_text(&self, arguments: &Arguments) -> Result<(), Failure> {
        let (rows, columns, stored) = self.shape;
        let Solved { fit, l1, l1_max, path, .. } = self.solved;
        let mut lines =
            vec![format!("data         {rows} rows, {columns} features, {stored} stored entries")];
        lines.push(fit.summary.to_string());
        lines.push(format!("non-zeros    {} of {}", fit.nonzeros(), columns * fit.intercepts.len()));
        let largest = l1_max.map_or_else(String::new, |l1_max| format!(" (l1_max {l1_max:.6e})"));
        lines.push(format!("penalty      l1 {l1:.6e}{largest}, l2 {:.6e}", self.l2));
        if arguments.intercept {
            let values: Vec<String> = fit.intercepts.iter().map(|b| format!("{b:.10e}")).collect();
            lines.push(format!("intercept    {}", values.join(" ")));
        }
        match self.labels {
            Labels::None => {}
            Labels::Two(classes) => {
                lines.push(format!("labels       {} -> -1, {} -> +1", classes.negative, classes.positive));
            }
            Labels::Many(labels) => {
                let names: Vec<String> = labels.iter().map(f64::to_string).collect();
                lines.push(format!("classes      {}", names.join(" ")));
            }
        }
        for (name, score) in [("training", Some(self.train)), ("test", self.test)] {
            if let Some(score) = score {
                let parts = [
                    score.accuracy.map(|a| format!("accuracy {a:.4}")),
                    score.rmse.map(|r| format!("rmse {r:.6e}")),
                ];
                let parts = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
                lines.push(format!("{name:12} {parts}"));
            }
        }
        if !path.is_empty() {
            let held = path.iter().any(|point| point.held_out_loss.is_some());
            let title =
                if held { format!(" {:>14} {:>12}", "held-out loss", "error") } else { String::new() };
            lines.push(format!(
                "{:>14} {:>20} {:>12} {:>9}{title}",
                "l1", "objective", "certificate", "non-zeros"
            ));
            for p in path {
                let loss = match (p.held_out_loss, p.held_out_error) {
                    (Some(loss), Some(error)) => format!(" {loss:14.6e} {error:12.2e}"),
                    _ => String::new(),
                };
                lines.push(format!(
                    "{:14.6e} {:20.12e} {:12.2e} {:9}{loss}",
                    p.l1, p.objective, p.certificate, p.nonzeros
                ));
            }
        }
        if let Some(sparser) = self.solved.l1_one_error {
            lines.push(format!("chosen       l1 {l1:.6e}; {sparser:.6e} is within one standard error"));
        }
        output::print(&lines.join("\n"))
    }
}
