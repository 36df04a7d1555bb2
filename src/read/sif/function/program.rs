//! Register programs, run over a block of elements at a time in structure-of-arrays form.
//!
//! A register holds one number for each element of the block, as groups of four lanes; an instruction is dispatched once
//! per block. Registers: constants, inputs, the weight, results of calls, temporaries.

use std::cell::Cell;

use super::ExternalFunction;
use super::graph::{Graph, Node, NodeId};
use super::operation::{Binary, Unary};

/// Four lanes of a register.
pub(crate) type Lanes = [f64; 4];

/// A result of a function, and its position among those of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Value,
    First(u32),
    /// Stored times the weight.
    Second(u32),
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Unary(Unary),
    Binary(Binary),
    Select,
    Call(u32),
    Store(Output),
}

#[derive(Clone, Copy, Debug)]
struct Instruction {
    operation: Operation,
    target: u32,
    a: u32,
    b: u32,
    c: u32,
}

/// Where the shared registers of a function's programs lie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    pub constants: Vec<f64>,
    pub inputs: usize,
    /// First register of each call's results: the value, then the array entries.
    pub calls: Vec<u32>,
    /// First temporary register.
    pub temporaries: usize,
}

impl Layout {
    /// Register of input `position`.
    pub fn input(&self, position: usize) -> usize {
        self.constants.len() + position
    }

    /// Register of the factor of the second derivatives.
    pub fn weight(&self) -> usize {
        self.input(self.inputs)
    }
}

/// A call as the program makes it.
#[derive(Clone)]
pub(super) struct CallSite {
    pub function: ExternalFunction,
    pub arguments: Vec<NodeId>,
    pub outputs: usize,
}

#[derive(Clone)]
struct ResolvedCall {
    function: ExternalFunction,
    arguments: Vec<u32>,
    outputs: usize,
}

/// Instructions that compute some results of a function.
#[derive(Clone, Default)]
pub(crate) struct Program {
    instructions: Vec<Instruction>,
    calls: Vec<ResolvedCall>,
    /// Registers in use, the shared ones included.
    pub registers: usize,
}

/// Memory for the results of a block: each output is `width` groups of lanes.
pub(crate) struct Outputs<'a> {
    pub value: &'a mut [Lanes],
    pub first: &'a mut [Lanes],
    pub second: &'a mut [Lanes],
}

const NOWHERE: u32 = u32::MAX;

impl Program {
    /// Instructions for the `wanted` nodes and what they need, in the order of the graph; a register is reused once its
    /// last reader has run.
    pub(super) fn new(
        graph: &Graph,
        layout: &Layout,
        constants: &std::collections::HashMap<u64, u32>,
        sites: &[CallSite],
        wanted: &[(Output, NodeId)],
    ) -> Self {
        let nodes = graph.nodes();
        let mut last_use = vec![NOWHERE; nodes.len()];
        for (_, node) in wanted {
            last_use[*node as usize] = *node;
        }
        for id in (0..nodes.len()).rev() {
            if last_use[id] == NOWHERE {
                continue;
            }
            for_each_argument(&nodes[id], sites, |argument| {
                let last = &mut last_use[argument as usize];
                if *last == NOWHERE || *last < id as u32 {
                    *last = id as u32;
                }
            });
        }
        let mut program = Self { instructions: Vec::new(), calls: Vec::new(), registers: layout.temporaries };
        let mut register = vec![NOWHERE; nodes.len()];
        let mut free: Vec<u32> = Vec::new();
        let mut stores: Vec<(NodeId, Output)> =
            wanted.iter().map(|(output, node)| (*node, *output)).collect();
        stores.sort_by_key(|(node, _)| *node);
        let mut stores = stores.into_iter().peekable();
        for (id, node) in nodes.iter().enumerate() {
            if last_use[id] == NOWHERE {
                continue;
            }
            let operands = operands(node, &register);
            let mut dying = Vec::new();
            for_each_argument(node, sites, |argument| {
                if last_use[argument as usize] == id as u32 && is_temporary(&nodes[argument as usize]) {
                    dying.push(argument);
                }
            });
            dying.sort_unstable();
            dying.dedup();
            free.extend(dying.iter().map(|&argument| register[argument as usize]));
            let mut target = |program: &mut Self| {
                free.pop().unwrap_or_else(|| {
                    program.registers += 1;
                    program.registers as u32 - 1
                })
            };
            let [a, b, c] = operands;
            let (operation, place) = match node {
                Node::Constant(bits) => (None, constants.get(bits).copied().unwrap_or(0)),
                Node::Input(position) => (None, layout.input(*position as usize) as u32),
                Node::CallOutput(call, entry) => (None, register[*call as usize] + 1 + entry),
                Node::Call(site) => {
                    let CallSite { function, arguments, outputs } = &sites[*site as usize];
                    let arguments = arguments.iter().map(|&a| register[a as usize]).collect();
                    program.calls.push(ResolvedCall {
                        function: function.clone(),
                        arguments,
                        outputs: *outputs,
                    });
                    (Some(Operation::Call(program.calls.len() as u32 - 1)), layout.calls[*site as usize])
                }
                Node::Unary(operation, _) => (Some(Operation::Unary(*operation)), target(&mut program)),
                Node::Binary(operation, _, _) => (Some(Operation::Binary(*operation)), target(&mut program)),
                Node::Select(..) => (Some(Operation::Select), target(&mut program)),
            };
            register[id] = place;
            if let Some(operation) = operation {
                program.instructions.push(Instruction { operation, target: place, a, b, c });
            }
            while let Some((_, output)) = stores.next_if(|(node, _)| *node == id as u32) {
                let operation = Operation::Store(output);
                program.instructions.push(Instruction { operation, target: 0, a: place, b: 0, c: 0 });
            }
            if last_use[id] == id as u32 && is_temporary(node) {
                free.push(place);
            }
        }
        program
    }

