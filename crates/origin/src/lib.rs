//! The one HTTP client for GitHub: pooled connections, timeouts, retries where they are safe, a breaker per host, and what
//! answers tell about quotas and time.
//!
//! It sends what it is given and returns what comes: it doesn't cache, follow redirects, decode bodies, add credentials or
//! decide who may read what. Built on hyper directly rather than on a client that parses targets as URLs: those rewrite
//! dot segments and escapes, and then the request that is sent isn't the one that was judged.

mod body;
mod breaker;
mod client;
mod config;
mod connect;
mod date;
mod download;
mod error;
mod gate;
mod hosts;
mod retry;
mod upload;

pub use body::{Body, BoxError, Collected, chain, collect_limited, empty, full, read_ahead};
pub use breaker::{BreakerConfig, BreakerState};
pub use client::{Origin, Tries};
pub use config::{Config, ConfigError, Problem};
pub use error::{BodyError, OriginError, Phase};
pub use hosts::{AccountView, Clock, HostHealth, Users};
pub use retry::Safety;
