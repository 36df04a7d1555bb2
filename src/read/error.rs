//! The one error of this layer.

use std::fmt;

/// Why an input could not be read: where, what was wrong, and what would be right.
///
/// Displays as `data.txt:12:7: feature index 0; indices start at 1`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ReadError {
    /// Name of the file as the caller gave it; `standard input` for `-`.
    pub file: String,
    /// Line, from 1, where the flaw has one.
    pub line: Option<usize>,
    /// Byte within the line, from 1, where the flaw has one.
    pub column: Option<usize>,
    /// What was wrong.
    pub problem: String,
    /// What was expected instead.
    pub expected: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for position in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{position}")?;
        }
        write!(f, ": {}; {}", self.problem, self.expected)
    }
}

impl ReadError {
    /// An error of a file as a whole.
    pub(crate) fn whole(file: &str, problem: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: None,
            column: None,
            problem: problem.into(),
            expected: expected.into(),
        }
    }

    /// An error at `flaw.offset` of `text`. Cost: one pass over the text before it.
    pub(crate) fn at(file: &str, text: &[u8], flaw: Flaw) -> Self {
        let before = &text[..flaw.offset.min(text.len())];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.into(),
            line: Some(1 + before.iter().filter(|&&byte| byte == b'\n').count()),
            column: Some(1 + before.len() - line_start),
            problem: flaw.problem,
            expected: flaw.expected.into(),
        }
    }
}

/// A flaw at a byte offset of a text: what parsers return, before line and column are counted.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) offset: usize,
    pub(crate) problem: String,
    pub(crate) expected: &'static str,
}

impl Flaw {
    pub(crate) fn new(offset: usize, problem: impl Into<String>, expected: &'static str) -> Self {
        Self { offset, problem: problem.into(), expected }
    }

    /// The same flaw, found in a copy of what stands at `offset`.
    pub(crate) fn moved_to(self, offset: usize) -> Self {
        Self { offset, ..self }
    }
}
