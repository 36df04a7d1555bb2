//! What `gradus fit --method surrogate` says.

use gradus::problem::Classes;
use gradus::surrogate::Fit;
use serde_json::json;

use crate::dataset::Score;
use crate::fit::Arguments;
use crate::output::{self, Failure};

/// What there is to say of a fit.
pub(super) struct Report<'a> {
    pub fit: &'a Fit,
    pub loss: &'a str,
    pub shape: (usize, usize, usize),
    pub classes: Option<Classes>,
    pub intercept: f64,
    pub nonzeros: usize,
    pub l1_max: f64,
    pub train: Score,
    pub test: Option<Score>,
    pub read_seconds: f64,
}

impl Report<'_> {
    pub fn print(&self, arguments: &Arguments) -> Result<(), Failure> {
        let (fit, options) = (self.fit, &arguments.surrogate);
        let (rows, columns, stored) = self.shape;
        let calls = fit.counts.get("oracle_calls").copied().unwrap_or(0);
        let priced = options.oracle_price.map(|price| fit.seconds + price * calls as f64);
        if arguments.common.json {
            let own = json!({
                "rows": rows, "columns": columns, "stored": stored, "nonzeros": self.nonzeros,
                "l1": 0.0, "l1_max": self.l1_max, "l2": arguments.l2,
                "accuracy": self.train.accuracy, "rmse": self.train.rmse,
                "test_accuracy": self.test.and_then(|t| t.accuracy), "test_rmse": self.test.and_then(|t| t.rmse),
                "loss": self.loss, "intercept": self.intercept, "classes": self.classes, "path": null,
                "algorithm": fit.method, "batch": options.batch, "priced_seconds": priced,
            });
            let object =
                output::json_object("fit", "surrogate", &arguments.common, self.read_seconds, fit, own);
            return output::print(&object.to_string());
        }
        let mut lines =
            vec![format!("data         {rows} rows, {columns} features, {stored} stored entries")];
        lines.push(fit.summary.to_string());
        lines.push(format!("penalty      l2 {:.6e}", arguments.l2));
        if let Some(priced) = priced {
            lines.push(format!(
                "priced       {priced:.3} s with {} s for each of {calls} oracle calls",
                options.oracle_price.unwrap_or(0.0)
            ));
        }
        if arguments.intercept {
            lines.push(format!("intercept    {:.10e}", self.intercept));
        }
        if let Some(classes) = self.classes {
            lines.push(format!("labels       {} -> -1, {} -> +1", classes.negative, classes.positive));
        }
        for (name, score) in [("training", Some(self.train)), ("test", self.test)] {
            let Some(score) = score else { continue };
            let parts = [
                score.accuracy.map(|a| format!("accuracy {a:.4}")),
                score.rmse.map(|r| format!("rmse {r:.6e}")),
            ];
            lines.push(format!("{name:12} {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", ")));
        }
        output::print(&lines.join("\n"))
    }
}
