//! `gradus graph`: label propagation on an edge list.

use std::time::Instant;

use clap::{Args, ValueEnum};
use gradus::control::Monitor;
use gradus::coordinate::block::{BlockCoordinateDescent, Partition, Rule, UpdateRule};
use gradus::coordinate::graph::{GraphError, LabelPropagation};
use gradus::read::matrix_market::{self, Matrix};
use serde_json::json;

use crate::options::Common;
use crate::output::{self, Failure, Finish};
use crate::watch;

/// Spread labels over a graph: minimise the sum over edges of w_ij (x_i - x_j)^2 / 2 with given values at some nodes.
#[derive(Args)]
#[command(
    after_help = "Example:\n  gradus graph edges.mtx --labels labels.csv --method greedy-tree --tolerance 1e-8"
)]
pub struct Arguments {
    /// Weights of the edges: a Matrix Market file, coordinates, square; w_ij and w_ji add up unless symmetric.
    pub edges: String,
    /// Lines `node,value`, nodes counted from 1.
    #[arg(long, value_name = "FILE")]
    pub labels: String,
    /// How blocks are chosen; the first three are solved by message passing.
    #[arg(long, value_enum, default_value_t = Method::GreedyTree)]
    pub method: Method,
    #[command(flatten)]
    pub common: Common,
}

/// Names of the methods.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Maximal forests grown by the largest gradient entries
    GreedyTree,
    /// Fixed forests, one after the other
    TreePartition,
    /// Colour classes, one after the other
    RedBlack,
    /// One colour class eliminated exactly, conjugate gradients on the rest: the fastest for large graphs
    ReducedCg,
    /// Conjugate gradients without preconditioner, to compare with
    Cg,
}

impl Method {
    /// Partition and rule of a method of blocks.
    fn blocks(self) -> Option<(Partition, Rule)> {
        match self {
            Method::GreedyTree => Some((Partition::Variable, Rule::GreedyForest)),
            Method::TreePartition => Some((Partition::Forests, Rule::Cyclic)),
            Method::RedBlack => Some((Partition::Colours, Rule::Cyclic)),
            Method::ReducedCg | Method::Cg => None,
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    let limits = arguments.common.prepare()?;
    let started = Instant::now();
    let read = matrix_market::read(&arguments.edges)?;
    let Matrix::Sparse(weights) = read.matrix else {
        return Err(Failure::Input(anyhow::anyhow!("{}: coordinate storage is expected", arguments.edges)));
    };
    let table = gradus::read::dense(&arguments.labels)?;
    let labels = labels(&arguments.labels, table.rows, table.columns, &table.values)?;
    let problem = LabelPropagation::new(&weights, &labels).map_err(|error| {
        let file = if matches!(error, GraphError::Label(..)) { &arguments.labels } else { &arguments.edges };
        Failure::Input(anyhow::anyhow!("{file}: {error}"))
    })?;
    let read_seconds = started.elapsed().as_secs_f64();
    let mut monitor: Monitor = watch::monitor(&arguments.common, 1);
    let (values, summary) = match arguments.method.blocks() {
        None => {
            let reduced = arguments.method == Method::ReducedCg;
            problem.solve_by_conjugate_gradients(reduced, &limits, &mut monitor)?
        }
        Some((partition, rule)) => {
            let solver = BlockCoordinateDescent {
                limits,
                partition,
                rule,
                update: UpdateRule::Forest,
                seed: arguments.common.seed,
                ..Default::default()
            };
            problem.solve(&solver, &mut monitor)?
        }
    };
    output::write_trace_and_plot(&arguments.common, &arguments.edges, &summary.history)?;
    let method = arguments.method.to_possible_value().map_or_else(String::new, |v| v.get_name().to_string());
    if arguments.common.json {
        let own = json!({ "nodes": values.len(), "labelled": labels.len(), "values": values });
        let object = output::json_object("graph", &method, &arguments.common, read_seconds, &summary, own);
        output::print(&object.to_string())?;
    } else {
        output::print(&format!("graph        {} nodes, {} labelled\n{summary}", values.len(), labels.len()))?;
    }
    Ok(Finish::of(summary.status))
}

/// Rows `node,value` with nodes counted from 1.
fn labels(file: &str, rows: usize, columns: usize, values: &[f64]) -> Result<Vec<(usize, f64)>, Failure> {
    if columns != 2 {
        return Err(Failure::Input(anyhow::anyhow!(
            "{file}: {columns} columns; two are expected: node,value"
        )));
    }
    (0..rows)
        .map(|r| {
            let (node, value) = (values[r], values[rows + r]);
            if node >= 1.0 && node.fract() == 0.0 && node < 2f64.powi(32) {
                Ok((node as usize - 1, value))
            } else {
                Err(Failure::Input(anyhow::anyhow!(
                    "{file}: row {}: {node} is no node, counted from 1",
                    r + 1
                )))
            }
        })
        .collect()
}
