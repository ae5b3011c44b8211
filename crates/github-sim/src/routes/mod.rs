//! Which resource a request means, and what it answers.

mod accounts;
mod actions;
mod code;
mod issues;
mod page;
mod releases;
mod repository;
mod root;
pub(crate) mod search;
mod storage;
pub(crate) mod write;
mod write_code;

use bytes::Bytes;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::config::Bases;
use crate::counters::Upload;
use crate::http::{Media, Reply};
use crate::shapes::View;
use crate::tokens::Caller;
use crate::world::{Found, Permission, Repository, World};

pub(crate) use storage::storage;

/// A request, taken apart.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a Method,
    /// The path as sent, without query and without Enterprise prefix.
    pub(crate) path: &'a str,
    /// Its segments, percent-decoded.
    pub(crate) segments: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Bytes,
    /// What was swallowed, of an upload.
    pub(crate) upload: Option<&'a Upload>,
    pub(crate) caller: &'a Caller,
    pub(crate) bases: &'a Bases,
}

impl<'a> Ask<'a> {
    pub(crate) fn view(&self, world: &'a World) -> View<'a> {
        View { world, caller: self.caller, api: &self.bases.bodies }
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn reads(&self) -> bool {
        *self.method == Method::GET || *self.method == Method::HEAD
    }

    fn media(&self) -> Media {
        Media::of(self.headers)
    }

    /// The body as a JSON object, or GitHub's 400.
    fn fields(&self) -> Result<Map<String, Value>, Reply> {
        if self.body.is_empty() {
            return Ok(Map::new());
        }
        serde_json::from_slice(self.body).map_err(|_| Reply::error(400, "Problems parsing JSON"))
    }
}

/// Segments and query of a path as sent.
pub(crate) fn split(path: &str, query: Option<&str>) -> (Vec<String>, Vec<(String, String)>) {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let segments = path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect();
    let query = url::form_urlencoded::parse(query.unwrap_or("").as_bytes()).into_owned().collect();
    (segments, query)
}

/// Answers a request to the API.
pub(crate) fn dispatch(world: &mut World, ask: &Ask<'_>) -> Reply {
    let segments: Vec<&str> = ask.segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["repos", owner, name, rest @ ..] => match world.find(owner, name) {
            Some(Found::Here(id)) => in_repository(world, ask, id, rest),
            Some(Found::Moved(id)) => moved(world, ask, id, rest),
            None => Reply::not_found(),
        },
        ["repositories", id, rest @ ..] => match id.parse() {
            Ok(id) => in_repository(world, ask, id, rest),
            Err(_) => Reply::not_found(),
        },
        ["search", kind] => search::search(world, ask, kind),
        ["user", "repos"] | ["orgs", _, "repos"] if *ask.method == Method::POST => write::create_repository(world, ask),
        ["user", ..] | ["users" | "orgs" | "organizations" | "installation" | "app" | "notifications", ..] => {
            accounts::accounts(world, ask, &segments)
        }
        _ => root::root(world, ask, &segments),
    }
}

/// Asked under a former name: 301 to the id's URL, for those who may see it.
fn moved(world: &World, ask: &Ask<'_>, id: u64, rest: &[&str]) -> Reply {
    let Some(repository) = world.repositories.get(&id).filter(|repository| ask.view(world).sees(repository)) else {
        return Reply::not_found();
    };
    let tail: String = rest.iter().map(|segment| format!("/{segment}")).collect();
    let url = format!("{}/repositories/{id}{tail}", ask.bases.links);
    let status = if ask.reads() { 301 } else { 307 };
    let mut reply = Reply::written(
        status,
        serde_json::json!({
            "message": "Moved Permanently",
            "url": url,
            "documentation_url": "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects",
        }),
    );
    reply.public = !repository.private;
    reply.header("location", url)
}

fn in_repository(world: &mut World, ask: &Ask<'_>, id: u64, rest: &[&str]) -> Reply {
    let view = ask.view(world);
    let seen = world.repositories.get(&id).and_then(|found| Some((found, view.permission(found)?)));
    let Some((repository, permission)) = seen else { return Reply::not_found() };
    if ask.reads() {
        let private = repository.private;
        return repository::read(&view, ask, repository, rest).private(private);
    }
    if ask.caller.is_anonymous() {
        return Reply::error(401, "Requires authentication");
    }
    write::write(world, ask, id, permission, rest)
}

/// GitHub's answer to those who can read something and may not write it.
fn forbidden(permission: Permission, needed: Permission) -> Option<Reply> {
    (permission < needed).then(|| Reply::error(403, "Resource not accessible by personal access token"))
}

/// What the caller sees of the repositories.
fn visible<'a>(view: &View<'a>, all: impl Iterator<Item = &'a Repository>) -> Vec<&'a Repository> {
    all.filter(|repository| view.sees(repository)).collect()
}
