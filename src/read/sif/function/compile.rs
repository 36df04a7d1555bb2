//! The statements of a type to programs for its value and its derivatives.
//!
//! With u = W v the internal variables become nodes over the elemental ones, and so do W'g and W'HW: the programs
//! deliver derivatives with respect to elemental variables, and only those that are not identically zero.

use std::collections::{BTreeMap, HashMap};

use super::graph::{Graph, NodeId, Type, Value};
use super::operation::Binary;
use super::parse::{Effect, expression};
use super::program::{CallSite, Layout, Output, Program};
use super::scope::{Binding, Scope, fortran_name};
use super::{ExternalFunctions, Flaw, FunctionError, Mode};
use crate::read::sif::decoded::{FunctionPart, FunctionSource, Statement, StatementKind};

/// A compiled element or group function of some arguments and parameters.
#[derive(Clone, Default)]
pub(crate) struct Function {
    pub layout: Layout,
    /// Number of arguments; they are the first inputs, parameters follow.
    pub arguments: usize,
    /// Argument of each first derivative that is not identically zero.
    pub first: Vec<u32>,
    /// Arguments (j >= k) of each second derivative that is not identically zero.
    pub second: Vec<(u32, u32)>,
    /// The value alone.
    pub value: Program,
    /// The first derivatives alone, and with the value.
    pub gradient: Program,
    pub value_gradient: Program,
    /// The second derivatives alone, and with all else.
    pub hessian: Program,
    pub value_gradient_hessian: Program,
}

impl Function {
    /// Registers that any of the programs needs.
    pub fn registers(&self) -> usize {
        let programs =
            [&self.value, &self.gradient, &self.value_gradient, &self.hessian, &self.value_gradient_hessian];
        programs.iter().map(|program| program.registers).max().unwrap_or(0)
    }
}

/// Compiles type `index` of a part. `parameters[k]` is the value of parameter k where all users share it.
pub(crate) fn compile(
    part: &FunctionPart,
    index: usize,
    parameters: &[Option<f64>],
    externals: &ExternalFunctions,
    mode: Mode,
) -> Result<Function, FunctionError> {
    let source = &part.types[index];
    let mut graph = Graph::default();
    let mut scope = Scope::new(&part.temporaries, externals, mode);
    for statement in &part.globals {
        run_assignment(statement, &mut scope, &mut graph)?;
    }
    let arguments: Vec<NodeId> = (0..source.arguments.len()).map(|k| graph.input(k).node).collect();
    define_variables(source, &arguments, &mut scope, &mut graph);
    for (k, name) in source.parameters.iter().enumerate() {
        let value = match parameters.get(k).copied().flatten() {
            Some(value) => graph.constant(value, Type::Double),
            None => graph.input(arguments.len() + k),
        };
        scope.define(name, value);
    }
    let results = run_statements(source, &mut scope, &mut graph)?;
    let first = elemental_first(source, &results, &mut graph);
    let second = elemental_second(source, &results, &mut graph);
    if graph.overflowed() {
        let message = format!("the function of type {} is too large", source.name);
        return Err(FunctionError { line: source.line, column: 1, message });
    }
    Ok(assemble(source, externals, &graph, results.value, &first, &second))
}

/// Names of the variables that expressions see: the internal ones where there are any.
fn visible(source: &FunctionSource) -> &[String] {
    if source.internal.is_empty() { &source.arguments } else { &source.internal }
}

fn define_variables(source: &FunctionSource, arguments: &[NodeId], scope: &mut Scope, graph: &mut Graph) {
    if source.internal.is_empty() {
        for (name, &node) in source.arguments.iter().zip(arguments) {
            scope.define(name, Value { node, kind: Type::Double });
        }
        return;
    }
    let mut internal = vec![None; source.internal.len()];
    for &(row, column, coefficient) in &source.transformation {
        let coefficient = graph.number(coefficient);
        let term = graph.binary(Binary::Multiply, coefficient, arguments[column as usize]);
        let sum = &mut internal[row as usize];
        *sum = Some(match *sum {
            Some(sum) => graph.binary(Binary::Add, sum, term),
            None => term,
        });
    }
    for (name, node) in source.internal.iter().zip(internal) {
        let node = node.unwrap_or_else(|| graph.number(0.0));
        scope.define(name, Value { node, kind: Type::Double });
    }
}

/// Nodes of the value and of the derivatives with respect to the visible variables.
struct Results {
    value: NodeId,
    first: BTreeMap<usize, NodeId>,
    second: BTreeMap<(usize, usize), NodeId>,
}

