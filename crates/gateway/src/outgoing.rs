//! Answers as callers see them who use this daemon as their base URL: the API's URLs in JSON bodies are theirs.
//!
//! Nothing that is kept changes; bodies change on the way out, short ones at once, long ones piece by piece. An entity tag is
//! told as a weak one to such callers: their bytes are not GitHub's, and what they mean is (RFC 9110 §8.8.1). They may send it
//! back here, where tags are compared weakly.

use crate::BoxError;
use bytes::Bytes;
use ghmesh_node::Body;
use ghmesh_policy::Plan;
use ghmesh_policy::links::{Base, BodyRewriter};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, Full};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Longest body that is rewritten at once, so that its length can be told (1 MiB). A longer one goes out chunked.
const MAX_AT_ONCE_BYTES: u64 = 1024 * 1024;
/// Bytes of a longer body that are rewritten at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Headers that tell what is true of the bytes of a body, and wouldn't be any more.
const OF_BYTES: [HeaderName; 5] = [
    CONTENT_LENGTH,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// What an Enterprise Server tells of itself with every answer.
const ENTERPRISE_VERSION: HeaderName = HeaderName::from_static("x-github-enterprise-version");
/// Newer than any: github.com can do what every Enterprise Server can. Renovate looks for a version at the root of every base URL
/// but github.com's own, and refuses fine-grained tokens where there is none, or one below 3.10.
const NEWEST: HeaderValue = HeaderValue::from_static("3.99.0");

/// How a caller sees answers.
#[derive(Debug)]
pub(crate) struct View {
    base: Base,
    /// It asks for the API's root.
    is_root: bool,
}

impl View {
    /// The view of whoever asked for this.
    pub(crate) fn of(plan: &Plan) -> Self {
        let (base, target) = match plan {
            Plan::Read(read) => (&read.caller.base, &read.target),
            Plan::Pass(pass) => (&pass.base, &pass.target),
        };
        let is_root = target.resource.as_ref().is_some_and(|resource| resource.path == "/");
        View { base: base.clone(), is_root }
    }

    /// Whether bodies must come in plain text, to be rewritten.
    pub(crate) fn rewrites_bodies(&self) -> bool {
        self.base.rewrites_bodies()
    }

    /// An answer as this caller sees it.
    pub(crate) async fn seen(self, mut response: Response<Body>) -> Response<Body> {
        if !self.rewrites_bodies() {
            return response;
        }
        if self.is_root {
            response.headers_mut().entry(ENTERPRISE_VERSION).or_insert(NEWEST);
        }
        rewritten(self.base, response).await
    }
}

async fn rewritten(base: Base, response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    weaken(&mut head.headers);
    if !is_api_json(head.status, &head.headers) {
        return Response::from_parts(head, body);
    }
    OF_BYTES.iter().for_each(|name| drop(head.headers.remove(name)));
    // Of an answer to HEAD, whose length would take the whole body to tell: "MAY omit" (RFC 9110 §8.6).
    if body.is_end_stream() {
        return Response::from_parts(head, body);
    }
    let is_short = body.size_hint().upper().is_some_and(|bytes| bytes <= MAX_AT_ONCE_BYTES);
    let body = if is_short { at_once(base, body).await } else { Rewritten::new(base, body).boxed_unsync() };
    Response::from_parts(head, body)
}

/// Whether a body is the API's own JSON. Raw contents of files, also of JSON files, have other types, and parts of a body can't
/// be rewritten.
fn is_api_json(status: StatusCode, headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        && !headers.contains_key(CONTENT_ENCODING)
        && status != StatusCode::PARTIAL_CONTENT
}

fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) else { return };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        headers.insert(ETAG, weak);
    }
}

async fn at_once(base: Base, body: Body) -> Body {
    match body.collect().await {
        Ok(collected) => {
            let rewritten = BodyRewriter::whole(base, &collected.to_bytes());
            Full::new(Bytes::from(rewritten)).map_err(|never| match never {}).boxed_unsync()
        }
        Err(error) => Broken(Some(error)).boxed_unsync(),
    }
}

/// A body that could not be had to its end.
struct Broken(Option<BoxError>);

