//! The HTTP front of a node: HTTP/1.1 and, for clients that know beforehand, HTTP/2, over TCP and a unix socket.
//!
//! [`Gateway::handle`] answers one request: its own pages under `/_ghmesh/` and GitHub's webhooks itself, everything else as
//! `policy` classifies it, from the `node`, with the API's URLs written as the caller's. [`Server`] brings it requests: listeners,
//! connections, limits, shutdown. hyper parses; what it or policy refuses, and every failure of the node, becomes a response in
//! one place, with words that its reader can act on.
//!
//! Nothing is cached, fetched or decided about GitHub here, and nothing is added to a request that goes on but the mark by which
//! this daemon would know it again.

mod admin;
pub mod config;
mod gateway;
mod listener;
mod metrics;
mod outgoing;
mod parser_errors;
mod places;
mod preface;
mod rescue;
mod serve;
mod stall;
mod webhook;

pub use config::{AdminToken, Config, Limits, Problem};
pub use gateway::Gateway;
pub use listener::BindError;
pub use serve::Server;

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
