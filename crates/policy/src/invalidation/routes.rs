//! What is known about GitHub's routes. Everything else is treated as changing as much as it could.

use crate::target::Target;
use http::Method;
use std::collections::BTreeSet;

/// Things of a repository that change together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// Issues, pull requests, labels, milestones.
    Talk,
    /// Commits, branches, files, and what is computed from them.
    Code,
    /// Workflow runs, checks, statuses, deployments.
    Checks,
    /// Anything else.
    Rest,
}

impl Group {
    /// The groups whose changes show in a read of this area of a repository.
    pub(super) fn of_read(area: &str) -> BTreeSet<Group> {
        let groups: &[Group] = match area {
            "issues" | "labels" | "milestones" | "assignees" => &[Group::Talk],
            "pulls" => &[Group::Talk, Group::Code],
            "commits" | "branches" | "events" | "activity" => &[Group::Talk, Group::Code, Group::Checks],
            "contents" | "git" | "compare" | "tags" | "readme" | "license" | "languages" | "stats" | "contributors"
            | "community" | "releases" | "comments" | "dependency-graph" => &[Group::Code],
            "actions" | "check-runs" | "check-suites" | "statuses" | "deployments" | "environments" | "pages" => {
                &[Group::Code, Group::Checks]
            }
            _ => &[Group::Rest],
        };
        groups.iter().copied().collect()
    }

    /// The groups that a write to this area changes; `None` where it may change anything of the repository.
    pub(super) fn of_write(area: &str) -> Option<&'static [Group]> {
        match area {
            "issues" | "labels" | "milestones" | "assignees" => Some(&[Group::Talk]),
            "pulls" | "contents" | "git" | "merges" | "merge-upstream" | "branches" | "commits" | "comments"
            | "releases" => Some(&[Group::Talk, Group::Code, Group::Checks]),
            "actions" | "check-runs" | "check-suites" | "statuses" | "deployments" | "environments" | "dispatches"
            | "pages" => Some(&[Group::Checks]),
            _ => None,
        }
    }

    /// The name of this group's scope in a repository.
    pub(super) fn path(self, repository: &str) -> String {
        let name = match self {
            Group::Talk => "talk",
            Group::Code => "code",
            Group::Checks => "checks",
            Group::Rest => "rest",
        };
        format!("{repository}#{name}")
    }
}

/// Areas of a repository or an organisation that show in nothing but themselves.
pub(super) fn is_self_contained(area: &str) -> bool {
    matches!(
        area,
        "hooks"
            | "keys"
            | "autolinks"
            | "subscription"
            | "notifications"
            | "code-scanning"
            | "secret-scanning"
            | "dependabot"
            | "traffic"
    )
}

/// Areas of `actions` that show in nothing but themselves; autoscalers write there all day.
pub(super) fn is_self_contained_in_actions(area: &str) -> bool {
    matches!(
        area,
        "runners" | "runner-groups" | "secrets" | "variables" | "caches" | "artifacts" | "permissions" | "oidc"
    )
}

/// Whether a write changes nothing that can be read: it renders, checks or makes something and keeps no trace.
pub(super) fn changes_nothing(method: &Method, segments: &[&str]) -> bool {
    if method != Method::POST {
        return false;
    }
    matches!(
        segments,
        ["markdown", ..]
            | ["app", "installations", _, "access_tokens"]
            | ["applications", _, "token"]
            | [.., "actions", "runners", "registration-token" | "remove-token"]
            | [.., "releases", "generate-notes"]
    )
}

/// Whether the answers of a route are secrets: tokens and one-time configurations. They are never kept, whatever their method,
/// status and headers.
pub fn gives_secret(target: &Target) -> bool {
    let Some(resource) = &target.resource else { return false };
    let segments = super::segments(&resource.path);
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    matches!(
        names.as_slice(),
        ["app", "installations", _, "access_tokens"]
            | ["app-manifests", _, "conversions"]
            | ["applications", ..]
            | [.., "actions", "runners", "registration-token" | "remove-token" | "generate-jitconfig"]
    )
}
