use super::*;
use crate::fixtures::{Pair, headers, pass, read};

/// Whether a write (`METHOD path`) makes an answer to a read of `path` stale.
fn hits(write: &str, path: &str) -> bool {
    let (method, uri) = write.split_once(' ').expect("METHOD path");
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let touched = pass(&method, uri, &[]).invalidates;
    read(path, &[]).scopes().iter().any(|scope| touched.contains(scope))
}

#[test]
fn a_write_to_a_repository_makes_stale_what_shows_it() {
    each_makes_stale(&[
        (
            "PATCH /repos/o/r/issues/5",
            &[
                "/repos/o/r/issues/5",
                "/repos/o/r/issues/5/timeline",
                "/repos/o/r/issues?state=open&page=2",
                "/repos/O/R/ISSUES/5",
                "/repos/o/r/%69ssues/5",
                "/repositories/12/issues?page=2",
                "/repos/o/r/pulls/5",
                "/repos/o/r",
                "/orgs/o/repos",
                "/organizations/9/repos?page=2",
                "/users/o/repos",
                "/user/7/repos?page=2",
                "/user/issues",
                "/issues",
                "/search/issues?q=x",
            ][..],
        ),
        ("POST /repos/o/r/issues/5/labels", &["/repos/o/r/issues/5", "/repos/o/r/issues", "/repos/o/r/labels"]),
        ("POST /repos/o/r/labels", &["/repos/o/r/issues", "/repos/o/r/labels/bug"]),
        (
            "PUT /repos/o/r/contents/a/b.txt",
            &[
                "/repos/o/r/contents/a/b.txt?ref=main",
                "/repos/o/r/contents",
                "/repos/o/r/git/ref/heads/main",
                "/repos/o/r/commits",
                "/repos/o/r/branches/main",
                "/repos/o/r/compare/a...b",
                "/repos/o/r/pulls/5/files",
                "/repos/o/r/actions/runs",
                "/repositories/12/commits?page=2",
                "/repos/o/r",
            ],
        ),
        (
            "PUT /repos/o/r/pulls/5/merge",
            &["/repos/o/r/pulls/5", "/repos/o/r/issues/5", "/repos/o/r/commits", "/repos/o/r/branches"],
        ),
        ("POST /repos/o/r/statuses/abc", &["/repos/o/r/commits/abc/status", "/repos/o/r/statuses/abc"]),
        ("PATCH /repos/o/r/check-runs/1", &["/repos/o/r/commits/abc/check-runs", "/repos/o/r/check-suites/1"]),
        (
            "POST /repos/o/r/actions/runs/1/rerun",
            &["/repos/o/r/actions/runs/1", "/repos/o/r/actions/runs", "/repositories/12/actions/runs?page=2"],
        ),
        ("DELETE /repos/o/r/actions/runners/1", &["/repos/o/r/actions/runners"]),
        ("POST /repos/o/r/releases", &["/repos/o/r/releases/latest", "/repos/o/r/tags", "/repos/o/r/git/ref/tags/v1"]),
        (
            "DELETE /repos/o/r",
            &[
                "/repos/o/r",
                "/repos/o/r/contents/x",
                "/repositories/12/issues",
                "/orgs/o/repos",
                "/user/repos",
                "/search/repositories?q=x",
            ],
        ),
        ("PUT /repos/o/r/collaborators/x", &["/repos/o/r/contents/x", "/repos/o/r/collaborators"]),
        ("PATCH /repos/o/r/anything-new/1", &["/repos/o/r/issues", "/repos/o/r"]),
        ("PATCH /repositories/12/issues/5", &["/repositories/12/issues", "/repos/o/r/issues/5"]),
    ]);
}

#[test]
fn a_write_elsewhere_makes_stale_what_shows_it() {
    each_makes_stale(&[
        ("POST /orgs/o/repos", &["/orgs/o/repos", "/user/repos", "/orgs/o", "/installation/repositories"][..]),
        ("POST /user/repos", &["/user/repos", "/users/x/repos"]),
        ("PUT /orgs/o/teams/t/repos/o/r", &["/orgs/o/teams", "/repos/o/r", "/teams/1/repos"]),
        ("PUT /user/starred/o/r", &["/user/starred", "/repos/o/r", "/repos/o/r/stargazers", "/users/x/starred"]),
        ("PATCH /gists/1", &["/gists/1", "/gists", "/users/x/gists"]),
        ("DELETE /applications/x/grant", &["/user", "/repos/o/r"]),
        ("PATCH /enterprises/e/x/1", &["/enterprises/e/x", "/enterprises/e"]),
    ]);
}

fn each_makes_stale(cases: &[(&str, &[&str])]) {
    for (write, stale) in cases {
        for path in *stale {
            assert!(hits(write, path), "{write} must make {path} stale");
        }
    }
}

