//! Two nodes compare.
