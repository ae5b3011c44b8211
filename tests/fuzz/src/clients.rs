//! Bytes of clients, and of the origin, whose answers may be anything too.

use bytes::Bytes;
use ghmesh_model::{BodyCid, BodyFacts, Entry, History, Millis, Representation, Source, limits};
use ghmesh_policy::answer::{self as answers, HitKind};
use ghmesh_policy::links::{BodyRewriter, has_relation};
use ghmesh_policy::{
    Freshness, Listener, Nodes, Origins, Pass, Plan, PolicyConfig, Read, WebhookEvent, caller, classify, etag,
    freshness, graphql as queries, headers as fields_of, limits_headers, routes, storable,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use std::sync::LazyLock;

const TCP: &str = "127.0.0.1:9180";

static ORIGINS: LazyLock<Origins> =
    LazyLock::new(|| Origins::new(&[], None, Vec::new()).expect("the defaults are right"));

/// A request as it stands in HTTP/1.1, though of any bytes: its plan and, where it is GraphQL, its body.
pub fn request(input: &[u8]) {
    let Some((parts, body)) = parsed(input) else { return };
    match plan(&parts) {
        Some(Plan::Read(read)) => {
            assert!(read.scopes().len() <= limits::MAX_SCOPES);
            let Some(Plan::Read(again)) = plan(&parts) else { panic!("the same request has the same plan") };
            assert_eq!(again.key, read.key);
        }
        Some(Plan::Pass(pass)) => {
            assert!(pass.invalidates.len() <= limits::MAX_SCOPES);
            assert!(pass.headers.keys().all(|name| !fields_of::is_hop_by_hop(name.as_str()) && name != "host"));
            asked(&parts, &pass, body);
        }
        None => {}
    }
}

/// The body of a GraphQL request, and of its answer.
pub fn graphql(input: &[u8]) {
    let head = format!("POST /graphql\nhost: {TCP}\nauthorization: token ghp_x\ncontent-type: application/json\n\n");
    let (parts, _) = parsed(head.as_bytes()).expect("the head is right");
    let Some(Plan::Pass(pass)) = plan(&parts) else { panic!("GraphQL passes until its body is known") };
    asked(&parts, &pass, input);
    let _ = (queries::keepable(input), queries::is_limited(input));
}

fn asked(parts: &Parts, pass: &Pass, body: &[u8]) {
    match queries::classify(parts, pass, body, &PolicyConfig::default()) {
        Ok(read) => {
            assert!(read.scopes().len() <= limits::MAX_SCOPES);
            let sent = &read.graphql.as_ref().expect("it is GraphQL").body;
            let again = queries::classify(parts, pass, sent, &PolicyConfig::default()).expect("what is sent is a read");
            assert_eq!(again.key, read.key, "what is sent means what was asked");
        }
        Err(why) => {
            for answer in [None, Some(body)] {
                assert!(why.touched(&pass.target, body, answer).len() <= limits::MAX_SCOPES);
            }
        }
    }
}

/// The head of an answer of the origin's, or of one that a member sent.
pub fn answer(input: &[u8]) {
    let (status, headers) = answered(input);
    let read = read();
    if let Ok(keep) = storable::storable(&read, status, &headers) {
        assert!(status == StatusCode::OK && keep.headers.iter().all(|(name, _)| storable::is_shareable(name)));
    }
    let entry = entry(&headers);
    freshness::verdict(&read, &Freshness::default(), &entry, Millis(90_000));
    let head = answers::hit(&read, &entry, Millis(90_000), HitKind::Peer, Some(&headers));
    assert!(!head.headers().contains_key("set-cookie"));
    answers::uncached(&read, status, &headers);
    let _ = (limits_headers::quota(&headers), limits_headers::limit(status, &headers, 1_800_000_000));
    for value in headers.get_all("link").iter().filter_map(|value| value.to_str().ok()) {
        let rewritten = read.caller.base.rewrite_link(value);
        assert_eq!(has_relation(&rewritten, "next"), has_relation(value, "next"));
    }
}

/// Values of headers.
pub fn headers(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = (caller::go_duration(text), caller::unix_seconds(text), etag::opaque(text));
    assert!(etag::weak_eq(text, text) || etag::opaque(text).is_none(), "a tag equals itself");
    assert!(fields_of::split_list(text).all(|item| item.trim() == item && text.contains(item)));
    let _ = fields_of::directive(text);
    let _ = routes::Template::parse(text);
}

/// A JSON body on its way to a caller whose base URL this is: the same in one piece as in several.
pub fn body(input: &[u8]) {
    let base = read().caller.base;
    let whole = BodyRewriter::whole(base.clone(), input);
    let cut = input.first().map_or(0, |first| usize::from(*first)) % input.len().max(1);
    let mut pieces = Vec::new();
    let mut rewriter = BodyRewriter::new(base);
    for piece in [&input[..cut], &input[cut..]] {
        rewriter.push(piece, &mut pieces);
    }
    rewriter.finish(&mut pieces);
    assert_eq!(pieces, whole);
    for nodes in [Nodes::of_rest(input), Nodes::written(input), Nodes::of_graphql(input)] {
        assert!(nodes.scopes_of_read("api.github.com", 8).len() <= 8);
        assert!(nodes.scopes_of_write("api.github.com", 8).len() <= 8);
    }
    let _ = limits_headers::message_says_limited(input);
    let _ = storable::keepable(&read(), input);
}

/// A webhook's event: its name in the first line, its body behind.
pub fn webhook(input: &[u8]) {
    let (name, body) = split(input, b'\n');
    if let Ok(event) = WebhookEvent::read(&String::from_utf8_lossy(name), body) {
        assert!(event.stale(&ORIGINS).len() <= 64 * limits::MAX_SCOPES);
    }
}

fn plan(parts: &Parts) -> Option<Plan> {
    let listener = Listener::Tcp { address: TCP.parse().expect("an address"), loopback: true };
    match classify(parts, &ORIGINS, &listener, &|_| false, &PolicyConfig::default()) {
        Ok(plan) => Some(plan),
        Err(refusal) => {
            assert!(refusal.status().is_client_error() && !refusal.to_string().is_empty());
            None
        }
    }
}

fn read() -> Read {
    let (parts, _) = parsed(format!("GET /repos/o/r/issues\nhost: {TCP}\n\n").as_bytes()).expect("a right request");
    match plan(&parts) {
        Some(Plan::Read(read)) => *read,
        Some(Plan::Pass(_)) | None => panic!("a plain GET is a read"),
    }
}

/// `METHOD PATH`, a line for each header, an empty line, the body. `None` where HTTP itself would refuse it.
fn parsed(input: &[u8]) -> Option<(Parts, &[u8])> {
    let (first, rest) = split(input, b'\n');
    let (method, path) = split(first, b' ');
    let (headers, body) = header_lines(rest);
    let mut parts = Request::builder().method(method).uri(path).body(()).ok()?.into_parts().0;
    parts.headers = headers;
    Some((parts, body))
}

fn answered(input: &[u8]) -> (StatusCode, HeaderMap) {
    let (first, rest) = split(input, b'\n');
    (StatusCode::from_bytes(first).unwrap_or(StatusCode::OK), header_lines(rest).0)
}

fn header_lines(mut rest: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    while let (line, behind) = split(rest, b'\n')
        && !line.is_empty()
        && headers.len() < 64
    {
        let (name, value) = split(line, b':');
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii())) {
            headers.append(name, value);
        }
        rest = behind;
    }
    (headers, split(rest, b'\n').1)
}

