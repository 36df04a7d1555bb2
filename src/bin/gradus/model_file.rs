//! Linear models as JSON.

use anyhow::{Context, ensure};
use gradus::problem::Classes;
use gradus::problem::loss;
use gradus::read::Source;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sprs::CsMatI;

use crate::dataset::Labels;
use crate::output::Failure;

/// The name that every model file of this kind carries.
const FORMAT: &str = "gradus-linear-model";

/// A fitted linear model for features as they stand in a data file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Always `gradus-linear-model`.
    pub format: String,
    /// Version of the format: 1.
    pub version: u32,
    /// Name of the loss.
    pub loss: String,
    /// Features of the training data.
    pub columns: usize,
    /// Constant term.
    pub intercept: f64,
    /// The class labels of a softmax model, ascending; absent for other losses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<f64>>,
    /// Its constant terms, one per class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intercepts: Option<Vec<f64>>,
    /// Columns (from 0) with a coefficient that is not zero, ascending; column times number of classes plus class for
    /// a softmax model.
    pub indices: Vec<usize>,
    /// Their coefficients.
    pub coefficients: Vec<f64>,
    /// The labels behind -1 and +1, for classification.
    pub classes: Option<Classes>,
    /// Weight of the absolute values in training.
    pub l1: f64,
    /// Weight of the half squares in training.
    pub l2: f64,
}

impl ModelFile {
    /// From the coefficients of some columns, ascending; those of all others are zero.
    pub fn new(
        loss: &str,
        columns: usize,
        coefficients: impl Iterator<Item = (usize, f64)>,
        intercept: f64,
        classes: Option<Classes>,
        (l1, l2): (f64, f64),
    ) -> Self {
        let (indices, coefficients) = coefficients.filter(|(_, value)| *value != 0.0).unzip();
        let (format, loss) = (FORMAT.into(), loss.into());
        let (labels, intercepts) = (None, None);
        Self {
            format,
            version: 1,
            loss,
            columns,
            intercept,
            labels,
            intercepts,
            indices,
            coefficients,
            classes,
            l1,
            l2,
        }
    }

    /// A softmax model: coefficients by column times number of classes plus class.
    pub fn softmax(
        columns: usize,
        coefficients: impl Iterator<Item = (usize, f64)>,
        intercepts: Vec<f64>,
        labels: Vec<f64>,
        penalty: (f64, f64),
    ) -> Self {
        let model = Self::new("softmax", columns, coefficients, 0.0, None, penalty);
        Self { labels: Some(labels), intercepts: Some(intercepts), ..model }
    }

    /// What the predictions stand for.
    pub fn meaning(&self) -> Labels {
        match (&self.labels, self.classes) {
            (Some(labels), _) => Labels::Many(labels.clone()),
            (None, Some(classes)) => Labels::Two(classes),
            (None, None) => Labels::None,
        }
    }

    /// Number of predictors a row.
    pub fn width(&self) -> usize {
        self.labels.as_ref().map_or(1, Vec::len)
    }

    /// Reads and checks a model file.
    pub fn read(path: &str) -> Result<Self, Failure> {
        read_checked(path, Self::check)
    }

    fn check(&self) -> anyhow::Result<()> {
        check_header(FORMAT, &self.format, self.version)?;
        ensure!(self.columns <= u32::MAX as usize, "{} columns; at most 2^32 - 1 are possible", self.columns);
        ensure!(
            self.indices.len() == self.coefficients.len(),
            "{} indices for {} coefficients",
            self.indices.len(),
            self.coefficients.len()
        );
        ensure!(self.indices.windows(2).all(|pair| pair[0] < pair[1]), "the indices do not ascend");
        ensure!(
            self.indices.last().is_none_or(|&j| j / self.width() < self.columns),
            "an index is beyond the {} columns",
            self.columns
        );
        let constants = self.intercepts.iter().flatten().chain([&self.intercept]);
        let finite = self.coefficients.iter().chain(constants).all(|value| value.is_finite());
        ensure!(finite, "a coefficient is not finite");
        if self.loss == "softmax" {
            let Some(labels) = &self.labels else { anyhow::bail!("a softmax model needs its labels") };
            ensure!(labels.len() >= 2, "a softmax model needs at least two labels");
            ensure!(labels.windows(2).all(|pair| pair[0] < pair[1]), "the labels do not ascend");
            let constants = self.intercepts.as_ref().map_or(0, Vec::len);
            ensure!(constants == labels.len(), "{constants} intercepts for {} labels", labels.len());
        } else {
            ensure!(
                self.labels.is_none() && self.intercepts.is_none(),
                "labels and intercepts go with softmax alone"
            );
        }
        let of_two = match self.loss.as_str() {
            "hinge" => true,
            "softmax" => false,
            name => {
                let loss = loss::by_name(name);
                loss.with_context(|| format!("'{name}' is not the name of a loss"))?.is_classification()
            }
        };
        ensure!(of_two == self.classes.is_some(), "classes do not go with loss '{}'", self.loss);
        if let Some(classes) = self.classes {
            ensure!(classes.negative < classes.positive, "the negative class is not the smaller label");
        }
        Ok(())
    }

    /// A x + b for rows as they stand in a file, as many predictors a row as there are classes (one but for softmax).
    /// Features beyond the model's columns count for nothing.
    pub fn predictors(&self, matrix: &CsMatI<f64, u32>) -> Vec<f64> {
        let rows = matrix.outer_iterator();
        if self.width() == 1 {
            return rows.map(|row| self.predictor(row.indices(), row.data())).collect();
        }
        rows.flat_map(|row| self.class_predictors(row.indices(), row.data())).collect()
    }

    /// The k predictors of one sparse row.
    fn class_predictors(&self, indices: &[u32], values: &[f64]) -> Vec<f64> {
        let k = self.width();
        let mut z = self.intercepts.clone().unwrap_or_default();
        let mut next = 0;
        for (&j, &value) in indices.iter().zip(values) {
            let (from, to) = (j as usize * k, (j as usize + 1) * k);
            while self.indices.get(next).is_some_and(|&index| index < from) {
                next += 1;
            }
            while let Some(&index) = self.indices.get(next).filter(|&&index| index < to) {
                z[index - from] += value * self.coefficients[next];
                next += 1;
            }
        }
        z
    }

    /// A x + b of one sparse row.
    fn predictor(&self, indices: &[u32], values: &[f64]) -> f64 {
        let (mut k, mut sum) = (0, self.intercept);
        for (&j, &value) in indices.iter().zip(values) {
            while k < self.indices.len() && self.indices[k] < j as usize {
                k += 1;
            }
            if self.indices.get(k) == Some(&(j as usize)) {
                sum += value * self.coefficients[k];
            }
        }
        sum
    }
}

/// Reads a model file of whatever kind, and checks it; what is wrong is said with the file's name.
pub fn read_checked<M: DeserializeOwned>(
    path: &str,
    check: impl FnOnce(&M) -> anyhow::Result<()>,
) -> Result<M, Failure> {
    let source = Source::open(path)?;
    // serde_json's message has line and column
    let model: M =
        serde_json::from_slice(source.bytes()).with_context(|| format!("{path}: not a model file"))?;
    check(&model).with_context(|| path.to_string())?;
    Ok(model)
}

/// Refuses the file of another kind, or of a later version than 1.
pub fn check_header(expected: &str, format: &str, version: u32) -> anyhow::Result<()> {
    ensure!(format == expected, "the format is '{format}'; expected '{expected}'");
    ensure!(version == 1, "the version is {version}; this program reads version 1");
    Ok(())
}
