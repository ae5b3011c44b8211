#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::fixtures::read;
use ghmesh_model::limits;
use serde_json::json;

const HOST: &str = "api.github.com";

fn repository(full_name: &str) -> Value {
    json!({ "id": 12, "full_name": full_name, "url": format!("https://{HOST}/repos/{full_name}") })
}

fn made_stale(event: &str, payload: &Value) -> Vec<Scope> {
    let stale = WebhookEvent::read(event, payload.to_string().as_bytes()).unwrap().scopes(HOST);
    assert!(stale.len() <= limits::MAX_SCOPES);
    stale
}

/// What an event about `o/r` makes stale.
fn about(event: &str) -> Vec<Scope> {
    made_stale(event, &json!({ "repository": repository("o/r"), "action": "did" }))
}

fn hits(scopes: &[Scope], path: &str) -> bool {
    read(path, &[]).scopes().iter().any(|scope| scopes.contains(scope))
}

fn makes_stale(scopes: &[Scope], stale: &[&str], fresh: &[&str]) {
    stale.iter().for_each(|path| assert!(hits(scopes, path), "{path} stays fresh"));
    fresh.iter().for_each(|path| assert!(!hits(scopes, path), "{path} is stale"));
}

fn graphql(owner: &str, name: &str) -> [Scope; 2] {
    [invalidation::graphql_of_repository(HOST, owner, name), invalidation::graphql_without_repository(HOST)]
}

/// Each event reaches the GraphQL answers of its repository, and nothing of another.
fn stays_inside(scopes: &[Scope]) {
    assert!(graphql("O", "R").iter().all(|scope| scopes.contains(scope)));
    makes_stale(
        scopes,
        &[],
        &["/repos/o/s/issues", "/repos/o/s", "/repositories/13/commits", "/repos/p/r/actions/runs"],
    );
    assert!(!scopes.contains(&graphql("o", "s")[0]));
}

#[test]
fn push_create_and_delete_change_code() {
    let stale = [
        "/repos/o/r/git/ref/heads/main",
        "/repos/o/r/branches",
        "/repos/O/R/commits?sha=main",
        "/repos/o/r/contents/a?ref=main",
        "/repos/o/r/compare/a...b",
        "/repos/o/r/pulls/5",
        "/repos/o/r/tags",
        "/repos/o/r",
        "/repositories/12/commits?page=2",
        "/orgs/o/repos",
    ];
    for event in ["push", "create", "delete", "commit_comment"] {
        let scopes = about(event);
        makes_stale(&scopes, &stale, &["/repos/o/r/issues/5", "/repos/o/r/labels"]);
        stays_inside(&scopes);
    }
}

#[test]
fn issues_pull_requests_comments_labels_and_milestones_change_talk() {
    let stale = [
        "/repos/o/r/issues/5",
        "/repos/o/r/issues?state=open",
        "/repos/o/r/pulls",
        "/repos/o/r/pulls/5/reviews",
        "/repos/o/r/labels/bug",
        "/repos/o/r/milestones",
        "/repos/o/r/commits/abc/pulls",
        "/repositories/12/issues?page=2",
        "/issues",
        "/search/issues?q=x",
        "/repos/o/r",
    ];
    for event in [
        "issues",
        "issue_comment",
        "issue_dependencies",
        "label",
        "milestone",
        "pull_request",
        "pull_request_review",
        "pull_request_review_comment",
        "pull_request_review_thread",
        "sub_issues",
    ] {
        let scopes = about(event);
        makes_stale(
            &scopes,
            &stale,
            &["/repos/o/r/contents/a", "/repos/o/r/actions/runs", "/repos/o/r/git/ref/heads/main"],
        );
        stays_inside(&scopes);
    }
}

