//! What a write may have changed, and what a refusal takes back.
//!
//! An entry belongs to **scopes**: each prefix of its path, its own path alone (`…#self`), and for what lies in a repository the
//! **group** of things that change together. A write names the scopes that it may have changed; a scope of a path covers
//! everything below it. Both sides fold letter case and undo percent-encoding, as GitHub does. Too much costs a free 304, too
//! little shows a caller what it has just changed; so what isn't known coarsens: to the repository, then to the host.
//!
//! GitHub answers for a repository under two names: pages after the first are at `/repositories/ID/…`. Which id is which name
//! isn't known here, so a write to one name covers the group of *all* repositories under the other.
//!
//! GraphQL answers belong to the repositories that their query names, or to one scope for all that may show any repository.

mod routes;
mod touched;

pub(crate) use routes::Group;
pub use routes::gives_secret;
pub(crate) use touched::Touched;

use crate::limits_headers;
use crate::target::{Resource, Target, TargetKind};
use ghmesh_model::{Scope, limits};
use http::header::HeaderMap;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

/// Deepest path prefix that is a scope of its own. Leaves room in [`limits::MAX_SCOPES`] for the host, the path itself and the
/// groups; no write names a subtree of more than five segments.
const MAX_DEPTH: usize = 24;

/// The scopes that an answer to a read of `target` belongs to: at most [`limits::MAX_SCOPES`], the host's first. Empty where
/// the target is no API object.
pub fn scopes_of_read(target: &Target) -> Vec<Scope> {
    target.resource.as_ref().map_or_else(Vec::new, |resource| scopes_of_path(&resource.host, &resource.path))
}

/// The same for a path of `host`'s API, without a query.
pub(crate) fn scopes_of_path(host: &str, path: &str) -> Vec<Scope> {
    let segments = segments(path);
    let prefixes = (0..=segments.len().min(MAX_DEPTH)).map(|depth| Scope::of(host, &path_of(&segments[..depth])));
    let own = Scope::of(host, &own_path(&path_of(&segments)));
    let groups = group_paths(&segments).into_iter().map(|path| Scope::of(host, &path));
    prefixes.chain([own]).chain(groups).take(limits::MAX_SCOPES).collect()
}

/// The scopes that a write may have changed: at most [`limits::MAX_SCOPES`]. Empty for what changes nothing, or nothing that
/// is read through the API. For a mutation over GraphQL: everything of the host.
pub fn scopes_of_write(method: &Method, target: &Target) -> Vec<Scope> {
    if target.kind == TargetKind::GraphQl {
        return vec![host_scope(&target.authority)];
    }
    let Some(resource) = &target.resource else { return Vec::new() };
    let segments = segments(&resource.path);
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    if routes::changes_nothing(method, &names) {
        return Vec::new();
    }
    let mut touched = Touched::new(&resource.host);
    touched.write(method, &names);
    touched.into_scopes()
}

/// What is kept for exactly this path of `host`'s API, with whatever query, and nothing below it.
pub fn own_scope(host: &str, path: &str) -> Scope {
    Scope::of(host, &own_path(&path_of(&segments(path))))
}

/// Everything of one host: `authority` as in [`Target::authority`].
pub fn host_scope(authority: &str) -> Scope {
    Scope::of(authority, "")
}

/// Every GraphQL answer of one API.
pub fn graphql_of_host(host: &str) -> Scope {
    Scope::of(host, "#graphql")
}

/// The GraphQL answers that name a repository.
pub fn graphql_of_repository(host: &str, owner: &str, name: &str) -> Scope {
    Scope::of(host, &format!("/repos/{owner}/{name}#graphql"))
}

/// The GraphQL answers that may show repositories without naming them: searches, the viewer's, objects by node id.
pub fn graphql_without_repository(host: &str) -> Scope {
    Scope::of(host, "/repos/*#graphql")
}

/// The answers that hold the object with this node id. Ids that differ in letter case alone share a scope.
pub fn node_scope(host: &str, id: &str) -> Scope {
    Scope::of(host, &format!("#node/{id}"))
}

/// What an answer takes back from the credential that got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Nothing.
    None,
    /// Every entry of this credential.
    Credential,
    /// This credential's entries in these scopes.
    Scopes(Vec<Scope>),
}

/// Reads a status as a denial. 401: the credential is no longer good for anything. 403 and 404 that are no limit: it may have
/// lost the repository, under whichever name. GitHub says 404 for what a credential may not see.
pub fn denial(target: &Target, status: StatusCode, response: &HeaderMap) -> Denial {
    match status {
        StatusCode::UNAUTHORIZED => Denial::Credential,
        StatusCode::FORBIDDEN if limits_headers::is_limited(status, response) => Denial::None,
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => denied(target),
        _ => Denial::None,
    }
}

fn denied(target: &Target) -> Denial {
    let Some(Resource { host, path }) = &target.resource else { return Denial::None };
    let segments = segments(path);
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    let paths = match names.as_slice() {
        ["repos", owner, name, ..] => vec![format!("/repos/{owner}/{name}"), "/repositories".to_owned()],
        ["repositories", id, ..] => vec![format!("/repositories/{id}"), "/repos".to_owned()],
        [first, second, ..] => vec![format!("/{first}/{second}")],
        [only] => vec![format!("/{only}")],
        [] => Vec::new(),
    };
    let elsewhere = graphql_without_repository(host);
    Denial::Scopes(paths.iter().map(|path| Scope::of(host, path)).chain([elsewhere]).collect())
}

/// The keyword; GraphQL is case-sensitive.
const MUTATION: &[u8] = b"mutation";

/// Whether a whole GraphQL request body that could not be read may hold a mutation: the word can't be missing from one. A query
/// that merely mentions it counts as one.
pub(crate) fn graphql_may_mutate(body: &[u8]) -> bool {
    let plain = body.windows(MUTATION.len()).any(|window| window == MUTATION);
    plain
        || (body.windows(2).any(|window| window == b"\\u")
            && unescaped(body).windows(MUTATION.len()).any(|window| window == MUTATION))
}

/// The body with `\u00XX` escapes of ASCII undone, in which a keyword could hide.
fn unescaped(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((first, after)) = rest.split_first() {
        match ascii_escape(rest) {
            Some(byte) => {
                plain.push(byte);
                rest = &rest[6..];
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

fn ascii_escape(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"\\u00")?.get(..2)?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Path segments with percent-encoding undone, in lower case, without empty ones.
fn segments(path: &str) -> Vec<String> {
    let decoded = percent_decode_str(path).decode_utf8_lossy().to_lowercase();
    decoded.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

fn path_of(segments: &[String]) -> String {
    segments.iter().map(|segment| format!("/{segment}")).collect()
}

/// Names a path alone, without what is below it.
fn own_path(path: &str) -> String {
    format!("{path}#self")
}

/// The groups that an object belongs to: those of its repository, or of all repositories where it is named by its id; and the
/// lists of repositories that GitHub pages through by an owner's id.
fn group_paths(segments: &[String]) -> Vec<String> {
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    match names.as_slice() {
        ["repos", owner, name, area, ..] => groups_of(&format!("/repos/{owner}/{name}"), area),
        ["repositories", _, area, ..] => groups_of("/repositories/*", area),
        ["organizations", _, "repos"] => vec!["/organizations/*#repos".to_owned()],
        ["user", _, "repos"] => vec!["/user/*#repos".to_owned()],
        _ => Vec::new(),
    }
}

fn groups_of(repository: &str, area: &str) -> Vec<String> {
    Group::of_read(area).into_iter().map(|group| group.path(repository)).collect()
}

#[cfg(test)]
mod tests;
