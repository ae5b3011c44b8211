#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod documents;

use super::*;
use crate::fixtures::{Pair, TCP, headers, pass, plan, read as rest_read, request};
use crate::storable::storable;
use crate::{NotStored, Plan};
use http::StatusCode;
use serde_json::json;

const HOST: &str = "api.github.com";
const URL: &str = "/graphql";
const JSON_TYPE: Pair<'_> = ("content-type", "application/json; charset=utf-8");
/// What gh sends, but for the query's fields.
const PULLS: &str = "query PullRequestList($owner: String!, $repo: String!, $limit: Int = 30) { repository(owner: $owner, name: $repo) { pullRequests(first: $limit) { nodes { ...pr } } } } fragment pr on PullRequest { number title }";

fn classified(pairs: &[Pair<'_>], body: &[u8]) -> Result<Read, NotRead> {
    classified_as(&Method::POST, URL, pairs, body, Mode::Cache)
}

fn classified_as(method: &Method, url: &str, pairs: &[Pair<'_>], body: &[u8], mode: Mode) -> Result<Read, NotRead> {
    let pass = pass(method, url, pairs);
    let mut all = vec![("host", TCP)];
    all.extend(pairs);
    classify(&request(method, url, &all), &pass, body, &PolicyConfig { mode })
}

/// A body with this document and nothing else.
fn asking(document: &str) -> Vec<u8> {
    json!({ "query": document }).to_string().into_bytes()
}

fn of(body: &[u8]) -> Result<Read, NotRead> {
    classified(&[JSON_TYPE, ("authorization", "token ghp_x")], body)
}

fn key(body: &[u8]) -> CacheKey {
    of(body).unwrap().key
}

fn asked(document: &str, variables: serde_json::Value) -> Arc<GraphQlRead> {
    let read = of(json!({ "query": document, "variables": variables }).to_string().as_bytes()).unwrap();
    read.graphql.unwrap()
}

#[test]
fn a_query_is_read_and_sent_in_its_canonical_form() {
    let body = json!({ "query": PULLS, "variables": { "repo": "r", "owner": "o" } }).to_string();
    let pairs = [
        JSON_TYPE,
        ("authorization", "token ghp_x"),
        ("accept", "application/vnd.github.merge-info-preview+json"),
        ("graphql-features", "merge_queue"),
        ("time-zone", "Europe/Berlin"),
        ("user-agent", "GitHub CLI 2.60"),
        ("content-length", "300"),
        ("x-gh-cache-ttl", "1h0m0s"),
    ];
    let read = classified(&pairs, body.as_bytes()).unwrap();
    let asked = read.graphql.as_ref().unwrap();
    assert_eq!(asked.operation, "PullRequestList");
    assert_eq!(asked.variables, r#"{"owner":"o","repo":"r"}"#);
    assert_eq!(
        asked.document,
        "query PullRequestList($owner:String!$repo:String!$limit:Int=30){repository(owner:$owner name:$repo)\
         {pullRequests(first:$limit){nodes{...pr}}}}fragment pr on PullRequest{number title}"
    );
    let sent: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    let wanted = json!({ "query": asked.document, "operationName": "PullRequestList", "variables": { "owner": "o", "repo": "r" } });
    assert_eq!(sent, wanted);
    let upstream = headers(&[
        ("accept", "application/vnd.github.merge-info-preview+json"),
        ("authorization", "token ghp_x"),
        ("accept-encoding", "identity"),
        ("user-agent", crate::USER_AGENT),
        ("content-type", "application/json"),
        ("graphql-features", "merge_queue"),
        ("time-zone", "Europe/Berlin"),
    ]);
    assert_eq!(read.upstream, upstream);
    assert_eq!(read.caller.directives.ttl, Some(Duration::from_secs(3600)));
    assert!(!read.head);
}

#[test]
fn what_is_sent_is_read_as_the_same_request() {
    let body = json!({ "query": PULLS, "variables": { "owner": "ö\u{1}\"", "repo": [1, { "b": null, "a": true }] } });
    let first = of(body.to_string().as_bytes()).unwrap();
    let again = of(&first.graphql.as_ref().unwrap().body).unwrap();
    assert_eq!((again.key, again.graphql), (first.key, first.graphql));
}

#[test]
fn equal_questions_have_one_key() {
    let plain = key(&asking("query Q { viewer { login } }"));
    for same in [
        r#"{"query":"query Q { viewer { login } }","operationName":"Q"}"#,
        r#"{"query":"query Q { viewer { login } }","operationName":null,"variables":null}"#,
        r#"{"variables":{},"query":"query Q{viewer{login}}"}"#,
        r##"{"query":"# mutation\n,query Q\t{\r\n viewer,{ login # }\n } },"}"##,
        r#"{"\u0071uery":"query \u0051 { viewer { login } }"}"#,
        r#"{"query":"mutation M { x } query Q { viewer { login } }","operationName":"Q"}"#,
    ] {
        assert_eq!(key(same.as_bytes()), plain, "{same}");
    }
    let with = |variables: &str| key(format!(r#"{{"query":"{{a}}","variables":{variables}}}"#).as_bytes());
    assert_eq!(with(r#"{"a":1,"b":{"c":2,"d":3}}"#), with(r#"{ "b": {"d":3, "c":2}, "a": 1 }"#));
}

#[test]
fn different_questions_have_different_keys() {
    let bodies = [
        r#"{"query":"{viewer{login}}"}"#,
        r#"{"query":"query Q{viewer{login}}"}"#,
        r#"{"query":"{viewer{login name}}"}"#,
        r#"{"query":"{viewer{name login}}"}"#,
        r#"{"query":"{viewer{a:login}}"}"#,
        r#"{"query":"{viewer{login}}","variables":{"a":1}}"#,
        r#"{"query":"{viewer{login}}","variables":{"a":"1"}}"#,
        r#"{"query":"{viewer{login}}","variables":{"a":[1]}}"#,
        r#"{"query":"{viewer{login}}","variables":{"a":null}}"#,
        r#"{"query":"{x(a:\"b c\")}"}"#,
        r#"{"query":"{x(a:\"b  c\")}"}"#,
        r#"{"query":"{x(a:\"b#c\")}"}"#,
    ];
    let keys: std::collections::BTreeSet<_> = bodies.iter().map(|body| key(body.as_bytes())).collect();
    assert_eq!(keys.len(), bodies.len());
    let rest = rest_read("/graphql-is-not-here", &[("authorization", "token ghp_x")]).key;
    assert!(!keys.contains(&rest));
}

#[test]
fn headers_that_change_the_answer_are_sent_and_keyed() {
    let base = [JSON_TYPE, ("authorization", "token ghp_x")];
    let with = |pair: Pair<'_>| {
        let pairs: Vec<_> = base.into_iter().chain([pair]).collect();
        let read = classified(&pairs, &asking("{a}")).unwrap();
        assert_eq!(read.upstream.get(pair.0).unwrap(), pair.1);
        read.key
    };
    let keys = [
        classified(&base, &asking("{a}")).unwrap().key,
        with(("graphql-features", "merge_queue")),
        with(("time-zone", "Asia/Tokyo")),
        with(("accept", "application/vnd.github.packages-preview+json")),
        with(("x-github-api-version", "2022-11-28")),
    ];
    assert_eq!(std::collections::BTreeSet::from(keys).len(), keys.len());
}

#[test]
fn threat_20_what_is_ambiguous_passes() {
    use NotRead::{Ambiguous, Fragments, Json, Operation, Syntax};
    for (body, why) in [
        (r#"{"query":"{a}","query":"mutation{b}"}"#, Ambiguous),
        (r#"{"query":"{a}","\u0071uery":"{b}"}"#, Ambiguous),
        (r#"{"query":"{a}","variables":{"x":{"y":1,"y":2}}}"#, Ambiguous),
        (r#"{"query":"{a}","variables":{"x":[{"y":1,"y":1}]}}"#, Ambiguous),
        (r#"[{"query":"{a}"}]"#, Ambiguous),
        (r#""{a}""#, Ambiguous),
        (r#"{"query":["{a}"]}"#, Ambiguous),
        (r#"{"query":null}"#, Ambiguous),
        (r#"{"variables":{}}"#, Ambiguous),
        (r#"{"query":"{a}","operationName":1}"#, Ambiguous),
        (r#"{"query":"{a}","operationName":""}"#, Ambiguous),
        (r#"{"query":"{a}","variables":"{}"}"#, Ambiguous),
        (r#"{"query":"{a}","variables":[]}"#, Ambiguous),
        (r#"{"query":"{a}","variables":{"x":1.0}}"#, Ambiguous),
        (r#"{"query":"{a}","variables":{"x":18446744073709551616}}"#, Ambiguous),
        (r#"{"query":"{a}","extensions":{}}"#, Ambiguous),
        (r#"{"query":"{a}","Query":"{a}"}"#, Ambiguous),
        (r#"{"query":"{a}"} {}"#, Json),
        (r#"{"query":"{a}""#, Json),
        (r#"{"query":"\ud800"}"#, Json),
        ("\u{feff}{\"query\":\"{a}\"}", Json),
        ("", Json),
        (r#"{"query":"query A{a} query B{b}"}"#, Operation),
        (r#"{"query":"query A{a} query B{b}","operationName":"C"}"#, Operation),
        (r#"{"query":"query A{a} query A{b}","operationName":"A"}"#, Operation),
        (r#"{"query":"query A{a} {b}","operationName":"A"}"#, Operation),
        (r#"{"query":"query A{a}","operationName":"B"}"#, Operation),
        (r#"{"query":"fragment F on X{a}"}"#, Fragments),
        (r#"{"query":"{a} fragment F on X{a}"}"#, Fragments),
        (r#"{"query":"{...F}"}"#, Fragments),
        (r#"{"query":"{...F} fragment F on X{...F}"}"#, Fragments),
        (r#"{"query":"{...F} fragment F on X{a{...G}} fragment G on X{...F}"}"#, Fragments),
        (r#"{"query":"{...F} fragment F on X{a} fragment F on X{b}"}"#, Fragments),
        (r#"{"query":"{a"}"#, Syntax),
        (r#"{"query":"{a}}"}"#, Syntax),
        (r#"{"query":"{}"}"#, Syntax),
        (r#"{"query":"{a(b:\"c)}"}"#, Syntax),
        (r#"{"query":"type T{a:Int}"}"#, Syntax),
        (r#"{"query":"{a} type T{a:Int}"}"#, Syntax),
        (r#"{"query":"MUTATION{a}"}"#, Syntax),
    ] {
        assert_eq!(of(body.as_bytes()).unwrap_err(), why, "{body}");
    }
    assert_eq!(of(b"{\"query\":\"{a(b:\\\"\xff\\\")}\"}").unwrap_err(), Json);
    assert_eq!(of(&asking("")).unwrap_err(), Syntax);
}

#[test]
fn trap_3_only_what_runs_counts() {
    let mutation = |body: &str| matches!(of(body.as_bytes()), Err(NotRead::Mutation(_)));
    for body in [
        r#"{"query":"mutation{a}"}"#,
        r##"{"query":"# query\n\n mutation M{a}"}"##,
        r#"{"query":"\u006dutation{a}"}"#,
        r#"{"query":"query Q{a} mutation M{b}","operationName":"M"}"#,
        r#"{"query":"fragment F on Mutation{a} mutation{...F}"}"#,
    ] {
        assert!(mutation(body), "{body}");
    }
    for query in ["{mutation}", "query mutation{a}", "{a(b:\"mutation{x}\")}", "#mutation{x}\n{a}"] {
        assert!(of(&asking(query)).is_ok(), "{query}");
    }
    assert_eq!(of(&asking("subscription{a}")).unwrap_err(), NotRead::Subscription);
}

#[test]
fn trap_3_who_asks_for_the_rate_limit_gets_github_s_own_answer() {
    for document in [
        "{rateLimit{cost}}",
        "{a:rateLimit{cost}}",
        "{a rateLimit(dryRun:true){cost}}",
        "{...F} fragment F on Query{...G} fragment G on Query{rateLimit{cost}}",
        "{... on Query{rateLimit{cost}}}",
        "query($x:Boolean!){rateLimit @include(if:$x){cost}}",
    ] {
        assert_eq!(of(&asking(document)).unwrap_err(), NotRead::RateLimit, "{document}");
    }
    assert!(of(&asking("{rateLimit:a b(c:\"rateLimit\")}")).is_ok());
}

#[test]
fn requests_that_are_no_reads_by_their_heads_pass() {
    let body = asking("{a}");
    let with = |pairs: &[Pair<'_>]| classified(pairs, &body).unwrap_err();
    assert_eq!(with(&[]), NotRead::ContentType);
    assert_eq!(with(&[("content-type", "application/x-www-form-urlencoded")]), NotRead::ContentType);
    assert_eq!(with(&[("content-type", "application/json; charset=utf-16")]), NotRead::ContentType);
    assert_eq!(with(&[JSON_TYPE, ("content-type", "text/plain")]), NotRead::ContentType);
    assert_eq!(with(&[JSON_TYPE, ("content-encoding", "gzip")]), NotRead::ContentType);
    assert_eq!(with(&[JSON_TYPE, ("cache-control", "no-store")]), NotRead::NoStore);
    for pair in [
        ("cookie", "a=b"),
        ("x-github-otp", "123456"),
        ("x-github-next-global-id", "1"),
        ("x-http-method-override", "PUT"),
        ("if-none-match", "*"),
        ("if-modified-since", "Sat, 21 Nov 2026 15:00:00 GMT"),
    ] {
        assert_eq!(with(&[JSON_TYPE, pair]), NotRead::Header(HeaderName::try_from(pair.0).unwrap()));
    }
    let twice = with(&[JSON_TYPE, ("graphql-features", "a"), ("graphql-features", "b")]);
    assert_eq!(twice, NotRead::Header(FEATURES));
    let elsewhere =
        |method: &Method, url: &str, mode| classified_as(method, url, &[JSON_TYPE], &body, mode).unwrap_err();
    assert_eq!(elsewhere(&Method::PUT, URL, Mode::Cache), NotRead::Method);
    assert_eq!(elsewhere(&Method::GET, URL, Mode::Cache), NotRead::Method);
    assert_eq!(elsewhere(&Method::POST, "/graphql?query=mutation", Mode::Cache), NotRead::UrlQuery);
    assert_eq!(elsewhere(&Method::POST, URL, Mode::Pass), NotRead::Mode);
}

#[test]
fn a_mutation_is_known_whatever_its_headers_say() {
    let mutated =
        classified(&[JSON_TYPE, ("x-github-otp", "1"), ("cache-control", "no-store")], &asking("mutation{a}"));
    assert!(matches!(mutated, Err(NotRead::Mutation(_))));
}

#[test]
fn a_body_that_is_too_large_passes() {
    let mut body = asking("{a}");
    body.resize(MAX_BODY_BYTES, b' ');
    assert!(of(&body).is_ok());
    body.push(b' ');
    assert_eq!(of(&body).unwrap_err(), NotRead::TooLarge);
}

#[test]
fn an_enterprise_server_s_graphql_is_its_own() {
    let body = asking("{a}");
    let pairs = [JSON_TYPE, ("authorization", "token ghp_x")];
    let here = classified_as(&Method::POST, "/api/graphql", &pairs, &body, Mode::Cache).unwrap();
    assert_eq!(here.key, classified(&pairs, &body).unwrap().key, "another spelling of the same place");
}

#[test]
fn only_whole_answers_in_json_without_errors_are_kept() {
    let read = of(&asking("{a}")).unwrap();
    let answer = headers(&[
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("x-ratelimit-remaining", "4999"),
        ("x-oauth-scopes", "repo"),
        ("link", "<https://api.github.com/graphql>; rel=next"),
    ]);
    let keep = storable(&read, StatusCode::OK, &answer).unwrap();
    assert_eq!(keep.headers, [("content-type".to_owned(), "application/json; charset=utf-8".to_owned())]);
    let html = headers(&[("content-type", "text/html")]);
    assert_eq!(storable(&read, StatusCode::OK, &html), Err(NotStored::ContentType));
    assert!(storable(&read, StatusCode::FORBIDDEN, &answer).is_err());
    for (body, kept) in [
        (r#"{"data":{"a":1}}"#, Ok(())),
        (r#"{"data":{"a":{"errors":[{"message":"a field"}]}},"extensions":{}}"#, Ok(())),
        (r#"{"data":{"a":1},"errors":[{"type":"NOT_FOUND"}]}"#, Err(NotKept::Errors)),
        (r#"{"errors":[{"type":"RATE_LIMITED"}]}"#, Err(NotKept::Errors)),
        (r#"{"data":{"a":1},"errors":[]}"#, Err(NotKept::Errors)),
        (r#"{"data":null}"#, Err(NotKept::NoData)),
        (r#"{"message":"secondary rate limit"}"#, Err(NotKept::NoData)),
        (r#"{"data":{"a":1},"data":null}"#, Err(NotKept::Malformed)),
        (r#"{"data":{"a":1}"#, Err(NotKept::Malformed)),
        ("[]", Err(NotKept::Malformed)),
        ("[{}, null]", Err(NotKept::Malformed)),
        ("", Err(NotKept::Malformed)),
    ] {
        assert_eq!(keepable(body.as_bytes()), kept, "{body}");
    }
}

#[test]
fn rest_plans_are_what_they_were() {
    let plan = plan(&Method::POST, URL, &[]).unwrap();
    assert!(matches!(plan, Plan::Pass(pass) if pass.reason == crate::PassReason::GraphQl));
    assert!(rest_read("/user", &[]).graphql.is_none());
}