    /// Number of instructions.
    pub fn length(&self) -> usize {
        self.instructions.len()
    }

    /// Runs over a block: every register is `width` groups of lanes, of which the first `live` lanes count.
    pub fn run(
        &self,
        layout: &Layout,
        registers: &mut [Lanes],
        width: usize,
        live: usize,
        outputs: &mut Outputs,
    ) {
        let groups = live.div_ceil(4);
        let cells = Cell::from_mut(registers).as_slice_of_cells();
        let register = |index: u32| &cells[index as usize * width..][..groups];
        let weight = register(layout.weight() as u32);
        for instruction in &self.instructions {
            let a = register(instruction.a);
            match instruction.operation {
                Operation::Unary(operation) => unary(operation, register(instruction.target), a, live),
                Operation::Binary(operation) => {
                    binary(operation, register(instruction.target), a, register(instruction.b), live);
                }
                Operation::Select => {
                    let (b, c) = (register(instruction.b), register(instruction.c));
                    for (((target, a), b), c) in register(instruction.target).iter().zip(a).zip(b).zip(c) {
                        let (a, b, c) = (a.get(), b.get(), c.get());
                        target
                            .set(std::array::from_fn(|lane| if a[lane] != 0.0 { b[lane] } else { c[lane] }));
                    }
                }
                Operation::Store(output) => {
                    let into = match output {
                        Output::Value => &mut outputs.value[..groups],
                        Output::First(k) => &mut outputs.first[k as usize * width..][..groups],
                        Output::Second(k) => {
                            let into = &mut outputs.second[k as usize * width..][..groups];
                            for ((into, a), weight) in into.iter_mut().zip(a).zip(weight) {
                                let (a, weight) = (a.get(), weight.get());
                                *into = std::array::from_fn(|lane| a[lane] * weight[lane]);
                            }
                            continue;
                        }
                    };
                    for (into, a) in into.iter_mut().zip(a) {
                        *into = a.get();
                    }
                }
                Operation::Call(call) => {
                    self.calls[call as usize].run(cells, width, live, instruction.target as usize);
                }
            }
        }
    }
}

impl ResolvedCall {
    fn run(&self, cells: &[Cell<Lanes>], width: usize, live: usize, target: usize) {
        let mut arguments = vec![0.0; self.arguments.len()];
        let mut outputs = vec![0.0; self.outputs];
        for lane in 0..live {
            for (argument, &register) in arguments.iter_mut().zip(&self.arguments) {
                *argument = cells[register as usize * width + lane / 4].get()[lane % 4];
            }
            outputs.fill(0.0);
            let value = (self.function)(&arguments, &mut outputs);
            for (entry, &output) in std::iter::once(&value).chain(&outputs).enumerate() {
                let cell = &cells[(target + entry) * width + lane / 4];
                let mut lanes = cell.get();
                lanes[lane % 4] = output;
                cell.set(lanes);
            }
        }
    }
}

