//! What GitHub and HTTP allow a cache between a client and the GitHub API to do.
//!
//! A client's request comes in as [`http::request::Parts`]. [`classify()`] either refuses it, or says where it goes and whether
//! it is a [`Read`], which may be answered from the cache, or a [`Pass`], which is streamed through. What is ambiguous passes.
//! For a read, [`storable`] decides whether the origin's answer may be kept, [`freshness`] whether a kept one may be used,
//! [`offer`] and [`pagination`] how it is confirmed at no cost, and [`answer`] writes the head of what the client gets. For a
//! write, [`invalidation`] names what it may have changed.
//!
//! Nothing here stores, connects or looks at a clock: `now` is an argument, and the same input gives the same answer.
//! Sources: RFC 9110 (HTTP), 9111 (caching), 9112 (HTTP/1.1), 9211 (Cache-Status), and GitHub's REST documentation.

pub mod adaptive;
pub mod answer;
pub mod budget;
pub mod caller;
pub mod change;
pub mod classify;
pub mod credential;
pub mod etag;
#[cfg(test)]
mod fixtures;
pub mod formula;
pub mod freshness;
pub mod graphql;
pub mod headers;
pub mod hearsay;
pub mod invalidation;
mod json;
pub mod limits_headers;
pub mod links;
pub mod loops;
pub mod nodes;
pub mod offer;
pub mod origins;
pub mod pagination;
pub mod refusal;
pub mod routes;
pub mod sharing;
pub mod storable;
pub mod target;
pub mod validators;
pub mod webhook;

pub use caller::{Caller, Conditionals, Directives};
pub use change::{Change, Told};
pub use classify::{Mode, Pass, PassReason, Plan, PolicyConfig, Read, classify};
pub use credential::{Credential, CredentialKind};
pub use formula::FormulaBook;
pub use freshness::{Freshness, Verdict};
pub use graphql::{GraphQlRead, NotRead};
pub use loops::LoopMark;
pub use nodes::Nodes;
pub use origins::{Listener, Origins, OriginsProblem};
pub use refusal::Refusal;
pub use routes::{Family, Route, RouteOverrides, RouteProblem};
pub use sharing::Sharing;
pub use storable::{Keep, NotStored};
pub use target::{Resource, Target, TargetKind};
pub use validators::Validators;
pub use webhook::{Deliveries, WebhookEvent, WebhookSecret};

/// The `User-Agent` of every read that goes upstream. GitHub pretty-prints bodies after it hashed them for agents that look
/// like a browser or curl, so that all callers of one node must look the same.
pub const USER_AGENT: &str = concat!("ghmesh/", env!("CARGO_PKG_VERSION"));
