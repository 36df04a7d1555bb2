//! Statements of problems that several methods share.
