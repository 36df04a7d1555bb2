//! Linear models as JSON.

use anyhow::{Context, ensure};
use gradus::problem::Classes;
use gradus::problem::loss;
use gradus::read::Source;
use serde::{Deserialize, Serialize};
use sprs::CsMatI;

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
    /// Columns (from 0) with a coefficient that is not zero, ascending.
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
        Self { format, version: 1, loss, columns, intercept, indices, coefficients, classes, l1, l2 }
    }

    /// Reads and checks a model file.
    pub fn read(path: &str) -> Result<Self, Failure> {
        let source = Source::open(path)?;
        // serde_json's message has line and column
        let model: Self =
            serde_json::from_slice(source.bytes()).with_context(|| format!("{path}: not a model file"))?;
        model.check().with_context(|| path.to_string())?;
        Ok(model)
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.format == FORMAT, "the format is '{}'; expected '{FORMAT}'", self.format);
        ensure!(self.version == 1, "the version is {}; this program reads version 1", self.version);
        ensure!(self.columns <= u32::MAX as usize, "{} columns; at most 2^32 - 1 are possible", self.columns);
        ensure!(
            self.indices.len() == self.coefficients.len(),
            "{} indices for {} coefficients",
            self.indices.len(),
            self.coefficients.len()
        );
        ensure!(self.indices.windows(2).all(|pair| pair[0] < pair[1]), "the indices do not ascend");
        ensure!(
            self.indices.last().is_none_or(|&j| j < self.columns),
            "an index is beyond the {} columns",
            self.columns
        );
        let finite = self.coefficients.iter().chain([&self.intercept]).all(|value| value.is_finite());
        ensure!(finite, "a coefficient is not finite");
        let loss = loss::by_name(&self.loss);
        let loss = loss.with_context(|| format!("'{}' is not the name of a loss", self.loss))?;
        ensure!(
            loss.is_classification() == self.classes.is_some(),
            "classes do not go with loss '{}'",
            self.loss
        );
        if let Some(classes) = self.classes {
            ensure!(classes.negative < classes.positive, "the negative class is not the smaller label");
        }
        Ok(())
    }

    /// A x + b for rows as they stand in a file. Features beyond the model's columns count for nothing.
    pub fn predictors(&self, matrix: &CsMatI<f64, u32>) -> Vec<f64> {
        matrix.outer_iterator().map(|row| self.predictor(row.indices(), row.data())).collect()
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
