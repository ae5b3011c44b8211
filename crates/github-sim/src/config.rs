//! How a simulator is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::world::seed::Seed;

/// Settings of one simulator. [`Config::default`] is what most tests want: a free port of 127.0.0.1, the small world, no
/// faults, limits and headers as GitHub's.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A unix socket to listen on as well, as `gh`'s `http_unix_socket` wants it. A leftover file is replaced.
    pub unix: Option<PathBuf>,
    /// What the world holds.
    pub seed: Seed,
    /// Faults from the start; later ones come by [`crate::Sim::set_faults`].
    pub faults: Vec<Fault>,
    /// The rest.
    pub settings: Settings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            unix: None,
            seed: Seed::small(),
            faults: Vec::new(),
            settings: Settings::default(),
        }
    }
}

/// What may change while the simulator runs, also by `POST /_sim/settings`, which takes any part of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Delay of every answer in milliseconds, after it was computed and counted: 0.
    pub latency_ms: u64,
    /// The base of the URLs in bodies: GitHub's.
    pub bodies: Base,
    /// The base of the URLs in `Link`: GitHub's.
    pub links: Base,
    /// Where archives and assets are said to be: on GitHub's storage hosts.
    pub assets: Base,
    /// Whether `Link` says `/repositories/ID/issues` where `/repos/O/R/issues` was asked, as GitHub does: yes.
    pub numeric_links: bool,
    /// Be a GitHub Enterprise Server: the paths `/api/v3/…`, `/api/graphql`, `/api/uploads/…` (also understood without
    /// this) and `X-GitHub-Enterprise-Version`: no.
    pub enterprise: bool,
    /// How entity tags are made: by GitHub's formula.
    pub etags: EtagStyle,
    /// Compress bodies for those who accept gzip, as GitHub does: no. (The blocks are stored: valid gzip, not smaller.)
    pub gzip: bool,
    /// Requests per hour and address without a token: 60 (GitHub's documentation).
    pub anonymous_limit: u64,
    /// The status of an answer beyond the primary limit: 403; GitHub also uses 429.
    pub limited_status: u16,
    /// Secondary limits: none, so that a load test isn't stopped; GitHub's are [`Secondary::default`].
    pub secondary: Option<Secondary>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            bodies: Base::Github,
            links: Base::Github,
            assets: Base::Github,
            numeric_links: true,
            enterprise: false,
            etags: EtagStyle::Formula,
            gzip: false,
            anonymous_limit: 60,
            limited_status: 403,
            secondary: None,
        }
    }
}

/// A place that URLs begin with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// GitHub's own, such as `https://api.github.com`.
    #[default]
    Github,
    /// The simulator's own address.
    Own,
    /// This one, without a slash at the end.
    Url(String),
}

/// How entity tags are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EtagStyle {
    /// SHA-256 over the varying request headers and the body.
    #[default]
    Formula,
    /// Another hash, so that a client that computes GitHub's formula finds it wrong.
    Opaque,
    /// The formula, but each answer is weak when the one before was strong, and the other way round.
    Flipping,
    /// No entity tags, not on a 304 either.
    Absent,
    /// The formula, but 304 answers carry no entity tag.
    AbsentOn304,
}

/// GitHub's secondary limits ("Rate limits for the REST API", about secondary rate limits).
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secondary {
    /// Requests at the same time per user: 100.
    pub in_flight: u64,
    /// Points a minute per user for REST; GET, HEAD and OPTIONS cost 1, others 5: 900.
    pub points: u64,
    /// Seconds in `Retry-After`: 60.
    pub retry_after: u64,
}

impl Default for Secondary {
    fn default() -> Self {
        Self { in_flight: 100, points: 900, retry_after: 60 }
    }
}

/// The bases that are in force for one request.
#[derive(Debug, Clone)]
pub(crate) struct Bases {
    pub(crate) bodies: String,
    pub(crate) links: String,
    /// Before `/_assets` and `/_codeload`, or `None` for GitHub's storage hosts.
    pub(crate) assets: Option<String>,
    pub(crate) numeric_links: bool,
}

impl Bases {
    pub(crate) fn new(settings: &Settings, own: &str) -> Self {
        let api = |base: &Base| match base {
            Base::Github => "https://api.github.com".to_owned(),
            Base::Own => own.to_owned(),
            Base::Url(url) => url.clone(),
        };
        Self {
            bodies: api(&settings.bodies),
            links: api(&settings.links),
            assets: (settings.assets != Base::Github).then(|| api(&settings.assets)),
            numeric_links: settings.numeric_links,
        }
    }
}