#[test]
fn checks_statuses_runs_jobs_and_deployments_change_checks() {
    let stale = [
        "/repos/o/r/commits/abc/check-runs",
        "/repos/o/r/commits/abc/status",
        "/repos/o/r/statuses/abc",
        "/repos/o/r/check-suites/1",
        "/repos/o/r/actions/runs",
        "/repos/o/r/actions/runs/7/jobs",
        "/repos/o/r/actions/jobs/9",
        "/repos/o/r/deployments",
        "/repositories/12/actions/runs?page=2",
    ];
    for event in [
        "check_run",
        "check_suite",
        "deployment",
        "deployment_protection_rule",
        "deployment_review",
        "deployment_status",
        "page_build",
        "status",
        "workflow_dispatch",
        "workflow_job",
        "workflow_run",
    ] {
        let scopes = about(event);
        makes_stale(
            &scopes,
            &stale,
            &[
                "/repos/o/r",
                "/repos/o/r/contents/a",
                "/repos/o/r/issues",
                "/orgs/o/repos",
                "/repos/o/r/git/ref/heads/main",
            ],
        );
        stays_inside(&scopes);
    }
}

#[test]
fn release_changes_releases() {
    let scopes = about("release");
    let stale = [
        "/repos/o/r/releases",
        "/repos/o/r/releases/latest",
        "/repos/o/r/releases/tags/v1",
        "/repositories/12/releases?page=2",
    ];
    makes_stale(&scopes, &stale, &["/repos/o/r/contents/a", "/repos/o/r/issues", "/repos/o/r"]);
    stays_inside(&scopes);
}

#[test]
fn discussions_change_themselves() {
    for event in ["discussion", "discussion_comment"] {
        makes_stale(&about(event), &["/repos/o/r/discussions"], &["/repos/o/r", "/repos/o/r/issues"]);
        stays_inside(&about(event));
    }
}

#[test]
fn alerts_and_keys_change_themselves() {
    for (event, area) in [
        ("code_scanning_alert", "code-scanning"),
        ("dependabot_alert", "dependabot"),
        ("repository_vulnerability_alert", "dependabot"),
        ("deploy_key", "keys"),
        ("secret_scanning_alert", "secret-scanning"),
        ("secret_scanning_alert_location", "secret-scanning"),
        ("secret_scanning_scan", "secret-scanning"),
    ] {
        makes_stale(&about(event), &[&format!("/repos/o/r/{area}")], &["/repos/o/r", "/repos/o/r/issues"]);
        stays_inside(&about(event));
    }
}

#[test]
fn projects_change_what_graphql_shows() {
    for event in ["projects_v2", "projects_v2_item", "projects_v2_status_update"] {
        let scopes = made_stale(event, &json!({ "organization": { "login": "o" } }));
        assert_eq!(scopes, [invalidation::graphql_of_host(HOST)]);
    }
}

#[test]
fn stars_watchers_and_forks_change_the_repository_s_own_object() {
    for event in ["fork", "star", "watch"] {
        let scopes = about(event);
        let stale =
            ["/repos/o/r", "/repos/o/r/stargazers", "/repos/o/r/subscribers", "/repos/o/r/forks", "/orgs/o/repos"];
        makes_stale(&scopes, &stale, &["/repos/o/r/issues", "/repos/o/r/contents/a"]);
        stays_inside(&scopes);
    }
}

#[test]
fn who_may_read_a_repository_ends_every_proof_of_it() {
    let stale = [
        "/repos/o/r",
        "/repos/o/r/contents/a",
        "/repos/o/r/issues/5",
        "/repositories/12",
        "/user/repos",
        "/orgs/o/repos",
    ];
    for (event, action) in [
        ("public", ""),
        ("member", "removed"),
        ("repository", "created"),
        ("repository", "edited"),
        ("repository", "privatized"),
        ("repository", "publicized"),
        ("repository", "archived"),
        ("repository", "deleted"),
    ] {
        let scopes = made_stale(event, &json!({ "repository": repository("o/r"), "action": action }));
        makes_stale(&scopes, &stale, &["/repos/o/s/contents/a", "/repos/p/r"]);
        assert!(graphql("o", "r").iter().all(|scope| scopes.contains(scope)), "{event}");
    }
}

