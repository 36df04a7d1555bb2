//! Expressions as a directed acyclic graph in which equal subexpressions are one node.
//!
//! Arguments of a node are always older than the node, so index order is an order of evaluation. Constants are folded
//! as nodes are made, in their Fortran type.

use std::collections::HashMap;

use super::operation::{Binary, Unary};

/// Fortran's types, narrow to wide; logical stands apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Type {
    Logical,
    Integer,
    Single,
    Double,
}

impl Type {
    pub fn name(self) -> &'static str {
        match self {
            Self::Logical => "logical",
            Self::Integer => "integer",
            Self::Single | Self::Double => "real",
        }
    }
}

/// Index of a node.
pub(crate) type NodeId = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    /// The bits of a binary64 number.
    Constant(u64),
    /// An argument or a parameter, by position.
    Input(u32),
    Unary(Unary, NodeId),
    Binary(Binary, NodeId, NodeId),
    /// The second where the first is true, else the third.
    Select(NodeId, NodeId, NodeId),
    /// The value of a call, by its number in `Graph::calls`.
    Call(u32),
    /// An array entry that the call of this node fills in.
    CallOutput(NodeId, u32),
}

/// A call of an external function.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub name: String,
    pub arguments: Vec<NodeId>,
    /// Number of array entries it fills in.
    pub outputs: u32,
}

/// A node with the type of its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub node: NodeId,
    pub kind: Type,
}

/// More nodes than any sane function needs.
const MAX_NODES: usize = 1 << 22;

#[derive(Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    known: HashMap<Node, NodeId>,
    pub calls: Vec<Call>,
}

impl Graph {
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// True once the function has grown beyond all reason; nodes made since then are meaningless.
    pub fn overflowed(&self) -> bool {
        self.nodes.len() >= MAX_NODES
    }

    fn intern(&mut self, node: Node) -> NodeId {
        if let Some(&known) = self.known.get(&node) {
            return known;
        }
        if self.overflowed() {
            return 0;
        }
        let id = self.nodes.len() as NodeId;
        self.nodes.push(node);
        self.known.insert(node, id);
        id
    }

    pub fn number(&mut self, value: f64) -> NodeId {
        self.intern(Node::Constant(value.to_bits()))
    }

    pub fn constant(&mut self, value: f64, kind: Type) -> Value {
        Value { node: self.number(value), kind }
    }

    pub fn input(&mut self, position: usize) -> Value {
        Value { node: self.intern(Node::Input(position as u32)), kind: Type::Double }
    }

    /// The number a node is known to be.
    pub fn known_number(&self, node: NodeId) -> Option<f64> {
        match self.nodes.get(node as usize) {
            Some(Node::Constant(bits)) => Some(f64::from_bits(*bits)),
            _ => None,
        }
    }

    /// Value node of a call, to which `CallOutput` nodes refer.
    pub fn call(&mut self, call: Call) -> NodeId {
        self.calls.push(call);
        self.intern(Node::Call(self.calls.len() as u32 - 1))
    }

    pub fn call_output(&mut self, call: NodeId, entry: usize) -> NodeId {
        self.intern(Node::CallOutput(call, entry as u32))
    }

    pub fn unary(&mut self, operation: Unary, a: NodeId) -> NodeId {
        if let Some(value) = self.known_number(a) {
            return self.number(operation.apply(value));
        }
        match (operation, self.nodes[a as usize]) {
            (Unary::Negate, Node::Unary(Unary::Negate, inner)) => inner,
            _ => self.intern(Node::Unary(operation, a)),
        }
    }

    /// Folds constants and drops neutral operands: x * 1, x + 0, x * -1.
    pub fn binary(&mut self, operation: Binary, a: NodeId, b: NodeId) -> NodeId {
        let (a, b) = if operation.commutes() && a > b { (b, a) } else { (a, b) };
        match (operation, self.known_number(a), self.known_number(b)) {
            (_, Some(x), Some(y)) => return self.number(operation.apply(x, y)),
            (Binary::Multiply, Some(1.0), _) | (Binary::Add, Some(0.0), _) => return b,
            (Binary::Multiply | Binary::Divide, _, Some(1.0)) => return a,
            (Binary::Add | Binary::Subtract, _, Some(0.0)) => return a,
            (Binary::Multiply, Some(-1.0), _) => return self.unary(Unary::Negate, b),
            (Binary::Multiply, _, Some(-1.0)) => return self.unary(Unary::Negate, a),
            _ => {}
        }
        match (operation, self.nodes[a as usize], self.nodes[b as usize]) {
            (Binary::Add, _, Node::Unary(Unary::Negate, inner)) => self.binary(Binary::Subtract, a, inner),
            (Binary::Add, Node::Unary(Unary::Negate, inner), _) => self.binary(Binary::Subtract, b, inner),
            (Binary::Subtract, _, Node::Unary(Unary::Negate, inner)) => self.binary(Binary::Add, a, inner),
            _ => self.intern(Node::Binary(operation, a, b)),
        }
    }

