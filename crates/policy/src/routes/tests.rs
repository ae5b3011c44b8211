#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::fixtures::{CONFIRMED, read};
use proptest::prelude::*;

const SHA: &str = "0123456789abcdef0123456789ABCDEF01234567";
const SHA_256: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn seconds(path: &str) -> u64 {
    Route::of(&read(path, &[]).target).ttl.as_secs()
}

fn is_immutable(path: &str) -> bool {
    let target = read(path, &[]).target;
    Route::of(&target).is_immutable(&target)
}

#[test]
fn routes_have_their_own_times() {
    for (path, wanted) in [
        ("/repos/o/r", 300),
        ("/orgs/o/repos?page=2", 300),
        ("/user/repos", 300),
        ("/repos/o/r/actions/runs?status=queued", 60),
        ("/repos/o/r/actions/runners", 30),
        ("/orgs/o/actions/runners", 30),
        ("/repos/o/r/issues", 120),
        ("/repos/o/r/issues/5", 120),
        ("/repos/o/r/pulls/5", 120),
        ("/repos/o/r/commits/main/check-runs", 60),
        ("/repos/o/r/commits/feature/x", 60),
        ("/repos/o/r/contents/a/b.txt", 300),
        ("/repos/o/r/contents", 300),
        ("/repos/o/r/releases", 300),
        ("/repos/o/r/releases/latest", 300),
        ("/repos/o/r/releases/tags/v1/rc", 3600),
        ("/repos/o/r/something-new", 60),
        ("/meta", 60),
    ] {
        assert_eq!(seconds(path), wanted, "{path}");
    }
    assert_eq!(Route::at("/rate_limit").ttl, Duration::ZERO);
    assert_eq!(Route::at("").template, "");
}

#[test]
fn ids_letter_case_and_encoding_make_no_difference() {
    for (path, template) in [
        ("/repositories/12/issues", "/repos/{owner}/{repo}/issues"),
        ("/repositories/12/issues/5", "/repos/{owner}/{repo}/issues/{number}"),
        ("/repositories/12", "/repos/{owner}/{repo}"),
        ("/organizations/9/repos", "/orgs/{org}/repos"),
        ("/organizations/9/team/4/members", "/orgs/{org}/teams/{team}/members"),
        ("/user/7/repos", "/users/{username}/repos"),
        ("/user/repos", "/user/repos"),
        ("/REPOS/O/R/Issues", "/repos/{owner}/{repo}/issues"),
        ("/repos/o/r/%69ssues/", "/repos/{owner}/{repo}/issues"),
        ("//repos/o/r//issues", "/repos/{owner}/{repo}/issues"),
        ("/repositories", "/repositories"),
    ] {
        assert_eq!(Route::at(path).template, template, "{path}");
    }
}

#[test]
fn only_a_whole_hash_makes_an_answer_immutable() {
    for path in [
        format!("/repos/o/r/git/blobs/{SHA}"),
        format!("/repos/o/r/git/trees/{SHA}?recursive=1"),
        format!("/repos/o/r/git/commits/{SHA_256}"),
        format!("/repositories/12/git/tags/{SHA}"),
        format!("/repos/o/r/commits/{SHA}"),
        format!("/repos/o/r/compare/{SHA}...{SHA}"),
        format!("/repos/o/r/contents/a/b.txt?ref={SHA}"),
        format!("/repos/o/r/readme?ref={SHA}"),
    ] {
        assert!(is_immutable(&path), "{path}");
    }
    for path in [
        "/repos/o/r/git/trees/main".to_owned(),
        format!("/repos/o/r/git/blobs/{}", &SHA[1..]),
        format!("/repos/o/r/git/blobs/{}g", &SHA[1..]),
        format!("/repos/o/r/commits/{}", &SHA[..7]),
        format!("/repos/o/r/commits/{SHA_256}"),
        format!("/repos/o/r/commits/feature/{SHA}"),
        format!("/repos/o/r/commits/feature%2F{SHA}"),
        format!("/repos/o/r/commits/{SHA}/status"),
        format!("/repos/o/r/compare/main...{SHA}"),
        format!("/repos/o/r/compare/{SHA}..{SHA}"),
        format!("/repos/o/r/compare/x:{SHA}...{SHA}"),
        format!("/repos/o/r/contents/{SHA}"),
        "/repos/o/r/contents/a?ref=main".to_owned(),
        format!("/repos/o/r/contents/a?ref={SHA}&ref=main"),
        format!("/repos/o/r/contents/a?ref={SHA}&%72ef=main"),
        format!("/repos/o/r/contents/a?ref={SHA}&ref[]=main"),
        format!("/repos/o/r/contents/a?Ref={SHA}"),
        format!("/repos/o/r/issues/{SHA}"),
    ] {
        assert!(!is_immutable(&path), "{path}");
    }
}

