//! From what a route found to what GitHub would send: entity tags, conditionals, caching and media headers.
//!
//! Sources: RFC 9110 (conditional requests), GitHub's REST documentation, and recorded answers for the rest.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, COOKIE, IF_MODIFIED_SINCE, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use crate::config::EtagStyle;
use crate::text::{hex, http_date, sha256};
use crate::tokens::Caller;

/// The request headers that GitHub's entity tags depend on, in this order, when the answer varies by them.
const TAGGED: [HeaderName; 3] = [ACCEPT, AUTHORIZATION, COOKIE];
/// GitHub prints JSON with line breaks for these.
const PRETTY_AGENTS: [&str; 4] = ["curl", "Wget", "Safari", "Firefox"];

/// What a route answers, before headers that are the same everywhere.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) payload: Payload,
    pub(crate) validator: Validator,
    /// Seconds since 1970.
    pub(crate) last_modified: Option<u64>,
    pub(crate) cache: Cache,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Whether everybody may see it; what an expired token can still get a 304 for.
    pub(crate) public: bool,
    /// Whether it comes from the API, with its limits, and not from a storage host.
    pub(crate) api: bool,
}

#[derive(Debug)]
pub(crate) enum Payload {
    Empty,
    Json(Value),
    Bytes {
        content: Bytes,
        content_type: String,
    },
    /// So many bytes of [`crate::filler`].
    Stream {
        size: u64,
        content_type: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validator {
    None,
    Weak,
    Strong,
}

/// `Cache-Control`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    /// `private` for those who have a token, `public` for others; 60 seconds.
    Usual,
    /// `public, max-age=60, s-maxage=60`, also where that is wrong.
    Public,
    /// `no-cache`.
    Uncached,
    Absent,
}

impl Reply {
    /// A 200 with a weak entity tag.
    pub(crate) fn json(value: Value) -> Self {
        Self {
            status: 200,
            payload: Payload::Json(value),
            validator: Validator::Weak,
            last_modified: None,
            cache: Cache::Usual,
            headers: Vec::new(),
            public: true,
            api: true,
        }
    }

    /// The answer to a write: neither tagged nor to be stored.
    pub(crate) fn written(status: u16, value: Value) -> Self {
        Self { status, validator: Validator::None, ..Self::json(value) }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { payload: Payload::Empty, validator: Validator::None, status, ..Self::json(Value::Null) }
    }

    pub(crate) fn bytes(content: impl Into<Bytes>, content_type: &str) -> Self {
        let payload = Payload::Bytes { content: content.into(), content_type: content_type.to_owned() };
        Self { payload, ..Self::json(Value::Null) }
    }

    /// An error in GitHub's words.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        let body = json!({
            "message": message,
            "documentation_url": "https://docs.github.com/rest",
            "status": status.to_string(),
        });
        Self { status, cache: Cache::Absent, validator: Validator::None, ..Self::json(body) }
    }

    /// GitHub says the same of what isn't there and of what the caller may not know about, and lets anyone store it.
    pub(crate) fn not_found() -> Self {
        Self { cache: Cache::Public, validator: Validator::Weak, ..Self::error(404, "Not Found") }
    }

    pub(crate) fn invalid(resource: &str, field: &str, code: &str) -> Self {
        let mut reply = Self::error(422, "Validation Failed");
        if let Payload::Json(body) = &mut reply.payload {
            body["errors"] = json!([{"resource": resource, "field": field, "code": code}]);
        }
        reply
    }

    /// A redirect; GitHub's to storage hosts carry neither `Cache-Control` nor an entity tag.
    pub(crate) fn redirect(status: u16, location: String) -> Self {
        Self { cache: Cache::Absent, ..Self::empty(status).header("location", location) }
    }

    pub(crate) fn strong(self) -> Self {
        Self { validator: Validator::Strong, ..self }
    }

    pub(crate) fn untagged(self) -> Self {
        Self { validator: Validator::None, ..self }
    }

    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn modified(self, seconds: u64) -> Self {
        Self { last_modified: Some(seconds), ..self }
    }

    pub(crate) fn private(self, private: bool) -> Self {
        Self { public: !private && self.public, ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// The body that a media type in `Accept` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    Raw,
    Diff,
    Patch,
    Sha,
    /// `application/octet-stream`: an asset itself.
    Binary,
}

impl Media {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
        let asked = |word: &str| accept.contains(&format!(".{word}"));
        match () {
            () if accept.contains("application/octet-stream") => Self::Binary,
            () if asked("raw") => Self::Raw,
            () if asked("diff") => Self::Diff,
            () if asked("patch") => Self::Patch,
            () if asked("sha") => Self::Sha,
            () => Self::Json,
        }
    }

    fn header(self) -> String {
        match self {
            Self::Json | Self::Binary => "github.v3; format=json".into(),
            Self::Raw => "github.v3; param=raw; format=json".into(),
            Self::Diff => "github.v3; param=diff".into(),
            Self::Patch => "github.v3; param=patch".into(),
            Self::Sha => "github.v3; param=sha".into(),
        }
    }
}

