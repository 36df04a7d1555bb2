//! Pairwise problems on a graph: minimise sum over nodes of w_i phi(x_i; y_i) + sum over edges of w_ij psi(x_i - x_j).
//!
//! With squared losses this is label propagation with uncertain labels; a Huber psi keeps the jumps between regions, a
//! logistic phi takes classes for labels.

use std::sync::Arc;

use super::ModelError;
use super::loss::Loss;

/// An edge (i, j) with its weight.
pub type Edge = (u32, u32, f64);

/// Nodes with a loss against their targets, edges with a loss of the difference of their ends.
#[derive(Debug, Clone)]
pub struct PairwiseModel {
    /// Targets y_i, one per node; of no account where the weight is zero.
    pub target: Vec<f64>,
    /// Weights w_i of the nodes, not negative.
    pub node_weights: Vec<f64>,
    /// The loss phi of a node's value.
    pub node_loss: Arc<dyn Loss>,
    /// Edges between different nodes, each once, with weights that are not negative.
    pub edges: Vec<Edge>,
    /// The loss psi of a difference, against the target 0.
    pub edge_loss: Arc<dyn Loss>,
}

impl PairwiseModel {
    /// Checks sizes, weights, targets and edges.
    ///
    /// # Errors
    /// The first thing that is wrong; rows stand for nodes.
    pub fn check(&self) -> Result<(), ModelError> {
        let nodes = self.target.len();
        if nodes == 0 {
            return Err(ModelError::Empty);
        }
        if self.node_weights.len() != nodes {
            let given = self.node_weights.len();
            return Err(ModelError::Length { what: "node weights", given, rows: nodes });
        }
        let wrong = |weight: &f64| !(*weight >= 0.0 && weight.is_finite());
        if let Some(row) = self.node_weights.iter().position(wrong) {
            let (value, expected) = (self.node_weights[row], "weights must be finite and not negative");
            return Err(ModelError::Row { what: "weight", row, value, expected });
        }
        for (row, (&value, &weight)) in self.target.iter().zip(&self.node_weights).enumerate() {
            if !value.is_finite() {
                return Err(ModelError::Target { row, value, expected: "targets must be finite" });
            }
            if weight > 0.0 {
                let refuse = |expected| ModelError::Target { row, value, expected };
                self.node_loss.check_target(value).map_err(refuse)?;
            }
        }
        if let Err(expected) = self.edge_loss.check_target(0.0) {
            return Err(ModelError::Target { row: 0, value: 0.0, expected });
        }
        for &(i, j, value) in &self.edges {
            let (row, what) = (i as usize, "edge");
            if row >= nodes || j as usize >= nodes || i == j {
                let expected = "edges must join two different nodes";
                return Err(ModelError::Row { what, row, value: f64::from(j), expected });
            }
            if wrong(&value) {
                return Err(ModelError::Row {
                    what,
                    row,
                    value,
                    expected: "edge weights must be finite and not negative",
                });
            }
        }
        Ok(())
    }
}
