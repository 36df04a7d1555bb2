//! `gradus fit --method surrogate`: linear models by target-space surrogates, and the methods they are compared with.

mod options;
mod print;

use std::path::Path;
use std::time::Instant;

use clap::ValueEnum;
use gradus::linalg::DesignMatrix;
use gradus::problem::loss;
use gradus::problem::penalty::ElasticNet;
use gradus::problem::{LinearModel, ModelError};
use gradus::read::Source;
use gradus::read::libsvm::LabelledData;
use gradus::surrogate::{Checkpoint, Error, Measure, Order, Start, Surrogate};

use crate::dataset::{self, Preparation};
use crate::fit::{Arguments, CertificateName};
use crate::model_file::ModelFile;
use crate::options::{check_distinct, check_writable};
use crate::output::{self, Failure, Finish};
use crate::watch;
use options::OrderName;
pub use options::SurrogateOptions;
use print::Report;

pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    let (common, options) = (&arguments.common, &arguments.surrogate);
    check(arguments)?;
    let limits = common.prepare()?;
    for path in arguments.model.iter().chain(&options.checkpoint) {
        check_writable(path)?;
    }
    let resumed = options.resume.as_deref().map(read_checkpoint).transpose()?;
    let started = Instant::now();
    let (data, test) = arguments.split(dataset::read(&arguments.data)?)?;
    let read_seconds = started.elapsed().as_secs_f64();

    let name = loss_name(arguments);
    let Some(loss) = loss::by_name(&name).filter(|_| name != "huber").or_else(|| huber(arguments, &name))
    else {
        let message =
            format!("--method surrogate takes losses of one smooth predictor; {name} is not among them here");
        return Err(Failure::Usage(message));
    };
    let (mut target, classes) = dataset::targets(&arguments.data, &*loss, &data.labels)?;
    let shift = if arguments.center { target.iter().sum::<f64>() / target.len().max(1) as f64 } else { 0.0 };
    target.iter_mut().for_each(|y| *y -= shift);
    if let Some((file, rows)) = &test {
        dataset::check_classes(file, classes, &rows.labels)?;
    }
    let columns = data.matrix.cols();
    let (matrix, used) = dataset::without_empty_columns(data.matrix.clone());
    let (preparation, design) = Preparation::fit(matrix, arguments.standardize, arguments.bias)?;
    let model = model(arguments, design, target, loss);
    let l1_max = model.l1_max().map_err(|error| in_data(arguments, Error::Model(error)))?;
    let solver = solver(arguments, limits);
    let mut monitor = watch::monitor(common, 1);
    let start = resumed.as_ref().map_or(Start::Zero, Start::Checkpoint);
    let fit = solver.solve_with(&model, start, &mut monitor).map_err(|error| in_data(arguments, error))?;

    let (coefficients, intercept) = preparation.unfold(&fit.coefficients, fit.intercepts[0] + shift);
    let nonzeros = coefficients.iter().filter(|&&value| value != 0.0).count();
    let column = |k: usize| used.as_ref().map_or(k, |used| used[k] as usize);
    let coefficients = coefficients.iter().enumerate().map(|(k, &value)| (column(k), value));
    let file = ModelFile::new(&name, columns, coefficients, intercept, classes, (0.0, arguments.l2));
    let scored =
        |rows: &LabelledData| dataset::score(&name, classes, &file.predictors(&rows.matrix), &rows.labels);
    let report = Report {
        fit: &fit,
        loss: &name,
        shape: (data.labels.len(), columns, data.matrix.nnz()),
        classes,
        intercept,
        nonzeros,
        l1_max,
        train: scored(&data),
        test: test.as_ref().map(|(_, rows)| scored(rows)),
        read_seconds,
    };
    if let Some(path) = &arguments.model {
        output::write_file(path, &serde_json::to_vec_pretty(&file)?)?;
    }
    if let Some(path) = &options.checkpoint {
        output::write_file(path, &serde_json::to_vec(&fit.checkpoint)?)?;
    }
    output::write_trace_and_plot(common, &arguments.data, &fit.history)?;
    report.print(arguments)?;
    Ok(Finish::of(fit.status))
}