/// An answer that only lacks what the connection adds.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
    /// Whether a validator of the request matched.
    pub(crate) matched: bool,
}

#[derive(Debug)]
pub(crate) enum Content {
    Whole(Bytes),
    /// So many bytes of [`crate::filler`].
    Stream(u64),
}

/// Adds the headers GitHub sends with every answer and answers conditionals.
pub(crate) fn finish(
    reply: Reply,
    method: &Method,
    request: &HeaderMap,
    caller: &Caller,
    etags: EtagStyle,
    weak_turn: bool,
) -> Finished {
    let vary = vary(caller);
    let (content, content_type) = encode(reply.payload);
    let tag = match &content {
        Content::Whole(body) if reply.api => tag(reply.validator, etags, weak_turn, &vary, request, body),
        Content::Whole(_) | Content::Stream(_) => None,
    };
    let safe = *method == Method::GET || *method == Method::HEAD;
    let matched = safe && reply.status == 200 && not_modified(request, tag.as_deref(), reply.last_modified);
    let mut headers = Headers(HeaderMap::new());
    for (name, value) in reply.headers {
        if !(matched && name == "link") {
            headers.add(name, &value);
        }
    }
    let tag = tag.filter(|_| !(matched && etags == EtagStyle::AbsentOn304));
    headers.common(reply.api, &vary, tag, reply.last_modified, cache_control(reply.cache, caller));
    if matched {
        return Finished { status: 304, headers: headers.0, content: Content::Whole(Bytes::new()), matched };
    }
    if reply.api {
        headers.describe(caller, request);
    }
    if let Some(content_type) = &content_type {
        headers.add("content-type", content_type);
    }
    let content = prettify(content, content_type.as_deref(), request);
    Finished { status: reply.status, headers: headers.0, content, matched }
}

struct Headers(HeaderMap);

impl Headers {
    /// A value that is no header value is left out: bodies of faults and seeds may hold anything.
    fn add(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.append(HeaderName::from_static(name), value);
        }
    }

    /// What a 304 carries too.
    fn common(&mut self, api: bool, vary: &[&str], tag: Option<String>, modified: Option<u64>, cache: Option<&str>) {
        self.add("server", if api { "github.com" } else { "Windows-Azure-Blob/1.0" });
        if let Some(cache) = cache {
            self.add("cache-control", cache);
        }
        if api {
            vary.iter().for_each(|line| self.add("vary", line));
        }
        if let Some(tag) = tag {
            self.add("etag", &tag);
        }
        if let Some(seconds) = modified {
            self.add("last-modified", &http_date(seconds));
        }
    }

    /// What only whole answers of the API carry.
    fn describe(&mut self, caller: &Caller, request: &HeaderMap) {
        self.add("x-github-media-type", &Media::of(request).header());
        self.add("x-github-api-version-selected", api_version(request));
        if let Some(scopes) = caller.scopes {
            self.add("x-oauth-scopes", scopes);
            self.add("x-accepted-oauth-scopes", "");
        } else if !caller.is_anonymous() {
            self.add("x-accepted-github-permissions", "metadata=read");
        }
        self.add("access-control-allow-origin", "*");
        self.add("strict-transport-security", "max-age=31536000; includeSubdomains; preload");
        self.add("x-frame-options", "deny");
        self.add("x-content-type-options", "nosniff");
        self.add("content-security-policy", "default-src 'none'");
    }
}

fn api_version(request: &HeaderMap) -> &str {
    request.get("x-github-api-version").and_then(|value| value.to_str().ok()).unwrap_or("2022-11-28")
}

/// The two `Vary` lines.
fn vary(caller: &Caller) -> [&'static str; 2] {
    let first = if caller.is_anonymous() { "Accept" } else { "Accept, Authorization, Cookie, X-GitHub-OTP" };
    [first, "Accept-Encoding, Accept, X-Requested-With"]
}

fn cache_control(cache: Cache, caller: &Caller) -> Option<&'static str> {
    match cache {
        Cache::Usual if caller.is_anonymous() => Some("public, max-age=60, s-maxage=60"),
        Cache::Usual => Some("private, max-age=60, s-maxage=60"),
        Cache::Public => Some("public, max-age=60, s-maxage=60"),
        Cache::Uncached => Some("no-cache"),
        Cache::Absent => None,
    }
}

