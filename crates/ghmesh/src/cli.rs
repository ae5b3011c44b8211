//! The command line.

use crate::api::Options;
use crate::settings::Flag;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Answers GitHub API reads from a cache that a whole fleet fills together.
#[derive(Debug, Parser)]
#[command(name = "ghmesh", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Reads settings from this file as well, above /etc/ghmesh/config.toml and the user's file.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon, until SIGTERM or Ctrl-C.
    Up(Up),
    /// Call the GitHub API as `gh api` does, through the daemon if one runs.
    Api(Box<Options>),
    /// Show what the daemon does: hits, calls saved, members.
    Status(Report),
    /// Show the members that the daemon is connected to.
    Peers(Report),
    /// Say why there are no members, or what else is wrong with the mesh, and what to do.
    Doctor,
    /// Show this node's multiaddrs, for mesh.bootstrap of other nodes.
    Id,
    /// Make mesh secrets.
    Secret(Secret),
    /// See it work: three nodes and a simulated GitHub, on this machine alone.
    Demo,
}

/// Flags of `up`: each sets what the setting of the same name does.
#[derive(Args, Debug)]
pub(crate) struct Up {
    /// Listen for HTTP on this address (gateway.listen). Can be repeated, as all flags that set a list.
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Listen for HTTP on this unix socket (gateway.socket).
    #[arg(long, value_name = "PATH")]
    socket: Option<String>,
    /// Read the mesh secret from this file (mesh.secret_file).
    #[arg(long, value_name = "FILE")]
    secret_file: Option<String>,
    /// Listen for other nodes on this multiaddr (mesh.listen).
    #[arg(long, value_name = "MULTIADDR")]
    mesh_listen: Vec<String>,
    /// Dial this node at the start (mesh.bootstrap).
    #[arg(long, value_name = "MULTIADDR")]
    bootstrap: Vec<String>,
    /// Share with nodes of this name only (mesh.cluster).
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Share with nobody: a cache for this machine (mesh.enabled = false).
    #[arg(long)]
    no_mesh: bool,
    /// Keep everything in this directory (cache.dir).
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<String>,
    /// Send every API request to this URL (origin.url).
    #[arg(long, value_name = "URL")]
    origin_url: Option<String>,
}

/// Flags of commands that report.
#[derive(Args, Debug)]
pub(crate) struct Report {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `ghmesh secret …`.
#[derive(Args, Debug)]
pub(crate) struct Secret {
    #[command(subcommand)]
    pub(crate) command: SecretCommand,
}

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Print a new mesh secret. Give it to every node of one trust domain, and to nobody else.
    New,
}

impl Up {
    /// The settings that the flags set.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        let off = self.no_mesh.then(|| "false".to_owned());
        let list = |values: &[String]| (!values.is_empty()).then(|| values.join(","));
        let given = [
            ("--listen", "gateway.listen", list(&self.listen)),
            ("--socket", "gateway.socket", self.socket.clone()),
            ("--secret-file", "mesh.secret_file", self.secret_file.clone()),
            ("--mesh-listen", "mesh.listen", list(&self.mesh_listen)),
            ("--bootstrap", "mesh.bootstrap", list(&self.bootstrap)),
            ("--cluster", "mesh.cluster", self.cluster.clone()),
            ("--no-mesh", "mesh.enabled", off),
            ("--data-dir", "cache.dir", self.data_dir.clone()),
            ("--origin-url", "origin.url", self.origin_url.clone()),
        ];
        let set = given.into_iter().filter_map(|(name, path, value)| Some((name, path, value?)));
        set.map(|(name, path, value)| Flag { name: name.to_owned(), path, value }).collect()
    }
}
