//! What the names of a function stand for while its statements are read.

use std::collections::HashMap;

use super::ExternalFunctions;
use super::Mode;
use super::graph::{Graph, NodeId, Type, Value};
use crate::read::sif::decoded::{Temporary, TemporaryKind};

/// A declared name.
#[derive(Clone, Debug)]
pub(super) enum Binding {
    /// A variable, and its value once it has one.
    Scalar { kind: Type, value: Option<NodeId> },
    /// A real array, first index fastest.
    Array { dimensions: Vec<usize>, entries: Vec<Option<NodeId>> },
}

/// Declared names, and how literals and foreign functions are treated.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    pub names: HashMap<String, Binding>,
    pub externals: &'a ExternalFunctions,
    pub mode: Mode,
}

/// No array of a function part is larger.
const MAX_ARRAY: usize = 10_000;

impl<'a> Scope<'a> {
    pub fn new(temporaries: &[Temporary], externals: &'a ExternalFunctions, mode: Mode) -> Self {
        let mut names = HashMap::new();
        for temporary in temporaries {
            let kind = match temporary.kind {
                TemporaryKind::Real => Type::Double,
                TemporaryKind::Integer => Type::Integer,
                TemporaryKind::Logical => Type::Logical,
                TemporaryKind::Intrinsic | TemporaryKind::External => continue,
            };
            let dimensions = temporary.dimensions.clone();
            let size =
                dimensions.iter().try_fold(1usize, |size, &d| size.checked_mul(d)).unwrap_or(usize::MAX);
            let binding = if dimensions.is_empty() {
                Binding::Scalar { kind, value: None }
            } else {
                Binding::Array { dimensions, entries: vec![None; size.min(MAX_ARRAY)] }
            };
            names.insert(fortran_name(&temporary.name), binding);
        }
        Self { names, externals, mode }
    }

    /// Declares a binary64 variable with a value, over any temporary of that name.
    pub fn define(&mut self, name: &str, value: Value) {
        self.names.insert(fortran_name(name), Binding::Scalar { kind: value.kind, value: Some(value.node) });
    }

    pub fn get(&self, name: &str) -> Option<&Binding> {
        self.names.get(&fortran_name(name))
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Binding> {
        self.names.get_mut(&fortran_name(name))
    }

    /// The value of a scalar; a temporary that never got one is zero.
    pub fn scalar(&self, name: &str, graph: &mut Graph) -> Option<Value> {
        match self.get(name)? {
            Binding::Scalar { kind, value: Some(node) } => Some(Value { node: *node, kind: *kind }),
            Binding::Scalar { kind, value: None } => Some(graph.constant(0.0, *kind)),
            Binding::Array { .. } => None,
        }
    }
}

/// Names count to six characters, in either case.
pub(super) fn fortran_name(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).take(6).collect::<String>().to_ascii_uppercase()
}