fn encode(payload: Payload) -> (Content, Option<String>) {
    match payload {
        Payload::Empty => (Content::Whole(Bytes::new()), None),
        Payload::Json(value) => {
            (Content::Whole(value.to_string().into()), Some("application/json; charset=utf-8".into()))
        }
        Payload::Bytes { content, content_type } => (Content::Whole(content), Some(content_type)),
        Payload::Stream { size, content_type } => (Content::Stream(size), Some(content_type)),
    }
}

fn prettify(content: Content, content_type: Option<&str>, request: &HeaderMap) -> Content {
    let agent = request.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let pretty = PRETTY_AGENTS.iter().any(|name| agent.contains(name));
    let json = content_type.is_some_and(|kind| kind.starts_with("application/json"));
    match &content {
        Content::Whole(body) if pretty && json => {
            let printed = serde_json::from_slice::<Value>(body).ok().map(|value| format!("{value:#}\n"));
            printed.map_or(content, |text| Content::Whole(text.into()))
        }
        Content::Whole(_) | Content::Stream(_) => content,
    }
}

fn tag(
    validator: Validator,
    style: EtagStyle,
    weak_turn: bool,
    vary: &[&str],
    request: &HeaderMap,
    body: &[u8],
) -> Option<String> {
    let weak = match (validator, style) {
        (Validator::None, _) | (_, EtagStyle::Absent) => return None,
        (_, EtagStyle::Flipping) => weak_turn,
        (Validator::Weak, _) => true,
        (Validator::Strong, _) => false,
    };
    let opaque = match style {
        EtagStyle::Opaque => sha256([b"another formula".as_slice(), &formula_input(vary, request), body]),
        EtagStyle::Formula | EtagStyle::Flipping | EtagStyle::Absent | EtagStyle::AbsentOn304 => {
            sha256([formula_input(vary, request).as_slice(), body])
        }
    };
    Some(format!("{}\"{opaque}\"", if weak { "W/" } else { "" }))
}

/// What GitHub hashes before the body: every value of each tagged header that the answer varies by, a colon after each.
fn formula_input(vary: &[&str], request: &HeaderMap) -> Vec<u8> {
    let named = |header: &HeaderName| {
        vary.iter().flat_map(|line| line.split(',')).any(|name| name.trim().eq_ignore_ascii_case(header.as_str()))
    };
    let mut input = Vec::new();
    for value in TAGGED.iter().filter(|header| named(header)).flat_map(|header| request.get_all(header)) {
        input.extend_from_slice(value.as_bytes());
        input.push(b':');
    }
    input
}

/// RFC 9110 §13.2.2: `If-Modified-Since` counts only without `If-None-Match`.
fn not_modified(request: &HeaderMap, tag: Option<&str>, modified: Option<u64>) -> bool {
    if request.contains_key(IF_NONE_MATCH) {
        let lines = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        return lines.into_iter().any(|line| lists(line, tag));
    }
    let since = request.get(IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
    let since = since.and_then(|text| httpdate::parse_http_date(text).ok());
    let since = since.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    matches!((since, modified), (Some(since), Some(modified)) if since.as_secs() >= modified)
}

/// RFC 9110 §13.1.2: the weak comparison, with each of a list; `*` matches whatever is there.
fn lists(line: &str, tag: Option<&str>) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    line.trim() == "*" || tag.is_some_and(|tag| line.split(',').any(|listed| opaque(listed) == opaque(tag)))
}

/// A request id as GitHub's look.
pub(crate) fn request_id(number: u64) -> String {
    let digits = hex(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()).to_ascii_uppercase();
    format!("{}:{}:{number:X}", &digits[..4], &digits[4..10])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validator_matches_weakly_in_a_list() {
        assert!(lists("\"a\", W/\"b\"", Some("\"b\"")));
        assert!(lists("\"b\"", Some("W/\"b\"")));
        assert!(lists("*", None));
        assert!(!lists("\"a\"", Some("\"b\"")));
        assert!(!lists("", None));
    }

    #[test]
    fn media_types_are_recognised_with_and_without_version_and_json() {
        let of = |accept: &'static str| Media::of(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]));
        assert_eq!(of("application/vnd.github.v3.raw"), Media::Raw);
        assert_eq!(of("application/vnd.github.raw+json"), Media::Raw);
        assert_eq!(of("application/vnd.github.diff"), Media::Diff);
        assert_eq!(of("application/vnd.github.v3+json"), Media::Json);
        assert_eq!(of(""), Media::Json);
    }

    #[test]
    fn the_formula_takes_headers_in_its_own_order() {
        let mut request = HeaderMap::new();
        request.insert(AUTHORIZATION, HeaderValue::from_static("token x"));
        request.insert(ACCEPT, HeaderValue::from_static("*/*"));
        assert_eq!(formula_input(&["Accept, Authorization"], &request), b"*/*:token x:");
        assert_eq!(formula_input(&["Accept"], &request), b"*/*:");
    }
}
