//! Low-rank models as JSON, with the names of their rows and columns.

use std::collections::HashMap;

use anyhow::ensure;
use gradus::completion::LowRankModel;
use serde::{Deserialize, Serialize};

use crate::model_file::{check_header, read_checked};
use crate::output::Failure;

/// The name that every model file of this kind carries.
pub const FORMAT: &str = "gradus-low-rank-model";

/// A completed matrix whose rows and columns have names.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompletionFile {
    /// Always `gradus-low-rank-model`.
    pub format: String,
    /// Version of the format: 1.
    pub version: u32,
    /// Names of the rows.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Predictions are cut to this range, if there is one.
    pub clip: Option<(f64, f64)>,
    /// Ridge in training.
    pub ridge: f64,
    /// Whether it counted once for each entry.
    pub by_count: bool,
    /// Factors and biases.
    pub model: LowRankModel,
}

impl CompletionFile {
    /// Reads and checks a model file.
    pub fn read(path: &str) -> Result<Self, Failure> {
        read_checked(path, Self::check)
    }

    fn check(&self) -> anyhow::Result<()> {
        check_header(FORMAT, &self.format, self.version)?;
        let names = (self.rows.len(), self.columns.len());
        ensure!(
            self.model.shape() == names,
            "names for {names:?} rows and columns, factors for {:?}",
            self.model.shape()
        );
        if let Some((low, high)) = self.clip {
            ensure!(low <= high && low.is_finite() && high.is_finite(), "the range {low} to {high} is none");
        }
        ensure!(self.ridge.is_finite() && self.ridge >= 0.0, "the ridge is {}", self.ridge);
        self.model.check()?;
        Ok(())
    }

    /// The value at (i, j), within the range; indices beyond the model stand for what is not known.
    pub fn predict(&self, i: usize, j: usize) -> f64 {
        self.clipped(self.model.predict(i, j))
    }

    /// The value cut to the range.
    pub fn clipped(&self, value: f64) -> f64 {
        self.clip.map_or(value, |(low, high)| value.clamp(low, high))
    }

    /// Numbers of the names.
    pub fn numbers(names: &[String]) -> HashMap<&str, u32> {
        names.iter().enumerate().map(|(number, name)| (&**name, number as u32)).collect()
    }

    /// Root mean square error over entries; none without any.
    pub fn rmse(&self, entries: &[(u32, u32, f64)]) -> Option<f64> {
        let squares: f64 = entries
            .iter()
            .map(|&(i, j, value)| {
                let error = value - self.predict(i as usize, j as usize);
                error * error
            })
            .sum();
        (!entries.is_empty()).then(|| (squares / entries.len() as f64).sqrt())
    }
}
