//! What a mutation changes: as much as its answer tells, else everything of the host.

use super::document::Document;
use super::json::Json;
use super::names;
use crate::invalidation::{self, Touched};
use apollo_parser::cst::Selection;
use ghmesh_model::Scope;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Mutations that change things of one repository alone, and whose answer can name it.
const WITHIN_REPOSITORY: [&str; 66] = [
    "addAssigneesToAssignable",
    "addComment",
    "addDiscussionComment",
    "addLabelsToLabelable",
    "addPullRequestReview",
    "addPullRequestReviewComment",
    "addPullRequestReviewThread",
    "addPullRequestReviewThreadReply",
    "addReaction",
    "addSubIssue",
    "clearLabelsFromLabelable",
    "closeDiscussion",
    "closeIssue",
    "closePullRequest",
    "convertPullRequestToDraft",
    "createCheckRun",
    "createCheckSuite",
    "createCommitOnBranch",
    "createDeployment",
    "createDeploymentStatus",
    "createDiscussion",
    "createIssue",
    "createLabel",
    "createPullRequest",
    "createRef",
    "deleteDiscussion",
    "deleteDiscussionComment",
    "deleteIssue",
    "deleteIssueComment",
    "deleteLabel",
    "deletePullRequestReview",
    "deletePullRequestReviewComment",
    "deleteRef",
    "dequeuePullRequest",
    "disablePullRequestAutoMerge",
    "dismissPullRequestReview",
    "enablePullRequestAutoMerge",
    "enqueuePullRequest",
    "lockLockable",
    "markPullRequestReadyForReview",
    "mergeBranch",
    "mergePullRequest",
    "minimizeComment",
    "pinIssue",
    "removeAssigneesFromAssignable",
    "removeLabelsFromLabelable",
    "removeReaction",
    "reopenDiscussion",
    "reopenIssue",
    "reopenPullRequest",
    "replaceActorsForAssignable",
    "requestReviews",
    "rerequestCheckSuite",
    "resolveReviewThread",
    "submitPullRequestReview",
    "unlockLockable",
    "unmarkFileAsViewed",
    "unminimizeComment",
    "unpinIssue",
    "unresolveReviewThread",
    "updateCheckRun",
    "updateIssue",
    "updateIssueComment",
    "updatePullRequest",
    "updatePullRequestBranch",
    "updateRef",
];
/// First segments of web paths that are no owner of repositories.
const NO_OWNERS: [&str; 9] =
    ["apps", "collections", "enterprises", "marketplace", "orgs", "settings", "sponsors", "topics", "users"];
/// Node ids and repositories that are named one by one; with more, everything counts as changed.
const MAX_NAMED: usize = 8;

/// A mutation that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// Names of the answer's members, if each is of a mutation in [`WITHIN_REPOSITORY`].
    within_repository: Option<Vec<String>>,
    /// Node ids among its arguments.
    node_ids: BTreeSet<String>,
}

/// What an answer names.
#[derive(Default)]
struct Named {
    repositories: BTreeSet<(String, String)>,
    node_ids: BTreeSet<String>,
}

impl Mutation {
    pub(super) fn of(document: &Document, variables: &BTreeMap<String, Json>) -> Self {
        let roots = document.operation.selection_set();
        let roots = roots.iter().flat_map(|set| set.selections());
        Mutation { within_repository: roots.map(answered_as).collect(), node_ids: names::node_ids(document, variables) }
    }

    /// What it may have changed on the API at `host`. `answer`: its body, if that is known and whole. Everything of the host
    /// unless the answer names a repository for each thing that was done.
    pub fn touched(&self, host: &str, answer: Option<&[u8]>) -> Vec<Scope> {
        let Some(named) = answer.and_then(|answer| self.named(answer)) else {
            return vec![invalidation::host_scope(host)];
        };
        let mut touched = Touched::new(host);
        for (owner, name) in &named.repositories {
            touched.all_of_repository(owner, name);
        }
        for id in named.node_ids.union(&self.node_ids) {
            touched.node(id);
        }
        touched.into_scopes()
    }

    fn named(&self, answer: &[u8]) -> Option<Named> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let mut all = Named::default();
        for member in self.within_repository.as_ref()? {
            let mut named = Named::default();
            named.collect("", answer.get("data")?.get(member)?);
            if named.repositories.is_empty() {
                return None;
            }
            all.repositories.append(&mut named.repositories);
            all.node_ids.append(&mut named.node_ids);
        }
        (all.repositories.len() + all.node_ids.len() + self.node_ids.len() <= MAX_NAMED).then_some(all)
    }
}

impl Named {
    /// Depth is bounded by the parser of the answer (128).
    fn collect(&mut self, name: &str, value: &Value) {
        match value {
            Value::String(text) => self.add(name, text),
            Value::Array(items) => items.iter().for_each(|item| self.collect(name, item)),
            Value::Object(members) => members.iter().for_each(|(name, value)| self.collect(name, value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn add(&mut self, name: &str, text: &str) {
        let repository = match name {
            "nameWithOwner" => text.split_once('/'),
            "url" | "permalink" | "resourcePath" => repository_of(text),
            _ => None,
        };
        self.repositories.extend(repository.map(|(owner, name)| (owner.to_owned(), name.to_owned())));
        if names::is_node_id(name) {
            self.node_ids.insert(text.to_owned());
        }
    }
}

/// The name under which the answer holds what this selection did; `None` where that may reach beyond a repository.
fn answered_as(root: Selection) -> Option<String> {
    let Selection::Field(field) = root else { return None };
    let name = names::name_of(&field);
    let known = WITHIN_REPOSITORY.binary_search(&name.as_str()).is_ok();
    known.then(|| field.alias().and_then(|alias| Some(alias.name()?.text().to_string())).unwrap_or(name))
}

/// The repository in a page's URL or its path: `https://github.com/o/r/issues/1`.
fn repository_of(url: &str) -> Option<(&str, &str)> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => url.strip_prefix('/')?,
    };
    let mut segments = path.split(['/', '?', '#']);
    let (owner, name) = (segments.next()?, segments.next()?);
    let named = !owner.is_empty() && !name.is_empty() && !NO_OWNERS.contains(&owner);
    named.then_some((owner, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(WITHIN_REPOSITORY.is_sorted());
    }

    #[test]
    fn repositories_are_found_in_urls_and_paths() {
        for (text, repository) in [
            ("https://github.com/o/r/issues/1#issuecomment-5", Some(("o", "r"))),
            ("https://ghe.example/o/r", Some(("o", "r"))),
            ("/o/r/pull/7", Some(("o", "r"))),
            ("https://github.com/monalisa", None),
            ("https://github.com/orgs/o/projects/1", None),
            ("https://github.com/apps/renovate", None),
            ("", None),
        ] {
            assert_eq!(repository_of(text), repository, "{text}");
        }
    }
}
