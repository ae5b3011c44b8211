//! Times that the operator gives by path template.

use super::template::{self, Template};
use super::{Target, TargetKind, folded};
use crate::caller::go_duration;
use std::sync::Arc;
use std::time::Duration;

/// Most routes that a configuration may give times for: each is looked at for every read.
pub const MAX_OVERRIDES: usize = 256;
/// The longest time that may be given; `cache.proof_ttl` caps it anyway.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// What is wrong with one of `freshness.routes`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteProblem {
    /// Not a path template.
    #[error("{path:?} is not a path such as /repos/{{owner}}/{{repo}}/contents/{{+path}}: {reason}")]
    Path {
        /// What was given.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a time.
    #[error("{ttl:?} (for {path}) is not a time of at most 7 days, such as 90, \"90s\" or \"5m\"")]
    Ttl {
        /// The path that it was given for.
        path: String,
        /// What was given.
        ttl: String,
    },
    /// Two times for the same paths.
    #[error("{path:?} has a time already, under the same or another name")]
    Repeated {
        /// The later one.
        path: String,
    },
    /// More than [`MAX_OVERRIDES`].
    #[error("{given} routes are more than the {MAX_OVERRIDES} that may have times of their own")]
    TooMany {
        /// How many there are.
        given: usize,
    },
}

/// Times that stand in for the route table's. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteOverrides {
    /// In the order of their templates: the first that matches says most.
    rows: Arc<[(Template, Duration)]>,
}

impl RouteOverrides {
    /// Reads pairs of a template and a time: whole seconds, or a Go duration such as `1m30s`.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn parse<'a>(rows: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Vec<RouteProblem>> {
        let mut problems = Vec::new();
        let mut read = Vec::new();
        for (path, ttl) in rows {
            match span(path, ttl) {
                Ok(span) => read.push((path, span)),
                Err(problem) => problems.push(problem),
            }
        }
        match RouteOverrides::new(read) {
            Ok(overrides) if problems.is_empty() => Ok(overrides),
            Ok(_) => Err(problems),
            Err(others) => Err(problems.into_iter().chain(others).collect()),
        }
    }

    /// The same with times that were read already.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn new<'a>(rows: impl IntoIterator<Item = (&'a str, Duration)>) -> Result<Self, Vec<RouteProblem>> {
        let mut problems = Vec::new();
        let mut kept: Vec<(Template, Duration)> = Vec::new();
        for (path, ttl) in rows {
            match row(path, ttl, &kept) {
                Ok(row) => kept.push(row),
                Err(problem) => problems.push(problem),
            }
        }
        if kept.len() > MAX_OVERRIDES {
            problems.push(RouteProblem::TooMany { given: kept.len() });
        }
        kept.sort();
        if problems.is_empty() { Ok(RouteOverrides { rows: kept.into() }) } else { Err(problems) }
    }

    /// The time given for a request's route. GraphQL's path is `/graphql`.
    pub fn ttl(&self, target: &Target) -> Option<Duration> {
        if self.rows.is_empty() {
            return None;
        }
        let path = match (target.kind, &target.resource) {
            (TargetKind::GraphQl, _) => "/graphql",
            (TargetKind::Api | TargetKind::Other, resource) => resource.as_ref()?.path.as_str(),
        };
        let path = folded(path);
        let segments = template::segments(&path);
        self.rows.iter().find(|(template, _)| template.matches(&segments)).map(|(_, ttl)| *ttl)
    }

    /// Whether none are given.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

fn row(path: &str, ttl: Duration, kept: &[(Template, Duration)]) -> Result<(Template, Duration), RouteProblem> {
    let template = Template::parse(path)?;
    if ttl > LONGEST {
        return Err(RouteProblem::Ttl { path: path.to_owned(), ttl: format!("{}s", ttl.as_secs()) });
    }
    if kept.iter().any(|(other, _)| *other == template) {
        return Err(RouteProblem::Repeated { path: path.to_owned() });
    }
    Ok((template, ttl))
}

fn span(path: &str, ttl: &str) -> Result<Duration, RouteProblem> {
    let negative = ttl.trim_start().starts_with('-');
    let span = go_duration(ttl.trim()).filter(|_| !negative);
    span.ok_or_else(|| RouteProblem::Ttl { path: path.to_owned(), ttl: ttl.to_owned() })
}