    pub fn select(&mut self, condition: NodeId, a: NodeId, b: NodeId) -> NodeId {
        match self.known_number(condition) {
            Some(0.0) => b,
            Some(_) => a,
            None if a == b => a,
            None => self.intern(Node::Select(condition, a, b)),
        }
    }

    /// `value` as a number of type `kind`; integers are cut towards zero.
    pub fn convert(&mut self, value: Value, kind: Type) -> Value {
        let node = match (value.kind, kind) {
            (from, to) if from == to => value.node,
            (_, Type::Integer) => self.unary(Unary::Truncate, value.node),
            (Type::Double | Type::Integer, Type::Single) => self.unary(Unary::RoundSingle, value.node),
            _ => value.node,
        };
        Value { node, kind }
    }

    /// The result of an operation whose exact value is `node`, in the type `kind`.
    fn rounded(&mut self, node: NodeId, kind: Type) -> Value {
        let node = match kind {
            Type::Single => self.unary(Unary::RoundSingle, node),
            _ => node,
        };
        Value { node, kind }
    }

    /// A function of one number, its result of the argument's type.
    pub fn function(&mut self, operation: Unary, a: Value) -> Value {
        let node = self.unary(operation, a.node);
        self.rounded(node, a.kind)
    }

    /// a + b and its kin under Fortran's rules: the wider type wins, integers divide towards zero.
    pub fn arithmetic(&mut self, operation: Binary, a: Value, b: Value) -> Value {
        let kind = a.kind.max(b.kind);
        let (a, b) = (self.convert(a, kind), self.convert(b, kind));
        let node = self.binary(operation, a.node, b.node);
        match (operation, kind) {
            (Binary::Divide, Type::Integer) => Value { node: self.unary(Unary::Truncate, node), kind },
            _ => self.rounded(node, kind),
        }
    }

    /// a ** b: products for integer exponents, `pow` for real ones.
    pub fn power(&mut self, a: Value, b: Value) -> Value {
        if b.kind != Type::Integer {
            let kind = a.kind.max(b.kind);
            let (a, b) = (self.convert(a, kind), self.convert(b, kind));
            let (exponent, base) = (self.known_number(b.node), self.known_number(a.node));
            let small = exponent.filter(|k| k.fract() == 0.0 && (1.0..=4.0).contains(k));
            if let (Some(exponent), None, Type::Double) = (small, base, kind) {
                return self.product_power(a, exponent as u32);
            }
            let node = self.binary(Binary::Power, a.node, b.node);
            return self.rounded(node, kind);
        }
        match self.known_number(b.node) {
            Some(exponent) if exponent.abs() <= 64.0 && self.known_number(a.node).is_none() => {
                let product = self.product_power(a, exponent.abs() as u32);
                if exponent >= 0.0 {
                    return product;
                }
                let one = self.constant(1.0, a.kind);
                self.arithmetic(Binary::Divide, one, product)
            }
            _ => {
                let node = self.binary(Binary::PowerInteger, a.node, b.node);
                match a.kind {
                    Type::Integer => Value { node: self.unary(Unary::Truncate, node), kind: a.kind },
                    _ => self.rounded(node, a.kind),
                }
            }
        }
    }

    /// a^k by repeated squaring.
    fn product_power(&mut self, a: Value, k: u32) -> Value {
        let mut product: Option<Value> = None;
        let (mut square, mut rest) = (a, k);
        while rest > 0 {
            if rest & 1 == 1 {
                product = Some(match product {
                    Some(product) => self.arithmetic(Binary::Multiply, product, square),
                    None => square,
                });
            }
            rest >>= 1;
            if rest > 0 {
                square = self.arithmetic(Binary::Multiply, square, square);
            }
        }
        product.unwrap_or_else(|| self.constant(1.0, a.kind))
    }
}
