//! What queries belong to, what mutations and writes change.

use super::*;
use crate::invalidation::{Denial, node_scope};

fn pulls(owner: &str, repo: &str) -> Arc<GraphQlRead> {
    asked(PULLS, json!({ "owner": owner, "repo": repo }))
}

fn everything() -> Vec<Scope> {
    vec![invalidation::host_scope(HOST)]
}

fn touched(body: &[u8], answer: Option<&[u8]>) -> Vec<Scope> {
    let pass = pass(&Method::POST, URL, &[JSON_TYPE]);
    of(body).unwrap_err().touched(&pass.target, body, answer)
}

fn meet(one: &[Scope], other: &[Scope]) -> bool {
    one.iter().any(|scope| other.contains(scope))
}

/// Whether a REST write makes the answer to a query stale.
fn hits(write: &str, asked: &GraphQlRead) -> bool {
    let (method, uri) = write.split_once(' ').unwrap();
    meet(&pass(&Method::from_bytes(method.as_bytes()).unwrap(), uri, &[]).invalidates, &asked.scopes(HOST))
}

#[test]
fn an_answer_belongs_to_the_repositories_that_its_query_names() {
    let scopes = pulls("O", "r").scopes(HOST);
    for scope in [
        invalidation::host_scope(HOST),
        invalidation::graphql_of_host(HOST),
        invalidation::graphql_of_repository(HOST, "o", "R"),
        Scope::of(HOST, "/repos"),
        Scope::of(HOST, "/repos/o"),
        Scope::of(HOST, "/repos/o/r"),
        Scope::of(HOST, "/orgs/o"),
    ] {
        assert!(scopes.contains(&scope));
    }
    assert!(!scopes.contains(&invalidation::graphql_without_repository(HOST)));
    assert!(!scopes.contains(&invalidation::graphql_of_repository(HOST, "o", "s")));
}

#[test]
fn repositories_are_named_by_literals_variables_and_defaults() {
    let named = |document: &str, variables| {
        let asked = asked(document, variables);
        asked.repositories().map(|(owner, name)| format!("{owner}/{name}")).collect::<Vec<_>>()
    };
    let by = json!({ "o": "me", "n": "mine" });
    let none: [&str; 0] = [];
    assert_eq!(named("{repository(owner:\"o\",name:\"r\"){id}}", json!({})), ["o/r"]);
    assert_eq!(named("{repository(owner:\"\\u006f\",name:\"\"\"r\"\"\"){id}}", json!({})), ["o/r"]);
    assert_eq!(named("query($o:String!,$n:String!){repository(owner:$o,name:$n){id}}", by.clone()), ["me/mine"]);
    assert_eq!(named("query($n:String=\"d\"){repository(owner:\"o\",name:$n){id}}", json!({})), ["o/d"]);
    assert_eq!(named("query($n:String=\"d\"){repository(owner:\"o\",name:$n){id}}", json!({ "n": null })), none);
    assert_eq!(named("query($n:String){repository(owner:\"o\",name:$n){id}}", json!({})), none);
    assert_eq!(
        named("{a:repository(owner:\"o\",name:\"a\"){id} b:repository(owner:\"o\",name:\"b\"){id}}", by),
        ["o/a", "o/b"]
    );
    assert_eq!(named("{organization(login:\"o\"){repository(name:\"r\"){id}}}", json!({})), ["o/r"]);
    assert_eq!(named("{...F} fragment F on Query{repository(owner:\"o\",name:\"r\"){id}}", json!({})), ["o/r"]);
    assert_eq!(named("{repository(owner:\"o\",name:\"r\"){ref(qualifiedName:\"x\"){name}}}", json!({})), ["o/r"]);
}

#[test]
fn a_query_that_may_show_any_repository_belongs_to_all() {
    let open = |document: &str| {
        let scopes = asked(document, json!({})).scopes(HOST);
        scopes.contains(&invalidation::graphql_without_repository(HOST))
    };
    for document in [
        "{viewer{repositories(first:9){nodes{name}}}}",
        "{search(query:\"x\",type:ISSUE,first:9){issueCount}}",
        "{node(id:\"I_x\"){id}}",
        "{repository(owner:\"o\",name:\"r\"){id} viewer{login}}",
        "{organization(login:\"o\"){repository(name:\"r\"){id}}}",
        "{...F} fragment F on Query{repository(owner:\"o\",name:\"r\"){id}}",
        "query($n:String!){repository(owner:\"o\",name:$n){id}}",
        "{a:repository(owner:\"o\",name:\"a\"){id} b:repository(owner:\"o\",name:\"b\"){id} c:repository(owner:\"o\",name:\"c\"){id} d:repository(owner:\"o\",name:\"d\"){id} e:repository(owner:\"o\",name:\"e\"){id}}",
    ] {
        assert!(open(document), "{document}");
    }
    for document in ["{repository(owner:\"o\",name:\"r\"){id} __typename}", "{__schema{types{name}}}"] {
        assert!(!open(document), "{document}");
    }
}

