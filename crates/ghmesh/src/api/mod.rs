//! `ghmesh api`: one call of GitHub's API with `gh api`'s options, output and exit codes, over whatever answers requests: a running
//! daemon ([`Daemon`], found by [`find_daemon`]) or a node in this process (anything that is a [`Transport`]).
//!
//! What is cached is decided behind the transport, and it is the API's answer: filters and templates run here, after it. Writes
//! carry no cache lifetime. Where newer gh differs from 2.23, newer gh is followed: pages of lists become one list, `--slurp`,
//! nested fields, a key set twice is an error. Deliberately different from gh: usage errors end with 2; without a token the call
//! goes out anonymously, with one line on stderr; a filter or template that can't run is told before the request is sent; a
//! plain body is printed byte for byte; there is no pager.

mod body;
mod duration;
mod environment;
mod error;
mod failure;
mod fields;
mod host;
mod jq;
mod json;
mod options;
mod output;
mod pages;
mod repository;
mod request;
mod run;
mod template;
pub mod transport;

pub use duration::DurationError;
pub use environment::Environment;
pub use error::ApiError;
pub use fields::FieldError;
pub use host::EndpointError;
pub use jq::{FilterError, ValueError};
pub use options::{Options, UsageError};
pub use repository::RepositoryError;
pub use run::{ExitStatus, run};
pub use template::{Fault, Problem, TemplateError};
pub use transport::{Address, Body, BoxError, Daemon, Search, Transport, TransportError, empty, find_daemon, full};

#[cfg(test)]
mod tests;
