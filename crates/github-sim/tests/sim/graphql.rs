//! GraphQL as clients send it.

use ghmesh_github_sim::tokens::{ALICE, BOB, INSTALLATION};
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Case, header};

async fn query(case: &Case, token: &str, query: &str, variables: Value) -> Value {
    let (status, answer) =
        case.send(Method::POST, "/graphql", token, json!({"query": query, "variables": variables})).await;
    assert_eq!(status, 200);
    answer
}

#[tokio::test]
async fn aliases_fragments_and_variables_shape_the_answer() {
    let case = Case::new().await;
    let text = "fragment who on User { login } query Q($n: Int = 2, $bodies: Boolean!) { me: viewer { ...who } \
                repository(owner: \"octo\", name: \"hello\") { issues(first: $n, states: OPEN, orderBy: {field: CREATED_AT, direction: DESC}) \
                { totalCount nodes { number ...on Node { id } author { ...who ...on Organization { id } } body @include(if: $bodies) } \
                pageInfo { hasNextPage } } } }";
    let answer = query(&case, ALICE, text, json!({"bodies": false})).await;
    assert_eq!(answer["data"]["me"], json!({"login": "alice"}));
    let issues = &answer["data"]["repository"]["issues"];
    assert_eq!((issues["totalCount"].as_u64(), issues["pageInfo"]["hasNextPage"].as_bool()), (Some(130), Some(true)));
    assert_eq!(issues["nodes"][0]["number"], 150);
    let fields: Vec<&String> = issues["nodes"][0].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["number", "id", "author"]);
}

#[tokio::test]
async fn what_one_may_not_see_is_not_found() {
    let case = Case::new().await;
    let text = "{ repository(owner: \"octo\", name: \"secret\") { name } viewer { login } }";
    let seen = query(&case, ALICE, text, json!({})).await;
    assert_eq!(seen["data"]["repository"]["name"], "secret");
    let hidden = query(&case, BOB, text, json!({})).await;
    assert_eq!(hidden["data"], json!({"repository": null, "viewer": {"login": "bob"}}));
    assert_eq!(
        (hidden["errors"][0]["type"].as_str(), &hidden["errors"][0]["path"]),
        (Some("NOT_FOUND"), &json!(["repository"]))
    );
}

#[tokio::test]
async fn a_query_that_does_not_fit_has_errors_and_no_data() {
    let case = Case::new().await;
    for text in [
        "{ nonsense }",
        "{ viewer }",
        "{ viewer { login",
        "subscription { x }",
        "{ ...missing }",
        "query A { viewer { login } } query B { viewer { id } }",
        "fragment f on Query { ...f } { ...f }",
    ] {
        let answer = query(&case, ALICE, text, json!({})).await;
        assert!(answer.get("data").is_none() && answer["errors"][0]["message"].is_string(), "{text}: {answer}");
    }
}

#[tokio::test]
async fn an_issue_is_created_and_read_back() {
    let case = Case::new().await;
    let repository = query(&case, ALICE, "{ repository(owner: \"octo\", name: \"hello\") { id } }", json!({})).await;
    let input = json!({"input": {"repositoryId": repository["data"]["repository"]["id"], "title": "By mutation"}});
    let text =
        "mutation IssueCreate($input: CreateIssueInput!) { createIssue(input: $input) { issue { id number url } } }";
    let created = query(&case, ALICE, text, input).await;
    let issue = &created["data"]["createIssue"]["issue"];
    assert_eq!(case.json(&format!("/repos/octo/hello/issues/{}", issue["number"]), BOB).await["title"], "By mutation");
    let input = json!({"input": {"issueId": issue["id"], "stateReason": "NOT_PLANNED"}});
    let text = "mutation($input: CloseIssueInput!) { closeIssue(input: $input) { issue { state stateReason } } }";
    let refused = query(&case, BOB, text, input.clone()).await;
    assert_eq!(refused["errors"][0]["type"], "FORBIDDEN");
    let closed = query(&case, ALICE, text, input).await;
    assert_eq!(closed["data"]["closeIssue"]["issue"], json!({"state": "CLOSED", "stateReason": "NOT_PLANNED"}));
    let operations: Vec<Option<String>> = case.sim.counters().log.iter().map(|call| call.operation.clone()).collect();
    assert_eq!(operations[1].as_deref(), Some("mutation IssueCreate"));
    assert_eq!(operations[2], None, "a REST call");
}

#[tokio::test]
async fn a_query_costs_points_by_the_connections_that_it_walks() {
    let case = Case::new().await;
    let dear = "{ rateLimit { cost nodeCount } viewer { repositories(first: 100) { nodes { issues(first: 100) { nodes { \
                labels(first: 2) { nodes { name } } } } } } } }";
    let answer = query(&case, ALICE, dear, json!({})).await;
    assert_eq!(answer["data"]["rateLimit"], json!({"cost": 101, "nodeCount": 100 + 10_000 + 20_000}));
    let limits = case.json("/rate_limit", ALICE).await;
    assert_eq!(limits["resources"]["graphql"]["used"], 101);
}

#[tokio::test]
async fn graphql_has_its_own_budget_and_says_so_in_a_200() {
    let case = Case::new().await;
    let text = "{ rateLimit { limit remaining cost } }";
    let first = query(&case, INSTALLATION, text, json!({})).await;
    assert_eq!(first["data"]["rateLimit"], json!({"limit": 5000, "remaining": 4999, "cost": 1}));
    case.sim.set_remaining(INSTALLATION, "graphql", 0).unwrap();
    let limited = query(&case, INSTALLATION, text, json!({})).await;
    assert_eq!(limited["errors"][0]["type"], "RATE_LIMITED");
    assert_eq!(case.get("/repos/octo/hello", INSTALLATION).await.status(), 200);
    let request = case.client.post(format!("{}/api/graphql", case.sim.url())).body(json!({"query": text}).to_string());
    let answer = request.header("authorization", format!("bearer {ALICE}")).send().await.unwrap();
    assert_eq!((header(&answer, "x-ratelimit-resource"), header(&answer, "etag")), ("graphql", ""));
    let (status, _) = case.send(Method::POST, "/graphql", "", json!({"query": text})).await;
    assert_eq!(status, 403, "no anonymous budget");
}
