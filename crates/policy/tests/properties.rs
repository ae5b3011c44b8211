//! What holds for every request and answer, not only for those that somebody thought of.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ghmesh_model::{BodyCid, BodyFacts, Entry, History, Millis, Representation, Source, limits};
use ghmesh_policy::answer::{self, HitKind};
use ghmesh_policy::{
    Freshness, Listener, Origins, Plan, PolicyConfig, Read, Refusal, classify, freshness, headers, storable,
};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, StatusCode, Uri};
use proptest::prelude::*;

const TCP: &str = "127.0.0.1:9180";
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT"];
/// Names that something here looks at.
const NAMES: [&str; 21] = [
    "accept",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "etag",
    "if-modified-since",
    "if-none-match",
    "link",
    "location",
    "pragma",
    "retry-after",
    "te",
    "transfer-encoding",
    "vary",
    "x-forwarded-proto",
    "x-gh-cache-ttl",
    "x-github-api-version",
    "x-ratelimit-remaining",
];

fn origins() -> Origins {
    Origins::new(&[], None, Vec::new()).unwrap()
}

fn plan(parts: &Parts) -> Result<Plan, Refusal> {
    let listener = Listener::Tcp { address: TCP.parse().unwrap(), loopback: true };
    classify(parts, &origins(), &listener, &|_| false, &PolicyConfig::default())
}

fn parts(method: Method, uri: Uri, headers: HeaderMap) -> Parts {
    let mut parts = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0;
    parts.headers = headers;
    parts
}

fn read(path_and_query: &str) -> Option<Read> {
    let headers = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static(TCP))]);
    match plan(&parts(Method::GET, path_and_query.parse().ok()?, headers)) {
        Ok(Plan::Read(read)) => Some(*read),
        Ok(Plan::Pass(_)) | Err(_) => None,
    }
}

/// Values of any bytes that a header may have, and values that look like something.
fn value() -> impl Strategy<Value = HeaderValue> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..40)
        .prop_filter_map("not a header value", |bytes| HeaderValue::from_bytes(&bytes).ok());
    let texts = proptest::string::string_regex("[a-zA-Z0-9 =,;:\"*/<>.@\\[\\]W\\-]{0,60}").unwrap();
    let text = texts.prop_filter_map("not a header value", |text| HeaderValue::from_str(&text).ok());
    let known = proptest::sample::select(vec![
        TCP,
        "api.github.com",
        "max-age=99999999999999999999",
        "close, accept",
        "W/\"a\", *",
        "token ghp_x",
    ]);
    prop_oneof![bytes, text, known.prop_map(HeaderValue::from_static)]
}

fn any_headers() -> impl Strategy<Value = HeaderMap> {
    let name = proptest::sample::select(NAMES.to_vec()).prop_map(HeaderName::from_static);
    proptest::collection::vec((name, value()), 0..12).prop_map(|pairs| pairs.into_iter().collect())
}

/// Mostly with a `Host` that is ours, so that what comes after routing is reached.
fn any_request_headers() -> impl Strategy<Value = HeaderMap> {
    let host =
        prop_oneof![3 => Just(Some(HeaderValue::from_static(TCP))), 1 => value().prop_map(Some), 1 => Just(None)];
    (any_headers(), host).prop_map(|(mut headers, host)| {
        headers.extend(host.map(|host| (http::header::HOST, host)));
        headers
    })
}

fn any_uri() -> impl Strategy<Value = Uri> {
    let text = "(https?://[a-z@:.0-9\\[\\]]{0,20})?/[a-zA-Z0-9/%.?&=#;+~_*\\-]{0,80}";
    proptest::string::string_regex(text).unwrap().prop_filter_map("not a URI", |text| text.parse().ok())
}

fn entry(headers: &HeaderMap) -> Entry {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Entry {
        representation: Representation { cid: BodyCid::of(b"{}"), length: 2, headers },
        etag: Some("W/\"a\"".to_owned()),
        origin_date: u64::MAX,
        confirmed_at: Millis(1000),
        scopes: Vec::new(),
        source: Source::Peer,
        attestation: None,
        target: String::new(),
        facts: BodyFacts::default(),
        history: History::default(),
    }
}

