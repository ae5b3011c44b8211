//! `freshness`: how long answers last, beyond `cache`'s bounds.

use super::key::{Fallback, Key};
use super::problem::{Fault, Problem};
use super::reader::Reader;
use super::value::Setting;
use figment::value::Value;
use ghmesh_policy::adaptive::TARGETS;
use ghmesh_policy::{RouteOverrides, RouteProblem};
use std::time::Duration;

static ADAPTIVE: Key = Key {
    path: "freshness.adaptive",
    default: Fallback::Text("true"),
    values: "`true`, `false`",
    meaning: "Whether the route table's times follow how often a resource was found changed when GitHub was asked again: \
              from a quarter to eight times of the table's. `false`: the table's times for all. Times that are set \
              (`freshness.routes`, `cache.default_ttl`) stay as they are either way.",
    because: "Quiet resources are then asked for rarely, busy ones often.",
    secret: false,
};
static TARGET_STALENESS: Key = Key {
    path: "freshness.target_staleness",
    default: Fallback::Text("0.1"),
    values: "fraction, 0.001 to 0.5",
    meaning: "The part of time for which an answer may be outdated, on average, where `freshness.adaptive` has seen enough \
              to judge. Less: more calls, most of them free (304).",
    because: "A guess: it asks about as often as the table, for what changes as the table supposes.",
    secret: false,
};
static ROUTES: Key = Key {
    path: "freshness.routes",
    default: Fallback::EmptyList,
    values: "list of `TEMPLATE = TIME`, as in `/repos/{owner}/{repo}/actions/runs = 15s`; at most 256, 0 to 7 days each",
    meaning: "Times for some routes, in place of the table's and of `cache.default_ttl`. `{name}` stands for one segment, \
              `{+name}` at the end for one or more; of several that match, the most exact counts. GraphQL is `/graphql`. \
              What names a Git object by its hash lasts as long as `cache.proof_ttl` all the same, unless the time is 0.",
    because: "The table is meant to fit.",
    secret: false,
};

pub(super) const KEYS: &[&Key] = &[&ADAPTIVE, &TARGET_STALENESS, &ROUTES];

/// The `freshness` section; `docs/configuration.md` says what each does.
#[derive(Clone, Debug, PartialEq)]
pub struct Freshness {
    /// Whether lifetimes follow how often resources change.
    pub adaptive: bool,
    /// The fraction of time for which an answer may be outdated; within [`TARGETS`].
    pub target_staleness: f64,
    /// Times for some routes.
    pub routes: RouteOverrides,
}

impl Freshness {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let routes = reader.list::<RouteTime>(&ROUTES);
        let rows = routes.iter().map(|route| (route.template.as_str(), route.time));
        let routes = RouteOverrides::new(rows).unwrap_or_else(|problems| {
            reader.problems.extend(problems.into_iter().map(problem));
            RouteOverrides::default()
        });
        let target_staleness = reader.value::<Fraction>(&TARGET_STALENESS).0;
        Freshness { adaptive: reader.value(&ADAPTIVE), target_staleness, routes }
    }
}

fn problem(problem: RouteProblem) -> Problem {
    match &problem {
        RouteProblem::Path { path, .. } | RouteProblem::Ttl { path, .. } | RouteProblem::Repeated { path } => {
            let path = path.clone();
            Problem::of_item(&ROUTES, &path, Fault::Route(problem))
        }
        RouteProblem::TooMany { .. } => Problem::of(&ROUTES, Fault::Route(problem)),
    }
}

/// A fraction within [`TARGETS`].
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fraction(f64);

impl Setting for Fraction {
    fn from_text(text: &str) -> Result<Self, Fault> {
        let fraction = text.trim().parse().map_err(|_| Self::fault())?;
        if TARGETS.contains(&fraction) { Ok(Fraction(fraction)) } else { Err(Self::fault()) }
    }

    fn fault() -> Fault {
        Fault::Kind { kind: "a fraction from 0.001 to 0.5", instead: "one, as in 0.05" }
    }

    fn from_value(value: &Value) -> Result<Self, Fault> {
        match value {
            Value::String(_, text) => Self::from_text(text),
            Value::Num(_, number) => Self::from_text(&number.to_f64().unwrap_or(f64::NAN).to_string()),
            Value::Char(..) | Value::Bool(..) | Value::Empty(..) | Value::Dict(..) | Value::Array(..) => {
                Err(Self::fault())
            }
        }
    }
}

/// One of `freshness.routes`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RouteTime {
    template: String,
    time: Duration,
}

impl Setting for RouteTime {
    fn from_text(text: &str) -> Result<Self, Fault> {
        let (template, time) = text.split_once('=').ok_or_else(Self::fault)?;
        let time = Duration::from_text(time).map_err(|_| Self::fault())?;
        Ok(RouteTime { template: template.trim().to_owned(), time })
    }

    fn fault() -> Fault {
        Fault::Kind {
            kind: "a route and its time",
            instead: "both, as in \"/repos/{owner}/{repo}/actions/runs = 15s\"",
        }
    }
}
