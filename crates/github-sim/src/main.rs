//! `github-sim`: the simulated GitHub as a process. It says where it listens in its first line on standard output.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use ghmesh_github_sim::{Base, Config, Seed, Sim};
use tokio::signal::unix::{SignalKind, signal};

/// A GitHub that runs on this machine, for tests. Steered and read under /_sim/ on the same address.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
    /// A unix socket to listen on as well.
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// Which built-in world to simulate.
    #[arg(long, value_enum, default_value_t = World::Small)]
    world: World,
    /// A world described in JSON, in place of a built-in one.
    #[arg(long, value_name = "PATH", conflicts_with = "world")]
    seed_file: Option<PathBuf>,
    /// Milliseconds that every answer is delayed.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Put this simulator's own URL in Link headers and redirects, and not GitHub's.
    #[arg(long)]
    own_links: bool,
    /// Put this simulator's own URL in bodies too.
    #[arg(long)]
    own_bodies: bool,
    /// Be a GitHub Enterprise Server.
    #[arg(long)]
    enterprise: bool,
    /// Compress answers for clients that accept gzip.
    #[arg(long)]
    gzip: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum World {
    Small,
    Large,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter()).init();
    let arguments = Arguments::parse();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let sim = Sim::start(config(arguments)?).await?;
    println!("listening on {}", sim.url());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    sim.shutdown().await;
    Ok(())
}

fn filter() -> tracing_subscriber::EnvFilter {
    tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into())
}

fn config(arguments: Arguments) -> anyhow::Result<Config> {
    let own = |own: bool| if own { Base::Own } else { Base::Github };
    let mut config = Config { listen: arguments.listen, unix: arguments.unix, ..Config::default() };
    config.seed = match (&arguments.seed_file, arguments.world) {
        (Some(path), _) => read_seed(path)?,
        (None, World::Small) => Seed::small(),
        (None, World::Large) => Seed::large(),
    };
    config.settings.latency_ms = arguments.latency_ms;
    config.settings.links = own(arguments.own_links);
    config.settings.assets = own(arguments.own_links);
    config.settings.bodies = own(arguments.own_bodies);
    config.settings.enterprise = arguments.enterprise;
    config.settings.gzip = arguments.gzip;
    Ok(config)
}

fn read_seed(path: &PathBuf) -> anyhow::Result<Seed> {
    let text = std::fs::read(path).with_context(|| format!("can't read the seed file {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} doesn't describe a world", path.display()))
}
