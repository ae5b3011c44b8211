//! Answers to queries: which may be kept, and what they take back.

use super::GraphQlRead;
use crate::invalidation::{self, Denial};
use crate::json;
use ghmesh_model::Scope;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Errors of one answer that are looked at; GitHub gives one for each object that it doesn't show.
const MAX_ERRORS: usize = 1_000;

/// Why an answer is not kept. An everyday outcome, not a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// It isn't a GraphQL answer in JSON.
    #[error("it isn't a GraphQL answer")]
    Malformed,
    /// It has errors, among them RATE_LIMITED, which come with status 200.
    #[error("it has errors")]
    Errors,
    /// It has no data.
    #[error("it has no data")]
    NoData,
}

#[derive(Deserialize)]
struct Answer<Errors> {
    data: Option<IgnoredAny>,
    errors: Option<Errors>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Whether the body of a 200 may be kept.
///
/// # Errors
/// [`NotKept`]: pass it on and keep nothing.
pub fn keepable(body: &[u8]) -> Result<(), NotKept> {
    let answer: Answer<IgnoredAny> = json::object(body).map_err(|_| NotKept::Malformed)?;
    match answer {
        Answer { errors: Some(_), .. } => Err(NotKept::Errors),
        Answer { data: None, .. } => Err(NotKept::NoData),
        Answer { data: Some(_), errors: None } => Ok(()),
    }
}

/// Whether GitHub says that the quota is used up, which it says with status 200.
pub fn is_limited(body: &[u8]) -> bool {
    let Ok(Answer { errors: Some(errors), .. }) = json::object::<Answer<Vec<Problem>>>(body) else { return false };
    errors.iter().any(|problem| matches!(problem.kind.as_deref(), Some("RATE_LIMITED" | "RATE_LIMIT")))
}

/// What an answer takes back from the credential that got it: GraphQL says with status 200 and an error of a type what REST
/// says with 404 and 403.
pub fn denial(read: &GraphQlRead, host: &str, body: &[u8]) -> Denial {
    let Ok(Answer { errors: Some(errors), .. }) = json::object::<Answer<Vec<Problem>>>(body) else {
        return Denial::None;
    };
    let denies = |problem: &Problem| matches!(problem.kind.as_deref(), Some("NOT_FOUND" | "FORBIDDEN"));
    if !errors.iter().take(MAX_ERRORS).any(denies) {
        return Denial::None;
    }
    let named = read.repositories().map(|(owner, name)| Scope::of(host, &format!("/repos/{owner}/{name}")));
    let renamed = [Scope::of(host, "/repositories"), invalidation::graphql_without_repository(host)];
    Denial::Scopes(named.take(super::MAX_NAMED).chain(renamed).collect())
}
