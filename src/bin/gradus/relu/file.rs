//! Two-layer networks as JSON.

use anyhow::ensure;
use gradus::problem::Classes;
use gradus::relu::Network;
use serde::{Deserialize, Serialize};
use sprs::CsMatI;

use crate::dataset::Preparation;
use crate::model_file::{check_header, read_checked};
use crate::output::Failure;

/// The name that every model file of this kind carries.
pub const FORMAT: &str = "gradus-relu-network";

/// f(x) = sum of output_j max(0, hidden_j'x + bias_j), for features as they stand in a data file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkFile {
    /// Always `gradus-relu-network`.
    pub format: String,
    /// Version of the format: 1.
    pub version: u32,
    /// Name of the loss.
    pub loss: String,
    /// Features of the training data.
    pub columns: usize,
    /// Weights of the hidden neurons.
    pub hidden: Vec<Vec<f64>>,
    /// Their constant terms.
    pub bias: Vec<f64>,
    /// Their weights in the output.
    pub output: Vec<f64>,
    /// A gate per neuron, for a network of gated units: active where gate'x + gate_bias >= 0, whatever the weights say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Vec<f64>>,
    /// The labels behind -1 and +1, for classification.
    pub classes: Option<Classes>,
    /// Weight of the regulariser in training.
    pub beta: f64,
}

impl NetworkFile {
    /// Folds bias column and standardisation into the hidden weights. Gates hold one more number, their constant term.
    pub fn new(
        loss: &str,
        network: &Network,
        gates: &[Vec<f64>],
        preparation: &Preparation,
        classes: Option<Classes>,
        beta: f64,
    ) -> Self {
        let (hidden, bias): (Vec<_>, Vec<_>) =
            network.hidden.iter().map(|u| preparation.unfold(u, 0.0)).unzip();
        let columns = network.columns - usize::from(preparation.bias);
        let gates = gates
            .iter()
            .map(|gate| {
                let (mut gate, constant) = preparation.unfold(gate, 0.0);
                gate.push(constant);
                gate
            })
            .collect();
        let (format, loss) = (FORMAT.into(), loss.into());
        let output = network.output.clone();
        Self { format, version: 1, loss, columns, hidden, bias, output, gates, classes, beta }
    }

    /// Reads and checks a model file.
    pub fn read(path: &str) -> Result<Self, Failure> {
        read_checked(path, Self::check)
    }

    fn check(&self) -> anyhow::Result<()> {
        check_header(FORMAT, &self.format, self.version)?;
        ensure!(self.columns <= u32::MAX as usize, "{} columns; at most 2^32 - 1 are possible", self.columns);
        let neurons = self.hidden.len();
        ensure!(
            self.bias.len() == neurons && self.output.len() == neurons,
            "{neurons} hidden neurons with {} constant terms and {} outputs",
            self.bias.len(),
            self.output.len()
        );
        ensure!(
            self.hidden.iter().all(|u| u.len() == self.columns),
            "a hidden neuron does not have {} weights",
            self.columns
        );
        ensure!(
            self.gates.is_empty()
                || (self.gates.len() == neurons && self.gates.iter().all(|g| g.len() == self.columns + 1)),
            "the gates do not fit {neurons} neurons of {} weights",
            self.columns
        );
        let numbers = self.hidden.iter().chain(&self.gates).flatten().chain(&self.bias).chain(&self.output);
        ensure!(numbers.into_iter().all(|value| value.is_finite()), "a weight is not finite");
        if let Some(classes) = self.classes {
            ensure!(classes.negative < classes.positive, "the negative class is not the smaller label");
        }
        Ok(())
    }

    /// f for rows as they stand in a file. Features beyond the model's columns count for nothing.
    pub fn predictors(&self, matrix: &CsMatI<f64, u32>) -> Vec<f64> {
        let along = |weights: &[f64], constant: f64, indices: &[u32], values: &[f64]| {
            let terms =
                indices.iter().zip(values).map(|(&j, v)| weights.get(j as usize).map_or(0.0, |w| w * v));
            constant + terms.sum::<f64>()
        };
        matrix
            .outer_iterator()
            .map(|row| {
                let neuron = |j: usize| {
                    let z = along(&self.hidden[j], self.bias[j], row.indices(), row.data());
                    let active = match self.gates.get(j) {
                        None => z > 0.0,
                        Some(gate) => {
                            let (weights, constant) = gate.split_at(self.columns);
                            along(weights, constant[0], row.indices(), row.data()) >= 0.0
                        }
                    };
                    if active { self.output[j] * z } else { 0.0 }
                };
                (0..self.hidden.len()).map(neuron).sum()
            })
            .collect()
    }
}
