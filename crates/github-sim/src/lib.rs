//! A GitHub that runs on this machine: for tests of things that talk to GitHub, and counts what they cost.
//!
//! It answers the REST API with GitHub's field names, entity tags (by the formula that GitHub's follow), conditional
//! requests, pagination, rate limits and redirects; what it knows of GitHub is in the modules' documentation. It is not a
//! git server, sends no webhooks and speaks no TLS or HTTP/2.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ghmesh_github_sim::{Config, Fault, Sim};
//!
//! let sim = Sim::start(Config::default()).await?;
//! println!("GitHub is at {}", sim.url());
//! sim.set_faults(vec![Fault::status(502).on("/repos/octo").times(2)]);
//! // … requests with `Authorization: token …` from `tokens` …
//! assert_eq!(sim.counters().path("/repos/octo/hello").charged, 1);
//! sim.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod config;
mod control;
mod counters;
mod fault;
pub mod filler;
mod graphql;
mod gzip;
mod http;
mod quota;
mod routes;
mod server;
mod shapes;
mod sim;
mod state;
mod text;
pub mod tokens;
mod world;

pub use config::{Base, Config, EtagStyle, Secondary, Settings};
pub use counters::{Call, Counters, Tally, Upload};
pub use fault::Fault;
pub use sim::{QuotaError, Sim, StartError};
pub use world::seed::{AccountSeed, RepositorySeed, Seed};
pub use world::{Mutation, MutationError, Permission};
