//! The hosts beside the API that hold bytes: archives and assets of any size, streamed.
//!
//! Their paths here begin with `/_codeload` and `/_assets`; requests with GitHub's host names come to the same.

use http::Method;

use super::Ask;
use crate::http::{Cache, Payload, Reply, Validator};

/// GitHub's name for what is here a path prefix.
const HOSTS: [(&str, &str); 2] =
    [("/_codeload", "https://codeload.github.com"), ("/_assets", "https://objects.githubusercontent.com")];

/// A signed, short-lived URL under which `size` bytes can be had.
pub(crate) fn redirect(ask: &Ask<'_>, path: &str, size: u64) -> Reply {
    let own = |base: &String| format!("{base}{path}");
    let github = || {
        let named = HOSTS.iter().find_map(|(prefix, host)| Some((host, path.strip_prefix(prefix)?)));
        named.map_or_else(|| path.to_owned(), |(host, rest)| format!("{host}{rest}"))
    };
    let url = ask.bases.assets.as_ref().map_or_else(github, own);
    Reply::redirect(302, format!("{url}?bytes={size}&sig={}", &crate::text::sha256([path.as_bytes()])[..16]))
}

/// Whether the path belongs to a storage host, and if so what that answers.
pub(crate) fn storage(ask: &Ask<'_>) -> Option<Reply> {
    let first = ask.segments.first()?;
    if first != "_codeload" && first != "_assets" {
        return None;
    }
    let size = ask.query("bytes").and_then(|size| size.parse().ok());
    let reads = *ask.method == Method::GET || *ask.method == Method::HEAD;
    let (Some(size), true, true) = (size, ask.query("sig").is_some(), reads) else {
        return Some(Reply {
            api: false,
            ..Reply::bytes("404: Not Found", "text/plain; charset=utf-8").untagged().status(404)
        });
    };
    let name = ask.segments.last().map_or("file", String::as_str);
    let content_type = if first == "_codeload" { "application/x-gzip" } else { "application/octet-stream" };
    let payload = Payload::Stream { size, content_type: content_type.into() };
    let reply = Reply { payload, api: false, validator: Validator::None, cache: Cache::Absent, ..Reply::empty(200) };
    Some(reply.header("content-disposition", format!("attachment; filename={name}")))
}