#[test]
fn what_depends_on_who_asks_is_never_taken_for_anything_else() {
    for path in [
        "/user",
        "/user/emails",
        "/%75ser",
        "/USER",
        "/notifications",
        "/issues",
        "/orgs/o",
        "/users/x/starred",
        "/users/x/repos",
        "/installation/repositories",
        "/repos/o/r",
        "/repositories/12",
        "/repos/o/r/forks",
        "/repos/o/r/releases",
        "/repos/o/r/issues/5/timeline",
        "/repos/o/r/contents/a",
        "/repos/o/r/pulls",
        "/search/code",
        "/search/repositories",
        "/repos/o/r/something-new",
        "/something/new",
        "/graphql",
    ] {
        assert!(Route::at(path).who_dependent, "{path}");
    }
    for path in ["/repos/o/r/issues/5", "/repos/o/r/actions/runs", "/repos/o/r/commits", "/gists/public"] {
        assert!(!Route::at(path).who_dependent, "{path}");
    }
}

#[test]
fn lists_say_how_they_are_written() {
    assert_eq!(Route::at("/repos/o/r/issues").list, List::Array);
    assert_eq!(Route::at("/repos/o/r/actions/runs").list, List::Wrapped("workflow_runs"));
    assert_eq!(Route::at("/repos/o/r/issues/5").list, List::No);
    assert_eq!(Route::at("/repos/o/r/contents/a").list, List::No, "it may be a file");
}

/// The moment at which GitHub sent the bodies below: 2023-11-14T22:13:20Z.
const SENT: u64 = CONFIRMED.0 / 1000;

fn lifetime(path: &str, body: &str) -> Duration {
    let route = Route::at(path);
    route.lifetime(settled(route, body.as_bytes(), SENT))
}

