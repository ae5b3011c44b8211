//! `log`: what is written to standard error.

use super::key::{Fallback, Key};
use super::problem::{Fault, Problem};
use super::reader::Reader;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

static LEVEL: Key = Key {
    path: "log.level",
    default: Fallback::Text("info"),
    values: "`off`, `error`, `warn`, `info`, `debug`, `trace`; with parts, as in `info,ghmesh_mesh=debug`",
    meaning: "How much is logged, for all or by part (the names of crates). No level shows credentials or secrets.",
    because: "Starts, stops, peers and failures: what an operator acts on.",
    secret: false,
};

pub(super) const KEYS: &[&Key] = &[&LEVEL];

/// The `log` section; `docs/configuration.md` says what each does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A filter as `tracing_subscriber::EnvFilter` reads it.
    pub level: String,
}

impl Log {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Log { level: reader.value(&LEVEL) }
    }

    /// Notes a filter that cannot be used. A bare word that is no level would be taken for the name of a part by the
    /// library, and nothing else be logged: `inof` must not silence the log.
    pub fn validate(&self, problems: &mut Vec<Problem>) {
        let directives = self.level.split(',').map(str::trim);
        let clear = |directive: &str| directive.contains(['=', '[']) || directive.parse::<LevelFilter>().is_ok();
        if !directives.into_iter().all(clear) || EnvFilter::try_new(&self.level).is_err() {
            problems.push(Problem::of(&LEVEL, Fault::LogLevel));
        }
    }
}
