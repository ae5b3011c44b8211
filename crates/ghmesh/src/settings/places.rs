//! Where things are when nobody says: settings files, data, the socket.
//!
//! What is known about the machine is an argument, except in [`Surroundings::from_process`].

use super::Environment;
use std::path::{Path, PathBuf};

/// The socket of a service (file-hierarchy(7)).
const SERVICE_SOCKET: &str = "/run/ghmesh/ghmesh.sock";

/// The socket's name in a user's directories.
const SOCKET_NAME: &str = "ghmesh.sock";

/// What the process was started in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The environment.
    pub environment: Environment,
    /// Whether the effective user is root.
    pub root: bool,
    /// Whether `/run` is a directory that can be written to, so that `/run/ghmesh` is there or can be made.
    pub run_is_writable: bool,
}

impl Surroundings {
    /// What this process was started in: the only place in these files that asks the process or the machine.
    pub fn from_process() -> Self {
        Surroundings {
            environment: Environment::from_process(),
            root: rustix::process::geteuid().is_root(),
            run_is_writable: rustix::fs::access("/run", rustix::fs::Access::WRITE_OK).is_ok(),
        }
    }

    /// A variable; empty is unset.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).filter(|value| !value.is_empty())
    }

    /// A directory that a variable names. Relative ones don't count, as the XDG base directory specification asks.
    fn directory(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// The first of the directories that systemd names in a variable, separated by colons (systemd.exec(5)).
    fn service_directory(&self, name: &str) -> Option<PathBuf> {
        let first = self.variable(name)?.split(':').next()?;
        Some(PathBuf::from(first)).filter(|path| path.is_absolute())
    }

    /// The home directory.
    pub(super) fn home(&self) -> Option<PathBuf> {
        self.directory("HOME")
    }

    /// The user's own settings.
    pub(super) fn user_file(&self) -> Option<PathBuf> {
        let base = self.directory("XDG_CONFIG_HOME").or_else(|| Some(self.home()?.join(".config")))?;
        Some(base.join("ghmesh/config.toml"))
    }

    /// The data directory when `cache.dir` is not set. `None` if nothing is known about the user.
    pub(super) fn data_directory(&self) -> Option<PathBuf> {
        if let Some(path) = self.service_directory("STATE_DIRECTORY") {
            return Some(path);
        }
        if self.root {
            return Some(PathBuf::from("/var/lib/ghmesh"));
        }
        let base = self.directory("XDG_DATA_HOME").or_else(|| Some(self.home()?.join(".local/share")))?;
        Some(base.join("ghmesh"))
    }

    /// Where the daemon puts its socket when `gateway.socket` is not set.
    pub(super) fn socket(&self, data: &Path) -> PathBuf {
        let user = self.directory("XDG_RUNTIME_DIR");
        match self.service_directory("RUNTIME_DIRECTORY") {
            // A service of a user's own systemd has its directory below the user's, where nobody looks for the socket.
            Some(path) if !user.as_ref().is_some_and(|user| path.starts_with(user)) => return path.join(SOCKET_NAME),
            _ if self.root && self.run_is_writable => return PathBuf::from(SERVICE_SOCKET),
            _ => {}
        }
        user.unwrap_or_else(|| data.to_owned()).join(SOCKET_NAME)
    }

    /// Where commands look for the daemon's socket, in this order, when `gateway.socket` is not set.
    pub(super) fn sockets(&self, data: &Path) -> Vec<PathBuf> {
        let user = self.directory("XDG_RUNTIME_DIR").map(|path| path.join(SOCKET_NAME));
        [Some(PathBuf::from(SERVICE_SOCKET)), user, Some(data.join(SOCKET_NAME))].into_iter().flatten().collect()
    }
}
