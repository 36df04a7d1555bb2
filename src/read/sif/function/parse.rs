//! Recursive descent over the tokens of an expression, straight into nodes of the graph.
//!
//! Loosest first: `.EQV.`, `.OR.`, `.AND.`, `.NOT.`, relations, `+ -` (a leading sign binds like them), `* /`, `**`
//! (right-associative). Chains of one level are loops; only brackets, signs and powers recurse, and their depth is bounded.

use super::graph::{Call, Graph, NodeId, Type, Value};
use super::intrinsic;
use super::lex::{Symbol, Token, TokenKind, tokens};
use super::operation::{Binary, Unary};
use super::scope::{Binding, Scope, fortran_name};
use super::{Flaw, Mode};

/// Deeper brackets are refused.
const MAX_DEPTH: usize = 120;

/// An array that a call fills in: its name, the call, and its first entry among the call's outputs.
pub(super) struct Effect {
    pub array: String,
    pub call: NodeId,
    pub first: usize,
}

/// Reads the whole of `text` as one expression.
pub(super) fn expression(text: &str, scope: &Scope, graph: &mut Graph) -> Result<(Value, Vec<Effect>), Flaw> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, scope, graph, depth: 0, effects: Vec::new() };
    let value = parser.equivalence()?;
    if parser.peek() != &TokenKind::End {
        return Err(parser.flaw("expected an operator or the end of the expression"));
    }
    if parser.graph.overflowed() {
        return Err(parser.flaw("the function is too large"));
    }
    Ok((value, parser.effects))
}

struct Parser<'a, 'g> {
    tokens: Vec<Token>,
    at: usize,
    scope: &'a Scope<'a>,
    graph: &'g mut Graph,
    depth: usize,
    effects: Vec<Effect>,
}

impl Parser<'_, '_> {
    fn peek(&self) -> &TokenKind {
        &self.tokens[self.at].kind
    }

    fn symbol(&self) -> Option<Symbol> {
        match self.peek() {
            TokenKind::Symbol(symbol) => Some(*symbol),
            _ => None,
        }
    }

    fn accept(&mut self, symbol: Symbol) -> bool {
        let found = self.symbol() == Some(symbol);
        self.at += usize::from(found);
        found
    }

    fn flaw(&self, message: impl Into<String>) -> Flaw {
        self.flaw_at(self.at, message)
    }

    fn flaw_at(&self, token: usize, message: impl Into<String>) -> Flaw {
        Flaw { offset: self.tokens[token].offset, message: message.into() }
    }

    fn number(&self, value: Value, token: usize) -> Result<Value, Flaw> {
        if value.kind == Type::Logical {
            return Err(self.flaw_at(token, "expected a number, found a logical value"));
        }
        Ok(value)
    }

    fn logical(&self, value: Value, token: usize) -> Result<Value, Flaw> {
        if value.kind != Type::Logical {
            let kind = value.kind.name();
            return Err(self.flaw_at(token, format!("expected a logical value, found a number ({kind})")));
        }
        Ok(value)
    }

    fn truth(&mut self, operation: Binary, a: NodeId, b: NodeId) -> Value {
        Value { node: self.graph.binary(operation, a, b), kind: Type::Logical }
    }