#[test]
fn a_repository_that_moves_has_two_names() {
    let renamed = json!({ "action": "renamed", "repository": repository("o/new"), "changes": { "repository": { "name": { "from": "old" } } } });
    let user = json!({ "action": "transferred", "repository": repository("new/r"), "changes": { "owner": { "from": { "user": { "login": "old" } } } } });
    let organization = json!({ "action": "transferred", "repository": repository("new/r"), "changes": { "owner": { "from": { "organization": { "login": "old" } } } } });
    for (payload, names) in
        [(renamed, ["o/old", "o/new"]), (user, ["old/r", "new/r"]), (organization, ["old/r", "new/r"])]
    {
        let scopes = made_stale("repository", &payload);
        assert!(!scopes.contains(&invalidation::host_scope(HOST)));
        for full_name in names {
            let (owner, name) = full_name.split_once('/').unwrap();
            let own = [
                format!("/repos/{full_name}"),
                format!("/repos/{full_name}/contents/a"),
                format!("/users/{owner}/repos"),
            ];
            makes_stale(&scopes, &own.each_ref().map(String::as_str), &["/repos/o/other"]);
            assert!(graphql(owner, name).iter().all(|scope| scopes.contains(scope)));
        }
    }
}

#[test]
fn members_teams_organisations_and_installations_end_proofs_of_the_account() {
    let organization = json!({ "organization": { "login": "o", "url": format!("https://{HOST}/orgs/o") } });
    let installation = json!({ "installation": { "id": 1, "account": { "login": "O" } } });
    let stale = [
        "/repos/o/r",
        "/repos/o/s/contents/a",
        "/orgs/o/members",
        "/user/repos",
        "/repositories/12/issues",
        "/installation/repositories",
        "/teams/1",
    ];
    for event in [
        "installation",
        "installation_repositories",
        "installation_target",
        "membership",
        "org_block",
        "organization",
        "personal_access_token_request",
        "team",
        "team_add",
    ] {
        for payload in [&organization, &installation] {
            let scopes = made_stale(event, payload);
            makes_stale(&scopes, &stale, &["/repos/p/r", "/orgs/p"]);
            assert!(scopes.contains(&invalidation::graphql_of_host(HOST)), "{event}");
        }
    }
    let team =
        json!({ "organization": { "login": "o" }, "repository": repository("p/q"), "action": "added_to_repository" });
    makes_stale(&made_stale("team", &team), &["/repos/p/q/contents/a", "/orgs/o/teams"], &[]);
}

#[test]
fn a_revoked_authorization_ends_every_proof() {
    let scopes = made_stale("github_app_authorization", &json!({ "action": "revoked", "sender": { "login": "x" } }));
    assert_eq!(scopes, [invalidation::host_scope(HOST)]);
}

#[test]
fn events_that_change_nothing_do_nothing() {
    for event in ["ping", "meta", "gollum", "marketplace_purchase", "security_advisory", "sponsorship"] {
        assert_eq!(about(event), [], "{event}");
    }
}

#[test]
fn an_unknown_event_changes_the_repository_that_it_names_or_nothing() {
    for event in ["branch_protection_rule", "something_new", ""] {
        makes_stale(
            &about(event),
            &["/repos/o/r", "/repos/o/r/issues", "/repos/o/r/contents/a", "/repositories/12/x"],
            &["/repos/o/s"],
        );
        assert!(graphql("o", "r").iter().all(|scope| about(event).contains(scope)));
        assert_eq!(made_stale(event, &json!({ "organization": { "login": "o" } })), []);
    }
}

