//! What must hold for any bytes whatever, one function for each decoder that sees bytes of a peer, a client or the origin.
//!
//! Each function takes the bytes and panics where something that must not happen does: a panic inside of the decoder, a value
//! that breaks a limit, one that is written otherwise than it was read. The same functions run in two ways:
//!
//! - in `cargo test`, over [`Target::seeds`], over what is made of them by small damage, and over random bytes;
//! - under libFuzzer, guided by coverage: `tests/fuzz/run [SECONDS] [TARGET…]`, on a stable toolchain, with a C++ compiler.
//!   `cargo fuzz run --fuzz-dir tests/fuzz --features libfuzzer --sanitizer none fuzz-message` does the same.

mod clients;
mod peers;

pub use clients::{answer, body, graphql, headers, request, webhook};
pub use peers::{address, envelope, message};

/// One function under its name, and inputs that reach far into it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As in the name of its program, behind `fuzz-`.
    pub name: &'static str,
    /// What must hold.
    pub check: fn(&[u8]),
    /// Inputs as they come in practice.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets, by name.
pub const TARGETS: [Target; 9] = [
    Target { name: "address", check: address, seeds: peers::addresses },
    Target { name: "answer", check: answer, seeds: clients::answers },
    Target { name: "body", check: body, seeds: clients::bodies },
    Target { name: "envelope", check: envelope, seeds: peers::envelopes },
    Target { name: "graphql", check: graphql, seeds: clients::documents },
    Target { name: "headers", check: headers, seeds: clients::fields },
    Target { name: "message", check: message, seeds: peers::messages },
    Target { name: "request", check: request, seeds: clients::requests },
    Target { name: "webhook", check: webhook, seeds: clients::events },
];