#[test]
fn a_write_leaves_alone_what_doesn_t_show_it() {
    for (write, kept) in [
        (
            "PATCH /repos/o/r/issues/5",
            &[
                "/repos/o/r/contents/a",
                "/repos/o/r/actions/runs",
                "/repos/o/other/issues",
                "/repos/o/r2",
                "/orgs/o",
                "/repositories/12/actions/runs",
            ][..],
        ),
        (
            "POST /repos/o/r/statuses/abc",
            &["/repos/o/r", "/repos/o/r/issues", "/repos/o/r/contents/a", "/orgs/o/repos", "/search/issues?q=x"],
        ),
        (
            "DELETE /repos/o/r/actions/runners/1",
            &["/repos/o/r/actions/runs", "/repos/o/r", "/repos/o/r/issues", "/repos/o/r/actions/secrets"],
        ),
        ("POST /orgs/o/actions/runners/generate-jitconfig", &["/orgs/o", "/orgs/o/repos", "/orgs/o/actions/secrets"]),
        ("POST /repos/o/r/hooks", &["/repos/o/r", "/repos/o/r/issues"]),
        ("DELETE /repos/o/r", &["/repos/o/r2", "/repos/p/r", "/gists"]),
        ("PATCH /gists/1", &["/repos/o/r", "/user"]),
    ] {
        for path in kept {
            assert!(!hits(write, path), "{write} must leave {path} alone");
        }
    }
}

#[test]
fn what_changes_nothing_invalidates_nothing() {
    for write in [
        "POST /markdown",
        "POST /app/installations/1/access_tokens",
        "POST /repos/o/r/actions/runners/registration-token",
        "POST /orgs/o/actions/runners/remove-token",
        "POST /repos/o/r/releases/generate-notes",
        "POST /applications/x/token",
    ] {
        let (method, uri) = write.split_once(' ').expect("METHOD path");
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        assert_eq!(pass(&method, uri, &[]).invalidates, Vec::new(), "{write}");
    }
}

#[test]
fn an_upload_changes_the_release() {
    let upload = pass(&Method::POST, "/repos/o/r/releases/1/assets?name=x", &[("host", "uploads.github.com")]);
    let release = read("/repos/o/r/releases/1", &[]).scopes();
    assert!(release.iter().any(|scope| upload.invalidates.contains(scope)));
}

#[test]
fn scopes_stay_within_their_bound_however_deep_the_path() {
    let deep = format!("/repos/o/r/contents{}", "/d".repeat(200));
    let scopes = read(&deep, &[]).scopes();
    assert!(scopes.len() <= limits::MAX_SCOPES, "{}", scopes.len());
    assert_eq!(scopes.first(), Some(&host_scope("api.github.com")));
    assert!(hits(&format!("PUT {deep}"), &deep));
    assert!(hits(&format!("PUT {deep}"), &format!("{deep}/e")));
    let deep_unknown = format!("/unknown{}", "/d".repeat(200));
    assert!(hits(&format!("PUT {deep_unknown}"), &deep_unknown));
}

#[test]
fn every_read_belongs_to_its_host() {
    for path in ["/user", "/repos/o/r", "/repositories/1/issues", "/gists", "//repos//o/r"] {
        assert!(read(path, &[]).scopes().contains(&host_scope("api.github.com")), "{path}");
    }
}

#[test]
fn threat_8_a_refusal_takes_back_what_it_refuses() {
    let target = |path: &str| read(path, &[]).target;
    let of = |path: &str, status: u16, pairs: &[Pair<'_>]| {
        denial(&target(path), StatusCode::from_u16(status).expect("a status"), &headers(pairs))
    };
    assert_eq!(of("/repos/o/r/issues", 401, &[]), Denial::Credential);
    assert_eq!(of("/repos/o/r/issues", 200, &[]), Denial::None);
    assert_eq!(of("/repos/o/r/issues", 500, &[]), Denial::None);
    assert_eq!(of("/repos/o/r/issues", 403, &[("retry-after", "60")]), Denial::None, "a limit");
    assert_eq!(of("/repos/o/r/issues", 429, &[]), Denial::None, "a limit");
    for status in [403, 404] {
        let Denial::Scopes(scopes) = of("/repos/O/R/issues/5", status, &[]) else { panic!("scopes") };
        for lost in ["/repos/o/r", "/repos/o/r/contents/x", "/repositories/12/issues?page=2"] {
            assert!(read(lost, &[]).scopes().iter().any(|scope| scopes.contains(scope)), "{lost}");
        }
        for kept in ["/repos/o/r2", "/user", "/orgs/o/repos"] {
            assert!(!read(kept, &[]).scopes().iter().any(|scope| scopes.contains(scope)), "{kept}");
        }
    }
}

#[test]
fn trap_3_a_mutation_is_found_wherever_it_hides() {
    for body in [
        r#"{"query":"mutation { addStar(input: {}) { clientMutationId } }"}"#,
        r##"{"query":"# a comment\nquery A { viewer { login } } mutation B { x }","operationName":"B"}"##,
        r#"{"query":"fragment f on X { a } mutation M { x }"}"#,
        r#"{"query":"\u006dutation { x }"}"#,
        r#"{"query":"\u006D\u0075\u0074\u0061\u0074\u0069\u006f\u006e { x }"}"#,
    ] {
        assert!(graphql_may_mutate(body.as_bytes()), "{body}");
    }
    for body in [
        r#"{"query":"query { viewer { login } }"}"#,
        r#"{"query":"{ a(b: \"\u003c\u2713\") }"}"#,
        "",
        r"\u00",
        r"\u00zz",
    ] {
        assert!(!graphql_may_mutate(body.as_bytes()), "{body}");
    }
}
