//! Which of the coordinate methods a fit asks for.

use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use gradus::control::{Limits, Monitor};
use gradus::coordinate::block::{BlockCoordinateDescent, Partition, Rule, UpdateRule};
use gradus::coordinate::{CoordinateDescent, Error, Fit, Measure, MultinomialFit, MultinomialStart, Start};
use gradus::problem::penalty::Group;
use gradus::problem::{LinearModel, MultinomialModel};

/// The building blocks of block coordinate descent; with any of them the published method runs in place of the
/// solver that chooses for itself.
#[derive(Args, Clone, Debug)]
pub struct BlockOptions {
    /// Which block is selected.
    #[arg(long, value_name = "RULE", value_parser = names(&Rule::NAMES))]
    pub rule: Option<String>,
    /// How the block is updated.
    #[arg(long, value_name = "UPDATE", value_parser = names(&UpdateRule::NAMES))]
    pub update: Option<String>,
    /// How columns are cut into blocks.
    #[arg(long, value_name = "BLOCKS", value_parser = ["variable", "order", "sort", "average"])]
    pub blocks: Option<String>,
    /// Columns in a block; twice the support by default.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub block_size: Option<u32>,
}

fn names<T>(all: &[(&'static str, T)]) -> PossibleValuesParser {
    all.iter().map(|(name, _)| *name).collect::<Vec<_>>().into()
}

fn chosen<T: Copy + Default>(all: &[(&'static str, T)], name: Option<&String>) -> T {
    name.and_then(|name| all.iter().find(|(known, _)| known == name))
        .map_or_else(T::default, |(_, value)| *value)
}

/// The solver of a fit.
#[derive(Clone)]
pub enum Solver {
    /// Working sets and second-order steps, chosen by the problem.
    Auto(CoordinateDescent),
    /// The building blocks as asked for.
    Blocks(BlockCoordinateDescent),
}

impl BlockOptions {
    /// Whether any building block is asked for.
    pub fn any(&self) -> bool {
        self.rule.is_some() || self.update.is_some() || self.blocks.is_some() || self.block_size.is_some()
    }

    /// The solver that the options ask for.
    pub fn solver(&self, limits: Limits, measure: Measure, seed: u64) -> Solver {
        if !self.any() {
            return Solver::Auto(CoordinateDescent { limits, measure, ..Default::default() });
        }
        let partition = match self.blocks.as_deref() {
            Some("order") => Partition::Order,
            Some("sort") => Partition::Sort,
            Some("average") => Partition::Average,
            _ => Partition::Variable,
        };
        Solver::Blocks(BlockCoordinateDescent {
            limits,
            measure,
            partition,
            rule: chosen(&Rule::NAMES, self.rule.as_ref()),
            update: chosen(&UpdateRule::NAMES, self.update.as_ref()),
            block_size: self.block_size.unwrap_or(0) as usize,
            seed,
            ..Default::default()
        })
    }
}

impl Solver {
    pub fn solve_with(
        &self,
        model: &LinearModel,
        start: Option<Start>,
        monitor: &mut Monitor,
    ) -> Result<Fit, Error> {
        match self {
            Solver::Auto(solver) => solver.solve_with(model, start, monitor),
            Solver::Blocks(solver) => solver.solve_with(model, start, monitor),
        }
    }

    pub fn solve_groups(
        &self,
        model: &LinearModel,
        group: &Group,
        start: Option<Start>,
        monitor: &mut Monitor,
    ) -> Result<Fit, Error> {
        match self {
            Solver::Auto(solver) => solver.solve_groups(model, group, start, monitor),
            Solver::Blocks(solver) => solver.solve_groups(model, group, monitor),
        }
    }

    pub fn solve_multinomial(
        &self,
        model: &MultinomialModel,
        start: Option<MultinomialStart>,
        monitor: &mut Monitor,
    ) -> Result<MultinomialFit, Error> {
        match self {
            Solver::Auto(solver) => solver.solve_multinomial(model, start, monitor),
            Solver::Blocks(solver) => {
                let solution = solver.solve_multinomial(model, start.map(|s| s.coefficients), monitor)?;
                let intercepts = vec![0.0; model.loss.classes];
                Ok(MultinomialFit { coefficients: solution.x, intercepts, summary: solution.summary })
            }
        }
    }

    pub fn limits(&self) -> &Limits {
        match self {
            Solver::Auto(solver) => &solver.limits,
            Solver::Blocks(solver) => &solver.limits,
        }
    }

    pub fn time_limit(&mut self) -> &mut Option<Duration> {
        match self {
            Solver::Auto(solver) => &mut solver.limits.time_limit,
            Solver::Blocks(solver) => &mut solver.limits.time_limit,
        }
    }
}
