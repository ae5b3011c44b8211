//! `origin`: the GitHub that is asked.
//!
//! Which hosts and URLs may be origins is policy's to say; here its words get the place where the value was set.

use super::key::{Fallback, Key};
use super::problem::{Fault, Problem};
use super::reader::{Reader, check_range};
use super::value::Quantity;
use ghmesh_origin::Config;
use ghmesh_policy::{Origins, OriginsProblem};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

static HOSTS: Key = Key {
    path: "origin.hosts",
    default: Fallback::Text("api.github.com"),
    values: "list of host names",
    meaning: "The API hosts that may be asked, all over https. The first is meant by requests that name the gateway \
              itself. Add your GitHub Enterprise Server here; requests for other hosts are refused.",
    because: "GitHub's own.",
    secret: false,
};
static URL: Key = Key {
    path: "origin.url",
    default: Fallback::Unset,
    values: "URL; `http://` only for addresses that are not public",
    meaning: "The one origin, by its address: for a GitHub Enterprise Server behind an address of its own, or a \
              simulated GitHub in tests. Every API request goes there; `api.github.com` and `origin.hosts` are then \
              other names for it.",
    because: "`origin.hosts` is enough for most.",
    secret: false,
};
static CONNECT_TIMEOUT: Key = Key {
    path: "origin.connect_timeout",
    default: Fallback::Text("5s"),
    values: "time, 100 ms to 5 min",
    meaning: "How long a connection to the origin may take, TLS included. Longer: callers wait longer when GitHub is \
              unreachable. Shorter: slow networks count as down.",
    because: "Two lost packets, repeated after 1 s and 2 s, still get through.",
    secret: false,
};
static HEADER_TIMEOUT: Key = Key {
    path: "origin.header_timeout",
    default: Fallback::Text("20s"),
    values: "time, 100 ms to 10 min",
    meaning: "How long the origin may take to begin its answer. Then a stale answer is served if there is one, else a \
              504. A connection gets no longer than this either.",
    because: "GitHub ends its own work on a request after 10 s; twice that.",
    secret: false,
};
static IDLE_TIMEOUT: Key = Key {
    path: "origin.idle_timeout",
    default: Fallback::Text("30s"),
    values: "time, 100 ms to 1 h",
    meaning: "How long a body may stand still, either way, before the transfer is given up. It does not limit long \
              transfers that move.",
    because: "A guess: longer than a change of networks takes.",
    secret: false,
};
static CA_FILE: Key = Key {
    path: "origin.ca_file",
    default: Fallback::Unset,
    values: "path of a PEM file",
    meaning: "Certificates of authorities to trust besides the usual ones: for a GitHub Enterprise Server with a \
              company's own.",
    because: "GitHub's certificates need none.",
    secret: false,
};
static PROXY: Key = Key {
    path: "origin.proxy",
    default: Fallback::Unset,
    values: "`http://[user:password@]host:port`",
    meaning: "The proxy through which https origins are reached (by CONNECT). `HTTPS_PROXY` and its like are not \
              looked at: they may name this very daemon.",
    because: "Most machines reach GitHub directly.",
    secret: true,
};

pub(super) const KEYS: &[&Key] = &[&HOSTS, &URL, &CONNECT_TIMEOUT, &HEADER_TIMEOUT, &IDLE_TIMEOUT, &CA_FILE, &PROXY];

/// The `origin` section; `docs/configuration.md` says what each does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// API hosts, each with its port if that isn't 443. At least one.
    pub hosts: Vec<String>,
    /// One origin by its address, without user, query and fragment.
    pub url: Option<String>,
    /// For name, connection and TLS.
    pub connect_timeout: Duration,
    /// Until the answer's head.
    pub header_timeout: Duration,
    /// Longest silence within a body.
    pub idle_timeout: Duration,
    /// More authorities to trust, in PEM.
    pub ca_file: Option<PathBuf>,
    /// The proxy to GitHub.
    pub proxy: Option<ProxyUrl>,
}

/// The URL of a proxy, which may hold a password; shown as `…` only.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl(Url);

impl ProxyUrl {
    /// The URL itself.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyUrl(…)")
    }
}

impl Origin {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Origin {
            hosts: reader.list(&HOSTS),
            url: reader.optional(&URL),
            connect_timeout: reader.value(&CONNECT_TIMEOUT),
            header_timeout: reader.value(&HEADER_TIMEOUT),
            idle_timeout: reader.value(&IDLE_TIMEOUT),
            ca_file: reader.path(&CA_FILE),
            proxy: reader.optional(&PROXY).map(ProxyUrl),
        }
    }

    /// The HTTP client's own configuration. What has to fit into the time for a head, the connection, is cut to it, and
    /// the time for all tries is never less, so that one setting can be changed alone.
    pub fn config(&self) -> Config {
        let defaults = Config::default();
        let shortest = self.header_timeout.min(self.idle_timeout);
        Config {
            connect_timeout: self.connect_timeout.min(shortest),
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            total_budget: defaults.total_budget.max(self.header_timeout),
            extra_root_certificates: self.ca_file.clone(),
            proxy: self.proxy.as_ref().map(|proxy| proxy.expose().clone()),
            ..defaults
        }
    }

    /// Notes every value that can be read and still not be used.
    pub fn validate(&self, problems: &mut Vec<Problem>) {
        // The gateway's names are judged with its section.
        let refused = Origins::new(&self.hosts, self.url.as_deref(), Vec::new()).err().unwrap_or_default();
        problems.extend(refused.into_iter().map(|problem| Problem::of(key_of(&problem), Fault::Origin(problem))));
        if self.proxy.as_ref().is_some_and(|proxy| proxy.expose().scheme() != "http") {
            problems.push(Problem::of(&PROXY, PROXY_KIND));
        }
        let tenth = Duration::from_millis(100);
        let mut check = |key, value, most| {
            let range = (Quantity::Time(tenth), Quantity::Time(Duration::from_secs(most)));
            check_range(problems, key, Quantity::Time(value), range);
        };
        check(&CONNECT_TIMEOUT, self.connect_timeout, 300);
        check(&HEADER_TIMEOUT, self.header_timeout, 600);
        check(&IDLE_TIMEOUT, self.idle_timeout, 3600);
    }
}

const PROXY_KIND: Fault = Fault::Kind { kind: "an http proxy", instead: "http://[user:password@]host:port" };

/// The setting that policy complains about.
fn key_of(problem: &OriginsProblem) -> &'static Key {
    match problem {
        OriginsProblem::HostMalformed { .. } | OriginsProblem::HostRepeated { .. } | OriginsProblem::HostIsWebsite => {
            &HOSTS
        }
        OriginsProblem::UrlMalformed { .. }
        | OriginsProblem::UrlScheme { .. }
        | OriginsProblem::UrlCredentials
        | OriginsProblem::UrlQuery { .. }
        | OriginsProblem::UrlInClear { .. } => &URL,
        // No names were given.
        OriginsProblem::NameMalformed { .. } => &HOSTS,
    }
}
