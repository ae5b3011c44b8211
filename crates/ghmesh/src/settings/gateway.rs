//! `gateway`: where callers connect.
//!
//! The gateway says itself what it cannot use; here its words get the place where the value was set.

use super::admin::{self, Admin};
use super::key::{Fallback, Key};
use super::problem::{Fault, Problem};
use super::reader::Reader;
use super::value::FileMode;
use ghmesh_gateway::config::{AdminToken, Config, Problem as GatewayProblem};
use std::net::SocketAddr;
use std::path::PathBuf;

static LISTEN: Key = Key {
    path: "gateway.listen",
    default: Fallback::Text("127.0.0.1:9180"),
    values: "list of `IP:port`; port 0 is any free one; `none` for the socket only",
    meaning: "TCP addresses for callers. They speak plain HTTP and send their credentials, so anything but loopback \
              needs `gateway.allow_remote`. Any local user may connect here, with credentials of their own.",
    because: "Loopback, so that no credential crosses a network; 9180 is ours by choice.",
    secret: false,
};
static ALLOW_REMOTE: Key = Key {
    path: "gateway.allow_remote",
    default: Fallback::Text("false"),
    values: "`true`, `false`",
    meaning: "Lets `gateway.listen` name addresses that other machines reach. Their credentials then cross the \
              network in clear text: for pod networks and tunnels that are encrypted or trusted.",
    because: "A credential on the wire must be somebody's decision.",
    secret: false,
};
static SOCKET: Key = Key {
    path: "gateway.socket",
    default: Fallback::Rule(
        "`/run/ghmesh/ghmesh.sock` as a service or root, else `$XDG_RUNTIME_DIR/ghmesh.sock`, \
         else `ghmesh.sock` in `cache.dir`",
    ),
    values: "path of at most 107 bytes; `none` for no socket",
    meaning: "The unix socket for callers and for our own commands, which look in these places in this order when it \
              is not set. It also opens the private pages below `/_ghmesh/`.",
    because: "The usual places of sockets; see file-hierarchy(7).",
    secret: false,
};
static SOCKET_MODE: Key = Key {
    path: "gateway.socket_mode",
    default: Fallback::Text("0600"),
    values: "octal, in quotes",
    meaning: "Who may use the socket. `0660` with `gateway.socket_group` opens it to a group (say the runners' user); \
              who may connect may also see paths and peers.",
    because: "Nobody but the daemon's user until somebody says so.",
    secret: false,
};
static SOCKET_GROUP: Key = Key {
    path: "gateway.socket_group",
    default: Fallback::Unset,
    values: "name or number of a group",
    meaning: "The group that owns the socket. The daemon's user must be in it. Does nothing without a \
              `gateway.socket_mode` for groups.",
    because: "The socket stays in the daemon's own group.",
    secret: false,
};
static NAMES: Key = Key {
    path: "gateway.names",
    default: Fallback::EmptyList,
    values: "list of host names",
    meaning: "Names by which callers reach this gateway (a Service, an alias in `/etc/hosts`). A request to one of \
              them is for the first origin, as one to the gateway's own address is; other hosts are refused.",
    because: "Addresses and `localhost` are known anyway, with the listener's port where that is not 80; other names could be a browser's DNS rebinding.",
    secret: false,
};

pub(super) const KEYS: &[&Key] = &[&LISTEN, &ALLOW_REMOTE, &SOCKET, &SOCKET_MODE, &SOCKET_GROUP, &NAMES];

/// The `gateway` section; `docs/configuration.md` says what each does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// TCP addresses for callers.
    pub listen: Vec<SocketAddr>,
    /// Whether they may be reachable from other machines.
    pub allow_remote: bool,
    /// The unix socket, or `None` for none.
    pub socket: Option<PathBuf>,
    /// Permission bits of the socket.
    pub socket_mode: u32,
    /// The socket's group, by name or number.
    pub socket_group: Option<String>,
    /// Host names that mean this gateway.
    pub names: Vec<String>,
}

impl Gateway {
    /// `default_socket` is where the socket is when nobody says.
    pub(super) fn read(reader: &mut Reader<'_>, default_socket: Option<PathBuf>) -> Self {
        let socket = match reader.path(&SOCKET) {
            Some(path) if path.as_os_str() == "none" => None,
            Some(path) => Some(path),
            None => default_socket,
        };
        Gateway {
            listen: reader.list(&LISTEN),
            allow_remote: reader.value(&ALLOW_REMOTE),
            socket,
            socket_mode: reader.value::<FileMode>(&SOCKET_MODE).0,
            socket_group: reader.optional(&SOCKET_GROUP),
            names: reader.list(&NAMES),
        }
    }

    /// The gateway's own configuration, with its default bounds.
    pub fn config(&self, admin: &Admin) -> Config {
        Config {
            listen: self.listen.clone(),
            socket: self.socket.clone(),
            socket_mode: self.socket_mode,
            socket_group: self.socket_group.clone(),
            allow_remote: self.allow_remote,
            admin_token: admin.token.as_ref().map(|token| AdminToken::new(token.expose().to_owned())),
            names: self.names.clone(),
            ..Config::default()
        }
    }

    /// Notes everything that the gateway refuses.
    pub fn validate(&self, admin: &Admin, problems: &mut Vec<Problem>) {
        let refused = self.config(admin).problems().into_iter();
        problems.extend(refused.map(|problem| Problem::of(key_of(&problem), Fault::Gateway(problem))));
    }
}

/// The setting that the gateway complains about.
fn key_of(problem: &GatewayProblem) -> &'static Key {
    match problem {
        GatewayProblem::Nowhere | GatewayProblem::Remote { .. } | GatewayProblem::Twice { .. } => &LISTEN,
        GatewayProblem::SocketPath { .. } => &SOCKET,
        GatewayProblem::SocketMode { .. } => &SOCKET_MODE,
        GatewayProblem::AdminTokenShort { .. } | GatewayProblem::AdminTokenCharacters => &admin::TOKEN,
        GatewayProblem::Name { .. } => &NAMES,
        // Its bounds cannot be set here, and its own defaults are within them.
        GatewayProblem::Limit { .. } => &LISTEN,
    }
}
