//! The `ghmesh` program: settings, commands, and the one place where all parts are put together.
//!
//! Arguments become settings, settings become parts, parts become a command ([`run`]). Nothing is decided here about what may
//! be cached or shared.

pub mod api;
mod cli;
mod commands;
mod exit;
mod harden;
pub mod settings;

use clap::Parser;
use cli::{Cli, Command, SecretCommand};
use exit::Exit;
use settings::{Inputs, Loaded, Role};
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// The libraries' own words, unless the operator asks for them: an empty routing table is no news for a first node.
const LIBRARIES: &str = "libp2p_kad=error,libp2p_swarm=warn,libp2p_mdns=error";

/// How long the end of the daemon waits for what hangs in the system.
const HANGING: Duration = Duration::from_secs(1);

/// What commands beside the daemon log: only what their user should act on.
const CLIENT_LOG: &str = "warn";

/// Runs the program with the process's arguments and environment.
pub fn run() -> ExitCode {
    if let Err(error) = harden::harden() {
        eprintln!("ghmesh: can't start anew without SSLKEYLOGFILE: {error}");
        return Exit::Failure.into();
    }
    let cli = Cli::parse();
    let exit = match perform(cli) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("ghmesh: {}", told(&error));
            Exit::Failure
        }
    };
    exit.into()
}

/// An error and its causes in one line. Errors that show their cause themselves don't show it twice.
pub(crate) fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        before if before.contains(&cause) => told,
        before => format!("{before}: {cause}"),
    })
}

fn perform(cli: Cli) -> anyhow::Result<Exit> {
    let flags = match &cli.command {
        Command::Secret(secret) => match secret.command {
            SecretCommand::New => return Ok(commands::secret::new()),
        },
        Command::Demo => return runtime()?.block_on(commands::demo::run()),
        Command::Up(up) => up.flags(),
        Command::Api(_) | Command::Status(_) | Command::Peers(_) | Command::Doctor | Command::Id => Vec::new(),
    };
    let role = if matches!(cli.command, Command::Up(_)) { Role::Daemon } else { Role::Client };
    let inputs = Inputs::from_process(cli.config, flags, role);
    let loaded = match settings::load(&inputs) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprint!("ghmesh: the settings can't be used:\n{problems}\n");
            return Ok(Exit::Usage);
        }
    };
    start_log(&loaded, role)?;
    match cli.command {
        Command::Up(_) => {
            let runtime = runtime()?;
            let exit = runtime.block_on(commands::up::run(loaded, inputs));
            // What hangs in the system, as on a network file system that is gone, is left.
            runtime.shutdown_timeout(HANGING);
            exit
        }
        command => {
            drop(inputs);
            runtime()?.block_on(ask(command, &loaded))
        }
    }
}

/// Runs a command beside the daemon.
async fn ask(command: Command, loaded: &Loaded) -> anyhow::Result<Exit> {
    match command {
        Command::Api(options) => commands::api::run(*options, loaded).await,
        Command::Status(report) => commands::report::status(loaded, report.json).await,
        Command::Peers(report) => commands::report::peers(loaded, report.json).await,
        Command::Doctor => commands::doctor::run(loaded).await,
        Command::Id => commands::id::run(loaded).await,
        Command::Up(_) | Command::Secret(_) | Command::Demo => unreachable!("`perform` has run these"),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Logs go to standard error: standard output is for data.
fn start_log(loaded: &Loaded, role: Role) -> anyhow::Result<()> {
    let level = match role {
        Role::Daemon => loaded.settings.log.level.as_str(),
        Role::Client => CLIENT_LOG,
    };
    let filter = EnvFilter::try_new(format!("{LIBRARIES},{level}"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot use x: {source}; create it")]
    struct Shown {
        source: std::io::Error,
    }

    #[test]
    fn causes_are_told_once() {
        let shown = || Shown { source: std::io::Error::other("no such file") };
        let error = Err::<(), _>(shown()).context("the gateway can't listen").expect_err("an error");
        assert_eq!(told(&error), "the gateway can't listen: cannot use x: no such file; create it");
        let error = anyhow::anyhow!("inner").context("outer");
        assert_eq!(told(&error), "outer: inner");
    }
}