/// What stands before and behind the first `mark`.
fn split(input: &[u8], mark: u8) -> (&[u8], &[u8]) {
    let at = input.iter().position(|byte| *byte == mark);
    at.map_or((input, &[]), |at| (&input[..at], &input[at + 1..]))
}

fn entry(headers: &HeaderMap) -> Entry {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    Entry {
        representation: Representation { cid: BodyCid::of(b"{}"), length: 2, headers },
        etag: Some("W/\"a\"".to_owned()),
        origin_date: 1_800_000_000,
        confirmed_at: Millis(1_000),
        scopes: Vec::new(),
        source: Source::Peer,
        attestation: None,
        target: String::new(),
        facts: BodyFacts::default(),
        history: History::default(),
    }
}

fn owned<const N: usize>(texts: [&str; N]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes()).to_vec()).collect()
}

pub(crate) fn requests() -> Vec<Vec<u8>> {
    owned([
        "GET /repos/o/r/issues?per_page=2&state=all\nhost: 127.0.0.1:9180\nauthorization: token ghp_x\naccept: application/json\n\n",
        "GET https://api.github.com/user\nhost: api.github.com\nconnection: close, accept\n\n",
        "DELETE /api/v3/repos/o/r/issues/1\nhost: 127.0.0.1:9180\nif-none-match: W/\"a\", *\ncache-control: max-age=9, no-store\n\n",
        "POST /graphql\nhost: 127.0.0.1:9180\nauthorization: token ghp_x\ncontent-type: application/json\n\n{\"query\":\"{viewer{login}}\"}",
        "CONNECT api.github.com:443\nhost: api.github.com:443\n\n",
    ])
}

