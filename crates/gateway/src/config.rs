//! What the gateway is told: where to listen, who may use what, and its bounds.
//!
//! Nothing is bound here; [`Config::problems`] only says what cannot be meant, all of it at once.

use ghmesh_policy::WebhookSecret;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// Longest path of a unix socket in bytes: `sun_path` has 108, one of them for the final NUL (unix(7)).
pub const MAX_SOCKET_PATH_BYTES: usize = 107;

/// Shortest admin token in characters: 16 random hexadecimal digits are 64 bits, out of reach over HTTP.
pub const MIN_ADMIN_TOKEN_CHARACTERS: usize = 16;

/// The gateway's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// TCP addresses to listen on (`gateway.listen`, default `127.0.0.1:9180`). Port 0 takes a free port.
    pub listen: Vec<SocketAddr>,
    /// Path of the unix socket (`gateway.socket`), or `None` for no socket. At most [`MAX_SOCKET_PATH_BYTES`] bytes; its
    /// directory must exist.
    pub socket: Option<PathBuf>,
    /// Permission bits of the socket (`gateway.socket_mode`, default 0600). Whoever may connect may also see the admin pages.
    pub socket_mode: u32,
    /// Group of the socket, by a name in `/etc/group` or by number (`gateway.socket_group`). `None` leaves it as created.
    pub socket_group: Option<String>,
    /// Allows `listen` to hold addresses that other machines reach (`gateway.allow_remote`).
    pub allow_remote: bool,
    /// Opens the private admin pages over TCP to callers that present it as `Authorization: Bearer` (`admin.token`).
    pub admin_token: Option<AdminToken>,
    /// What GitHub signs its deliveries with (`webhook.secret`). `None`: none are taken.
    pub webhook_secret: Option<WebhookSecret>,
    /// Host names that mean this gateway (`gateway.names`), without port: a request for one goes to the first origin.
    pub names: Vec<String>,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 9180))],
            socket: None,
            socket_mode: 0o600,
            socket_group: None,
            allow_remote: false,
            admin_token: None,
            webhook_secret: None,
            names: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// The gateway's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections per listener (1 to 65,536). Beyond, a newcomer gets the place of whoever has waited longest for its
    /// client, and waits itself while all are being answered. The default, 1024, is a guess: ten times what GitHub lets one
    /// account have in flight.
    pub connections: usize,
    /// Bytes of one request's line and headers (8 KiB to 1 MiB), and of what one connection buffers each way. A longer head is
    /// answered 431. Default 64 KiB: GitHub itself refuses less.
    pub head_bytes: usize,
    /// Time for a complete request head, counted from the end of the answer before it: so also how long an idle connection is
    /// kept. Default 30 s.
    pub head_timeout: Duration,
    /// How long a client may leave an answer standing without taking one byte. Default 300 s, so that a pager that waits for
    /// its reader does not lose the rest.
    pub stall_timeout: Duration,
    /// How long requests in flight may go on after shutdown was asked for. Default 5 s: most answers of GitHub's take less than
    /// one; an upload that hangs holds up a restart no longer than this.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 1024,
            head_bytes: 64 * 1024,
            head_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(300),
            grace: Duration::from_secs(5),
        }
    }
}

/// The secret that opens the private admin pages over TCP. Zeroized when dropped, never shown.
#[derive(Clone)]
pub struct AdminToken(Zeroizing<String>);

impl AdminToken {
    /// Wraps the configured value.
    pub fn new(token: String) -> Self {
        AdminToken(Zeroizing::new(token))
    }

    /// Whether `presented` is the token, in time that does not depend on where they differ.
    pub(crate) fn is(&self, presented: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        self.0.as_bytes().ct_eq(presented).into()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

/// A setting of the gateway that cannot be meant, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Neither an address nor a socket.
    #[error("the gateway listens nowhere: set gateway.listen (say 127.0.0.1:9180) or gateway.socket")]
    Nowhere,
    /// Reachable from other machines without being asked to.
    #[error(
        "gateway.listen {address} can be reached from other machines, which would send their credentials to it in clear text; \
         use 127.0.0.1 or [::1], or say that it is meant with gateway.allow_remote = true"
    )]
    Remote {
        /// The address.
        address: SocketAddr,
    },
    /// The same address twice.
    #[error("gateway.listen names {address} twice")]
    Twice {
        /// The address.
        address: SocketAddr,
    },
    /// The kernel takes no such path for a socket.
    #[error(
        "gateway.socket {path} is {length} bytes long; a unix socket's path must have 1 to {MAX_SOCKET_PATH_BYTES}, without NUL bytes"
    )]
    SocketPath {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// Bits that are no permission, or that lock out the owner.
    #[error(
        "gateway.socket_mode {mode:04o} is not usable: 0600 is for the owner, 0660 for a group too, 0666 for everybody here"
    )]
    SocketMode {
        /// The bits.
        mode: u32,
    },
    /// Easy to guess.
    #[error(
        "admin.token has {length} characters; {MIN_ADMIN_TOKEN_CHARACTERS} random ones are the least that cannot be guessed"
    )]
    AdminTokenShort {
        /// Its length in characters.
        length: usize,
    },
    /// Cannot be sent in a header.
    #[error(
        "admin.token holds spaces, control characters or non-ASCII ones, which an Authorization header cannot carry"
    )]
    AdminTokenCharacters,
    /// Not a host name.
    #[error(
        "gateway.names: {name:?} is not a host name; give it without scheme, port or path, as in cache.example.internal"
    )]
    Name {
        /// As configured.
        name: String,
    },
    /// A bound out of its range.
    #[error("gateway limit {name} is {value}; it must lie between {least} and {most}")]
    Limit {
        /// The field of [`Limits`].
        name: &'static str,
        /// As configured, in the field's unit (durations in milliseconds).
        value: u128,
        /// Smallest value allowed.
        least: u128,
        /// Largest value allowed.
        most: u128,
    },
}