#[test]
fn a_body_may_say_that_it_is_over() {
    let job = |status: &str, completed: &str| format!(r#"{{"status":"{status}","completed_at":"{completed}"}}"#);
    let jobs = |total: usize, jobs: &[String]| format!(r#"{{"total_count":{total},"jobs":[{}]}}"#, jobs.join(","));
    let (old, recent) = (job("completed", "2023-11-14T22:03:20Z"), job("completed", "2023-11-14T22:03:21Z"));
    let going = job("in_progress", "2023-11-14T22:00:00Z");
    let completed = r#"{"id":1,"status":"completed","conclusion":"success"}"#.to_owned();
    let attempt = "/repos/o/r/actions/runs/1/attempts/2/jobs";
    for (path, body, wanted) in [
        ("/repos/o/r/issues/5", r#"{"state":"closed"}"#.to_owned(), 3600),
        ("/repos/o/r/issues/5", r#"{"state":"open","milestone":{"state":"closed"}}"#.to_owned(), 120),
        ("/repos/o/r/pulls/5", r#"{"state":"closed","merged":true}"#.to_owned(), 3600),
        ("/repos/o/r/pulls", r#"[{"state":"closed"}]"#.to_owned(), 120),
        ("/repos/o/r/actions/runs/1", completed.clone(), 300),
        ("/repos/o/r/actions/runs/1", r#"{"status":"queued"}"#.to_owned(), 60),
        ("/repos/o/r/actions/jobs/1", completed.clone(), 300),
        ("/repos/o/r/check-runs/1", completed.clone(), 300),
        ("/repos/o/r/actions/runs/1/jobs", jobs(1, std::slice::from_ref(&old)), 300),
        ("/repos/o/r/actions/runs/1/jobs", jobs(2, std::slice::from_ref(&old)), 60),
        ("/repos/o/r/actions/runs/1/jobs", jobs(2, &[old.clone(), going.clone()]), 60),
        ("/repos/o/r/actions/runs/1/jobs", jobs(0, &[]), 60),
        (attempt, jobs(2, &[old.clone(), going]), 60),
        (attempt, jobs(2, &[old.clone(), recent]), 60),
        ("/repos/o/r/commits/abc/status", r#"{"state":"success","total_count":1}"#.to_owned(), 120),
        ("/repos/o/r/commits/abc/status", r#"{"state":"pending","total_count":1}"#.to_owned(), 60),
        ("/repos/o/r/commits/abc/status", r#"{"state":"success","total_count":0}"#.to_owned(), 60),
        ("/repos/o/r", completed.clone(), 300),
    ] {
        assert_eq!(lifetime(path, &body), Duration::from_secs(wanted), "{path} {body}");
    }
    assert_eq!(lifetime(attempt, &jobs(1, &[old])), Duration::MAX);
    assert_eq!(lifetime("/repos/o/r/actions/runs/1/attempts/2", &completed), Duration::MAX);
}

#[test]
fn the_operator_gives_times_by_template_and_the_one_that_says_most_counts() {
    let overrides = RouteOverrides::parse([
        ("/repos/{owner}/{repo}/issues/{number}", "10"),
        ("/repos/{+any}", "1m30s"),
        ("/repos/mine/{repo}/issues/{n}", "5m"),
        ("/graphql", "0"),
    ])
    .unwrap();
    let ttl = |path: &str| overrides.ttl(&read(path, &[]).target).map(|ttl| ttl.as_secs());
    assert_eq!(ttl("/repos/o/r/issues/5"), Some(10));
    assert_eq!(ttl("/repositories/12/issues/5"), Some(10));
    assert_eq!(ttl("/repos/Mine/r/issues/5"), Some(300));
    assert_eq!(ttl("/repos/o/r/issues"), Some(90));
    assert_eq!(ttl("/user"), None);
    let graphql = crate::fixtures::pass(&http::Method::POST, "/graphql", &[]).target;
    assert_eq!(overrides.ttl(&graphql), Some(Duration::ZERO));
    assert_eq!(RouteOverrides::default().ttl(&graphql), None);
}

#[test]
fn all_problems_with_the_operators_times_are_told_at_once() {
    let problems = RouteOverrides::parse([
        ("repos/{owner}", "1m"),
        ("/repos//x", "1m"),
        ("/repos/{owner", "1m"),
        ("/repos/x{owner}", "1m"),
        ("/repos/{}", "1m"),
        ("/{+path}/x", "1m"),
        ("/user?x=1", "1m"),
        ("/user", "soon"),
        ("/users", "-1s"),
        ("/events", "169h"),
        ("/gists/{id}", "1m"),
        ("/Gists/{gist}/", "2m"),
    ])
    .unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 11, "{told:#?}");
    for said in ["start with a slash", "empty segment", "isn't closed", "whole segment", "must come last", "query"] {
        assert!(told.iter().any(|problem| problem.contains(said)), "{said}: {told:#?}");
    }
    for given in
        ["\"soon\" (for /user)", "\"-1s\" (for /users)", "for /events", "\"/Gists/{gist}/\" has a time already"]
    {
        assert!(told.iter().any(|problem| problem.contains(given)), "{given}: {told:#?}");
    }
    let many: Vec<String> = (0..=MAX_OVERRIDES).map(|n| format!("/x{n}")).collect();
    let rows = many.iter().map(|path| (path.as_str(), Duration::ZERO));
    assert_eq!(RouteOverrides::new(rows), Err(vec![RouteProblem::TooMany { given: MAX_OVERRIDES + 1 }]));
}

#[test]
fn every_row_of_the_table_is_found_by_its_own_template() {
    for row in table::ROUTES {
        let path = row.template.replace("{+", "more/{").replace(['{', '}'], "");
        assert_eq!(Route::at(&path).template, row.template);
        assert_ne!(row.family, Family::GraphQl, "it has a row of its own");
        assert!(!matches!(row.settling, Some((Condition::AllCompleted, _))) || matches!(row.list, List::Wrapped(_)));
    }
    let ids: Vec<u8> = Family::ALL.iter().map(|family| family.id()).collect();
    assert_eq!(ids, (0..Family::ALL.len() as u8).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn any_path_has_a_route_and_any_body_an_answer(path in "\\PC{0,60}", body in proptest::collection::vec(any::<u8>(), 0..80)) {
        let route = Route::at(&path);
        let _ = settled(route, &body, u64::MAX);
    }

    #[test]
    fn a_template_that_is_read_matches_itself(segments in proptest::collection::vec("[a-z]{1,4}|\\{[a-z]{1,4}\\}", 1..6)) {
        let text = format!("/{}", segments.join("/"));
        let template = Template::parse(&text).unwrap();
        let names: Vec<&str> = segments.iter().map(String::as_str).collect();
        prop_assert!(template.matches(&names));
        prop_assert!(!template.matches(&names[1..]));
    }
}
