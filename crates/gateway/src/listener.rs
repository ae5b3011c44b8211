//! Sockets to listen on: TCP, and a unix socket that nobody could reach before its permissions were set.
//!
//! Accepting and serving is `serve`'s.

use crate::config::Config;
use rustix::fs::{FlockOperation, OFlags};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener};

/// Connections that wait in the kernel while all places are taken; Linux caps it at `net.core.somaxconn` (4096).
const BACKLOG: i32 = 1024;

/// Where user and group names are looked up. Groups of a directory service are not there: their numbers work.
const GROUPS: &str = "/etc/group";

/// Largest `/etc/group` that is read, in bytes.
const MAX_GROUPS_BYTES: u64 = 16 * 1024 * 1024;

/// Why the gateway cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The settings cannot be used; every problem is listed.
    #[error("{}", lines(.0))]
    Config(Vec<crate::config::Problem>),
    /// Something else listens there.
    #[error("{address} is taken: another program, or another ghmesh, listens there; stop it or change gateway.listen")]
    AddressTaken {
        /// The address.
        address: SocketAddr,
    },
    /// The kernel refused the address.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A process listens on the socket.
    #[error("{path} is in use: another process listens on it; stop it or change gateway.socket")]
    SocketTaken {
        /// The socket.
        path: PathBuf,
    },
    /// The path is something else, which is not ours to remove.
    #[error("{path} exists and is not a socket; move it away or change gateway.socket")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The directory of the socket cannot be used.
    #[error("cannot use the directory {directory} for the socket: {source}; create it, or change gateway.socket")]
    SocketDirectory {
        /// The directory.
        directory: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The kernel refused the socket.
    #[error("cannot listen on {path}: {source}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// No such group.
    #[error("gateway.socket_group: no group {group:?} in {GROUPS}; create it, or give its number")]
    NoSuchGroup {
        /// As configured.
        group: String,
    },
    /// The process may not give the socket to the group.
    #[error("cannot give {path} to the group {group:?}: {source}; the daemon's user must be a member of it")]
    Group {
        /// The socket.
        path: PathBuf,
        /// As configured.
        group: String,
        /// The kernel's reason.
        source: io::Error,
    },
}

fn lines(problems: &[crate::config::Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A bound TCP listener. Must be called inside a tokio runtime.
///
/// `SO_REUSEADDR` lets a restarted daemon have its port back while old connections are in TIME_WAIT. An IPv6 wildcard also takes IPv4, unless
/// an IPv4 address with that port is to be listened on as well.
pub(crate) fn tcp(address: SocketAddr, all: &[SocketAddr]) -> Result<TcpListener, BindError> {
    let beside = all.iter().any(|other| other.is_ipv4() && other.port() == address.port());
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() && beside {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    bind().map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::AddressTaken { address },
        _ => BindError::Address { address, source },
    })
}

/// The unix socket and its file, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    pub(crate) listener: UnixListener,
    /// Removes the name when this is dropped.
    _file: SocketFile,
}

/// A socket's name in the file system. Dropping it removes the name, if it still is this socket's.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours =
            std::fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.device_and_inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "could not remove the socket");
        }
    }
}

/// A bound unix socket with the configured mode and group. Must be called inside a tokio runtime.
///
/// It is bound, given its permissions, and only then listens: before that the kernel refuses every connection. A lock on the
/// directory keeps two starting processes from both taking the same leftover for stale.
pub(crate) fn unix(path: &Path, config: &Config) -> Result<UnixSocket, BindError> {
    let group = config.socket_group.as_deref().map(|name| group_id(name).map(|id| (name, id))).transpose()?;
    let _lock = lock_directory(path)?;
    remove_stale(path)?;
    let failed = |source| BindError::Socket { path: path.to_owned(), source };
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    let address = SockAddr::unix(path).map_err(failed)?;
    socket.bind(&address).map_err(failed)?;
    let metadata = std::fs::symlink_metadata(path).map_err(failed)?;
    let file = SocketFile { path: path.to_owned(), device_and_inode: (metadata.dev(), metadata.ino()) };
    if let Some((name, id)) = group {
        std::os::unix::fs::lchown(path, None, Some(id)).map_err(|source| BindError::Group {
            path: path.to_owned(),
            group: name.to_owned(),
            source,
        })?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(config.socket_mode)).map_err(failed)?;
    socket.set_nonblocking(true).and_then(|()| socket.listen(BACKLOG)).map_err(failed)?;
    let listener = UnixListener::from_std(socket.into()).map_err(failed)?;
    Ok(UnixSocket { listener, _file: file })
}

