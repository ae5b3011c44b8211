//! The programs under test, built once per test process in the profile of the tests; or those of a directory that
//! `GHMESH_TEST_PROGRAMS` names, to test what was built elsewhere.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Paths of the built programs.
#[derive(Debug)]
pub struct Binaries {
    /// `ghmesh`.
    pub ghmesh: PathBuf,
    /// `github-sim`.
    pub github_sim: PathBuf,
}

/// Builds the programs, the first time, and says where they are.
pub fn binaries() -> &'static Binaries {
    static BUILT: OnceLock<Binaries> = OnceLock::new();
    BUILT.get_or_init(build)
}

fn build() -> Binaries {
    if let Some(directory) = std::env::var_os("GHMESH_TEST_PROGRAMS").map(PathBuf::from) {
        return Binaries { ghmesh: directory.join("ghmesh"), github_sim: directory.join("github-sim") };
    }
    let output = Command::new(env!("CARGO"))
        .args(["build", "--workspace", "--bins", "--message-format=json"])
        .args(if cfg!(debug_assertions) { &[][..] } else { &["--release"] })
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the programs under test don't build");
    let messages = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    Binaries { ghmesh: executable(&messages, "ghmesh"), github_sim: executable(&messages, "github-sim") }
}

fn executable(messages: &str, name: &str) -> PathBuf {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut executables = artifacts.filter(|artifact| artifact["target"]["name"] == name);
    let path = executables.find_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
    path.unwrap_or_else(|| panic!("cargo built no program called {name}"))
}
