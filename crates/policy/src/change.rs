//! What a request that passes through may have changed, told by how it ended.
//!
//! The request names paths; the answer names more: the objects that were written, by their node ids, which answers elsewhere may
//! show too. So the body of an answer is looked at, where it is JSON and not too long, before anybody is told that the write is
//! done. What can't be looked at coarsens to everything of the host.

use crate::graphql::NotRead;
use crate::{Nodes, Pass, Target, invalidation, storable};
use bytes::Bytes;
use ghmesh_model::{Scope, limits};
use http::header::{self, HeaderMap};
use http::{Response, StatusCode};

/// Longest answer to a write that is looked at, in bytes: what [`Nodes`] looks into.
pub const MAX_ANSWER_BYTES: usize = crate::nodes::MAX_BYTES;
/// Most objects that one REST write names one by one; a list of labels or reviewers has fewer.
const MAX_WRITTEN: usize = 2 * limits::MAX_SCOPES;

/// What a request may change. Nothing for one without a credential: GitHub lets nobody write who does not say who they are, so
/// that nobody can empty the cache that way.
#[derive(Clone, Debug)]
pub struct Change {
    target: Target,
    scopes: Vec<Scope>,
    /// GraphQL that was read: why it passes, and its body.
    asked: Option<(NotRead, Bytes)>,
}

/// What is known of the body of an answer to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// There is none, or none that names objects.
    Nothing,
    /// All of it.
    Whole(&'a [u8]),
    /// It was too long, too slow or broke off.
    Cut,
}

impl Change {
    /// Of a request whose body isn't looked at.
    pub fn of(pass: &Pass) -> Self {
        let scopes = if is_anonymous(pass) { Vec::new() } else { pass.invalidates.clone() };
        Change { target: pass.target.clone(), scopes, asked: None }
    }

    /// Of a GraphQL request that is no read.
    pub fn of_graphql(pass: &Pass, reason: NotRead, body: Bytes) -> Self {
        let asked = (!is_anonymous(pass)).then_some((reason, body));
        Change { asked, ..Change::of(pass) }
    }

    /// Of a GraphQL request that nobody has read: it counts as a mutation.
    pub fn of_unread_graphql(pass: &Pass) -> Self {
        let all = vec![invalidation::host_scope(&pass.target.authority)];
        let scopes = if is_anonymous(pass) { Vec::new() } else { all };
        Change { scopes, ..Change::of(pass) }
    }

    /// Whether the body of an answer with this head tells what was changed.
    pub fn is_told_by(&self, answer: &Response<()>) -> bool {
        let asked = match &self.asked {
            Some((reason, _)) => matches!(reason, NotRead::Mutation(_)),
            None => !self.scopes.is_empty() && self.target.resource.is_some(),
        };
        asked && answer.status().is_success() && has_json(answer.headers())
    }

    /// The scopes that may have changed, unless [`is_refused`].
    pub fn scopes(&self, told: Told<'_>) -> Vec<Scope> {
        let mut scopes = self.scopes.clone();
        match (&self.asked, told) {
            (Some((reason, body)), Told::Whole(answer)) => {
                scopes.extend(reason.touched(&self.target, body, Some(answer)))
            }
            (Some((reason, body)), Told::Nothing | Told::Cut) => {
                scopes.extend(reason.touched(&self.target, body, None))
            }
            (None, Told::Nothing) => {}
            (None, told) if !scopes.is_empty() => scopes.extend(self.written(told)),
            (None, Told::Whole(_) | Told::Cut) => {}
        }
        scopes
    }

    /// The objects that a REST answer shows as written.
    fn written(&self, told: Told<'_>) -> Vec<Scope> {
        match (&self.target.resource, told) {
            (Some(resource), Told::Whole(answer)) => {
                Nodes::written(answer).scopes_of_write(&resource.host, MAX_WRITTEN)
            }
            (Some(resource), Told::Cut) => vec![invalidation::host_scope(&resource.host)],
            (Some(_), Told::Nothing) | (None, _) => Vec::new(),
        }
    }
}

/// Whether an answer of this status says that nothing was done. A 5xx says nothing, and a 408 came too late to say.
pub fn is_refused(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT
}

fn is_anonymous(pass: &Pass) -> bool {
    !pass.headers.contains_key(header::AUTHORIZATION)
}