#[test]
fn the_most_that_a_query_can_name_fits_an_entry() {
    let ids: Vec<_> = (0..50).map(|number| format!("I_{number}")).collect();
    let repository = |number| {
        format!("r{number}:repository(owner:\"o{number}\",name:\"r\"){{id}} u{number}:user(login:\"u{number}\"){{id}}")
    };
    let document: String = (0..50).map(repository).collect();
    let scopes =
        asked(&format!("query($ids:[ID!]!){{nodes(ids:$ids){{id}} {document}}}"), json!({ "ids": ids })).scopes(HOST);
    assert!(scopes.len() <= limits::MAX_SCOPES, "{}", scopes.len());
    assert!(scopes.contains(&invalidation::graphql_without_repository(HOST)));
}

#[test]
fn node_ids_in_arguments_are_scopes() {
    for (document, variables) in [
        ("{node(id:\"I_kwDO1\"){id}}", json!({})),
        ("query($x:ID!){node(id:$x){id}}", json!({ "x": "I_kwDO1" })),
        ("query($x:[ID!]!){nodes(ids:$x){id}}", json!({ "x": ["I_kwDO0", "I_kwDO1"] })),
        ("query($x:ID!){nodes(ids:[$x]){id}}", json!({ "x": "I_kwDO1" })),
    ] {
        assert!(asked(document, variables).scopes(HOST).contains(&node_scope(HOST, "I_kwDO1")), "{document}");
    }
}

#[test]
fn a_rest_write_makes_graphql_answers_stale() {
    let (named, other) = (pulls("o", "r"), pulls("o", "s"));
    let open = asked("{viewer{login}}", json!({}));
    for write in [
        "PATCH /repos/o/r/issues/5",
        "POST /repos/O/R/issues/5/comments",
        "PUT /repos/o/r/contents/a",
        "POST /repos/o/r/statuses/abc",
        "POST /repos/o/r/actions/runs/1/rerun",
        "PATCH /repos/o/r",
        "PUT /repos/o/r/subscription",
        "PUT /repos/o/r/anything-new",
    ] {
        assert!(hits(write, &named) && hits(write, &open) && !hits(write, &other), "{write}");
    }
    for write in
        ["PATCH /repositories/12/issues/5", "PUT /user/starred/o/r", "POST /gists", "PATCH /orgs/o", "PUT /new"]
    {
        assert!(hits(write, &named) && hits(write, &open) && hits(write, &other), "{write}");
    }
    for write in
        ["DELETE /repos/o/r/actions/runners/1", "POST /orgs/o/actions/runners/generate-jitconfig", "POST /markdown"]
    {
        assert!(!hits(write, &named) && !hits(write, &open), "{write}");
    }
}

#[test]
fn a_mutation_changes_what_its_answer_names() {
    let close = json!({
        "query": "mutation M($input: CloseIssueInput!) { closeIssue(input: $input) { issue { id url } } }",
        "variables": { "input": { "issueId": "I_kwDO1" } },
    });
    let answer = br#"{"data":{"closeIssue":{"issue":{"id":"I_kwDO2","url":"https://github.com/o/r/issues/5"}}}}"#;
    let changed = touched(close.to_string().as_bytes(), Some(answer));
    for scope in [
        node_scope(HOST, "I_kwDO1"),
        node_scope(HOST, "I_kwDO2"),
        Scope::of(HOST, "/repos/o/r"),
        Scope::of(HOST, "/issues#self"),
        invalidation::graphql_of_repository(HOST, "o", "r"),
        invalidation::graphql_without_repository(HOST),
    ] {
        assert!(changed.contains(&scope));
    }
    assert!(!changed.contains(&invalidation::host_scope(HOST)) && changed.len() <= limits::MAX_SCOPES);
    assert!(meet(&changed, &pulls("o", "r").scopes(HOST)) && !meet(&changed, &pulls("o", "s").scopes(HOST)));
    assert!(meet(&changed, &rest_read("/repos/o/r/issues/5", &[]).scopes()));
    assert!(meet(&changed, &rest_read("/repositories/12/issues?page=2", &[]).scopes()));
}

