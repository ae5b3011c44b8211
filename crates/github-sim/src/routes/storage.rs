//! The hosts beside the API that hold bytes: archives and assets of any size, streamed.
//!
//! Their paths here begin with `/_codeload` and `/_assets`; requests with GitHub's host names come to the same.

use http::Method;

use super::Ask;
use crate::http::{Cache, Payload, Reply, Validator};
use crate::text::{now, sha256};

/// How long a signed URL is good for: GitHub's are for five minutes.
const LIFETIME_SECONDS: u64 = 300;

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
    Reply::redirect(302, format!("{url}?{}", signed_query(path, size)))
}

/// The query under which the storage hosts give `size` bytes for `path` (with its `/_codeload` or `/_assets`), for a few minutes.
fn signed_query(path: &str, size: u64) -> String {
    let expires = now() + LIFETIME_SECONDS;
    format!("bytes={size}&expires={expires}&sig={}", signature(path, size, expires))
}

fn signature(path: &str, size: u64, expires: u64) -> String {
    let signed = format!("{path}?bytes={size}&expires={expires}");
    let mut signature = sha256([b"github-sim".as_slice(), signed.as_bytes()]);
    signature.truncate(16);
    signature
}

/// The size that a signed request asks for. `None`: the signature is another's, or its time is over.
fn granted(ask: &Ask<'_>) -> Option<u64> {
    let number = |name| ask.query(name).and_then(|text| text.parse::<u64>().ok());
    let (size, expires) = (number("bytes")?, number("expires")?);
    let path = format!("/{}", ask.segments.join("/"));
    let genuine = ask.query("sig") == Some(signature(&path, size, expires).as_str());
    (genuine && expires > now()).then_some(size)
}

/// Whether the path belongs to a storage host, and if so what that answers.
pub(crate) fn storage(ask: &Ask<'_>) -> Option<Reply> {
    let first = ask.segments.first()?;
    if first != "_codeload" && first != "_assets" {
        return None;
    }
    let reads = *ask.method == Method::GET || *ask.method == Method::HEAD;
    let Some(size) = granted(ask).filter(|_| reads) else {
        let refusal = "Signature not valid in the specified time frame";
        return Some(Reply { api: false, ..Reply::bytes(refusal, "text/plain; charset=utf-8").untagged().status(403) });
    };
    let name = ask.segments.last().map_or("file", String::as_str);
    let content_type = if first == "_codeload" { "application/x-gzip" } else { "application/octet-stream" };
    let payload = Payload::Stream { size, content_type: content_type.into() };
    let reply = Reply { payload, api: false, validator: Validator::None, cache: Cache::Absent, ..Reply::empty(200) };
    Some(reply.header("content-disposition", format!("attachment; filename={name}")))
}
