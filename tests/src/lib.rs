//! What end-to-end tests are written with: real `ghmesh` processes, a simulated GitHub, HTTP over sockets, network namespaces.
//!
//! A test reads as sentences: start a GitHub and some nodes, ask, compare what was answered and what GitHub was charged.
//! Nothing here waits for a time to pass; [`eventually`] waits for an event, up to a bound that only a failure reaches.

#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

pub mod binaries;
pub mod client;
pub mod cluster;
pub mod daemon;
pub mod forger;
pub mod network;

pub use client::Answer;
pub use daemon::{Daemon, DaemonBuilder};

use std::time::{Duration, Instant};

/// A mesh secret of the form that `ghmesh secret new` makes is too slow to invent by hand: tests allow weak ones.
pub const SECRET: &str = "a secret for tests only";

/// Longest wait for an event. A machine under load may need seconds; a test that reaches this has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `ready` gives a value, and panics with `what` after [`PATIENCE`].
pub async fn eventually<T>(what: &str, ready: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, ready).await
}

/// [`eventually`], with another patience: for what takes its time by design.
pub async fn within<T>(patience: Duration, what: &str, mut ready: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = ready().await {
            return value;
        }
        assert!(started.elapsed() < patience, "waited {patience:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