fn lock_directory(path: &Path) -> Result<File, BindError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let open = || {
        let flags = (OFlags::DIRECTORY | OFlags::CLOEXEC).bits();
        let file = File::options().read(true).custom_flags(flags.cast_signed()).open(directory)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    };
    open().map_err(|source| BindError::SocketDirectory { directory: directory.to_owned(), source })
}

/// Removes the socket that a dead process left at `path`. Only a connection attempt can tell: the file of a dead process
/// refuses it.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Socket { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    // A live listener with a full queue would block a blocking probe; this one gets EAGAIN.
    probe.set_nonblocking(true).map_err(failed)?;
    match probe.connect(&SockAddr::unix(path).map_err(failed)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed(error)),
        Ok(()) | Err(_) => Err(BindError::SocketTaken { path: path.to_owned() }),
    }
}

/// The number of a group, from its number or its name in [`GROUPS`].
fn group_id(group: &str) -> Result<u32, BindError> {
    use std::io::Read;
    if let Ok(id) = group.parse() {
        return Ok(id);
    }
    let mut groups = String::new();
    let read = File::open(GROUPS).and_then(|file| file.take(MAX_GROUPS_BYTES).read_to_string(&mut groups));
    read.ok().and_then(|_| find_group(&groups, group)).ok_or_else(|| BindError::NoSuchGroup { group: group.to_owned() })
}

/// A group's number in text of the format of group(5): `name:password:number:members`.
fn find_group(groups: &str, wanted: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(wanted)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn config() -> Config {
        Config::default()
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_socket_has_its_mode_and_is_removed_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ghmesh.sock");
        for wanted in [0o600, 0o660, 0o666] {
            let socket = unix(&path, &Config { socket_mode: wanted, ..config() }).unwrap();
            assert_eq!(mode(&path), wanted);
            std::os::unix::net::UnixStream::connect(&path).unwrap();
            drop(socket);
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn a_dead_process_socket_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ghmesh.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves the file behind, as a killed process does");
        let live = unix(&path, &config()).unwrap();
        let error = unix(&path, &config()).unwrap_err();
        assert!(matches!(error, BindError::SocketTaken { .. }), "{error}");
        std::os::unix::net::UnixStream::connect(&path).expect("the refused start left the live socket alone");
        drop(live);
    }

    #[tokio::test]
    async fn what_replaced_the_socket_is_not_removed_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ghmesh.sock");
        let socket = unix(&path, &config()).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "another's").unwrap();
        drop(socket);
        assert!(path.exists());
        let error = unix(&path, &config()).unwrap_err();
        assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "another's");
    }

    #[tokio::test]
    async fn bad_places_and_groups_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let error = unix(&directory.path().join("no/such/dir.sock"), &config()).unwrap_err();
        assert!(matches!(error, BindError::SocketDirectory { .. }), "{error}");
        let group = Some("no-such-group".to_owned());
        let error = unix(&directory.path().join("a"), &Config { socket_group: group, ..config() }).unwrap_err();
        assert!(matches!(error, BindError::NoSuchGroup { .. }), "{error}");
        assert!(!directory.path().join("a").exists());
    }

    #[tokio::test]
    async fn a_group_is_found_by_name_or_number_and_given_the_socket() {
        let text = "root:x:0:\nrunner:x:1001:a,b\nbroken\nrunners:x:12x:\n";
        assert_eq!(find_group(text, "runner"), Some(1001));
        assert_eq!(find_group(text, "runners"), None);
        assert_eq!(find_group(text, "broken"), None);
        assert_eq!(group_id("77").unwrap(), 77);
        let directory = tempfile::tempdir().unwrap();
        let own = std::fs::metadata(directory.path()).unwrap().gid();
        let path = directory.path().join("s");
        let _socket =
            unix(&path, &Config { socket_group: Some(own.to_string()), socket_mode: 0o660, ..config() }).unwrap();
        assert_eq!((std::fs::metadata(&path).unwrap().gid(), mode(&path)), (own, 0o660));
    }

    #[tokio::test]
    async fn a_taken_port_is_told_and_both_families_share_one() {
        let first = tcp("127.0.0.1:0".parse().unwrap(), &[]).unwrap();
        let taken = first.local_addr().unwrap();
        let error = tcp(taken, &[taken]).unwrap_err();
        assert!(matches!(error, BindError::AddressTaken { address } if address == taken), "{error}");
        let wild = SocketAddr::from(([0u16; 8], taken.port()));
        tcp(wild, &[taken, wild]).expect("the IPv6 wildcard leaves the port's IPv4 side alone");
    }
}
