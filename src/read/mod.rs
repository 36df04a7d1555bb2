//! Files to problems.