fn has_json(headers: &HeaderMap) -> bool {
    storable::is_json(headers) && headers.get(header::CONTENT_LENGTH).is_none_or(|length| length != "0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Pair, pass, read};
    use http::{HeaderValue, Method};

    const HOST: &str = "api.github.com";
    const ALICE: Pair<'_> = ("authorization", "token ghp_x");

    fn answer(status: StatusCode, content_type: &'static str) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    fn json(status: StatusCode) -> Response<()> {
        answer(status, "application/json; charset=utf-8")
    }

    fn close() -> Change {
        Change::of(&pass(&Method::PATCH, "/repos/o/r/issues/5", &[ALICE]))
    }

    #[test]
    fn a_write_names_its_paths_and_the_nodes_of_its_answer() {
        let body = br#"{"node_id":"I_kwDOABCDEF1","user":{"node_id":"U_kgDOABCDEF2"}}"#;
        let scopes = close().scopes(Told::Whole(body));
        assert!(scopes.contains(&Scope::of(HOST, "/repos/o/r/issues")));
        assert!(scopes.contains(&invalidation::node_scope(HOST, "I_kwDOABCDEF1")));
        assert!(!scopes.contains(&invalidation::node_scope(HOST, "U_kgDOABCDEF2")), "its author was not written");
        assert!(read("/repos/o/r/issues", &[]).scopes().iter().any(|scope| scopes.contains(scope)));
        assert_eq!(close().scopes(Told::Nothing), pass(&Method::PATCH, "/repos/o/r/issues/5", &[ALICE]).invalidates);
    }

    #[test]
    fn what_an_answer_does_not_tell_to_its_end_is_everything() {
        for told in [Told::Cut, Told::Whole(b"{\"node_id\":\"I_kwDOABCDEF1\"")] {
            assert!(close().scopes(told).contains(&invalidation::host_scope(HOST)), "{told:?}");
        }
    }

    #[test]
    fn only_json_of_a_success_is_looked_at() {
        assert!(close().is_told_by(&json(StatusCode::CREATED)));
        assert!(!close().is_told_by(&json(StatusCode::BAD_GATEWAY)));
        assert!(!close().is_told_by(&answer(StatusCode::OK, "text/event-stream")));
        let nothing = Change::of(&pass(&Method::POST, "/markdown", &[ALICE]));
        assert!(!nothing.is_told_by(&json(StatusCode::OK)) && nothing.scopes(Told::Cut).is_empty());
    }

    #[test]
    fn nobody_changes_anything_without_a_credential() {
        let write = Change::of(&pass(&Method::PATCH, "/repos/o/r/issues/5", &[]));
        let mutation = pass(&Method::POST, "/graphql", &[("content-type", "application/json")]);
        for change in [
            write,
            Change::of_graphql(&mutation, NotRead::Json, Bytes::from_static(b"mutation")),
            Change::of_unread_graphql(&mutation),
        ] {
            assert!(change.scopes(Told::Cut).is_empty() && !change.is_told_by(&json(StatusCode::OK)));
        }
    }

    #[test]
    fn graphql_that_nobody_has_read_counts_as_a_mutation() {
        let request = pass(&Method::POST, "/graphql", &[ALICE, ("content-type", "application/json")]);
        let everything = [invalidation::host_scope(HOST)];
        assert_eq!(Change::of_unread_graphql(&request).scopes(Told::Nothing), everything);
        let unread = |body| Change::of_graphql(&request, NotRead::Ambiguous, Bytes::from_static(body));
        assert_eq!(unread(b"[{\"query\":\"mutation{a}\"}]").scopes(Told::Nothing), everything);
        assert_eq!(unread(b"[{\"query\":\"{a}\"}]").scopes(Told::Nothing), []);
    }

    #[test]
    fn a_definite_refusal_is_a_4xx_that_did_not_come_too_late() {
        let refused = [400, 401, 403, 404, 409, 422, 429].map(|status| StatusCode::from_u16(status).map(is_refused));
        assert!(refused.iter().all(|refused| matches!(refused, Ok(true))));
        let unknown =
            [200, 201, 204, 302, 408, 500, 502, 504].map(|status| StatusCode::from_u16(status).map(is_refused));
        assert!(unknown.iter().all(|refused| matches!(refused, Ok(false))));
    }
}