/// The nodes that the `wanted` ones depend on, themselves included.
pub(super) fn needed(graph: &Graph, sites: &[CallSite], wanted: impl Iterator<Item = NodeId>) -> Vec<Node> {
    let nodes = graph.nodes();
    let mut marked = vec![false; nodes.len()];
    wanted.for_each(|node| marked[node as usize] = true);
    for id in (0..nodes.len()).rev() {
        if marked[id] {
            for_each_argument(&nodes[id], sites, |argument| marked[argument as usize] = true);
        }
    }
    nodes.iter().zip(marked).filter(|(_, marked)| *marked).map(|(node, _)| *node).collect()
}

/// Temporaries are reused; all else has a register of its own.
fn is_temporary(node: &Node) -> bool {
    matches!(node, Node::Unary(..) | Node::Binary(..) | Node::Select(..))
}

fn for_each_argument(node: &Node, sites: &[CallSite], mut visit: impl FnMut(NodeId)) {
    match node {
        Node::Constant(_) | Node::Input(_) => {}
        Node::Unary(_, a) | Node::CallOutput(a, _) => visit(*a),
        Node::Binary(_, a, b) => [a, b].into_iter().for_each(|&argument| visit(argument)),
        Node::Select(a, b, c) => [a, b, c].into_iter().for_each(|&argument| visit(argument)),
        Node::Call(site) => sites[*site as usize].arguments.iter().for_each(|&argument| visit(argument)),
    }
}

fn operands(node: &Node, register: &[u32]) -> [u32; 3] {
    let at = |node: &NodeId| register[*node as usize];
    match node {
        Node::Unary(_, a) => [at(a), 0, 0],
        Node::Binary(_, a, b) => [at(a), at(b), 0],
        Node::Select(a, b, c) => [at(a), at(b), at(c)],
        _ => [0; 3],
    }
}

/// Whole groups at once where an operation is cheap, else the live lanes alone.
fn unary(operation: Unary, target: &[Cell<Lanes>], a: &[Cell<Lanes>], live: usize) {
    match operation {
        Unary::Negate => map(target, a, |x| -x),
        Unary::Absolute => map(target, a, f64::abs),
        Unary::SquareRoot => map(target, a, f64::sqrt),
        Unary::RoundSingle => map(target, a, |x| f64::from(x as f32)),
        _ => {
            let mut left = live;
            for (target, a) in target.iter().zip(a) {
                let mut lanes = a.get();
                for lane in &mut lanes[..left.min(4)] {
                    *lane = operation.apply(*lane);
                }
                target.set(lanes);
                left = left.saturating_sub(4);
            }
        }
    }
}

fn map(target: &[Cell<Lanes>], a: &[Cell<Lanes>], f: impl Fn(f64) -> f64) {
    for (target, a) in target.iter().zip(a) {
        target.set(a.get().map(&f));
    }
}

fn binary(operation: Binary, target: &[Cell<Lanes>], a: &[Cell<Lanes>], b: &[Cell<Lanes>], live: usize) {
    match operation {
        Binary::Add => map2(target, a, b, |x, y| x + y),
        Binary::Subtract => map2(target, a, b, |x, y| x - y),
        Binary::Multiply => map2(target, a, b, |x, y| x * y),
        Binary::Divide => map2(target, a, b, |x, y| x / y),
        _ => {
            let mut left = live;
            for ((target, a), b) in target.iter().zip(a).zip(b) {
                let (mut lanes, b) = (a.get(), b.get());
                for (lane, b) in lanes.iter_mut().zip(b).take(left) {
                    *lane = operation.apply(*lane, b);
                }
                target.set(lanes);
                left = left.saturating_sub(4);
            }
        }
    }
}

fn map2(target: &[Cell<Lanes>], a: &[Cell<Lanes>], b: &[Cell<Lanes>], f: impl Fn(f64, f64) -> f64) {
    for ((target, a), b) in target.iter().zip(a).zip(b) {
        let (a, b) = (a.get(), b.get());
        target.set(std::array::from_fn(|lane| f(a[lane], b[lane])));
    }
}
