#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::fixtures::{Pair, TCP, github, origins, pass, plan, read, request, tcp};
use crate::{CredentialKind, USER_AGENT};

const GET: Method = Method::GET;
const ISSUES: &str = "/repos/o/r/issues";

fn reason(uri: &str, pairs: &[Pair<'_>]) -> PassReason {
    pass(&GET, uri, pairs).reason
}

#[test]
fn what_real_clients_send_is_a_read() {
    let gh = [
        ("host", "api.github.com"),
        ("accept", ""),
        ("accept-encoding", "gzip"),
        ("authorization", "token gho_x"),
        ("connection", "close"),
        ("content-type", "application/json; charset=utf-8"),
        ("time-zone", "Europe/Berlin"),
        ("graphql-features", "merge_queue"),
        ("user-agent", "GitHub CLI 2.23.0"),
        ("x-gh-cache-ttl", "1h0m0s"),
    ];
    let octokit = [
        ("accept", "application/vnd.github.v3+json"),
        ("accept-language", "*"),
        ("sec-fetch-mode", "cors"),
        ("user-agent", "octokit.js/3 Node.js/22"),
        ("authorization", "token ghp_x"),
        ("x-github-api-version", "2022-11-28"),
        ("accept-encoding", "br, gzip, deflate"),
    ];
    let pygithub = [
        ("content-type", "application/json"),
        ("authorization", "token ghp_x"),
        ("connection", "keep-alive"),
        ("accept", "*/*"),
    ];
    let curl = [("user-agent", "curl/8.5.0"), ("accept", "*/*"), ("content-length", "0")];
    let traced =
        [("traceparent", "00-1-2-03"), ("x-forwarded-for", "10.0.0.1"), ("via", "1.1 proxy"), ("te", "trailers")];
    for pairs in [&gh[..], &octokit, &pygithub, &curl, &traced] {
        let read = read(ISSUES, pairs);
        assert_eq!(read.target.upstream_uri(), "https://api.github.com/repos/o/r/issues");
    }
}

#[test]
fn a_read_goes_upstream_with_five_headers() {
    let read = read(
        ISSUES,
        &[
            ("accept", "application/json"),
            ("accept", "text/html"),
            ("authorization", "token ghp_x"),
            ("x-github-api-version", "2022-11-28"),
            ("user-agent", "curl/8"),
            ("accept-encoding", "gzip"),
            ("if-none-match", "\"a\""),
            ("time-zone", "UTC"),
        ],
    );
    let mut sent: Vec<(&str, &str)> =
        read.upstream.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    sent.sort_unstable();
    assert_eq!(
        sent,
        [
            ("accept", "application/json, text/html"),
            ("accept-encoding", "identity"),
            ("authorization", "token ghp_x"),
            ("user-agent", USER_AGENT),
            ("x-github-api-version", "2022-11-28"),
        ]
    );
    assert!(!format!("{read:?}").contains("ghp_x"), "a credential is never printed");
}

#[test]
fn trap_2_the_key_tells_representations_apart_and_callers_headers_don_t() {
    let key = |uri: &str, pairs: &[Pair<'_>]| read(uri, pairs).key;
    let plain = key(ISSUES, &[]);
    for same in [
        &[("accept", "")][..],
        &[("accept", "*/*")],
        &[("user-agent", "x")],
        &[("x-github-api-version", "")],
        &[("authorization", "token a")],
    ] {
        assert_eq!(key(ISSUES, same), plain, "{same:?}");
    }
    assert_eq!(key("/api/v3/repos/o/r/issues", &[]), plain, "whichever way it came in");
    assert_eq!(key("http://api.github.com/repos/o/r/issues", &[]), plain);
    for other in [
        key(ISSUES, &[("accept", "application/vnd.github.diff")]),
        key(ISSUES, &[("accept", "application/vnd.github.patch")]),
        key(ISSUES, &[("x-github-api-version", "2026-03-10")]),
        key("/repos/o/r/issues?page=2", &[]),
        key("/repos/o/r/pulls", &[]),
    ] {
        assert_ne!(other, plain);
    }
}

#[test]
fn the_order_of_a_query_matters_only_within_one_name() {
    let key = |query: &str| read(&format!("{ISSUES}?{query}"), &[]).key;
    assert_eq!(key("page=2&per_page=100"), key("per_page=100&page=2"));
    assert_ne!(key("ref=a&ref=b"), key("ref=b&ref=a"));
}

#[test]
fn threat_5_what_may_change_the_answer_goes_around_the_cache() {
    for (name, value) in [
        ("cookie", "user_session=1"),
        ("x-github-otp", "123456"),
        ("x-http-method-override", "DELETE"),
        ("x-github-next-global-id", "1"),
        ("range", "bytes=0-9"),
        ("if-match", "\"a\""),
        ("if-range", "\"a\""),
        ("origin", "https://example.com"),
        ("expect", "100-continue"),
        ("upgrade", "h2c"),
        ("x-anything", "1"),
    ] {
        assert_eq!(reason(ISSUES, &[(name, value)]), PassReason::Header(name.parse().unwrap()), "{name}");
    }
    let repeated = [("x-github-api-version", "2022-11-28"), ("x-github-api-version", "2026-03-10")];
    assert_eq!(reason(ISSUES, &repeated), PassReason::Header(API_VERSION));
    for query in ["access_token=x", "a=1&client_secret=x", "Access_Token=x", "%61ccess_token=x", "token=x"] {
        assert_eq!(reason(&format!("{ISSUES}?{query}"), &[]), PassReason::CredentialInQuery, "{query}");
    }
    assert_eq!(reason(ISSUES, &[("content-length", "2")]), PassReason::Body);
    assert_eq!(reason(ISSUES, &[("transfer-encoding", "chunked")]), PassReason::Body);
    assert_eq!(reason(ISSUES, &[("cache-control", "no-store")]), PassReason::NoStore);
    let long = format!("{ISSUES}?q={}", "x".repeat(limits::MAX_TARGET_BYTES));
    assert_eq!(reason(&long, &[]), PassReason::TargetTooLong);
}

#[test]
fn threat_5_ambiguous_requests_are_refused() {
    let refused = |pairs: &[Pair<'_>]| plan(&GET, ISSUES, pairs).unwrap_err();
    assert_eq!(refused(&[("authorization", "token a"), ("authorization", "token b")]), Refusal::AuthorizationRepeated);
    assert_eq!(refused(&[("host", TCP), ("host", TCP)]), Refusal::HostRepeated);
    assert_eq!(
        refused(&[("connection", "Accept"), ("accept", "a")]),
        Refusal::ConnectionNames { name: "accept".into() }
    );
    assert_eq!(
        refused(&[("connection", "close, authorization")]),
        Refusal::ConnectionNames { name: "authorization".into() }
    );
    assert_eq!(refused(&[("content-length", "3"), ("transfer-encoding", "chunked")]), Refusal::LengthAmbiguous);
}

#[test]
fn routes_that_are_never_kept_pass() {
    for uri in [
        "/",
        "/rate_limit",
        "/repos/o/r/tarball/main",
        "/repos/o/r/zipball",
        "/repositories/1/zipball/v1",
        "/repos/o/r/actions/runs/1/logs",
        "/repos/o/r/actions/runs/1/attempts/2/logs",
        "/repos/o/r/actions/jobs/1/logs",
        "/repos/o/r/actions/artifacts/1/zip",
        "/user/migrations/1/archive",
    ] {
        assert_eq!(reason(uri, &[]), PassReason::Route, "{uri}");
    }
    for uri in [
        "/user",
        "/repos/o/tarball",
        "/repos/o/r/contents/logs",
        "/repos/o/r/actions/runs/1",
        "/repos/o/r/actions/artifacts/1",
    ] {
        read(uri, &[]);
    }
}

#[test]
fn everything_but_the_rest_api_passes() {
    let post = |uri: &str, host: &str| pass(&Method::POST, uri, &[("host", host)]);
    assert_eq!(post("/graphql", "api.github.com").reason, PassReason::GraphQl);
    assert_eq!(post("/repos/o/r/issues", "api.github.com").reason, PassReason::Method);
    assert_eq!(post("/login/device/code", "github.com").reason, PassReason::NotApi);
    assert_eq!(reason("/a.zip", &[("host", "codeload.github.com")]), PassReason::NotApi);
}

#[test]
fn a_pass_keeps_what_the_client_sent_and_only_that() {
    let sent = [
        ("host", "api.github.com"),
        ("authorization", "token ghp_x"),
        ("accept-encoding", "gzip"),
        ("content-length", "2"),
        ("connection", "close, x-trace"),
        ("x-trace", "1"),
        ("expect", "100-continue"),
        ("proxy-authorization", "Basic eA=="),
        ("x-gh-cache-ttl", "1h"),
        ("user-agent", "gh"),
    ];
    let pass = pass(&Method::POST, ISSUES, &sent);
    let mut names: Vec<&str> = pass.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept-encoding", "authorization", "content-length", "user-agent"]);
    assert!(!format!("{pass:?}").contains("ghp_x"), "a credential is never printed");
    let bare = super::super::fixtures::pass(&Method::POST, ISSUES, &[]);
    assert_eq!(bare.headers.get("user-agent").unwrap(), USER_AGENT, "GitHub refuses requests without one");
}

#[test]
fn only_safe_requests_without_a_body_may_be_sent_again() {
    let is_idempotent = |method: Method, pairs: &[Pair<'_>]| pass(&method, "/rate_limit", pairs).idempotent;
    assert!(is_idempotent(GET, &[]));
    assert!(is_idempotent(Method::HEAD, &[]));
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        assert!(!is_idempotent(method, &[]));
    }
    assert!(!is_idempotent(GET, &[("content-length", "1")]));
    assert!(!is_idempotent(GET, &[("x-http-method-override", "POST")]));
}

#[test]
fn writes_say_what_they_change_and_reads_change_nothing() {
    let changes = |method: Method, uri: &str, pairs: &[Pair<'_>]| !pass(&method, uri, pairs).invalidates.is_empty();
    assert!(changes(Method::POST, ISSUES, &[]));
    assert!(changes(GET, ISSUES, &[("x-method-override", "DELETE")]), "an overridden GET is a write");
    assert!(changes(Method::POST, "/repos/o/r/releases/1/assets", &[("host", "uploads.github.com")]));
    assert!(!changes(GET, "/rate_limit", &[]));
    assert!(!changes(Method::POST, "/login/device/code", &[("host", "github.com")]));
}

#[test]
fn graphql_that_can_t_be_searched_counts_as_a_mutation() {
    let whole_host = vec![invalidation::host_scope("api.github.com")];
    let of = |pairs: &[Pair<'_>]| pass(&Method::POST, "/graphql", pairs).invalidates;
    assert_eq!(of(&[("content-type", "application/json; charset=utf-8")]), Vec::new());
    assert_eq!(of(&[("content-encoding", "gzip")]), whole_host);
    assert_eq!(of(&[("content-type", "application/json; charset=\"UTF-16\"")]), whole_host);
}

#[test]
fn trap_7_head_is_answered_from_the_entry_of_get() {
    let Plan::Read(head) = plan(&Method::HEAD, ISSUES, &[]).unwrap() else { panic!("a read") };
    assert!(head.head);
    assert_eq!(head.key, read(ISSUES, &[]).key);
}

#[test]
fn empty_credentials_are_none() {
    let kind = |pairs: &[Pair<'_>]| read(ISSUES, pairs).credential.kind();
    assert_eq!(kind(&[("authorization", "")]), CredentialKind::Anonymous);
    assert_eq!(kind(&[]), CredentialKind::Anonymous);
    assert_eq!(kind(&[("authorization", "Bearer ghs_x")]), CredentialKind::Token);
    assert!(!read(ISSUES, &[("authorization", "")]).upstream.contains_key("authorization"));
}

#[test]
fn modes_pass_everything_or_call_nobody() {
    let plan = |mode, method: &Method, uri: &str| {
        let parts = request(method, uri, &[("host", TCP)]);
        classify(&parts, &github(), &tcp(), &|_| false, &PolicyConfig { mode })
    };
    assert!(matches!(plan(Mode::Pass, &GET, ISSUES).unwrap(), Plan::Pass(pass) if pass.reason == PassReason::Mode));
    let Plan::Read(offline) = plan(Mode::Offline, &GET, ISSUES).unwrap() else { panic!("a read") };
    assert!(offline.caller.directives.only_if_cached);
    assert_eq!(offline.caller.directives.max_stale, Some(Duration::MAX));
    let graphql = plan(Mode::Offline, &Method::POST, "/graphql").unwrap();
    assert!(matches!(graphql, Plan::Pass(pass) if pass.reason == PassReason::GraphQl), "its body may be a read");
    let refusal = plan(Mode::Offline, &Method::POST, ISSUES).unwrap_err();
    assert_eq!(refusal.status(), http::StatusCode::GATEWAY_TIMEOUT);
}

#[test]
fn the_callers_base_is_the_url_that_it_used() {
    let base = |listener: Listener, uri: &str, pairs: &[Pair<'_>]| {
        let origins = origins(&[], Some("http://127.0.0.1:4000"), &["cache.example"]);
        match classify(&request(&GET, uri, pairs), &origins, &listener, &|_| false, &PolicyConfig::default()).unwrap() {
            Plan::Read(read) => read.caller.base.caller().to_owned(),
            Plan::Pass(pass) => pass.base.caller().to_owned(),
        }
    };
    for (listener, uri, pairs, wanted) in [
        (tcp(), "/user", &[("host", TCP)][..], "http://127.0.0.1:9180"),
        (tcp(), "/api/v3/user", &[("host", "localhost:9180")], "http://localhost:9180/api/v3"),
        (tcp(), "http://api.github.localhost/user", &[], "http://api.github.localhost"),
        (tcp(), "/user", &[("host", "cache.example"), ("x-forwarded-proto", "https")], "https://cache.example"),
        (Listener::Unix, "/user", &[("host", "api.github.com")], "https://api.github.com"),
        (Listener::Unix, "/user", &[("host", "api.github.localhost")], "http://api.github.localhost"),
        (Listener::Unix, "/user", &[("host", "localhost")], "http://localhost"),
        (tcp(), "/x", &[("host", "codeload.github.com")], ""),
    ] {
        assert_eq!(base(listener, uri, pairs), wanted, "{uri} {pairs:?}");
    }
}