impl HttpBody for Broken {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

/// A body that is rewritten as it streams by.
struct Rewritten {
    body: Body,
    /// `None` after the end.
    rewriter: Option<BodyRewriter>,
    /// Of the last frame.
    left: Bytes,
}

impl Rewritten {
    fn new(base: Base, body: Body) -> Self {
        Rewritten { body, rewriter: Some(BodyRewriter::new(base)), left: Bytes::new() }
    }

    /// The next piece of what has come, rewritten. Empty where all of it is held back.
    fn piece(&mut self) -> Bytes {
        let piece = self.left.split_to(self.left.len().min(PIECE_BYTES));
        let mut written = Vec::with_capacity(piece.len() + piece.len() / 8);
        if let Some(rewriter) = &mut self.rewriter {
            rewriter.push(&piece, &mut written);
        }
        written.into()
    }

    fn end(&mut self) -> Bytes {
        let mut written = Vec::new();
        if let Some(rewriter) = self.rewriter.take() {
            rewriter.finish(&mut written);
        }
        written.into()
    }
}

impl HttpBody for Rewritten {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if !this.left.is_empty() {
                let piece = this.piece();
                if !piece.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                continue;
            }
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.left = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    let end = this.end();
                    return Poll::Ready((!end.is_empty()).then(|| Ok(Frame::data(end))));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use ghmesh_policy::{Listener, Origins, PolicyConfig, classify};
    use http::Request;
    use http_body_util::StreamBody;

    const TYPE: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    /// Of a caller that asks for this with this `Host`.
    fn view(host: &str, uri: &str) -> View {
        let listener = Listener::Tcp { address: ([127, 0, 0, 1], 9180).into(), loopback: true };
        let (head, ()) = Request::get(uri).header("host", host).body(()).unwrap().into_parts();
        let origins = Origins::new(&[], None, vec!["cache.example".to_owned()]).unwrap();
        View::of(&classify(&head, &origins, &listener, &|_| false, &PolicyConfig::default()).unwrap())
    }

    fn own() -> View {
        view("127.0.0.1:9180", "/repos/o/r")
    }

    fn answer(headers: &[(&str, &str)], body: Body) -> Response<Body> {
        let response =
            headers.iter().fold(Response::builder(), |response, (name, value)| response.header(*name, *value));
        response.body(body).unwrap()
    }

    fn full(text: impl Into<Bytes>) -> Body {
        Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
    }

