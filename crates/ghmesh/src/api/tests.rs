//! Whole invocations against a server on a unix socket, spoken to over real HTTP; and the same invocations side by side with gh.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod invocations;
mod server;
mod side_by_side;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use clap::Parser;

use super::*;
use server::Server;

#[derive(Parser)]
#[command(name = "api")]
struct Command {
    #[command(flatten)]
    options: Options,
}

/// What an invocation left behind.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    stdout: String,
    stderr: String,
    code: u8,
}

/// An invocation's surroundings: no terminal, a token, and nothing else.
struct Scene {
    variables: BTreeMap<String, String>,
    directory: tempfile::TempDir,
    stdin: &'static str,
}

impl Scene {
    fn new() -> Self {
        let variables = [("GH_TOKEN", "tok"), ("PATH", "/nonexistent"), ("GH_CONFIG_DIR", "/nonexistent")];
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { variables, directory: tempfile::tempdir().unwrap(), stdin: "" }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        std::fs::write(self.directory.path().join(name), content).unwrap();
        self
    }

    fn environment(&self) -> Environment {
        Environment {
            variables: self.variables.clone(),
            directory: self.directory.path().to_owned(),
            stdout_is_terminal: false,
            terminal_width: 80,
            stdin: Some(Box::new(self.stdin.as_bytes())),
        }
    }

    async fn run(&self, server: &Server, arguments: &[&str]) -> Outcome {
        let mut stdout = Vec::new();
        let (code, stderr) = self.run_into(&Daemon::on_socket(server.socket()), arguments, &mut stdout).await;
        Outcome { stdout: String::from_utf8(stdout).unwrap(), stderr, code }
    }

    async fn run_into(
        &self,
        transport: &impl Transport,
        arguments: &[&str],
        stdout: &mut (dyn Write + Send),
    ) -> (u8, String) {
        let mut stderr = Vec::new();
        let options = match Command::try_parse_from(std::iter::once("api").chain(arguments.iter().copied())) {
            Ok(command) => command.options,
            Err(error) => return (error.exit_code() as u8, error.to_string()),
        };
        let status = run(&options, &mut self.environment(), transport, stdout, &mut stderr).await;
        (status.code(), String::from_utf8(stderr).unwrap())
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}
