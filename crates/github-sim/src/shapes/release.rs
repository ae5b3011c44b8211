//! Releases and their assets.

use serde_json::{Value, json};

use super::{View, WEB};
use crate::text::{iso, node_id};
use crate::world::{Asset, Release, Repository};

impl View<'_> {
    pub(crate) fn release(&self, repository: &Repository, release: &Release) -> Value {
        let url = format!("{}/releases", self.url(repository));
        let upload_base = self.api.replace("https://api.github.com", "https://uploads.github.com");
        let assets: Vec<Value> = release.assets.iter().map(|asset| self.asset(repository, release, asset)).collect();
        json!({
            "url": format!("{url}/{}", release.id),
            "assets_url": format!("{url}/{}/assets", release.id),
            "upload_url": format!("{upload_base}/repos/{}/releases/{}/assets{{?name,label}}", repository.full_name(), release.id),
            "html_url": format!("{WEB}/{}/releases/tag/{}", repository.full_name(), release.tag),
            "id": release.id,
            "author": self.actor(&release.author),
            "node_id": node_id("RE", release.id),
            "tag_name": release.tag,
            "target_commitish": repository.default_branch,
            "name": release.name,
            "draft": release.draft,
            "immutable": false,
            "prerelease": release.prerelease,
            "created_at": iso(release.created),
            "updated_at": iso(release.created),
            "published_at": (!release.draft).then(|| iso(release.created)),
            "assets": assets,
            "tarball_url": format!("{}/tarball/{}", self.url(repository), release.tag),
            "zipball_url": format!("{}/zipball/{}", self.url(repository), release.tag),
            "body": release.body,
        })
    }

    pub(crate) fn asset(&self, repository: &Repository, release: &Release, asset: &Asset) -> Value {
        let download = format!("{WEB}/{}/releases/download/{}/{}", repository.full_name(), release.tag, asset.name);
        json!({
            "url": format!("{}/releases/assets/{}", self.url(repository), asset.id),
            "id": asset.id,
            "node_id": node_id("RA", asset.id),
            "name": asset.name,
            "label": "",
            "uploader": self.actor(&release.author),
            "content_type": asset.content_type,
            "state": "uploaded",
            "size": asset.size,
            "digest": asset.sha256.as_ref().map(|sha256| format!("sha256:{sha256}")),
            "download_count": 0,
            "created_at": iso(release.created),
            "updated_at": iso(release.created),
            "browser_download_url": download,
        })
    }
}