    fn equivalence(&mut self) -> Result<Value, Flaw> {
        let mut left = self.disjunction()?;
        loop {
            let token = self.at;
            let operation = match self.symbol() {
                Some(Symbol::Equivalent) => Binary::Equal,
                Some(Symbol::NotEquivalent) => Binary::NotEqual,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.disjunction()?;
            let (a, b) = (self.logical(left, token)?, self.logical(right, token)?);
            left = self.truth(operation, a.node, b.node);
        }
    }

    fn disjunction(&mut self) -> Result<Value, Flaw> {
        let mut left = self.conjunction()?;
        loop {
            let token = self.at;
            if !self.accept(Symbol::Or) {
                return Ok(left);
            }
            let right = self.conjunction()?;
            let (a, b) = (self.logical(left, token)?, self.logical(right, token)?);
            left = self.truth(Binary::Or, a.node, b.node);
        }
    }

    fn conjunction(&mut self) -> Result<Value, Flaw> {
        let mut left = self.negation()?;
        loop {
            let token = self.at;
            if !self.accept(Symbol::And) {
                return Ok(left);
            }
            let right = self.negation()?;
            let (a, b) = (self.logical(left, token)?, self.logical(right, token)?);
            left = self.truth(Binary::And, a.node, b.node);
        }
    }

    fn negation(&mut self) -> Result<Value, Flaw> {
        let token = self.at;
        if !self.accept(Symbol::Not) {
            return self.relation();
        }
        let value = self.nested(Self::negation)?;
        let node = self.logical(value, token)?.node;
        Ok(Value { node: self.graph.unary(Unary::Not, node), kind: Type::Logical })
    }

    fn relation(&mut self) -> Result<Value, Flaw> {
        let left = self.sum()?;
        let token = self.at;
        let (operation, swapped) = match self.symbol() {
            Some(Symbol::Equal) => (Binary::Equal, false),
            Some(Symbol::NotEqual) => (Binary::NotEqual, false),
            Some(Symbol::Less) => (Binary::Less, false),
            Some(Symbol::LessEqual) => (Binary::LessEqual, false),
            Some(Symbol::Greater) => (Binary::Less, true),
            Some(Symbol::GreaterEqual) => (Binary::LessEqual, true),
            _ => return Ok(left),
        };
        self.at += 1;
        let right = self.sum()?;
        let (a, b) = (self.number(left, token)?, self.number(right, token)?);
        let (a, b) = if swapped { (b, a) } else { (a, b) };
        Ok(self.truth(operation, a.node, b.node))
    }

    fn sum(&mut self) -> Result<Value, Flaw> {
        let token = self.at;
        let negative = match self.symbol() {
            Some(Symbol::Minus) => Some(true),
            Some(Symbol::Plus) => Some(false),
            _ => None,
        };
        self.at += usize::from(negative.is_some());
        let mut left = self.product()?;
        if let Some(negative) = negative {
            left = self.number(left, token)?;
            if negative {
                left = self.graph.function(Unary::Negate, left);
            }
        }
        loop {
            let token = self.at;
            let operation = match self.symbol() {
                Some(Symbol::Plus) => Binary::Add,
                Some(Symbol::Minus) => Binary::Subtract,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.signed_product()?;
            let (a, b) = (self.number(left, token)?, self.number(right, token)?);
            left = self.graph.arithmetic(operation, a, b);
        }
    }

    /// A product behind an operator: `A + -B` is an extension that compilers accept.
    fn signed_product(&mut self) -> Result<Value, Flaw> {
        match self.symbol() {
            Some(Symbol::Plus | Symbol::Minus) => self.signed(Self::product),
            _ => self.product(),
        }
    }

    /// A sign and then `operand`.
    fn signed(&mut self, operand: fn(&mut Self) -> Result<Value, Flaw>) -> Result<Value, Flaw> {
        let token = self.at;
        let negative = self.symbol() == Some(Symbol::Minus);
        self.at += 1;
        let value = self.nested(operand)?;
        let value = self.number(value, token)?;
        Ok(if negative { self.graph.function(Unary::Negate, value) } else { value })
    }

    fn product(&mut self) -> Result<Value, Flaw> {
        let mut left = self.power()?;
        loop {
            let token = self.at;
            let operation = match self.symbol() {
                Some(Symbol::Times) => Binary::Multiply,
                Some(Symbol::Divide) => Binary::Divide,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = match self.symbol() {
                Some(Symbol::Plus | Symbol::Minus) => self.signed(Self::power)?,
                _ => self.power()?,
            };
            let (a, b) = (self.number(left, token)?, self.number(right, token)?);
            let zero = self.graph.known_number(b.node) == Some(0.0);
            if operation == Binary::Divide && zero && a.kind.max(b.kind) == Type::Integer {
                return Err(self.flaw_at(token, "integer division by zero"));
            }
            left = self.graph.arithmetic(operation, a, b);
        }
    }

    fn power(&mut self) -> Result<Value, Flaw> {
        let base = self.primary()?;
        let token = self.at;
        if !self.accept(Symbol::Power) {
            return Ok(base);
        }
        let exponent = match self.symbol() {
            Some(Symbol::Plus | Symbol::Minus) => self.signed(Self::power)?,
            _ => self.nested(Self::power)?,
        };
        let (base, exponent) = (self.number(base, token)?, self.number(exponent, token)?);
        Ok(self.graph.power(base, exponent))
    }

    /// `inner`, one level deeper.
    fn nested(&mut self, inner: fn(&mut Self) -> Result<Value, Flaw>) -> Result<Value, Flaw> {
        if self.depth >= MAX_DEPTH {
            return Err(self.flaw(format!("brackets and powers are nested deeper than {MAX_DEPTH}")));
        }
        self.depth += 1;
        let value = inner(self);
        self.depth -= 1;
        value
    }

    fn primary(&mut self) -> Result<Value, Flaw> {
        let token = self.at;
        let kind = self.peek().clone();
        if kind == TokenKind::End {
            return Err(self.flaw("the expression ends where a number, a name or `(` is expected"));
        }
        self.at += 1;
        match kind {
            TokenKind::Integer(value) => Ok(self.graph.constant(value, Type::Integer)),
            TokenKind::Double(value) => Ok(self.graph.constant(value, Type::Double)),
            TokenKind::Single(text) => self.single(&text, token),
            TokenKind::Symbol(Symbol::True) => Ok(self.graph.constant(1.0, Type::Logical)),
            TokenKind::Symbol(Symbol::False) => Ok(self.graph.constant(0.0, Type::Logical)),
            TokenKind::Symbol(Symbol::Open) => {
                let value = self.nested(Self::equivalence)?;
                self.close()?;
                Ok(value)
            }
            TokenKind::Name(name) if self.symbol() == Some(Symbol::Open) => self.call_or_entry(&name, token),
            TokenKind::Name(name) => match self.scope.scalar(&name, self.graph) {
                Some(value) => Ok(value),
                None => Err(self.flaw_at(token, format!("`{name}` is not declared"))),
            },
            _ => Err(self.flaw_at(token, "expected a number, a name or `(`")),
        }
    }

    /// A literal without D: binary32 to Fortran, what it says in mode Exact.
    fn single(&mut self, text: &str, token: usize) -> Result<Value, Flaw> {
        let (value, kind) = match self.scope.mode {
            Mode::Exact => (text.parse().ok(), Type::Double),
            Mode::Cutest => (text.parse().ok().map(f64::from as fn(f32) -> f64), Type::Single),
        };
        match value {
            Some(value) => Ok(self.graph.constant(value, kind)),
            None => Err(self.flaw_at(token, format!("`{text}` is not a number"))),
        }
    }

    fn close(&mut self) -> Result<(), Flaw> {
        if self.accept(Symbol::Close) { Ok(()) } else { Err(self.flaw("expected `)`")) }
    }

    /// `name(...)`: an array entry, a registered external function, or an intrinsic one.
    fn call_or_entry(&mut self, name: &str, token: usize) -> Result<Value, Flaw> {
        self.at += 1;
        if let Some(Binding::Array { dimensions, entries }) = self.scope.get(name) {
            return self.entry(name, token, dimensions, entries);
        }
        if self.scope.externals.get(&fortran_name(name)).is_some() {
            return self.external(name);
        }
        let known = intrinsic::is_known(name);
        if !known {
            return Err(self.flaw_at(token, format!("Unsupported external function {name}")));
        }
        let mut arguments = Vec::new();
        loop {
            let argument_token = self.at;
            let argument = self.nested(Self::equivalence)?;
            arguments.push(self.number(argument, argument_token)?);
            if !self.accept(Symbol::Comma) {
                break;
            }
        }
        self.close()?;
        intrinsic::apply(self.graph, self.scope.mode, name, &arguments)
            .map_err(|message| self.flaw_at(token, message))
    }

    /// An entry of an array; its indices must be constants.
    fn entry(
        &mut self,
        name: &str,
        token: usize,
        dimensions: &[usize],
        entries: &[Option<NodeId>],
    ) -> Result<Value, Flaw> {
        let mut indices = Vec::new();
        loop {
            let index_token = self.at;
            let index = self.nested(Self::sum)?;
            match self.graph.known_number(index.node) {
                Some(value) if index.kind == Type::Integer => indices.push(value),
                _ => return Err(self.flaw_at(index_token, "expected a constant integer as array index")),
            }
            if !self.accept(Symbol::Comma) {
                break;
            }
        }
        self.close()?;
        let position = position(dimensions, &indices).filter(|&position| position < entries.len());
        let Some(position) = position else {
            return Err(self.flaw_at(token, format!("index outside of the array `{name}`")));
        };
        match entries[position] {
            Some(node) => Ok(Value { node, kind: Type::Double }),
            None => Ok(self.graph.constant(0.0, Type::Double)),
        }
    }

    /// A call with scalar arguments, and arrays that it fills in.
    fn external(&mut self, name: &str) -> Result<Value, Flaw> {
        let (mut arguments, mut arrays, mut outputs) = (Vec::new(), Vec::new(), 0);
        loop {
            let array = match self.peek() {
                TokenKind::Name(name) => match self.scope.get(name) {
                    Some(Binding::Array { entries, .. }) => Some((name.clone(), entries.len())),
                    _ => None,
                },
                _ => None,
            };
            let alone = matches!(
                self.tokens.get(self.at + 1).map(|token| &token.kind),
                Some(TokenKind::Symbol(Symbol::Comma | Symbol::Close))
            );
            match array {
                Some((name, size)) if alone => {
                    self.at += 1;
                    arrays.push((name, outputs));
                    outputs += size;
                }
                _ => arguments.push(self.nested(Self::equivalence)?.node),
            }
            if !self.accept(Symbol::Comma) {
                break;
            }
        }
        self.close()?;
        let call = Call { name: fortran_name(name), arguments, outputs: outputs as u32 };
        let node = self.graph.call(call);
        let effects = arrays.into_iter().map(|(array, first)| Effect { array, call: node, first });
        self.effects.extend(effects);
        Ok(Value { node, kind: Type::Double })
    }
}

/// Offset of an entry, first index fastest; None outside of the array.
fn position(dimensions: &[usize], indices: &[f64]) -> Option<usize> {
    if dimensions.len() != indices.len() {
        return None;
    }
    let (mut offset, mut stride) = (0, 1);
    for (&size, &index) in dimensions.iter().zip(indices) {
        if !(1.0..=size as f64).contains(&index) {
            return None;
        }
        offset += (index as usize - 1) * stride;
        stride *= size;
    }
    Some(offset)
}
