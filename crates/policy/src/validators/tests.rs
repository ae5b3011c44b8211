#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::fixtures::read;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const API: &str = "https://api.github.com";

fn seen(path: &str, body: &Json) -> Validators {
    let read = read(path, &[]);
    Validators::of(&read.target, &read.caller.base, body.to_string().as_bytes())
}

fn issue(number: u64, updated: &str, comments: u64) -> Json {
    json!({
        "url": format!("{API}/repos/o/r/issues/{number}"),
        "user": {"url": format!("{API}/users/x"), "login": "x"},
        "state": "open", "comments": comments, "updated_at": updated, "body": "updated_at",
    })
}

fn fields(pairs: &[(&str, Json)]) -> Fields {
    serde_json::from_value(Json::Object(
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    ))
    .unwrap()
}

#[test]
fn a_list_shows_versions_of_what_is_in_it() {
    let list =
        seen("/repos/o/r/issues", &json!([issue(1, "2026-01-01T00:00:00Z", 0), issue(2, "2026-01-02T00:00:00Z", 3)]));
    let names: Vec<&str> = list.objects().map(|(name, _)| name).collect();
    assert_eq!(names, ["/repos/o/r/issues/1", "/repos/o/r/issues/2"], "a user has no validation fields");
    let wanted =
        fields(&[("comments", json!(3)), ("state", json!("open")), ("updated_at", json!("2026-01-02T00:00:00Z"))]);
    assert_eq!(list.get("/repos/o/r/issues/2"), Some(&wanted));
    assert_eq!(list.own(), None);
}

#[test]
fn a_body_shows_its_own_version_under_its_own_url_or_else_under_its_path() {
    let one = seen("/repositories/12/issues/1", &issue(1, "2026-01-01T00:00:00Z", 0));
    assert_eq!(one.own().map(|(name, _)| name), Some("/repos/o/r/issues/1"));
    let branch = json!({"name": "main", "protected": true, "commit": {"sha": "abc", "url": format!("{API}/repos/o/r/commits/abc")}});
    let branch = seen("/repos/o/r/branches/Main", &branch);
    let wanted = fields(&[("commit.sha", json!("abc")), ("name", json!("main")), ("protected", json!(true))]);
    assert_eq!(branch.own(), Some(("/repos/o/r/branches/main", &wanted)));
    assert_eq!(seen("/repos/o/r/actions/runs", &json!({"total_count": 0, "workflow_runs": []})), Validators::default());
}

#[test]
fn each_kind_of_object_has_its_fields() {
    for (path, object, wanted) in [
        ("/repos/o/r", json!({"updated_at": "t", "pushed_at": "u", "name": "r"}), &["pushed_at", "updated_at"][..]),
        (
            "/repos/o/r/pulls/1",
            json!({"state": "closed", "merged_at": null, "mergeable": true, "review_comments": 2}),
            &["mergeable", "merged_at", "review_comments", "state"],
        ),
        ("/repos/o/r/releases/1", json!({"tag_name": "v1", "published_at": "t"}), &["published_at", "tag_name"]),
        (
            "/repos/o/r/actions/runs/1",
            json!({"status": "completed", "conclusion": "success", "run_attempt": 2}),
            &["conclusion", "run_attempt", "status"],
        ),
        (
            "/repos/o/r/check-runs/1",
            json!({"status": "queued", "conclusion": null, "completed_at": null}),
            &["completed_at", "conclusion", "status"],
        ),
        ("/repos/o/r/git/refs/heads/main", json!({"object": {"sha": "abc", "type": "commit"}}), &["object.sha"]),
    ] {
        let mut object = object;
        object["url"] = json!(format!("{API}{path}"));
        let list = seen("/repos/o/r/anything", &json!({"items": [object]}));
        let names: Vec<&str> = list.get(path).unwrap().iter().map(|(name, _)| name).collect();
        assert_eq!(names, wanted, "{path}");
    }
}