impl Config {
    /// Everything about these settings that cannot be meant. Empty if they can be used.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.address_problems(&mut problems);
        self.socket_problems(&mut problems);
        self.token_problems(&mut problems);
        problems.extend(
            self.names.iter().filter(|name| !is_host_name(name)).map(|name| Problem::Name { name: name.clone() }),
        );
        self.limits.problems(&mut problems);
        problems
    }

    fn address_problems(&self, problems: &mut Vec<Problem>) {
        if self.listen.is_empty() && self.socket.is_none() {
            problems.push(Problem::Nowhere);
        }
        for (position, &address) in self.listen.iter().enumerate() {
            if !address.ip().to_canonical().is_loopback() && !self.allow_remote {
                problems.push(Problem::Remote { address });
            }
            if address.port() != 0 && self.listen[..position].contains(&address) {
                problems.push(Problem::Twice { address });
            }
        }
    }

    fn socket_problems(&self, problems: &mut Vec<Problem>) {
        use std::os::unix::ffi::OsStrExt;
        if let Some(path) = &self.socket {
            let bytes = path.as_os_str().as_bytes();
            if bytes.is_empty() || bytes.len() > MAX_SOCKET_PATH_BYTES || bytes.contains(&0) {
                problems.push(Problem::SocketPath { path: path.clone(), length: bytes.len() });
            }
        }
        if self.socket_mode & !0o777 != 0 || self.socket_mode & 0o600 != 0o600 {
            problems.push(Problem::SocketMode { mode: self.socket_mode });
        }
    }

    fn token_problems(&self, problems: &mut Vec<Problem>) {
        let Some(AdminToken(token)) = &self.admin_token else { return };
        let length = token.chars().count();
        if length < MIN_ADMIN_TOKEN_CHARACTERS {
            problems.push(Problem::AdminTokenShort { length });
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            problems.push(Problem::AdminTokenCharacters);
        }
    }
}

impl Limits {
    fn problems(&self, problems: &mut Vec<Problem>) {
        let hour = Duration::from_secs(3600).as_millis();
        let ranges = [
            ("connections", self.connections as u128, 1, 65_536),
            ("head_bytes", self.head_bytes as u128, 8 * 1024, 1024 * 1024),
            ("head_timeout", self.head_timeout.as_millis(), 100, hour),
            ("stall_timeout", self.stall_timeout.as_millis(), 100, hour),
            ("grace", self.grace.as_millis(), 0, hour),
        ];
        let outside = ranges.into_iter().filter(|(_, value, least, most)| !(least..=most).contains(&value));
        problems.extend(outside.map(|(name, value, least, most)| Problem::Limit { name, value, least, most }));
    }
}

/// RFC 1123 §2.1: labels of letters, digits and inner hyphens, at most 63 bytes each and 253 together.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(change: impl FnOnce(&mut Config)) -> Vec<Problem> {
        let mut config = Config::default();
        change(&mut config);
        config.problems()
    }

    #[test]
    fn the_defaults_are_usable() {
        assert_eq!(Config::default().problems(), []);
    }

    #[test]
    fn every_problem_is_told_at_once_and_says_what_to_do() {
        let problems = problems(|config| {
            config.listen = vec!["0.0.0.0:9180".parse().expect("address"); 2];
            config.socket = Some(PathBuf::from("/run/".to_owned() + &"x".repeat(200)));
            config.socket_mode = 0o1200;
            config.admin_token = Some(AdminToken::new("h e".to_owned()));
            config.names = vec!["https://cache".to_owned(), "cache".to_owned(), String::new()];
            config.limits.connections = 0;
            config.limits.head_bytes = 1;
        });
        let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
        for part in [
            "gateway.allow_remote = true",
            "0.0.0.0:9180 twice",
            "is 205 bytes long",
            "gateway.socket_mode 1200",
            "admin.token has 3 characters",
            "admin.token holds spaces",
            "\"https://cache\" is not a host name",
            "\"\" is not a host name",
            "connections is 0",
            "head_bytes is 1",
        ] {
            assert_eq!(
                texts.iter().filter(|text| text.contains(part)).count(),
                1 + usize::from(part.contains("allow")),
                "{part}: {texts:#?}"
            );
        }
        assert_eq!(problems.len(), 11);
        assert!(
            !format!("{:?}{texts:?}", Config { admin_token: Some(AdminToken::new("h e".into())), ..Config::default() })
                .contains("h e\"")
        );
    }

    #[test]
    fn listening_nowhere_and_loopback_addresses() {
        assert_eq!(problems(|config| config.listen.clear()), [Problem::Nowhere]);
        for address in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(problems(|config| config.listen = vec![address.parse().expect("address")]), [], "{address}");
        }
        for address in ["10.0.0.1:80", "[::]:80", "[fe80::1]:80"] {
            let address = address.parse().expect("address");
            assert_eq!(problems(|config| config.listen = vec![address]), [Problem::Remote { address }]);
        }
    }
}
