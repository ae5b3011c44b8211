//! Branches, tags, commits, trees, blobs and contents.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{View, WEB};
use crate::text::{base64_lines, iso, node_id};
use crate::world::{Commit, Repository, Status};

impl View<'_> {
    /// A commit as lists and `/commits/SHA` show it, the latter with files.
    pub(crate) fn commit(&self, repository: &Repository, commit: &Commit) -> Value {
        let url = self.url(repository);
        let web = format!("{WEB}/{}/commit", repository.full_name());
        let parent = |sha: &String| json!({"sha": sha, "url": format!("{url}/commits/{sha}"), "html_url": format!("{web}/{sha}")});
        json!({
            "sha": commit.sha,
            "node_id": node_id("C", repository.id),
            "commit": self.commit_data(repository, commit),
            "url": format!("{url}/commits/{}", commit.sha),
            "html_url": format!("{web}/{}", commit.sha),
            "comments_url": format!("{url}/commits/{}/comments", commit.sha),
            "author": self.actor(&commit.author),
            "committer": self.actor(&commit.author),
            "parents": commit.parent.iter().map(parent).collect::<Vec<_>>(),
        })
    }

    fn commit_data(&self, repository: &Repository, commit: &Commit) -> Value {
        let url = self.url(repository);
        let person = json!({
            "name": commit.author,
            "email": format!("{}@users.noreply.github.com", commit.author),
            "date": iso(commit.date),
        });
        json!({
            "author": person,
            "committer": person,
            "message": commit.message,
            "tree": {"sha": commit.tree_sha, "url": format!("{url}/git/trees/{}", commit.tree_sha)},
            "url": format!("{url}/git/commits/{}", commit.sha),
            "comment_count": 0,
            "verification": {"verified": false, "reason": "unsigned", "signature": null, "payload": null},
        })
    }

    /// A commit as git's own objects API shows it.
    pub(crate) fn git_commit(&self, repository: &Repository, commit: &Commit) -> Value {
        let mut value = json!({
            "sha": commit.sha,
            "node_id": node_id("C", repository.id),
            "url": format!("{}/git/commits/{}", self.url(repository), commit.sha),
            "html_url": format!("{WEB}/{}/commit/{}", repository.full_name(), commit.sha),
            "parents": commit.parent.iter().map(|sha| json!({"sha": sha})).collect::<Vec<_>>(),
        });
        let mut data = self.commit_data(repository, commit);
        data.as_object_mut().map(|fields| fields.shift_remove("url"));
        super::extend(&mut value, data);
        value
    }

    pub(crate) fn branch(&self, repository: &Repository, name: &str, commit: &Commit, whole: bool) -> Value {
        let url = self.url(repository);
        let short = json!({"sha": commit.sha, "url": format!("{url}/commits/{}", commit.sha)});
        json!({
            "name": name,
            "commit": if whole { self.commit(repository, commit) } else { short },
            "protected": false,
            "protection": {"enabled": false, "required_status_checks": {"enforcement_level": "off", "contexts": [], "checks": []}},
            "protection_url": format!("{url}/branches/{name}/protection"),
        })
    }

    pub(crate) fn tag(&self, repository: &Repository, name: &str, sha: &str) -> Value {
        let url = self.url(repository);
        json!({
            "name": name,
            "zipball_url": format!("{url}/zipball/refs/tags/{name}"),
            "tarball_url": format!("{url}/tarball/refs/tags/{name}"),
            "commit": {"sha": sha, "url": format!("{url}/commits/{sha}")},
            "node_id": node_id("REF", repository.id),
        })
    }

    /// `reference` is like `heads/main`.
    pub(crate) fn reference(&self, repository: &Repository, reference: &str, sha: &str) -> Value {
        let url = self.url(repository);
        json!({
            "ref": format!("refs/{reference}"),
            "node_id": node_id("REF", repository.id),
            "url": format!("{url}/git/refs/{reference}"),
            "object": {"sha": sha, "type": "commit", "url": format!("{url}/git/commits/{sha}")},
        })
    }

    pub(crate) fn tree(&self, repository: &Repository, commit: &Commit, recursive: bool) -> Value {
        let url = self.url(repository);
        let entry = |path: &String, sha: &String| {
            let size = repository.blobs.get(sha).map_or(0, Bytes::len);
            json!({"path": path, "mode": "100644", "type": "blob", "sha": sha, "size": size, "url": format!("{url}/git/blobs/{sha}")})
        };
        let shown = commit.tree.iter().filter(|(path, _)| recursive || !path.contains('/'));
        json!({
            "sha": commit.tree_sha,
            "url": format!("{url}/git/trees/{}", commit.tree_sha),
            "tree": shown.map(|(path, sha)| entry(path, sha)).collect::<Vec<_>>(),
            "truncated": false,
        })
    }

    pub(crate) fn blob(&self, repository: &Repository, sha: &str, content: &[u8]) -> Value {
        json!({
            "sha": sha,
            "node_id": node_id("B", repository.id),
            "size": content.len(),
            "url": format!("{}/git/blobs/{sha}", self.url(repository)),
            "content": base64_lines(content),
            "encoding": "base64",
        })
    }

    /// A file; in a directory listing, without its content.
    pub(crate) fn file(
        &self,
        repository: &Repository,
        reference: &str,
        path: &str,
        sha: &str,
        content: Option<&[u8]>,
    ) -> Value {
        let url = format!("{}/contents/{path}?ref={reference}", self.url(repository));
        let size = content.map_or_else(|| repository.blobs.get(sha).map_or(0, Bytes::len), <[u8]>::len);
        let mut value = self.entry(repository, path, sha, size, "file", &url);
        if let Some(content) = content {
            super::extend(&mut value, json!({"content": base64_lines(content), "encoding": "base64"}));
        }
        let full_name = repository.full_name();
        value["git_url"] = format!("{}/git/blobs/{sha}", self.url(repository)).into();
        value["html_url"] = format!("{WEB}/{full_name}/blob/{reference}/{path}").into();
        value["download_url"] = format!("https://raw.githubusercontent.com/{full_name}/{reference}/{path}").into();
        value
    }

    /// A directory in a listing.
    pub(crate) fn directory(&self, repository: &Repository, reference: &str, path: &str) -> Value {
        let url = format!("{}/contents/{path}?ref={reference}", self.url(repository));
        let sha = crate::text::object_name("tree", path.as_bytes());
        self.entry(repository, path, &sha, 0, "dir", &url)
    }

    fn entry(&self, repository: &Repository, path: &str, sha: &str, size: usize, kind: &str, url: &str) -> Value {
        let git_url = format!("{}/git/trees/{sha}", self.url(repository));
        let html_url = format!("{WEB}/{}/tree/{path}", repository.full_name());
        json!({
            "name": path.rsplit('/').next(),
            "path": path,
            "sha": sha,
            "size": size,
            "url": url,
            "html_url": html_url,
            "git_url": git_url,
            "download_url": null,
            "type": kind,
            "_links": {"self": url, "git": git_url, "html": html_url},
        })
    }

    pub(crate) fn status(&self, repository: &Repository, sha: &str, status: &Status) -> Value {
        json!({
            "url": format!("{}/statuses/{sha}", self.url(repository)),
            "avatar_url": "https://avatars.githubusercontent.com/u/1?v=4",
            "id": status.id,
            "node_id": node_id("SC", status.id),
            "state": status.state,
            "description": status.description,
            "target_url": null,
            "context": status.context,
            "created_at": iso(status.created),
            "updated_at": iso(status.created),
            "creator": self.actor(&status.author),
        })
    }
}