    async fn text(response: Response<Body>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_short_body_is_rewritten_with_its_length_and_a_weak_tag() {
        let body = r#"{"url":"https://api.github.com/repos/o/r"}"#;
        let length = body.len().to_string();
        let headers = [TYPE, ("etag", "\"abc\""), ("content-length", &length), ("content-md5", "x")];
        let seen = own().seen(answer(&headers, full(body))).await;
        assert_eq!(
            (&seen.headers()["etag"], seen.headers().get("content-md5")),
            (&HeaderValue::from_static("W/\"abc\""), None)
        );
        let told = seen.body().size_hint().exact();
        let text = text(seen).await;
        assert_eq!((text.as_str(), told), (r#"{"url":"http://127.0.0.1:9180/repos/o/r"}"#, Some(text.len() as u64)));
    }

    #[tokio::test]
    async fn callers_that_name_github_get_its_own_bytes() {
        let body = r#"{"url":"https://api.github.com/repos/o/r"}"#;
        for view in [
            view("api.github.com", "/repos/o/r"),
            view("127.0.0.1:9180", "http://api.github.com/repos/o/r"),
            view("127.0.0.1:9180", "/graphql"),
        ] {
            let seen = view.seen(answer(&[TYPE, ("etag", "\"abc\"")], full(body))).await;
            assert_eq!(seen.headers()["etag"], "\"abc\"");
            assert_eq!(text(seen).await, body);
        }
    }

    #[tokio::test]
    async fn every_own_name_and_path_is_a_base() {
        let body = r#"{"url":"https://api.github.com/x","upload_url":"https://uploads.github.com/y{?name}"}"#;
        for (host, path, base) in [
            ("127.0.0.1:9180", "/repos/o/r", "http://127.0.0.1:9180"),
            ("localhost:9180", "/api/v3/repos/o/r", "http://localhost:9180/api/v3"),
            ("cache.example", "/repos/o/r", "http://cache.example"),
            ("cache.example", "/api/uploads/repos/o/r/releases/1/assets", "http://cache.example/api/v3"),
        ] {
            let site = base.trim_end_matches("/api/v3");
            let wanted = format!(r#"{{"url":"{base}/x","upload_url":"{site}/api/uploads/y{{?name}}"}}"#);
            assert_eq!(text(view(host, path).seen(answer(&[TYPE], full(body))).await).await, wanted, "{host}{path}");
        }
    }

    #[tokio::test]
    async fn renovate_finds_a_version_at_the_root_of_a_base_url_and_the_servers_own_where_it_has_one() {
        let version = async |host: &str, path: &str, headers: &[(&str, &str)]| {
            let seen = view(host, path).seen(answer(headers, full(""))).await;
            seen.headers().get("x-github-enterprise-version").cloned()
        };
        for path in ["/", "/api/v3/", "/api/v3"] {
            assert_eq!(version("127.0.0.1:9180", path, &[]).await.unwrap(), "3.99.0", "{path}");
        }
        let server = ("x-github-enterprise-version", "3.12.1");
        assert_eq!(version("127.0.0.1:9180", "/", &[server]).await.unwrap(), "3.12.1");
        assert_eq!(version("127.0.0.1:9180", "/user", &[]).await, None);
        assert_eq!(version("api.github.com", "/", &[]).await, None);
    }

    #[tokio::test]
    async fn what_is_not_the_apis_own_json_stays_as_it_is() {
        let body = r#"{"url":"https://api.github.com/repos/o/r"}"#;
        for headers in [
            &[("content-type", "application/vnd.github.raw+json; charset=utf-8")][..],
            &[("content-type", "application/sarif+json")],
            &[("content-type", "text/plain")],
            &[TYPE, ("content-encoding", "gzip")],
            &[],
        ] {
            assert_eq!(text(own().seen(answer(headers, full(body))).await).await, body, "{headers:?}");
        }
        let mut part = answer(&[TYPE], full(body));
        *part.status_mut() = StatusCode::PARTIAL_CONTENT;
        assert_eq!(text(own().seen(part).await).await, body);
    }

    #[tokio::test]
    async fn an_answer_to_head_tells_no_length() {
        let seen = own().seen(answer(&[TYPE, ("content-length", "42"), ("etag", "W/\"abc\"")], full(""))).await;
        assert_eq!(
            (seen.headers().get("content-length"), &seen.headers()["etag"]),
            (None, &HeaderValue::from_static("W/\"abc\""))
        );
    }

    #[tokio::test]
    async fn a_long_body_streams_in_small_pieces() {
        let member = r#"{"url":"https://api.github.com/x"},"#;
        let body = member.repeat(100_000);
        assert!(body.len() as u64 > MAX_AT_ONCE_BYTES);
        let seen = own().seen(answer(&[TYPE, ("content-length", &body.len().to_string())], full(body))).await;
        assert_eq!((seen.headers().get("content-length"), seen.body().size_hint().exact()), (None, None));
        let (mut body, mut whole) = (seen.into_body(), Vec::new());
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            assert!(!data.is_empty() && data.len() <= 2 * PIECE_BYTES);
            whole.extend_from_slice(&data);
        }
        assert_eq!(String::from_utf8(whole).unwrap(), r#"{"url":"http://127.0.0.1:9180/x"},"#.repeat(100_000));
    }

    #[tokio::test]
    async fn what_breaks_off_breaks_off() {
        let frames = || {
            futures::stream::iter([
                Ok(Frame::data(Bytes::from_static(b"{\"url\":\"https://api"))),
                Err(BoxError::from("gone")),
            ])
        };
        let mut seen = own().seen(answer(&[TYPE], StreamBody::new(frames()).boxed_unsync())).await;
        assert!(seen.body_mut().frame().await.unwrap().is_ok());
        assert!(seen.body_mut().frame().await.unwrap().is_err());
    }
}
