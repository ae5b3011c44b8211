//! Repositories.

use serde_json::{Map, Value, json};

use super::{View, WEB, extend};
use crate::text::{iso, node_id};
use crate::world::{Permission, Repository};

/// The URL fields of a repository and what follows the repository's own URL in each.
const URLS: [(&str, &str); 38] = [
    ("url", ""),
    ("forks_url", "/forks"),
    ("keys_url", "/keys{/key_id}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("teams_url", "/teams"),
    ("hooks_url", "/hooks"),
    ("issue_events_url", "/issues/events{/number}"),
    ("events_url", "/events"),
    ("assignees_url", "/assignees{/user}"),
    ("branches_url", "/branches{/branch}"),
    ("tags_url", "/tags"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("trees_url", "/git/trees{/sha}"),
    ("statuses_url", "/statuses/{sha}"),
    ("languages_url", "/languages"),
    ("stargazers_url", "/stargazers"),
    ("contributors_url", "/contributors"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("commits_url", "/commits{/sha}"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("comments_url", "/comments{/number}"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("contents_url", "/contents/{+path}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("merges_url", "/merges"),
    ("archive_url", "/{archive_format}{/ref}"),
    ("downloads_url", "/downloads"),
    ("issues_url", "/issues{/number}"),
    ("pulls_url", "/pulls{/number}"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("labels_url", "/labels{/name}"),
    ("releases_url", "/releases{/id}"),
    ("deployments_url", "/deployments"),
    ("artifacts_url", "/actions/artifacts"),
];

impl View<'_> {
    /// The API's URL of the repository.
    pub(crate) fn url(&self, repository: &Repository) -> String {
        format!("{}/repos/{}", self.api, repository.full_name())
    }

    /// A repository as it stands in lists.
    pub(crate) fn repository(&self, repository: &Repository) -> Value {
        let mut value = self.head(repository);
        let url = self.url(repository);
        let urls: Map<String, Value> =
            URLS.iter().map(|(field, rest)| ((*field).to_owned(), format!("{url}{rest}").into())).collect();
        extend(&mut value, Value::Object(urls));
        extend(&mut value, figures(repository));
        if let Some(permission) = self.permission(repository).filter(|_| !self.caller.is_anonymous()) {
            extend(&mut value, json!({"permissions": permissions(permission)}));
        }
        value
    }

    /// A repository as its own resource shows it.
    pub(crate) fn whole_repository(&self, repository: &Repository) -> Value {
        let mut value = self.repository(repository);
        extend(
            &mut value,
            json!({
                "temp_clone_token": null,
                "network_count": 0,
                "subscribers_count": 1,
            }),
        );
        if self.permission(repository) >= Some(Permission::Push) {
            extend(
                &mut value,
                json!({
                    "allow_squash_merge": true,
                    "allow_merge_commit": true,
                    "allow_rebase_merge": true,
                    "allow_auto_merge": false,
                    "delete_branch_on_merge": false,
                    "allow_update_branch": false,
                }),
            );
        }
        if self.world.account(&repository.owner).is_some_and(|owner| owner.organization) {
            extend(&mut value, json!({"organization": self.actor(&repository.owner)}));
        }
        value
    }

    fn head(&self, repository: &Repository) -> Value {
        json!({
            "id": repository.id,
            "node_id": node_id("R", repository.id),
            "name": repository.name,
            "full_name": repository.full_name(),
            "private": repository.private,
            "owner": self.actor(&repository.owner),
            "html_url": format!("{WEB}/{}", repository.full_name()),
            "description": repository.description,
            "fork": false,
        })
    }
}

fn figures(repository: &Repository) -> Value {
    let open = repository.issues.values().filter(|issue| issue.closed.is_none()).count();
    let full_name = repository.full_name();
    json!({
        "created_at": iso(repository.created),
        "updated_at": iso(repository.updated),
        "pushed_at": iso(repository.pushed),
        "git_url": format!("git://github.com/{full_name}.git"),
        "ssh_url": format!("git@github.com:{full_name}.git"),
        "clone_url": format!("{WEB}/{full_name}.git"),
        "svn_url": format!("{WEB}/{full_name}"),
        "homepage": null,
        "size": repository.blobs.values().map(bytes::Bytes::len).sum::<usize>() / 1024,
        "stargazers_count": 0,
        "watchers_count": 0,
        "language": "Rust",
        "has_issues": true,
        "has_projects": true,
        "has_downloads": true,
        "has_wiki": true,
        "has_pages": false,
        "has_discussions": false,
        "forks_count": 0,
        "mirror_url": null,
        "archived": repository.archived,
        "disabled": false,
        "open_issues_count": open,
        "license": {
            "key": "mit",
            "name": "MIT License",
            "spdx_id": "MIT",
            "url": "https://api.github.com/licenses/mit",
            "node_id": "MDc6TGljZW5zZTEz",
        },
        "allow_forking": true,
        "is_template": false,
        "web_commit_signoff_required": false,
        "topics": repository.topics,
        "visibility": if repository.private { "private" } else { "public" },
        "forks": 0,
        "open_issues": open,
        "watchers": 0,
        "default_branch": repository.default_branch,
    })
}

fn permissions(permission: Permission) -> Value {
    json!({
        "admin": permission >= Permission::Admin,
        "maintain": permission >= Permission::Maintain,
        "push": permission >= Permission::Push,
        "triage": permission >= Permission::Triage,
        "pull": true,
    })
}