#[test]
fn answers_name_repositories_in_several_ways() {
    let add = asking("mutation{x:addComment(input:{subjectId:\"I_1\"}){subject{id}}}");
    for answer in [
        r#"{"data":{"x":{"subject":{"repository":{"nameWithOwner":"o/r"}}}}}"#,
        r#"{"data":{"x":{"subject":{"resourcePath":"/o/r/issues/5"}}}}"#,
        r#"{"data":{"x":{"commentEdge":{"node":{"url":"https://github.com/O/R/issues/5#issuecomment-1"}}}}}"#,
    ] {
        let changed = touched(&add, Some(answer.as_bytes()));
        assert!(changed.contains(&Scope::of(HOST, "/repos/o/r")), "{answer}");
        assert!(changed.contains(&node_scope(HOST, "I_1")));
    }
}

#[test]
fn a_mutation_that_can_t_be_placed_changes_everything() {
    let named = br#"{"data":{"a":{"url":"https://github.com/o/r"},"closeIssue":{"url":"https://github.com/o/r"}}}"#;
    let close = asking("mutation{closeIssue(input:{issueId:\"I_1\"}){issue{url}}}");
    assert_ne!(touched(&close, Some(named)), everything());
    for (body, answer) in [
        (&close, None),
        (&close, Some(&br#"{"data":null,"errors":[{"message":"?"}]}"#[..])),
        (&close, Some(&br#"{"data":{"closeIssue":null}}"#[..])),
        (&close, Some(&br#"{"data":{"closeIssue":{"clientMutationId":null}}}"#[..])),
        (&close, Some(&br#"{"data":{"closeIssue":{"issue":{"author":{"url":"https://github.com/x"}}}}}"#[..])),
        (&close, Some(&b"<html>"[..])),
        (&asking("mutation{a:updateRepository(input:{}){repository{url}}}"), Some(&named[..])),
        (&asking("mutation{closeIssue(input:{}){issue{url}} a:transferIssue(input:{}){issue{url}}}"), Some(&named[..])),
        (&asking("mutation{...F} fragment F on Mutation{closeIssue(input:{}){issue{url}}}"), Some(&named[..])),
    ] {
        assert_eq!(touched(body, answer), everything(), "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn what_can_t_be_read_changes_everything_if_it_mentions_a_mutation() {
    for body in
        [&b"[{\"query\":\"mutation{a}\"}]"[..], b"{\"query\":\"{a}\",\"query\":\"\\u006dutation{b}\"}", b"mutation"]
    {
        assert_eq!(touched(body, None), everything());
    }
    for body in
        [&b"[{\"query\":\"{a}\"}]"[..], b"", b"{\"query\":\"{rateLimit{cost}}\"}", b"{\"query\":\"subscription{a}\"}"]
    {
        assert_eq!(touched(body, None), []);
    }
}

#[test]
fn threat_8_errors_that_deny_take_back_what_the_query_names() {
    let asked = pulls("o", "r");
    let answer = br#"{"data":{"repository":null},"errors":[{"type":"NOT_FOUND","path":["repository"],"message":"?"}]}"#;
    let Denial::Scopes(scopes) = denial(&asked, HOST, answer) else { panic!("denies nothing") };
    assert!(meet(&scopes, &rest_read("/repos/o/r/issues", &[]).scopes()));
    assert!(meet(&scopes, &rest_read("/repositories/12/issues", &[]).scopes()));
    assert!(scopes.contains(&invalidation::graphql_without_repository(HOST)));
    for answer in
        [&br#"{"errors":[{"type":"RATE_LIMITED"}]}"#[..], br#"{"errors":[{"message":"?"}]}"#, br#"{"data":{}}"#, b""]
    {
        assert_eq!(denial(&asked, HOST, answer), Denial::None);
        assert_eq!(is_limited(answer), answer.windows(12).any(|word| word == b"RATE_LIMITED"));
    }
}

#[test]
fn threat_8_a_denial_over_rest_takes_back_graphql_answers() {
    let target = rest_read("/repos/o/r/issues", &[]).target;
    let Denial::Scopes(scopes) = invalidation::denial(&target, StatusCode::NOT_FOUND, &HeaderMap::new()) else {
        panic!("denies nothing")
    };
    assert!(meet(&scopes, &pulls("o", "r").scopes(HOST)));
    assert!(meet(&scopes, &asked("{viewer{repositories(first:9){nodes{name}}}}", json!({})).scopes(HOST)));
    assert!(!meet(&scopes, &pulls("o", "s").scopes(HOST)));
}
