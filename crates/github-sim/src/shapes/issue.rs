//! Issues, pull requests, comments and labels.

use serde_json::{Value, json};

use super::{View, WEB, extend};
use crate::text::{iso, node_id};
use crate::world::{Comment, Issue, Label, Pull, Repository};

impl View<'_> {
    /// An issue, or a pull request as an issue.
    pub(crate) fn issue(&self, repository: &Repository, issue: &Issue) -> Value {
        let url = format!("{}/issues/{}", self.url(repository), issue.number);
        let (page, prefix) = if issue.pull.is_some() { ("pull", "PR") } else { ("issues", "I") };
        let mut value = json!({
            "url": url,
            "repository_url": self.url(repository),
            "labels_url": format!("{url}/labels{{/name}}"),
            "comments_url": format!("{url}/comments"),
            "events_url": format!("{url}/events"),
            "html_url": format!("{WEB}/{}/{page}/{}", repository.full_name(), issue.number),
            "id": issue.id,
            "node_id": node_id(prefix, issue.id),
        });
        extend(&mut value, self.issue_content(repository, issue));
        extend(
            &mut value,
            json!({
                "comments": issue.comments.len(),
                "author_association": "CONTRIBUTOR",
                "active_lock_reason": null,
                "timeline_url": format!("{url}/timeline"),
                "performed_via_github_app": null,
                "state_reason": issue.state_reason,
                "reactions": {"url": format!("{url}/reactions"), "total_count": 0},
            }),
        );
        if let Some(pull) = &issue.pull {
            extend(&mut value, json!({"draft": pull.draft, "pull_request": self.pull_link(repository, issue, pull)}));
        }
        value
    }

    fn issue_content(&self, repository: &Repository, issue: &Issue) -> Value {
        let labels: Vec<Value> = issue
            .labels
            .iter()
            .filter_map(|name| repository.labels.get(name))
            .map(|label| self.label(repository, label))
            .collect();
        let assignees: Vec<Value> = issue.assignees.iter().map(|login| self.actor(login)).collect();
        json!({
            "number": issue.number,
            "title": issue.title,
            "user": self.actor(&issue.author),
            "labels": labels,
            "state": issue.state(),
            "locked": false,
            "assignee": assignees.first(),
            "assignees": assignees,
            "milestone": null,
            "created_at": iso(issue.created),
            "updated_at": iso(issue.updated),
            "closed_at": issue.closed.map(iso),
            "body": issue.body,
        })
    }

    fn pull_link(&self, repository: &Repository, issue: &Issue, pull: &Pull) -> Value {
        let web = format!("{WEB}/{}/pull/{}", repository.full_name(), issue.number);
        json!({
            "url": format!("{}/pulls/{}", self.url(repository), issue.number),
            "html_url": web,
            "diff_url": format!("{web}.diff"),
            "patch_url": format!("{web}.patch"),
            "merged_at": pull.merged.map(iso),
        })
    }

    /// A pull request as it stands in lists.
    pub(crate) fn pull(&self, repository: &Repository, issue: &Issue, pull: &Pull) -> Value {
        let url = format!("{}/pulls/{}", self.url(repository), issue.number);
        let issue_url = format!("{}/issues/{}", self.url(repository), issue.number);
        let mut value = json!({
            "url": url,
            "id": issue.id,
            "node_id": node_id("PR", issue.id),
            "issue_url": issue_url,
            "commits_url": format!("{url}/commits"),
            "review_comments_url": format!("{url}/comments"),
            "review_comment_url": format!("{}/pulls/comments{{/number}}", self.url(repository)),
            "comments_url": format!("{issue_url}/comments"),
            "statuses_url": format!("{}/statuses/{}", self.url(repository), pull.head_sha),
        });
        extend(&mut value, self.pull_link(repository, issue, pull));
        value["url"] = url.into();
        extend(&mut value, self.issue_content(repository, issue));
        extend(
            &mut value,
            json!({
                "requested_reviewers": [],
                "requested_teams": [],
                "merge_commit_sha": pull.merged.map(|_| pull.head_sha.clone()),
                "draft": pull.draft,
                "head": self.pull_side(repository, &pull.head, &pull.head_sha),
                "base": self.pull_side(repository, &pull.base, &pull.base_sha),
                "author_association": "CONTRIBUTOR",
                "auto_merge": null,
            }),
        );
        value
    }

    /// A pull request as its own resource shows it.
    pub(crate) fn whole_pull(&self, repository: &Repository, issue: &Issue, pull: &Pull) -> Value {
        let mut value = self.pull(repository, issue, pull);
        extend(
            &mut value,
            json!({
                "merged": pull.merged.is_some(),
                "mergeable": issue.closed.is_none(),
                "rebaseable": issue.closed.is_none(),
                "mergeable_state": if issue.closed.is_none() { "clean" } else { "unknown" },
                "merged_by": pull.merged.map(|_| self.actor("alice")),
                "comments": issue.comments.len(),
                "review_comments": 0,
                "maintainer_can_modify": false,
                "commits": 1,
                "additions": 1,
                "deletions": 0,
                "changed_files": 1,
            }),
        );
        value
    }

    fn pull_side(&self, repository: &Repository, branch: &str, sha: &str) -> Value {
        json!({
            "label": format!("{}:{branch}", repository.owner),
            "ref": branch,
            "sha": sha,
            "user": self.actor(&repository.owner),
            "repo": self.repository(repository),
        })
    }

    pub(crate) fn comment(&self, repository: &Repository, issue: &Issue, comment: &Comment) -> Value {
        let url = self.url(repository);
        let page = if issue.pull.is_some() { "pull" } else { "issues" };
        json!({
            "url": format!("{url}/issues/comments/{}", comment.id),
            "html_url": format!("{WEB}/{}/{page}/{}#issuecomment-{}", repository.full_name(), issue.number, comment.id),
            "issue_url": format!("{url}/issues/{}", issue.number),
            "id": comment.id,
            "node_id": node_id("IC", comment.id),
            "user": self.actor(&comment.author),
            "created_at": iso(comment.created),
            "updated_at": iso(comment.updated),
            "author_association": "CONTRIBUTOR",
            "body": comment.body,
            "reactions": {"url": format!("{url}/issues/comments/{}/reactions", comment.id), "total_count": 0},
            "performed_via_github_app": null,
        })
    }

    pub(crate) fn label(&self, repository: &Repository, label: &Label) -> Value {
        json!({
            "id": label.id,
            "node_id": node_id("LA", label.id),
            "url": format!("{}/labels/{}", self.url(repository), label.name),
            "name": label.name,
            "color": label.color,
            "default": true,
            "description": null,
        })
    }
}

impl Issue {
    pub(crate) fn state(&self) -> &'static str {
        if self.closed.is_some() { "closed" } else { "open" }
    }
}
