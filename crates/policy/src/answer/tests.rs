#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::fixtures::{Pair, after, entry, headers, pass, read, request, tcp};
use crate::{Plan, PolicyConfig, classify};
use http::Method;

const ISSUES: &str = "/repos/o/r/issues";
const KEPT: [Pair<'_>; 4] = [
    ("content-type", "application/json; charset=utf-8"),
    ("last-modified", "Tue, 15 Nov 1994 12:45:26 GMT"),
    ("link", "<https://api.github.com/repositories/1/issues?page=2>; rel=\"next\""),
    ("vary", "Accept"),
];

fn get<'a>(response: &'a Response<()>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

fn answer(pairs: &[Pair<'_>], kind: HitKind) -> Response<()> {
    hit(&read(ISSUES, pairs), &entry(&KEPT, b"[1]"), after(42), kind, None)
}

#[test]
fn a_hit_says_where_it_came_from_and_how_old_it_is() {
    let response = answer(&[], HitKind::Local);
    assert_eq!(response.status(), StatusCode::OK);
    for (name, value) in [
        ("cache-status", "ghmesh; hit"),
        ("age", "42"),
        ("x-from-cache", "1"),
        ("content-length", "3"),
        ("content-type", "application/json; charset=utf-8"),
        ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("etag", "W/\"abc\""),
        ("link", "<http://127.0.0.1:9180/repositories/1/issues?page=2>; rel=\"next\""),
    ] {
        assert_eq!(get(&response, name), Some(value), "{name}");
    }
}

#[test]
fn every_origin_of_an_answer_has_its_own_cache_status() {
    for (kind, status, from_cache) in [
        (HitKind::Local, "ghmesh; hit", true),
        (HitKind::Peer, "ghmesh; hit; detail=peer", true),
        (HitKind::Collapsed, "ghmesh; fwd=miss; collapsed", true),
        (HitKind::Stale, "ghmesh; hit; detail=stale", true),
        (HitKind::Miss { stored: true }, "ghmesh; fwd=miss; stored", false),
        (HitKind::Miss { stored: false }, "ghmesh; fwd=miss", false),
        (HitKind::Revalidated { stored: true }, "ghmesh; fwd=stale; fwd-status=304; stored", false),
        (HitKind::Revalidated { stored: false }, "ghmesh; fwd=stale; fwd-status=304", false),
    ] {
        let response = answer(&[], kind);
        assert_eq!(get(&response, "cache-status"), Some(status));
        assert_eq!(get(&response, "x-from-cache").is_some(), from_cache, "{status}");
        assert_eq!(get(&response, "age").is_some(), from_cache, "{status}");
    }
}

#[test]
fn a_304_goes_only_to_a_client_that_asked() {
    for (pairs, status) in [
        (&[][..], 200),
        (&[("if-none-match", "\"abc\"")], 304),
        (&[("if-none-match", "\"x\", W/\"abc\"")], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", "\"x\"")], 200),
        (&[("if-modified-since", "Tue, 15 Nov 1994 12:45:26 GMT")], 304),
        (&[("if-modified-since", "Tue, 15 Nov 1994 12:45:25 GMT")], 200),
        (&[("if-none-match", "\"x\""), ("if-modified-since", "Tue, 15 Nov 1994 12:45:26 GMT")], 200),
    ] {
        for kind in [HitKind::Local, HitKind::Revalidated { stored: true }] {
            assert_eq!(answer(pairs, kind).status().as_u16(), status, "{pairs:?}");
        }
    }
    let unchanged = answer(&[("if-none-match", "\"abc\"")], HitKind::Local);
    assert_eq!(get(&unchanged, "content-length"), None);
    assert_eq!(get(&unchanged, "content-type"), None);
    assert_eq!(get(&unchanged, "etag"), Some("W/\"abc\""));
    assert!(!carries_body(&read(ISSUES, &[]), &unchanged));
}

#[test]
fn trap_7_head_has_the_length_and_no_body() {
    let mut head = read(ISSUES, &[]);
    head.head = true;
    let response = hit(&head, &entry(&KEPT, b"[1]"), after(0), HitKind::Local, None);
    assert_eq!(get(&response, "content-length"), Some("3"));
    assert!(!carries_body(&head, &response));
    assert!(carries_body(&read(ISSUES, &[]), &response));
}

#[test]
fn trap_1_quotas_come_from_this_very_call_or_not_at_all() {
    let live = headers(&[
        ("x-ratelimit-remaining", "4999"),
        ("x-oauth-scopes", "repo"),
        ("github-authentication-token-expiration", "2026-01-01"),
        ("server", "github.com"),
        ("etag", "\"other\""),
    ]);
    let response =
        hit(&read(ISSUES, &[]), &entry(&KEPT, b"[1]"), after(0), HitKind::Revalidated { stored: true }, Some(&live));
    assert_eq!(get(&response, "x-ratelimit-remaining"), Some("4999"));
    assert_eq!(get(&response, "x-oauth-scopes"), Some("repo"));
    assert_eq!(get(&response, "server"), None);
    assert_eq!(get(&response, "etag"), Some("W/\"abc\""));
    assert_eq!(get(&answer(&[], HitKind::Local), "x-ratelimit-remaining"), None);
}