proptest! {
    #[test]
    fn nothing_that_a_client_sends_panics(method in proptest::sample::select(METHODS.to_vec()), uri in any_uri(), headers in any_request_headers()) {
        match plan(&parts(method.parse().unwrap(), uri, headers)) {
            Ok(Plan::Read(read)) => {
                prop_assert!(read.scopes().len() <= limits::MAX_SCOPES);
                prop_assert!(read.upstream.len() <= 5);
            }
            Ok(Plan::Pass(pass)) => {
                prop_assert!(pass.invalidates.len() <= limits::MAX_SCOPES);
                prop_assert!(pass.headers.keys().all(|name| !headers::is_hop_by_hop(name.as_str()) && name != "host"));
            }
            Err(refusal) => prop_assert!(refusal.status().is_client_error() && !refusal.to_string().is_empty()),
        }
    }

    #[test]
    fn nothing_that_an_origin_or_a_peer_sends_panics(response in any_headers(), status in 100u16..600, now in any::<u64>()) {
        let read = read("/repos/o/r/issues").unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        if let Ok(keep) = storable::storable(&read, status, &response) {
            prop_assert_eq!(status, StatusCode::OK);
            prop_assert!(keep.headers.iter().all(|(name, _)| storable::is_shareable(name)));
        }
        let entry = entry(&response);
        freshness::verdict(&read, &Freshness::default(), &entry, Millis(now));
        let head = answer::hit(&read, &entry, Millis(now), HitKind::Peer, Some(&response));
        prop_assert!(!head.headers().contains_key("set-cookie"));
        answer::uncached(&read, status, &response);
    }

    #[test]
    fn what_is_keyed_is_what_is_sent(uri in any_uri()) {
        if let Some(first) = uri.path_and_query().and_then(|text| read(text.as_str())) {
            let sent = first.target.upstream_uri();
            prop_assert_eq!(sent.path(), first.target.path.as_str());
            prop_assert_eq!(sent.query(), first.target.query.as_deref());
            if let Some(second) = read(sent.path_and_query().unwrap().as_str()) {
                prop_assert_eq!(second.key, first.key, "sending it through once more changes nothing");
            }
        }
    }

    #[test]
    fn a_key_ignores_the_order_of_names(pairs in proptest::collection::btree_map("[b-s]{1,3}", "[a-z]{0,3}", 1..6), turn in 0usize..6) {
        let mut pairs: Vec<String> = pairs.into_iter().filter(|(name, _)| name != "otp").map(|(name, value)| format!("{name}={value}")).collect();
        prop_assume!(!pairs.is_empty());
        let straight = read(&format!("/repos/o/r/issues?{}", pairs.join("&"))).unwrap();
        let turn = turn % pairs.len();
        pairs.rotate_left(turn);
        pairs.reverse();
        let turned = read(&format!("/repos/o/r/issues?{}", pairs.join("&"))).unwrap();
        prop_assert_eq!(straight.key, turned.key);
    }

    #[test]
    fn a_key_keeps_the_order_of_values(one in "[a-z]{1,4}", other in "[a-z]{1,4}") {
        prop_assume!(one != other);
        let straight = read(&format!("/x?ref={one}&ref={other}")).unwrap();
        let turned = read(&format!("/x?ref={other}&ref={one}")).unwrap();
        prop_assert_ne!(straight.key, turned.key);
    }

    #[test]
    fn only_end_to_end_headers_go_on(sent in any_headers()) {
        let kept = headers::end_to_end(&sent);
        prop_assert!(kept.keys().all(|name| !headers::is_hop_by_hop(name.as_str())));
        let named: Vec<String> = headers::list(&sent, http::header::CONNECTION).map(str::to_ascii_lowercase).collect();
        for (name, value) in &sent {
            let stays = !headers::is_hop_by_hop(name.as_str()) && !named.iter().any(|nominee| nominee == name.as_str());
            prop_assert_eq!(kept.get_all(name).iter().any(|kept| kept == value), stays, "{}", name);
        }
    }

    #[test]
    fn links_to_other_hosts_are_never_changed(host in "[a-z]{1,10}\\.[a-z]{2,5}(:[0-9]{1,4})?", path in "[a-z0-9/?=&%]{0,30}", rel in "next|last") {
        prop_assume!(host != "api.github.com");
        let base = read("/repos/o/r").unwrap().caller.base;
        let foreign = format!("<https://{host}/{path}>; rel=\"{rel}\"");
        prop_assert_eq!(base.rewrite_link(&foreign), foreign.clone());
        let ours = format!("<https://api.github.com/{path}>; rel=\"{rel}\"");
        let seen = base.rewrite_link(&format!("{foreign}, {ours}"));
        prop_assert_eq!(seen, format!("{foreign}, <http://{TCP}/{path}>; rel=\"{rel}\""));
    }

    #[test]
    fn link_values_of_any_text_survive(text in ".{0,80}") {
        let base = read("/repos/o/r").unwrap().caller.base;
        if !text.contains("api.github") {
            prop_assert_eq!(base.rewrite_link(&text), text);
        }
    }

    #[test]
    fn a_write_to_what_was_read_always_makes_it_stale(path in "/(repos|orgs|user|teams|enterprises|x)(/[a-z0-9.]{1,6}){0,6}") {
        let Some(read) = read(&path) else { return Ok(()) };
        for method in ["PATCH", "PUT", "DELETE"] {
            let headers = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static(TCP))]);
            let Ok(Plan::Pass(pass)) = plan(&parts(method.parse().unwrap(), path.parse().unwrap(), headers)) else {
                return Err(TestCaseError::fail("a write passes"));
            };
            prop_assert!(read.scopes().iter().any(|scope| pass.invalidates.contains(scope)), "{method} {path}");
        }
    }
}