/// Contradictions that the parser cannot see.
fn check(arguments: &Arguments) -> Result<(), Failure> {
    let options = &arguments.surrogate;
    let usage = |message: &str| Err(Failure::Usage(message.into()));
    if arguments.l1.is_some_and(|l1| l1 > 0.0) || arguments.l1_ratio.is_some_and(|ratio| ratio > 0.0) {
        return usage("--method surrogate takes --l2 or no penalty; --l1 needs --method coordinate");
    }
    if arguments.nonnegative || arguments.path.is_some() {
        return usage("--nonnegative and --path need --method coordinate");
    }
    let blocks = &arguments.blocks;
    if blocks.rule.is_some()
        || blocks.update.is_some()
        || blocks.blocks.is_some()
        || blocks.block_size.is_some()
    {
        return usage("--rule, --update, --blocks and --block-size need --method coordinate");
    }
    options.check()?;
    let inputs: Vec<&str> = [Some(&arguments.data), arguments.test.as_ref(), options.resume.as_ref()]
        .into_iter()
        .flatten()
        .map(|s| &**s)
        .collect();
    let outputs = [
        ("--model", &arguments.model),
        ("--trace", &arguments.common.trace),
        ("--plot", &arguments.common.plot),
        ("--checkpoint", &options.checkpoint),
    ];
    let outputs: Vec<(&str, &Path)> =
        outputs.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?))).collect();
    // a run may go on and leave its new state in the file that it came from
    let resumes_in_place =
        |option: &str, path: &Path| option == "--checkpoint" && options.resume.as_deref() == path.to_str();
    let outputs: Vec<(&str, &Path)> =
        outputs.into_iter().filter(|(option, path)| !resumes_in_place(option, path)).collect();
    check_distinct(&inputs, &outputs)
}

fn loss_name(arguments: &Arguments) -> String {
    arguments.loss.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
}

fn huber(arguments: &Arguments, name: &str) -> Option<std::sync::Arc<dyn loss::Loss>> {
    (name == "huber").then(|| std::sync::Arc::new(loss::Huber { delta: arguments.huber_delta }) as _)
}

fn model(
    arguments: &Arguments,
    design: DesignMatrix,
    target: Vec<f64>,
    loss: std::sync::Arc<dyn loss::Loss>,
) -> LinearModel {
    let penalty = ElasticNet { l1: 0.0, l2: arguments.l2, weights: None };
    let mut model = LinearModel::new(design, target, loss::Squared, penalty);
    (model.loss, model.intercept) = (loss, arguments.intercept);
    model
}

fn solver(arguments: &Arguments, limits: gradus::control::Limits) -> Surrogate {
    let options = &arguments.surrogate;
    let defaults = Surrogate::default();
    Surrogate {
        limits,
        method: options.method(),
        batch: options.batch,
        epochs: options.epochs.unwrap_or(defaults.epochs),
        order: match options.order {
            None | Some(OrderName::Chacha) => Order::ChaCha,
            Some(OrderName::Splitmix) => Order::SplitMix,
        },
        seed: arguments.common.seed,
        measure: match arguments.certificate {
            CertificateName::Auto => Measure::Auto,
            CertificateName::Gap => Measure::Gap,
            CertificateName::Gradient => Measure::Gradient,
        },
        ..defaults
    }
}

fn read_checkpoint(path: &str) -> Result<Checkpoint, Failure> {
    use anyhow::Context;
    let source = Source::open(path)?;
    Ok(serde_json::from_slice(source.bytes()).with_context(|| format!("{path}: not a checkpoint"))?)
}

/// The failure that an error of the solver stands for.
fn in_data(arguments: &Arguments, error: Error) -> Failure {
    match error {
        Error::Option(message) => Failure::Usage(message),
        // rows are counted from 1 in files
        Error::Model(ModelError::Target { row, value, expected }) => {
            let place = format!("{}: the target of data row {} is {value}", arguments.data, row + 1);
            Failure::Input(anyhow::anyhow!("{place}; {expected}"))
        }
        other => Failure::Input(anyhow::Error::new(other).context(arguments.data.clone())),
    }
}