#[test]
fn what_doesn_t_fit_counts_as_absent() {
    for payload in [
        json!({}),
        json!({ "repository": 5, "changes": [] }),
        json!({ "repository": { "full_name": "nobody", "id": 1 } }),
        json!({ "repository": null, "organization": "o", "installation": { "account": null } }),
    ] {
        for event in ["push", "repository", "installation"] {
            assert_eq!(made_stale(event, &payload), [], "{payload}");
        }
    }
    let odd = json!({ "repository": repository("o/r"), "changes": { "owner": 1, "repository": "x", "title": { "from": "y" } } });
    makes_stale(&made_stale("issues", &odd), &["/repos/o/r/issues"], &[]);
    for body in [&b"[]"[..], b"", b"null", b"{", b"payload=%7B%7D", b"{\"repository\":{},\"repository\":{}}"] {
        assert!(WebhookEvent::read("push", body).is_err(), "{}", String::from_utf8_lossy(body));
    }
    let deep = format!("{{\"x\":{}", "[".repeat(100_000));
    assert!(WebhookEvent::read("push", deep.as_bytes()).is_err());
}

#[test]
fn an_event_says_which_api_it_is_from() {
    let host = |payload: Value| WebhookEvent::read("push", payload.to_string().as_bytes()).unwrap().host();
    assert_eq!(host(json!({ "repository": repository("o/r") })).as_deref(), Some(HOST));
    let sender = json!({ "sender": { "url": "https://GHE.example:8443/api/v3/users/x" } });
    assert_eq!(host(sender).as_deref(), Some("ghe.example:8443"));
    let push = json!({ "repository": { "url": "https://github.com/o/r" }, "sender": { "url": format!("https://{HOST}/users/x") } });
    assert_eq!(host(push).as_deref(), Some(HOST));
    assert_eq!(host(json!({ "repository": { "url": "nonsense" } })), None);
    assert_eq!(host(json!({})), None);
}

#[test]
fn an_event_is_about_its_own_api_or_about_all_where_nobody_knows() {
    let hosts = ["api.github.com".to_owned(), "ghe.example".to_owned()];
    let origins = Origins::new(&hosts, None, Vec::new()).unwrap();
    let stale = |sender: &str| {
        let payload = json!({ "repository": { "full_name": "o/r", "id": 1 }, "sender": { "url": sender } });
        let event = WebhookEvent::read("release", payload.to_string().as_bytes()).unwrap();
        event.stale(&origins)
    };
    let releases = |host: &str| Scope::of(host, "/repos/o/r/releases");
    for (sender, github, server) in [
        ("https://api.github.com/users/x", true, false),
        ("https://ghe.example/api/v3/users/x", false, true),
        ("https://elsewhere.example/users/x", true, true),
        ("", true, true),
    ] {
        let scopes = stale(sender);
        let named = (scopes.contains(&releases("api.github.com")), scopes.contains(&releases("ghe.example")));
        assert_eq!(named, (github, server), "{sender}");
    }
    let one = Origins::new(&[], Some("http://127.0.0.1:8080"), Vec::new()).unwrap();
    let payload = json!({ "repository": { "full_name": "o/r", "url": "https://api.github.com/repos/o/r" } });
    let event = WebhookEvent::read("release", payload.to_string().as_bytes()).unwrap();
    assert!(event.stale(&one).contains(&releases("127.0.0.1:8080")), "api.github.com is another name of it");
}

#[test]
fn threat_21_a_delivery_counts_once_whatever_its_headers_say() {
    let mut deliveries = Deliveries::default();
    assert!(deliveries.is_new(b"one"));
    assert!(!deliveries.is_new(b"one"));
    assert!(deliveries.is_new(b"two"));
    assert!(!deliveries.is_new(b"one"));
}

#[test]
fn threat_21_deliveries_are_bounded_and_the_oldest_goes_first() {
    let mut deliveries = Deliveries::default();
    for number in 0..=MAX_DELIVERIES {
        assert!(deliveries.is_new(&number.to_be_bytes()));
    }
    assert_eq!((deliveries.seen.len(), deliveries.order.len()), (MAX_DELIVERIES, MAX_DELIVERIES));
    assert!(!deliveries.is_new(&1usize.to_be_bytes()));
    assert!(deliveries.is_new(&0usize.to_be_bytes()));
}