#[test]
fn only_what_names_itself_at_the_same_api_counts() {
    for url in [
        "https://api.github.com.evil.example/repos/o/r",
        "https://github.com/o/r",
        "https://api.github.com",
        "https://api.github.com/",
        "/repos/o/r",
        "",
    ] {
        assert!(seen("/events", &json!([{"url": url, "state": "open"}])).is_empty(), "{url}");
    }
    let long = format!("{API}/{}", "x".repeat(2000));
    assert!(seen("/events", &json!([{"url": long, "state": "open"}, {"url": 7, "state": "open"}])).is_empty());
    let then = json!([{"payload": {"issue": issue(1, "2020-01-01T00:00:00Z", 0)}}]);
    assert!(seen("/events", &then).is_empty(), "what was then");
}

#[test]
fn a_newer_list_tells_what_has_moved_on() {
    let older = seen("/repos/o/r/issues/1", &issue(1, "2026-01-01T00:00:00Z", 0));
    let moved = |newer: &Json| seen("/repos/o/r/issues", newer).moved_on_since(&older).count();
    assert_eq!(moved(&json!([issue(1, "2026-01-01T00:00:00Z", 0), issue(2, "2026-01-02T00:00:00Z", 0)])), 0);
    assert_eq!(moved(&json!([issue(1, "2026-01-01T00:00:01Z", 0)])), 1);
    assert_eq!(moved(&json!([issue(1, "2026-01-01T00:00:00Z", 1)])), 1);
    assert_eq!(moved(&json!([issue(1, "2025-12-31T00:00:00Z", 1)])), 0, "the list lags behind");
}

#[test]
fn only_fields_that_both_have_are_compared() {
    for (old, new, moved) in [
        (fields(&[("state", json!("open"))]), fields(&[("status", json!("queued"))]), false),
        (fields(&[("state", json!("open")), ("comments", json!(1))]), fields(&[("state", json!("open"))]), false),
        (fields(&[("conclusion", json!(null))]), fields(&[("conclusion", json!("success"))]), true),
        (fields(&[("mergeable", json!(null))]), fields(&[("mergeable", json!(true))]), false),
        (fields(&[("mergeable", json!(true))]), fields(&[("mergeable", json!(false))]), true),
        (fields(&[("busy", json!(true))]), fields(&[("busy", json!(false))]), true),
        (Fields::default(), fields(&[("sha", json!("a"))]), false),
    ] {
        assert_eq!(moved_on(&old, &new), moved, "{old:?} {new:?}");
    }
}

#[test]
fn two_versions_in_one_body_are_none() {
    let status = |state: &str| json!({"url": format!("{API}/repos/o/r/statuses/abc"), "state": state});
    let list = |states: &[&str]| {
        seen("/repos/o/r/commits/abc/statuses", &Json::from_iter(states.iter().map(|state| status(state))))
    };
    assert_eq!(list(&["success", "success"]).objects().count(), 1);
    assert!(list(&["success", "failure"]).is_empty());
    assert!(list(&["success", "failure", "failure"]).is_empty());
}

#[test]
fn a_files_versions_are_told_apart_by_their_reference() {
    let file = |reference: &str, sha: &str| json!({"url": format!("{API}/repos/o/r/contents/A.md?ref={reference}"), "sha": sha});
    let main = seen("/repos/o/r/contents/A.md?ref=main", &file("main", "1"));
    assert_eq!(seen("/repos/o/r/contents/A.md?ref=dev", &file("dev", "2")).moved_on_since(&main).count(), 0);
    assert_eq!(seen("/repos/o/r/contents?ref=main", &json!([file("main", "2")])).moved_on_since(&main).count(), 1);
}

