//! The simulator over real connections.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod faults;
mod graphql;
mod process;
mod rest;
mod write;