fn run_statements(
    source: &FunctionSource,
    scope: &mut Scope,
    graph: &mut Graph,
) -> Result<Results, FunctionError> {
    let (mut value, mut first, mut second) = (None, BTreeMap::new(), BTreeMap::new());
    let position = |name: &str, statement: &Statement| {
        let name = fortran_name(name);
        visible(source).iter().position(|known| fortran_name(known) == name).ok_or_else(|| {
            let message = format!("`{name}` is not a variable of type {}", source.name);
            at_card(statement, 5, message)
        })
    };
    for statement in &source.statements {
        match &statement.kind {
            StatementKind::Value => value = Some(real(statement, scope, graph)?),
            StatementKind::First { variable } => {
                let k = variable.as_ref().map_or(Ok(0), |name| position(name, statement))?;
                let node = real(statement, scope, graph)?;
                first.insert(k, node);
            }
            StatementKind::Second { variables } => {
                let (j, k) = match variables {
                    Some((a, b)) => (position(a, statement)?, position(b, statement)?),
                    None => (0, 0),
                };
                let node = real(statement, scope, graph)?;
                second.insert((j.max(k), j.min(k)), node);
            }
            _ => run_assignment(statement, scope, graph)?,
        }
    }
    let Some(value) = value else {
        let message = format!("type {} has no F card; its value is expected", source.name);
        return Err(FunctionError { line: source.line, column: 1, message });
    };
    Ok(Results { value, first, second })
}

/// An error in a field of the statement's first card.
fn at_card(statement: &Statement, column: u32, message: String) -> FunctionError {
    let line = statement.cards.first().map_or(0, |(_, line)| *line);
    FunctionError { line, column, message }
}

/// The statement's expression as a binary64 number.
fn real(statement: &Statement, scope: &mut Scope, graph: &mut Graph) -> Result<NodeId, FunctionError> {
    let fail = |flaw| FunctionError::new(flaw, statement);
    let (value, effects) = expression(&statement.text, scope, graph).map_err(fail)?;
    if value.kind == Type::Logical {
        let message = "expected a number, found a logical value".into();
        return Err(fail(Flaw { offset: 0, message }));
    }
    apply_effects(&effects, None, scope, graph);
    Ok(graph.convert(value, Type::Double).node)
}

/// Entries of arrays that a call fills in, where `condition` holds.
fn apply_effects(
    effects: &[Effect],
    condition: Option<(NodeId, bool)>,
    scope: &mut Scope,
    graph: &mut Graph,
) {
    for effect in effects {
        let Some(Binding::Array { entries, .. }) = scope.get_mut(&effect.array) else { continue };
        for (k, entry) in entries.iter_mut().enumerate() {
            let new = graph.call_output(effect.call, effect.first + k);
            *entry = Some(merge(condition, new, *entry, graph));
        }
    }
}

/// `new` where the condition (or its contrary) holds, else `old`; zero stands for a value never given.
fn merge(condition: Option<(NodeId, bool)>, new: NodeId, old: Option<NodeId>, graph: &mut Graph) -> NodeId {
    let Some((condition, holds)) = condition else { return new };
    let old = old.unwrap_or_else(|| graph.number(0.0));
    let (then, otherwise) = if holds { (new, old) } else { (old, new) };
    graph.select(condition, then, otherwise)
}

/// A, I and E statements.
fn run_assignment(statement: &Statement, scope: &mut Scope, graph: &mut Graph) -> Result<(), FunctionError> {
    let (target, condition) = match &statement.kind {
        StatementKind::Assign { target } => (target, None),
        StatementKind::AssignIf { condition, target } => (target, Some((condition, true))),
        StatementKind::AssignUnless { condition, target } => (target, Some((condition, false))),
        _ => {
            let message = "expected an assignment (A, I or E) in GLOBALS".into();
            return Err(at_card(statement, 2, message));
        }
    };
    let fail = |flaw| FunctionError::new(flaw, statement);
    let condition = match condition {
        None => None,
        Some((name, holds)) => match scope.scalar(name, graph) {
            Some(Value { node, kind: Type::Logical }) => Some((node, holds)),
            Some(_) => return Err(at_card(statement, 5, format!("`{name}` is not logical"))),
            None => return Err(at_card(statement, 5, format!("`{name}` is not declared"))),
        },
    };
    let column = if condition.is_some() { 15 } else { 5 };
    let (value, effects) = expression(&statement.text, scope, graph).map_err(fail)?;
    let (kind, old) = match scope.get(target) {
        Some(Binding::Scalar { kind, value }) => (*kind, *value),
        Some(Binding::Array { .. }) => {
            let message = format!("`{target}` is an array; a variable is expected");
            return Err(at_card(statement, column, message));
        }
        None => return Err(at_card(statement, column, format!("`{target}` is not declared"))),
    };
    if (kind == Type::Logical) != (value.kind == Type::Logical) {
        let message = format!("a {} value for `{target}`, which is {}", value.kind.name(), kind.name());
        return Err(fail(Flaw { offset: 0, message }));
    }
    apply_effects(&effects, condition, scope, graph);
    let new = graph.convert(value, kind).node;
    let node = merge(condition, new, old, graph);
    scope.define(target, Value { node, kind });
    Ok(())
}

