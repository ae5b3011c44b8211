//! `cache`: what is kept, where and for how long.

use super::key::{Fallback, Key};
use super::problem::{Fault, Problem};
use super::reader::{Reader, check_range};
use super::value::{ByteSize, Quantity, Setting};
use ghmesh_policy::Sharing;
use std::path::PathBuf;
use std::time::Duration;

pub(super) static DIR: Key = Key {
    path: "cache.dir",
    default: Fallback::Rule(
        "`$STATE_DIRECTORY` under systemd, else `/var/lib/ghmesh` as root, else `$XDG_DATA_HOME/ghmesh`, \
         else `~/.local/share/ghmesh`",
    ),
    values: "path",
    meaning: "The data directory: answers (sealed), the node's identity and its data key. One daemon at a time can \
              use it. A new one starts with an empty cache and a new identity. On a network file system locks may \
              fail: keep it on a local disk.",
    because: "The usual places of a service's and a user's data.",
    secret: false,
};
static MAX_BYTES: Key = Key {
    path: "cache.max_bytes",
    default: Fallback::Text("512 MiB"),
    values: "size, 64 KiB to 1 TiB",
    meaning: "Most bytes of answers on disk. When it is full, old ones make room. Smaller: more calls to GitHub or \
              peers.",
    because: "A guess: 100,000 answers of 5 KiB.",
    secret: false,
};
pub(super) static MAX_ENTRIES: Key = Key {
    path: "cache.max_entries",
    default: Fallback::Text("100000"),
    values: "1 to 10,000,000",
    meaning: "Most entries, of whatever size. When it is full, old ones make room.",
    because: "A guess: a hundred callers with a thousand resources each.",
    secret: false,
};
static MEMORY_BYTES: Key = Key {
    path: "cache.memory_bytes",
    default: Fallback::Text("64 MiB"),
    values: "size, 64 KiB to 64 GiB",
    meaning: "Most bytes of answers kept in memory besides the disk. It is taken only as answers come in. Smaller: \
              more reads from disk, of some microseconds each.",
    because: "A guess: an eighth of `cache.max_bytes`.",
    secret: false,
};
pub(super) static DEFAULT_TTL: Key = Key {
    path: "cache.default_ttl",
    default: Fallback::Unset,
    values: "time, 0 to 7 days",
    meaning: "How long an answer is fresh, so that GitHub isn't asked at all, when GitHub or the caller \
              (`X-Gh-Cache-Ttl`) doesn't say, and no route of `freshness.routes` does. Unset: as the route table says, \
              from 10 seconds to an hour. Set, it stands in for the table, and nothing adapts it. Longer: fewer calls, \
              and changes are seen later. 0: every read asks, most at no charge (304). GitHub's own `max-age` counts where it is \
              shorter than the 60 seconds that it puts on everything.",
    because: "No one time fits a running job and a licence.",
    secret: false,
};
static PROOF_TTL: Key = Key {
    path: "cache.proof_ttl",
    default: Fallback::Text("1h"),
    values: "time, 0 to 7 days",
    meaning: "How long GitHub's word that a credential may read something counts. It caps everything: freshness, \
              stale answers, unchanging routes. Longer: a revoked token reads cached answers for longer. Shorter: \
              less is served when GitHub is down.",
    because: "A guess: the life of an installation token.",
    secret: false,
};
static STALE_TTL: Key = Key {
    path: "cache.stale_ttl",
    default: Fallback::Text("1h"),
    values: "time, 0 to 7 days",
    meaning: "How long past its freshness an answer may still be served, marked as stale, while GitHub limits, fails \
              or is silent. Counts only up to `cache.proof_ttl`. 0: never.",
    because: "As long as the proof allows.",
    secret: false,
};
static SHARING: Key = Key {
    path: "cache.sharing",
    default: Fallback::Text("proof"),
    values: "`proof`, `credential`, `mesh`",
    meaning: "Whom an answer that another caller fetched may serve. `proof`: whoever GitHub has confirmed it to, with a \
              free 304 to that caller's own credential. `credential`: only callers with the very same credential, on \
              whatever node. `mesh`: every caller of every member without asking GitHub, but for answers that depend on \
              who asks; only where all callers may read the same, as it ends GitHub's own access control.",
    because: "It shares most that can be shared without showing anybody what GitHub would not.",
    secret: false,
};

pub(super) const KEYS: &[&Key] =
    &[&DIR, &MAX_BYTES, &MAX_ENTRIES, &MEMORY_BYTES, &DEFAULT_TTL, &PROOF_TTL, &STALE_TTL, &SHARING];

/// The `cache` section; `docs/configuration.md` says what each does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// The data directory.
    pub dir: PathBuf,
    /// Most bytes on disk.
    pub max_bytes: u64,
    /// Most entries.
    pub max_entries: u64,
    /// Most bytes of answers in memory.
    pub memory_bytes: u64,
    /// How long an answer is fresh when nobody says; `None`: as the route table says.
    pub default_ttl: Option<Duration>,
    /// How long GitHub's word on a credential counts.
    pub proof_ttl: Duration,
    /// How long past its freshness an answer may be served in need.
    pub stale_ttl: Duration,
    /// Who may be served what another caller fetched.
    pub sharing: Sharing,
}

impl Setting for Sharing {
    fn from_text(text: &str) -> Result<Self, Fault> {
        match text.trim().to_lowercase().as_str() {
            "proof" => Ok(Sharing::Proof),
            "credential" => Ok(Sharing::Credential),
            "mesh" => Ok(Sharing::Mesh),
            _ => Err(Self::fault()),
        }
    }

    fn fault() -> Fault {
        Fault::Word { words: "\"proof\", \"credential\" or \"mesh\"" }
    }
}

impl Cache {
    /// `default_dir` is the data directory when nobody says; it has been looked up by [`super::load`], which told if
    /// there is none.
    pub(super) fn read(reader: &mut Reader<'_>, default_dir: Option<PathBuf>) -> Self {
        Cache {
            dir: reader.path(&DIR).or(default_dir).unwrap_or_default(),
            max_bytes: reader.value::<ByteSize>(&MAX_BYTES).0,
            max_entries: reader.value(&MAX_ENTRIES),
            memory_bytes: reader.value::<ByteSize>(&MEMORY_BYTES).0,
            default_ttl: reader.optional(&DEFAULT_TTL),
            proof_ttl: reader.value(&PROOF_TTL),
            stale_ttl: reader.value(&STALE_TTL),
            sharing: reader.value(&SHARING),
        }
    }

    /// Notes every value that can be read and still not be used.
    pub fn validate(&self, problems: &mut Vec<Problem>) {
        let bytes = |least, most| (Quantity::Bytes(least), Quantity::Bytes(most));
        check_range(problems, &MAX_BYTES, Quantity::Bytes(self.max_bytes), bytes(64 << 10, 1 << 40));
        check_range(problems, &MEMORY_BYTES, Quantity::Bytes(self.memory_bytes), bytes(64 << 10, 64 << 30));
        let entries = (Quantity::Count(1), Quantity::Count(10_000_000));
        check_range(problems, &MAX_ENTRIES, Quantity::Count(self.max_entries), entries);
        let times = [(&PROOF_TTL, self.proof_ttl), (&STALE_TTL, self.stale_ttl)];
        for (key, time) in self.default_ttl.map(|time| (&DEFAULT_TTL, time)).into_iter().chain(times) {
            let week = Duration::from_secs(7 * 24 * 3600);
            check_range(problems, key, Quantity::Time(time), (Quantity::Time(Duration::ZERO), Quantity::Time(week)));
        }
    }
}
