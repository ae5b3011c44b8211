//! Reading releases, assets and source archives.

use super::storage::redirect;
use super::{Ask, page};
use crate::http::{Media, Reply};
use crate::shapes::View;
use crate::world::{Asset, Permission, Release, Repository};

/// Bytes of an archive whose reference doesn't say its size.
const ARCHIVE_BYTES: u64 = 100_000;

/// `/releases`, `/tarball` and `/zipball` of a repository.
pub(crate) fn read(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, rest: &[&str]) -> Reply {
    let releases = || repository.releases.values().rev().filter(|release| visible(view, repository, release));
    let one = |found: Option<&Release>| {
        found.map_or_else(Reply::not_found, |release| {
            Reply::json(view.release(repository, release)).modified(release.created)
        })
    };
    match rest {
        ["releases"] => page::list(view.world, ask, releases().collect(), |release| view.release(repository, release)),
        ["releases", "latest"] => one(releases().find(|release| !release.draft && !release.prerelease)),
        ["releases", "tags", tag @ ..] => {
            let tag = tag.join("/");
            one(releases().find(|release| release.tag == tag))
        }
        ["releases", "assets", id] => asset(view, ask, repository, id),
        ["releases", id] => one(releases().find(|release| release.id.to_string() == *id)),
        ["releases", id, "assets"] => match releases().find(|release| release.id.to_string() == *id) {
            Some(release) => page::list(view.world, ask, release.assets.iter().collect(), |asset| {
                view.asset(repository, release, asset)
            }),
            None => Reply::not_found(),
        },
        [kind @ ("tarball" | "zipball"), reference @ ..] => archive(ask, repository, kind, &reference.join("/")),
        _ => Reply::not_found(),
    }
}

/// Drafts are for those who can push.
fn visible(view: &View<'_>, repository: &Repository, release: &Release) -> bool {
    !release.draft || view.permission(repository) >= Some(Permission::Push)
}

fn asset(view: &View<'_>, ask: &Ask<'_>, repository: &Repository, id: &str) -> Reply {
    let all = repository.releases.values().filter(|release| visible(view, repository, release));
    let found: Option<(&Release, &Asset)> = all
        .flat_map(|release| release.assets.iter().map(move |asset| (release, asset)))
        .find(|(_, asset)| asset.id.to_string() == id);
    let Some((release, asset)) = found else { return Reply::not_found() };
    match ask.media() {
        Media::Binary => redirect(ask, &format!("/_assets/releases/{}/{}", asset.id, asset.name), asset.size),
        Media::Json | Media::Raw | Media::Diff | Media::Patch | Media::Sha => {
            Reply::json(view.asset(repository, release, asset))
        }
    }
}

/// `size-N` stands for an archive of N bytes in any repository.
fn archive(ask: &Ask<'_>, repository: &Repository, kind: &str, reference: &str) -> Reply {
    let asked_size = reference.strip_prefix("size-").and_then(|size| size.parse().ok());
    if asked_size.is_none() && repository.resolve(reference).is_none() {
        return Reply::not_found();
    }
    let format = if kind == "tarball" { "legacy.tar.gz" } else { "legacy.zip" };
    let reference = if reference.is_empty() { &repository.default_branch } else { reference };
    let path = format!("/_codeload/{}/{format}/{reference}", repository.full_name());
    redirect(ask, &path, asked_size.unwrap_or(ARCHIVE_BYTES))
}
