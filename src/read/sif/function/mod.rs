//! The element and group functions of a file: Fortran expressions, compiled to programs over blocks of elements.
//!
//! | file | step |
//! | --- | --- |
//! | `lex` | text to tokens |
//! | `parse` | tokens to nodes of the graph, with Fortran's types |
//! | `graph` | hash-consed nodes, constants folded in their Fortran type |
//! | `compile` | the statements of a type to the nodes of its value and derivatives |
//! | `program` | wanted nodes to register instructions, and their execution over lanes |

mod compile;
mod graph;
mod intrinsic;
mod lex;
mod operation;
mod parse;
mod program;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

pub(crate) use compile::{Function, compile};
pub(crate) use program::{Lanes, Outputs, Program};

use super::decoded::Statement;
use super::{Mode, SifError, SifErrorKind};

/// A Fortran function that a file calls and does not define.
///
/// The first slice holds the scalar arguments in order. The second is to be filled: the array arguments one after the
/// other, each in Fortran's order (first index fastest). The result is the function's value.
pub type ExternalFunction = Arc<dyn Fn(&[f64], &mut [f64]) -> f64 + Send + Sync>;

/// External functions by name.
#[derive(Clone, Default)]
pub struct ExternalFunctions(HashMap<String, ExternalFunction>);

impl ExternalFunctions {
    /// Adds a function, or replaces the one of that name. Letter case means nothing; six characters count.
    pub fn register(
        &mut self,
        name: &str,
        function: impl Fn(&[f64], &mut [f64]) -> f64 + Send + Sync + 'static,
    ) {
        self.0.insert(scope::fortran_name(name), Arc::new(function));
    }

    fn get(&self, name: &str) -> Option<&ExternalFunction> {
        self.0.get(name)
    }
}

impl fmt::Debug for ExternalFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Equal if the names are and each stands for the very same closure.
impl PartialEq for ExternalFunctions {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().all(|(name, f)| other.0.get(name).is_some_and(|g| Arc::ptr_eq(f, g)))
    }
}

/// A flaw at an offset of a statement's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub offset: usize,
    pub message: String,
}

/// What is wrong with a function, and where in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionError {
    /// Line of the file, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What was found and what was expected.
    pub message: String,
}

impl From<FunctionError> for SifError {
    fn from(error: FunctionError) -> Self {
        Self::at(error.line, error.column, SifErrorKind::Expression(error.message))
    }
}

impl FunctionError {
    /// A flaw in a statement; the text of each card begins at column 25.
    fn new(flaw: Flaw, statement: &Statement) -> Self {
        let card = statement.cards.iter().rev().find(|(start, _)| *start <= flaw.offset);
        let (start, line) = card.or(statement.cards.first()).copied().unwrap_or((0, 0));
        let column = 25 + flaw.offset.saturating_sub(start) as u32;
        Self { line, column, message: flaw.message }
    }
}