pub(crate) fn documents() -> Vec<Vec<u8>> {
    owned([
        r#"{"query":"query Q($o:String!,$n:Int=2){repository(owner:$o,name:\"r\"){...F}} fragment F on Repository{issues(first:$n){nodes{id title}}}","operationName":"Q","variables":{"o":"octo","n":3}}"#,
        r#"{"query":"mutation{addStar(input:{starrableId:\"R_kgDOABCDEF\"}){starrable{id ... on Repository{nameWithOwner url}}}}"}"#,
        r#"{"query":"subscription{x}"}"#,
        r##"{"query":"# mutation\n{rateLimit{remaining}}","variables":null}"##,
        r#"[{"query":"{a}"}]"#,
        r#"{"data":{"repository":{"id":"R_1"}},"errors":[{"type":"RATE_LIMITED"}]}"#,
    ])
}

pub(crate) fn answers() -> Vec<Vec<u8>> {
    owned([
        "200\ncontent-type: application/json\netag: W/\"a\"\ncache-control: private, max-age=60, s-maxage=60\nvary: Accept, Authorization\n\n",
        "200\nlink: <https://api.github.com/repos/o/r/issues?page=2>; rel=\"next\", <x>; rel=last\ndate: Sat, 21 Nov 2026 19:18:28 GMT\n\n",
        "403\nretry-after: 60\nx-ratelimit-limit: 5000\nx-ratelimit-remaining: 0\nx-ratelimit-reset: 1800000000\nx-ratelimit-resource: core\n\n",
        "304\netag: \"b\"\nset-cookie: a=b\n\n",
    ])
}

pub(crate) fn bodies() -> Vec<Vec<u8>> {
    owned([
        r#"[{"id":1,"node_id":"I_kwDOA","url":"https://api.github.com/repos/o/r/issues/1","body":"see https://api.github.com/x"}]"#,
        r#"{"url":"https:\/\/api.github.com\/user","repository":{"node_id":"R_kgDO","url":"https://api.github.com"}}"#,
        r#"{"message":"You have exceeded a secondary rate limit"}"#,
    ])
}

pub(crate) fn events() -> Vec<Vec<u8>> {
    owned([
        "push\n{\"repository\":{\"full_name\":\"o/r\",\"url\":\"https://github.com/o/r\"},\"sender\":{\"url\":\"https://api.github.com/users/a\"}}",
        "issues\n{\"action\":\"opened\",\"issue\":{\"number\":1,\"node_id\":\"I_1\"},\"repository\":{\"full_name\":\"o/r\"}}",
        "organization\n{\"organization\":{\"login\":\"o\"}}",
    ])
}

pub(crate) fn fields() -> Vec<Vec<u8>> {
    owned([
        "W/\"a\", \"b,c\", *",
        "max-age=60, private=\"x, y\"",
        "1h30m0.5s",
        "Sat, 21 Nov 2026 19:18:28 GMT",
        "/repos/{owner}/{repo}/**",
    ])
}