#[test]
fn headers_that_a_peer_slipped_in_are_not_given_out() {
    let smuggled = [KEPT[0], ("set-cookie", "a=1"), ("x-ratelimit-remaining", "0"), ("vary", "a\r\nset-cookie: b")];
    let response = hit(&read(ISSUES, &[]), &entry(&smuggled, b"[1]"), after(0), HitKind::Peer, None);
    assert_eq!(get(&response, "set-cookie"), None);
    assert_eq!(get(&response, "x-ratelimit-remaining"), None);
    assert_eq!(get(&response, "vary"), None);
}

#[test]
fn an_answer_that_is_not_kept_goes_on_as_it_is() {
    let origin = headers(&[
        ("etag", "\"abc\""),
        ("content-length", "9"),
        ("connection", "close"),
        ("x-ratelimit-remaining", "1"),
        ("location", "https://api.github.com/repositories/1"),
    ]);
    let moved = uncached(&read(ISSUES, &[]), StatusCode::MOVED_PERMANENTLY, &origin);
    assert_eq!(get(&moved, "location"), Some("http://127.0.0.1:9180/repositories/1"));
    assert_eq!(get(&moved, "cache-status"), Some("ghmesh; fwd=miss; fwd-status=301"));
    assert_eq!(get(&moved, "connection"), None);
    assert_eq!(get(&moved, "x-ratelimit-remaining"), Some("1"));

    let conditional = read(ISSUES, &[("if-none-match", "\"abc\"")]);
    assert_eq!(uncached(&conditional, StatusCode::OK, &origin).status(), StatusCode::NOT_MODIFIED);
    assert_eq!(get(&uncached(&conditional, StatusCode::OK, &origin), "content-length"), None);
    assert_eq!(uncached(&conditional, StatusCode::NOT_FOUND, &origin).status(), StatusCode::NOT_FOUND);
    assert_eq!(uncached(&read(ISSUES, &[]), StatusCode::OK, &origin).status(), StatusCode::OK);
}

#[test]
fn what_passes_keeps_its_headers_and_says_why_it_passed() {
    let origin = headers(&[
        ("link", "<https://api.github.com/user/repos?page=2>; rel=\"next\""),
        ("location", "https://objects.githubusercontent.com/a?sig=x"),
        ("transfer-encoding", "chunked"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("cache-status", "upstream; hit"),
    ]);
    let seen = pass_headers(&pass(&Method::POST, "/user/repos", &[]), StatusCode::CREATED, &origin);
    let all = |name: &str| seen.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(all("link"), ["<http://127.0.0.1:9180/user/repos?page=2>; rel=\"next\""]);
    assert_eq!(all("location"), ["https://objects.githubusercontent.com/a?sig=x"]);
    assert_eq!(all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(all("transfer-encoding"), Vec::<&str>::new());
    assert_eq!(all("cache-status"), ["upstream; hit", "ghmesh; fwd=method; fwd-status=201"]);
    for (uri, pairs, status) in [
        ("/rate_limit", &[][..], "ghmesh; fwd=bypass; fwd-status=200"),
        ("/user", &[("cache-control", "no-store")], "ghmesh; fwd=request; fwd-status=200"),
    ] {
        let seen = pass_headers(&pass(&Method::GET, uri, pairs), StatusCode::OK, &HeaderMap::new());
        assert_eq!(seen.get("cache-status").unwrap(), status);
    }
}

#[test]
fn links_follow_the_caller_not_the_origin() {
    let origins = crate::fixtures::origins(&[], Some("http://127.0.0.1:4000"), &[]);
    let seen = |host: &str, uri: &str, listener: crate::Listener| {
        let parts = request(&Method::GET, uri, &[("host", host)]);
        let Plan::Read(read) = classify(&parts, &origins, &listener, &|_| false, &PolicyConfig::default()).unwrap()
        else {
            panic!("a read")
        };
        let response = hit(&read, &entry(&KEPT, b"[1]"), after(0), HitKind::Local, None);
        get(&response, "link").unwrap().split('?').next().unwrap().to_owned()
    };
    assert_eq!(seen("api.github.com", ISSUES, crate::Listener::Unix), "<https://api.github.com/repositories/1/issues");
    assert_eq!(
        seen("localhost:9180", "/api/v3/repos/o/r/issues", tcp()),
        "<http://localhost:9180/api/v3/repositories/1/issues"
    );
}

#[test]
fn nothing_cached_is_a_504_that_says_so() {
    let response = nothing_cached();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(response.body().starts_with(b"{\"message\":"));
}