#[test]
fn what_moved_on_is_stale_where_it_is_kept_by_itself() {
    for (name, path, stale) in [
        ("/repos/o/r/issues/1", "/repos/O/R/issues/1", true),
        ("/repos/o/r/issues/1", "/repos/o/r/issues/1/comments", false),
        ("/repos/o/r/issues/1", "/repos/o/r/issues", false),
        ("/repos/o/r/contents/a.md?ref=main", "/repos/o/r/contents/a.md?ref=main", true),
        ("/repos/o/r/git/refs/heads/main", "/repos/o/r/git/ref/heads/main", true),
        ("/repos/o/r/git/refs/heads/main", "/repos/o/r/git/refs/heads/main", true),
    ] {
        let kept = read(path, &[]).scopes();
        assert_eq!(scopes("api.github.com", name).iter().any(|scope| kept.contains(scope)), stale, "{name} {path}");
    }
}

#[test]
fn the_cid_is_that_of_the_canonical_form() {
    let body = json!({"url": format!("{API}/a"), "sha": "1", "busy": false, "status": null, "comments": 1});
    let one = seen("/a", &body);
    // {"/a": {"sha": "1", "busy": false, "status": null, "comments": 1}}: shorter keys first.
    let canonical = b"\xa1\x62/a\xa4\x63sha\x611\x64busy\xf4\x66status\xf6\x68comments\x01";
    assert_eq!(one.cid(), Some(ValidationCid::of(canonical)));
    let reordered =
        json!([{"comments": 1, "status": null, "title": "x", "busy": false, "sha": "1", "url": format!("{API}/a")}]);
    assert_eq!(seen("/b", &reordered).cid(), one.cid(), "the same versions of the same resources");
    assert_eq!(seen("/b", &json!([])).cid(), None);
}

#[test]
fn bodies_are_read_within_bounds() {
    let nested = (0..MAX_DEPTH - 1).fold(issue(1, "2026-01-01T00:00:00Z", 0), |inner, _| json!([inner]));
    assert_eq!(seen("/x", &nested).objects().count(), 1);
    assert!(seen("/x", &json!([nested])).is_empty(), "too deep");
    let many = Json::from_iter((0..2 * MAX_OBJECTS as u64).map(|number| issue(number, "2026-01-01T00:00:00Z", 0)));
    assert!(seen("/x", &many).objects().count() <= MAX_OBJECTS);
    assert!(seen("/x", &many).objects().count() > 0);
    let mut long = issue(1, "2026-01-01T00:00:00Z", 0);
    long["body"] = json!("x".repeat(MAX_BYTES));
    assert!(seen("/x", &long).is_empty());
    let prose = json!({"url": format!("{API}/x"), "state": "x".repeat(257)});
    assert!(seen("/x", &prose).is_empty());
}

#[test]
fn what_is_not_whole_json_shows_nothing() {
    let read = read("/x", &[]);
    let whole = json!([issue(1, "2026-01-01T00:00:00Z", 0)]).to_string();
    for body in ["", "null", "7", &whole[..whole.len() - 1], &format!("{whole}]"), &"[".repeat(100_000)] {
        assert!(Validators::of(&read.target, &read.caller.base, body.as_bytes()).is_empty());
    }
    let deep = format!("{{\"x\":{}{}, \"state\":\"open\"}}", "[".repeat(50_000), "]".repeat(50_000));
    assert_eq!(
        Validators::of(&read.target, &read.caller.base, deep.as_bytes()).objects().count(),
        1,
        "and no stack is lost"
    );
}

proptest! {
    #[test]
    fn nothing_has_moved_on_since_itself(numbers in proptest::collection::vec((0_u64..20, 0_u64..3), 0..30)) {
        let list = Json::from_iter(numbers.iter().map(|(number, comments)| issue(*number, "2026-01-01T00:00:00Z", *comments)));
        let list = seen("/x", &list);
        prop_assert_eq!(list.moved_on_since(&list).count(), 0);
    }

    #[test]
    fn any_body_can_be_read(body in proptest::collection::vec(any::<u8>(), 0..200), json in "[\\[\\]{}\":,urlstae0-9]{0,80}") {
        let read = read("/x", &[]);
        let _ = Validators::of(&read.target, &read.caller.base, &body);
        let _ = Validators::of(&read.target, &read.caller.base, json.as_bytes());
    }
}
