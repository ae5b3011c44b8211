//! The `ghmesh` program: a fleet-wide cache for the GitHub API.

use std::process::ExitCode;

fn main() -> ExitCode {
    ghmesh::run()
}
