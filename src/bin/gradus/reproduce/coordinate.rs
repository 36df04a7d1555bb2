//! Losses with separable penalties on the bundled data sets, then the paper's experiments.

mod experiments;
mod instances;

use std::sync::Arc;

use gradus::control::{Limits, Status};
use gradus::coordinate::{CoordinateDescent, Fit};
use gradus::problem::LinearModel;
use gradus::problem::loss::{self, Loss};
use gradus::problem::penalty::ElasticNet;
use gradus::read::libsvm;
use gradus::report::html::Section;
use serde_json::json;

use super::{Chapter, Context};
use crate::dataset::{self, Preparation};
use crate::output::{Failure, convergence_plot};

/// One data set, one loss, several penalties.
struct Experiment {
    name: &'static str,
    title: &'static str,
    file: &'static str,
    bytes: &'static [u8],
    loss: fn() -> Arc<dyn Loss>,
    /// l1 as fractions of l1_max; empty for a ridge.
    ratios: &'static [f64],
    l2: f64,
    standardize: bool,
    text: &'static str,
}

const SPARSE: &[f64] = &[0.5, 0.1, 0.01];
const SPARSE_FULL: &[f64] = &[0.8, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];

fn squared() -> Arc<dyn Loss> {
    Arc::new(loss::Squared)
}

fn logistic() -> Arc<dyn Loss> {
    Arc::new(loss::Logistic)
}

fn squared_hinge() -> Arc<dyn Loss> {
    Arc::new(loss::SquaredHinge)
}

fn experiments() -> Vec<Experiment> {
    vec![
        Experiment {
            name: "lasso-diabetes",
            title: "Lasso: disease progression from ten measurements",
            file: "sk-diabetes-regression",
            bytes: include_bytes!("../../../../data/sk-diabetes-regression"),
            loss: squared,
            ratios: SPARSE,
            l2: 0.0,
            standardize: true,
            text: "442 patients, ten features, standardised, target centred. The path from strong to weak penalties keeps \
                   more and more features; the duality gap certifies each fit.",
        },
        Experiment {
            name: "sparse-logistic-census",
            title: "Sparse logistic regression: census income",
            file: "a1a",
            bytes: include_bytes!("../../../../data/a1a"),
            loss: logistic,
            ratios: SPARSE,
            l2: 0.0,
            standardize: false,
            text: "1605 people, 119 binary features. Whether the income exceeds 50 000 dollars, from few features.",
        },
        Experiment {
            name: "sparse-logistic-sonar",
            title: "Sparse logistic regression: rock or metal",
            file: "sonar_scale",
            bytes: include_bytes!("../../../../data/sonar_scale"),
            loss: logistic,
            ratios: SPARSE,
            l2: 0.0,
            standardize: false,
            text: "208 sonar echoes, 60 correlated frequency bands: the columns resemble each other, the hard case for \
                   plain cyclic descent.",
        },
        Experiment {
            name: "ridge-logistic-ionosphere",
            title: "Ridge logistic regression: radar returns",
            file: "ionosphere_scale",
            bytes: include_bytes!("../../../../data/ionosphere_scale"),
            loss: logistic,
            ratios: &[],
            l2: 1e-3,
            standardize: false,
            text: "351 radar returns, 34 features. A smooth problem: Newton's method, quadratic convergence at the end.",
        },
        Experiment {
            name: "machine-heart",
            title: "Sparse support vector machine: heart disease",
            file: "heart_scale",
            bytes: include_bytes!("../../../../data/heart_scale"),
            loss: squared_hinge,
            ratios: SPARSE,
            l2: 0.0,
            standardize: false,
            text: "270 patients, 13 features, squared hinge loss with an l1 penalty.",
        },
        Experiment {
            name: "sparse-logistic-tumours",
            title: "A badly scaled column: breast tumours",
            file: "breast-cancer",
            bytes: include_bytes!("../../../../data/breast-cancer"),
            loss: logistic,
            ratios: SPARSE,
            l2: 0.0,
            standardize: false,
            text: "683 tumours, ten features, one of them an identification number about a million times larger than the \
                   others, left as it is.",
        },
    ]
}

const TOLERANCE: f64 = 1e-10;