/// Rows of W by internal variable; the identity where there are none.
fn rows(source: &FunctionSource) -> Vec<Vec<(u32, f64)>> {
    if source.internal.is_empty() {
        return (0..source.arguments.len() as u32).map(|k| vec![(k, 1.0)]).collect();
    }
    let mut rows = vec![Vec::new(); source.internal.len()];
    for &(row, column, coefficient) in &source.transformation {
        rows[row as usize].push((column, coefficient));
    }
    rows
}

/// sum += coefficient * node.
fn accumulate<K: Ord>(
    sums: &mut BTreeMap<K, NodeId>,
    key: K,
    coefficient: f64,
    node: NodeId,
    graph: &mut Graph,
) {
    let coefficient = graph.number(coefficient);
    let term = graph.binary(Binary::Multiply, coefficient, node);
    let sum = match sums.get(&key) {
        Some(&sum) => graph.binary(Binary::Add, sum, term),
        None => term,
    };
    sums.insert(key, sum);
}

/// W'g, without entries that are identically zero.
fn elemental_first(source: &FunctionSource, results: &Results, graph: &mut Graph) -> Vec<(u32, NodeId)> {
    let rows = rows(source);
    let mut sums = BTreeMap::new();
    for (&k, &node) in &results.first {
        for &(column, coefficient) in rows.get(k).into_iter().flatten() {
            accumulate(&mut sums, column, coefficient, node, graph);
        }
    }
    sums.retain(|_, node| graph.known_number(*node) != Some(0.0));
    sums.into_iter().collect()
}

/// The lower triangle of W'HW, without entries that are identically zero.
fn elemental_second(
    source: &FunctionSource,
    results: &Results,
    graph: &mut Graph,
) -> Vec<((u32, u32), NodeId)> {
    let rows = rows(source);
    let mut sums = BTreeMap::new();
    for (&(j, k), &node) in &results.second {
        for &(a, in_j) in rows.get(j).into_iter().flatten() {
            for &(b, in_k) in rows.get(k).into_iter().flatten() {
                if graph.overflowed() {
                    return Vec::new();
                }
                // Off the diagonal of H each pair stands for two entries, (j, k) and (k, j).
                if j != k && a == b {
                    accumulate(&mut sums, (a, b), 2.0 * in_j * in_k, node, graph);
                } else if j != k || a >= b {
                    accumulate(&mut sums, (a.max(b), a.min(b)), in_j * in_k, node, graph);
                }
            }
        }
    }
    sums.retain(|_, node| graph.known_number(*node) != Some(0.0));
    sums.into_iter().collect()
}

/// Programs for each combination of results that evaluation asks for.
fn assemble(
    source: &FunctionSource,
    externals: &ExternalFunctions,
    graph: &Graph,
    value: NodeId,
    first: &[(u32, NodeId)],
    second: &[((u32, u32), NodeId)],
) -> Function {
    let value = [(Output::Value, value)];
    let gradient: Vec<_> =
        first.iter().enumerate().map(|(k, (_, node))| (Output::First(k as u32), *node)).collect();
    let hessian: Vec<_> =
        second.iter().enumerate().map(|(k, (_, node))| (Output::Second(k as u32), *node)).collect();
    let value_gradient = [&value[..], &gradient].concat();
    let all = [&value_gradient[..], &hessian].concat();

    let sites: Vec<CallSite> = graph
        .calls
        .iter()
        .filter_map(|call| {
            let function = externals.get(&call.name)?.clone();
            Some(CallSite { function, arguments: call.arguments.clone(), outputs: call.outputs as usize })
        })
        .collect();
    let mut layout = Layout { inputs: source.arguments.len() + source.parameters.len(), ..Layout::default() };
    let numbers = constants(graph, &all, &sites);
    layout.constants = numbers.iter().map(|&bits| f64::from_bits(bits)).collect();
    let places: HashMap<u64, u32> = numbers.iter().enumerate().map(|(k, &bits)| (bits, k as u32)).collect();
    let mut next = layout.weight() + 1;
    for site in &sites {
        layout.calls.push(next as u32);
        next += 1 + site.outputs;
    }
    layout.temporaries = next;
    let program = |wanted: &[(Output, NodeId)]| Program::new(graph, &layout, &places, &sites, wanted);
    Function {
        arguments: source.arguments.len(),
        first: first.iter().map(|(argument, _)| *argument).collect(),
        second: second.iter().map(|(pair, _)| *pair).collect(),
        value: program(&value),
        gradient: program(&gradient),
        value_gradient: program(&value_gradient),
        hessian: program(&hessian),
        value_gradient_hessian: program(&all),
        layout: layout.clone(),
    }
}

/// Bits of the constants that the wanted nodes need.
fn constants(graph: &Graph, wanted: &[(Output, NodeId)], sites: &[CallSite]) -> Vec<u64> {
    super::program::needed(graph, sites, wanted.iter().map(|(_, node)| *node))
        .into_iter()
        .filter_map(|node| match node {
            super::graph::Node::Constant(bits) => Some(bits),
            _ => None,
        })
        .collect()
}