pub fn chapter(context: &Context) -> Result<Chapter, Failure> {
    let mut chapter = Chapter::default();
    for experiment in experiments() {
        experiment.run(context, &mut chapter)?;
        if chapter.status == Status::Interrupted {
            return Ok(chapter);
        }
    }
    experiments::run(context, &mut chapter)?;
    Ok(chapter)
}

impl Experiment {
    /// Solves for every penalty, writes traces and a plot, and appends its section and summaries to the chapter.
    fn run(&self, context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
        context.say(self.title)?;
        let data = libsvm::parse(self.bytes, self.file, &libsvm::Options::default())?;
        let loss = (self.loss)();
        let (mut target, _) = dataset::targets(self.file, &*loss, &data.labels)?;
        let center = !loss.is_classification();
        if center {
            let mean = target.iter().sum::<f64>() / target.len() as f64;
            target.iter_mut().for_each(|y| *y -= mean);
        }
        let (rows, columns) = data.matrix.shape();
        let (_, design) = Preparation::fit(data.matrix, self.standardize, false)?;
        let mut model = LinearModel::new(design, target, loss::Squared, ElasticNet::default());
        model.loss = loss;
        let l1_max = model.l1_max()?;
        let limits = Limits { tolerance: TOLERANCE, ..Limits::default() };
        let solver = CoordinateDescent { limits, ..Default::default() };
        let ratios = if self.ratios.is_empty() {
            &[0.0]
        } else if context.full {
            SPARSE_FULL
        } else {
            self.ratios
        };
        let mut section = Section {
            title: self.title.into(),
            text: self.text.into(),
            columns: ["penalty", "objective", "relative gap", "non-zeros", "iterations", "milliseconds"]
                .map(String::from)
                .into(),
            ..Section::default()
        };
        let mut runs = Vec::new();
        for &ratio in ratios {
            model.penalty = Arc::new(ElasticNet { l1: ratio * l1_max, l2: self.l2, weights: None });
            let fit = solver.solve_with(&model, None, &mut context.monitor())?;
            let name = if ratio > 0.0 { format!("l1 = {ratio} l1_max") } else { format!("l2 = {}", self.l2) };
            section.rows.push(row(&name, &fit, columns));
            section.commands.push(self.command(ratio));
            context.say(&format!(
                "  {name:18} objective {:.12e}  gap {:.1e}  {} of {columns} non-zero  {:.1} ms",
                fit.objective,
                fit.certificate.relative,
                fit.nonzeros(),
                1e3 * fit.seconds
            ))?;
            chapter.runs.push(json!({
                "experiment": self.name, "penalty": name, "status": fit.status.name(), "objective": fit.objective,
                "certificate": fit.certificate, "nonzeros": fit.nonzeros(), "seconds": fit.seconds,
            }));
            let mut trace = Vec::new();
            fit.history.write_csv(&mut trace)?;
            let suffix = if ratio > 0.0 { format!("-{ratio}") } else { String::new() };
            context.write(&format!("{}{suffix}.csv", self.name), &trace)?;
            let stop = chapter.note(fit.status);
            runs.push((name, fit.summary.history));
            if stop {
                break;
            }
        }
        let plot = convergence_plot("", runs);
        plot.write(&context.out.join(format!("{}.svg", self.name)))?;
        let caption = format!("Relative duality gap on {} ({rows} rows, {columns} features)", self.file);
        section.figures.push((plot.svg()?, caption));
        chapter.sections.push(section);
        Ok(())
    }

    /// The command that repeats one fit.
    fn command(&self, ratio: f64) -> String {
        let loss = (self.loss)();
        let mut command = format!("gradus fit data/{} --loss {}", self.file, loss.name());
        if ratio > 0.0 {
            command += &format!(" --l1-ratio {ratio}");
        }
        if self.l2 > 0.0 {
            command += &format!(" --l2 {}", self.l2);
        }
        for (flag, set) in [(" --standardize", self.standardize), (" --center", !loss.is_classification())] {
            if set {
                command += flag;
            }
        }
        command + &format!(" --tolerance {TOLERANCE:e}")
    }
}

/// A fit as a row of the table.
fn row(name: &str, fit: &Fit, columns: usize) -> Vec<String> {
    vec![
        name.into(),
        format!("{:.12e}", fit.objective),
        format!("{:.1e}", fit.certificate.relative),
        format!("{} of {columns}", fit.nonzeros()),
        fit.iterations.to_string(),
        format!("{:.1}", 1e3 * fit.seconds),
    ]
}
